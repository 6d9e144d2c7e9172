//! How much is held in memory while the disk refuses frames.
//!
//! The note is a file of a fixed size that is made when the spool is opened and later
//! written in its place, which a full disk takes. The next start declares what was
//! still in memory when the process ended. A disk that takes not even that (it is gone,
//! or read-only) can't tell; then nothing is declared.

use std::io;

use pganalytics_core::Timestamp;

use super::{disk::Disk, os_disk::OsDisk};

const FILE: &str = "unsaved";
const BYTES: usize = 128;
/// No more are declared, whatever the file says.
const MOST: u64 = 100_000_000;

/// Frames that are in memory only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Unsaved {
    pub(super) frames: u64,
    /// Since when frames are held in memory.
    pub(super) from: Timestamp,
    /// When the last one came.
    pub(super) to: Timestamp,
}

impl Unsaved {
    /// What a process before has noted; nothing where there is no whole note.
    pub(super) fn load(disk: &OsDisk) -> Self {
        disk.read(FILE).ok().and_then(|bytes| Self::parse(&bytes)).unwrap_or_default()
    }

    /// Notes it in the place of what was noted before.
    pub(super) fn note(&self, disk: &OsDisk) -> io::Result<()> {
        let mut text = format!("frames {} from {} to {}", self.frames, self.from.as_micros(), self.to.as_micros());
        text = format!("{text} checksum {:08x}", crc32c::crc32c(text.as_bytes()));
        disk.overwrite(FILE, format!("{text:<width$}\n", width = BYTES - 1).as_bytes())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (text, checksum) = std::str::from_utf8(bytes).ok()?.trim_end().split_once(" checksum ")?;
        if u32::from_str_radix(checksum, 16).ok()? != crc32c::crc32c(text.as_bytes()) {
            return None;
        }
        let mut words = text.split(' ').skip(1).step_by(2).map(str::parse::<i64>);
        let mut number = || words.next()?.ok();
        let frames = u64::try_from(number()?).ok()?.min(MOST);
        Some(Self { frames, from: Timestamp::from_micros(number()?), to: Timestamp::from_micros(number()?) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_note_comes_back_and_takes_no_more_room_than_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let disk = OsDisk::open(folder.path()).unwrap();
        assert_eq!(Unsaved::load(&disk), Unsaved::default());
        let time = Timestamp::from_micros;
        for unsaved in [
            Unsaved::default(),
            Unsaved { frames: MOST, from: time(i64::MIN), to: time(i64::MAX) },
            Unsaved { frames: 7, from: time(1), to: time(2) },
        ] {
            unsaved.note(&disk).unwrap();
            assert_eq!((Unsaved::load(&disk), disk.read(FILE).unwrap().len()), (unsaved, BYTES));
        }
        disk.overwrite(FILE, b"frames 9").unwrap();
        assert_eq!(Unsaved::load(&disk), Unsaved::default(), "half a note is none");
    }
}
