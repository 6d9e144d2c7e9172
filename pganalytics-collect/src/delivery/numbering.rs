//! Which numbers frames have on the wire.
//!
//! A spool numbers its frames once and for ever. Its stream has the same numbers,
//! until the receiver finds that somebody else goes on with it (a fork): then what
//! is still to be told becomes the begin of a new stream, without being written
//! again.

use std::io;

use pganalytics_core::{Ranges, Seq, StreamId};
use uuid::Uuid;

use super::{
    account::{ranges_from, ranges_to},
    disk::{Disk, replace},
};

/// The file with the stream.
pub(super) const FILE: &str = "stream";

/// A stream, and which numbers of the spool are its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbering {
    pub(super) stream: StreamId,
    /// Numbers of the spool before `from` that are in the stream.
    kept: Ranges,
    /// From this number on all are.
    from: u64,
}

impl Numbering {
    pub(super) fn new(stream: StreamId) -> Self {
        Self { stream, kept: Ranges::new(), from: 1 }
    }

    /// A stream that begins with these frames and goes on with `from`.
    pub(super) fn forked(kept: Ranges, from: u64) -> Self {
        Self { stream: StreamId::random(), kept, from }
    }

    /// Whether numbers differ from those of the spool.
    pub(super) fn is_forked(&self) -> bool {
        self.from > 1
    }

    /// The number on the wire; `None`: the frame is none of the stream.
    pub(super) fn wire(&self, seq: u64) -> Option<Seq> {
        if let Some(more) = seq.checked_sub(self.from) {
            return Some(Seq(self.kept.len() + more + 1));
        }
        let mut before = 0;
        for range in self.kept.iter() {
            if range.contains(&Seq(seq)) {
                return Some(Seq(before + (seq - range.start().0) + 1));
            }
            before += range.end().0 - range.start().0 + 1;
        }
        None
    }

    /// The number in the spool of a number on the wire.
    pub(super) fn local(&self, wire: Seq) -> Option<u64> {
        let mut left = wire.0.checked_sub(1)?;
        for range in self.kept.iter() {
            let length = range.end().0 - range.start().0 + 1;
            if left < length {
                return Some(range.start().0 + left);
            }
            left -= length;
        }
        self.from.checked_add(left)
    }

    /// Numbers of the spool up to `last` that are in the stream.
    pub(super) fn members(&self, last: u64) -> Ranges {
        let mut members = self.kept.clone();
        members.insert_range(Seq(self.from)..=Seq(last));
        members
    }

    /// The numbers on the wire of these.
    pub(super) fn wire_ranges(&self, numbers: &Ranges) -> Ranges {
        let members = numbers.last().map(|last| self.members(last.0)).unwrap_or_default();
        let ranges = members.intersect(numbers);
        ranges.iter().filter_map(|range| Some(self.wire(range.start().0)?..=self.wire(range.end().0)?)).collect()
    }

    pub(super) fn save(&self, disk: &dyn Disk) -> io::Result<()> {
        let text = format!("stream {}\nkept {}\nfrom {}\n", self.stream, ranges_to(&self.kept), self.from);
        replace(disk, FILE, text.as_bytes())
    }

    /// From the bytes of its file; `None`: they are none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        let stream = StreamId::from_uuid(lines.next()?.strip_prefix("stream ")?.parse::<Uuid>().ok()?);
        let kept = ranges_from(lines.next()?.strip_prefix("kept ")?)?;
        let from = lines.next()?.strip_prefix("from ")?.parse().ok().filter(|&from| from > 0)?;
        Some(Self { stream, kept, from })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fork_numbers_what_is_left_from_one_on() {
        let kept: Ranges = [Seq(5)..=Seq(6), Seq(9)..=Seq(9)].into_iter().collect();
        let numbering = Numbering::forked(kept, 20);
        let wire: Vec<_> = [5, 6, 9, 20, 21].map(|seq| numbering.wire(seq).unwrap().0).to_vec();
        assert_eq!(wire, [1, 2, 3, 4, 5]);
        assert!([1, 4, 7, 8, 10, 19].iter().all(|&seq| numbering.wire(seq).is_none()));
        let local: Vec<_> = (1..6).map(|wire| numbering.local(Seq(wire)).unwrap()).collect();
        assert_eq!(local, [5, 6, 9, 20, 21]);
        assert_eq!(numbering.local(Seq(0)), None);
        let disk = super::super::memory_disk::MemoryDisk::default();
        numbering.save(&disk).unwrap();
        assert_eq!(Numbering::parse(&disk.read(FILE).unwrap()), Some(numbering));
        assert_eq!(Numbering::parse(b"7a0b6d5e-0000-4000-8000-000000000000"), None);
    }
}
