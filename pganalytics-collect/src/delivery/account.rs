//! What became of the frames of a spool.
//!
//! Three sets of numbers: acknowledged by the receiver, refused by it for good,
//! and lost here. They do not overlap; what is in none of them still waits. A
//! fourth tells of which losses and refusals the receiver has stored a gap. They
//! are on the disk before the frames are removed.

use std::{fmt::Write as _, io};

use pganalytics_core::{Ranges, Seq};

use super::disk::{Disk, replace};

const FILE: &str = "account";

/// What became of frames, by their numbers in the spool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) acknowledged: Ranges,
    pub(super) refused: Ranges,
    pub(super) lost: Ranges,
    /// Of those that are refused or lost, the ones whose gap is stored.
    pub(super) told: Ranges,
}

impl Account {
    /// Whether this frame is done with.
    pub(super) fn contains(&self, seq: u64) -> bool {
        [&self.acknowledged, &self.refused, &self.lost].iter().any(|ranges| ranges.contains(Seq(seq)))
    }

    /// The last number that it knows.
    pub(super) fn last(&self) -> u64 {
        let last = [&self.acknowledged, &self.refused, &self.lost].into_iter().filter_map(Ranges::last).max();
        last.map_or(0, |last| last.0)
    }

    /// Takes the numbers that are done with out of these.
    pub(super) fn take_from(&self, numbers: &mut Ranges) {
        for done in [&self.acknowledged, &self.refused, &self.lost] {
            *numbers = numbers.without(done);
        }
    }

    /// Refused or lost, and the receiver has no gap of it.
    pub(super) fn untold(&self) -> Ranges {
        self.refused.iter().chain(self.lost.iter()).collect::<Ranges>().without(&self.told)
    }

    pub(super) fn save(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut text = format!(
            "acknowledged {}\nrefused {}\nlost {}\ntold {}\n",
            ranges_to(&self.acknowledged),
            ranges_to(&self.refused),
            ranges_to(&self.lost),
            ranges_to(&self.told)
        );
        let _ = writeln!(text, "checksum {:08x}", crc32c::crc32c(text.as_bytes()));
        replace(disk, FILE, text.as_bytes())
    }

    /// What is on the disk; `None` when there is none, or none that is whole.
    pub(super) fn load(disk: &dyn Disk) -> io::Result<Option<Self>> {
        match disk.read(FILE) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (sets, checksum) = text.split_once("checksum ")?;
        let checksum = u32::from_str_radix(checksum.trim_end(), 16).ok()?;
        if crc32c::crc32c(sets.as_bytes()) != checksum {
            return None;
        }
        let mut lines = sets.lines();
        let mut set = |name: &str| ranges_from(lines.next()?.strip_prefix(name)?.strip_prefix(' ')?);
        Some(Self {
            acknowledged: set("acknowledged")?,
            refused: set("refused")?,
            lost: set("lost")?,
            told: set("told")?,
        })
    }
}

/// As `1-9,12-12`.
pub(super) fn ranges_to(ranges: &Ranges) -> String {
    let ranges: Vec<_> = ranges.iter().map(|range| format!("{}-{}", range.start().0, range.end().0)).collect();
    ranges.join(",")
}

pub(super) fn ranges_from(text: &str) -> Option<Ranges> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-')?;
        Some(Seq(first.parse().ok()?)..=Seq(last.parse().ok()?))
    };
    text.split(',').filter(|range| !range.is_empty()).map(range).collect()
}
