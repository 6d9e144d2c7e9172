//! Losses, and the gap frames that declare them.
//!
//! A gap is declared by a frame of its own, which waits like any other. When that
//! frame is lost in its turn, what it declared is declared again, together with it:
//! gaps of one reason that touch become one, so a long outage is one gap that grows.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pganalytics_core::{
    CutSource, Gap, GapReason, MeasurementName, Ranges, Seq, Source, Timestamp,
    frame::{Content, Limits, encode_gap},
};

/// Most series that a gap names; one that cut more names none, which means any.
const MOST_SERIES: usize = 1000;

/// Series: where a measurement is taken.
pub(crate) type Series = (MeasurementName, Source);

/// The series of which frames were lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cut {
    series: BTreeMap<Source, BTreeSet<MeasurementName>>,
    count: usize,
    /// They are not known, or too many.
    any: bool,
}

impl Cut {
    /// It is not known which.
    pub(super) fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    pub(super) fn add(&mut self, (measurement, source): Series) {
        if self.any {
            return;
        }
        self.count += usize::from(self.series.entry(source).or_default().insert(measurement));
        if self.count > MOST_SERIES {
            *self = Self::any();
        }
    }

    pub(super) fn add_any(&mut self) {
        *self = Self::any();
    }

    /// As a gap tells it: empty means any.
    pub(super) fn sources(self) -> Vec<CutSource> {
        let all = self.series.into_iter();
        all.map(|(source, names)| CutSource { source, measurements: names.into_iter().collect() }).collect()
    }

    fn of(sources: &[CutSource]) -> Self {
        let mut cut = if sources.is_empty() { Self::any() } else { Self::default() };
        for source in sources {
            source.measurements.iter().for_each(|name| cut.add((name.clone(), source.source.clone())));
        }
        cut
    }
}

/// What an encoded frame is about.
pub(super) enum About {
    Rows(Series),
    Gap(Box<Gap>),
    Unknown,
}

/// Looks into a frame, as far as its head.
pub(super) fn about(frame: &Bytes) -> About {
    match Content::parse(frame.clone(), &Limits::default(), &|_| None) {
        Ok(Content::Gap(gap)) => About::Gap(Box::new(gap)),
        Ok(Content::Rows(rows)) => About::Rows((rows.schema().measurement().clone(), rows.source().clone())),
        Err(_) => About::Unknown,
    }
}

/// Whether a frame is a gap, by its first bytes alone.
pub(super) fn is_gap(frame: &[u8]) -> bool {
    frame.starts_with(b"PGAF") && frame.get(6) == Some(&2)
}

/// Gaps that the receiver has not been told yet, with numbers of the spool.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Those that no frame declares.
    undeclared: Vec<Gap>,
    /// Those that a frame declares which waits, by its number.
    waiting: BTreeMap<u64, Gap>,
    /// Those that the receiver refused to hear of: told with the next loss.
    withheld: Vec<Gap>,
}

impl Gaps {
    /// Something was lost.
    pub(super) fn add(&mut self, gap: Gap) {
        for withheld in std::mem::take(&mut self.withheld) {
            self.add(withheld);
        }
        let mut gap = gap;
        loop {
            let other = match self.undeclared.iter().position(|other| can_join(other, &gap)) {
                Some(at) => self.undeclared.swap_remove(at),
                // The frame that declares it still goes; this one tells more.
                None => match self.waiting.iter().find(|(_, other)| can_join(other, &gap)).map(|(&seq, _)| seq) {
                    Some(seq) => match self.waiting.remove(&seq) {
                        Some(other) => other,
                        None => break,
                    },
                    None => break,
                },
            };
            gap = join(other, gap);
        }
        self.undeclared.push(gap);
    }

    /// Frames are lost: what they declared is to be declared again.
    pub(super) fn lose(&mut self, lost: &Ranges) {
        let gone: Vec<u64> = self.waiting.keys().copied().filter(|&seq| lost.contains(Seq(seq))).collect();
        for gap in gone.into_iter().filter_map(|seq| self.waiting.remove(&seq)).collect::<Vec<_>>() {
            self.add(gap);
        }
    }

    /// The receiver has stored this frame; what it declares, if it is a gap.
    pub(super) fn settle(&mut self, seq: u64) -> Option<Gap> {
        self.waiting.remove(&seq)
    }

    /// The receiver refuses the frame that declares this.
    pub(super) fn withhold(&mut self, seq: u64) {
        self.withheld.extend(self.waiting.remove(&seq));
    }

    /// A frame that declares this waits.
    pub(super) fn declared(&mut self, seq: u64, gap: Gap) {
        self.waiting.insert(seq, gap);
    }

    pub(super) fn undeclared(&self) -> &[Gap] {
        &self.undeclared
    }

    /// Numbers of the frames that declare gaps and wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u64> + '_ {
        self.waiting.keys().copied()
    }

    /// The first undeclared ones are in frames with numbers from `first` on now.
    pub(super) fn declared_first(&mut self, count: usize, first: u64) {
        let declared: Vec<Gap> = self.undeclared.drain(..count.min(self.undeclared.len())).collect();
        for (seq, gap) in (first..).zip(declared) {
            self.declared(seq, gap);
        }
    }

    /// All of them, with the number of the frame that declares each.
    #[cfg(test)]
    pub(super) fn ranges(&self) -> Vec<(Option<u64>, u64, u64)> {
        let untold = self.undeclared.iter().chain(&self.withheld).map(|gap| (None, gap));
        let all = untold.chain(self.waiting.iter().map(|(&seq, gap)| (Some(seq), gap)));
        all.map(|(seq, gap)| (seq, gap.first.0, gap.last.0)).collect()
    }

    /// Numbers that no frame declares.
    pub(super) fn untold(&self) -> Ranges {
        self.undeclared.iter().chain(&self.withheld).map(|gap| gap.first..=gap.last).collect()
    }

    /// Numbers of all gaps.
    pub(super) fn numbers(&self) -> Ranges {
        let mut all = self.untold();
        all.extend(self.waiting.values().map(|gap| gap.first..=gap.last));
        all
    }
}

/// One gap can tell both.
fn can_join(a: &Gap, b: &Gap) -> bool {
    let touch = a.first.0 <= b.last.0.saturating_add(1) && b.first.0 <= a.last.0.saturating_add(1);
    touch && a.reason == b.reason && (a.detail == b.detail || a.reason != GapReason::Refused)
}

fn join(a: Gap, b: Gap) -> Gap {
    let mut cut = Cut::of(&a.cut);
    let other = Cut::of(&b.cut);
    if other.any {
        cut.add_any();
    }
    for (source, names) in other.series {
        names.into_iter().for_each(|name| cut.add((name, source.clone())));
    }
    Gap {
        first: a.first.min(b.first),
        last: a.last.max(b.last),
        from: a.from.min(b.from),
        to: a.to.max(b.to),
        detail: if a.detail.is_empty() { b.detail } else { a.detail },
        reason: a.reason,
        cut: cut.sources(),
    }
}

/// The frame of a gap with other numbers.
pub(super) fn encode_as(gap: &Gap, first: Seq, last: Seq) -> Bytes {
    encode_gap(&Gap { first, last, ..gap.clone() }).into()
}

/// Gaps of one reason for each of these ranges.
pub(super) fn gaps_of(
    lost: &Ranges,
    (from, to): (Timestamp, Timestamp),
    reason: &GapReason,
    detail: &str,
    cut: &[CutSource],
) -> Vec<Gap> {
    let gap = |range: std::ops::RangeInclusive<Seq>| Gap {
        first: *range.start(),
        last: *range.end(),
        from,
        to,
        reason: reason.clone(),
        detail: detail.to_owned(),
        cut: cut.to_vec(),
    };
    lost.iter().map(gap).collect()
}
