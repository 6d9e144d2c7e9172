//! What one collector may have in a store.
//!
//! Names are what a store can't forget while data hangs on them: each source,
//! series and schema is a row, an entry in caches, and work for every query. A
//! collector that makes up names by the million, by a bug or with ill will, is
//! stopped at its quota; what it has goes on, and so do all others. Retention
//! frees what nothing hangs on any more.

use std::time::Duration;

use pganalytics_core::{CollectorId, Source, Timestamp};

use crate::metric_store::FrameOutcome;

/// What one collector may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quotas {
    /// Databases of servers that it speaks of, with every name that they had.
    pub sources: u64,
    /// Measurements of sources.
    pub series: u64,
    /// Different measurements.
    pub measurements: u64,
    /// Different shapes of measurements that it was the first to send.
    pub schemas: u64,
    /// Gaps of its streams.
    pub gaps: u64,
    /// Streams, each counted as often as there are holes in its numbers.
    pub streams: u64,
    /// An instance that a collector speaks of is its own until it has been
    /// silent about it for this long; `None`: any collector may speak of it, at
    /// the same time too.
    pub owns_for: Option<Duration>,
}

impl Quotas {
    /// No limit, and nobody owns anything.
    pub const NONE: Self = Self {
        sources: u64::MAX,
        series: u64::MAX,
        measurements: u64::MAX,
        schemas: u64::MAX,
        gaps: u64::MAX,
        streams: u64::MAX,
        owns_for: None,
    };

    /// What suits an agent that watches up to some hundred servers. What it
    /// watches is its own until it is silent for 15 minutes.
    #[must_use]
    pub const fn per_collector() -> Self {
        Self {
            sources: 5_000,
            series: 50_000,
            measurements: 500,
            schemas: 1_000,
            gaps: 10_000,
            streams: 100_000,
            owns_for: Some(Duration::from_secs(900)),
        }
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self::NONE
    }
}

/// What a collector has, or what a frame adds to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    pub(crate) sources: u64,
    pub(crate) series: u64,
    pub(crate) measurements: u64,
    pub(crate) schemas: u64,
    pub(crate) gaps: u64,
    pub(crate) streams: u64,
}

impl Held {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sources += other.sources;
        self.series += other.series;
        self.measurements += other.measurements;
        self.schemas += other.schemas;
        self.gaps += other.gaps;
        self.streams += other.streams;
    }

    /// Why a collector that has this may not have `more`.
    pub(crate) fn refusal(&self, more: &Self, quotas: &Quotas) -> Option<FrameOutcome> {
        [
            ("too_many_sources", "sources", self.sources, more.sources, quotas.sources),
            ("too_many_measurements", "measurements", self.measurements, more.measurements, quotas.measurements),
            ("too_many_schemas", "schemas", self.schemas, more.schemas, quotas.schemas),
            ("too_many_series", "series", self.series, more.series, quotas.series),
            ("too_many_gaps", "gaps", self.gaps, more.gaps, quotas.gaps),
            ("too_many_streams", "streams and holes in them", self.streams, more.streams, quotas.streams),
        ]
        .into_iter()
        .find(|(_, _, has, more, most)| *more > 0 && has.saturating_add(*more) > *most)
        .map(|(code, what, has, _, most)| FrameOutcome::Rejected {
            code,
            message: format!(
                "the collector has {has} {what} and may have {most}; \
                 see what makes so many, or raise the limit max_{}_per_collector",
                code.trim_start_matches("too_many_")
            ),
        })
    }
}

/// Who speaks of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) collector: CollectorId,
    /// When the server last took something in from it.
    pub(crate) heard_at: Timestamp,
}

impl Owner {
    /// Whether a collector may speak of what this one owns.
    pub(crate) fn lets(&self, collector: CollectorId, quotas: &Quotas, now: Timestamp) -> bool {
        let Some(owns_for) = quotas.owns_for else { return true };
        let silent = now.micros_since(self.heard_at);
        self.collector == collector || silent > i64::try_from(owns_for.as_micros()).unwrap_or(i64::MAX)
    }

    /// What somebody else is told.
    pub(crate) fn refusal(&self, source: &Source) -> FrameOutcome {
        FrameOutcome::Rejected {
            code: "source_belongs_to_another_collector",
            message: format!(
                "instance {} of server {:?} is watched by collector {}, heard at {}; \
                 stop one of the two, or let an admin hand it over",
                source.instance_id, source.server, self.collector, self.heard_at
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_limit_itself_may_be_reached_and_what_adds_nothing_passes() {
        let quotas = Quotas { series: 3, ..Quotas::NONE };
        let (two, three) = (Held { series: 2, ..Held::default() }, Held { series: 3, ..Held::default() });
        let one = Held { series: 1, ..Held::default() };
        assert_eq!(two.refusal(&one, &quotas), None);
        let FrameOutcome::Rejected { code, message } = three.refusal(&one, &quotas).unwrap() else { panic!() };
        assert_eq!(code, "too_many_series");
        assert!(message.contains("max_series_per_collector"), "{message}");
        // Also when the limit was lowered below what is there.
        let above = Held { series: 9, ..Held::default() };
        assert_eq!(above.refusal(&Held { sources: 1, ..Held::default() }, &quotas), None);
    }

    #[test]
    fn an_owner_gives_way_when_it_is_silent() {
        let [first, second] = [CollectorId::random(), CollectorId::random()];
        let owner = Owner { collector: first, heard_at: Timestamp::from_secs(1000) };
        let quotas = Quotas { owns_for: Some(Duration::from_secs(60)), ..Quotas::NONE };
        let lets = |collector, now| owner.lets(collector, &quotas, Timestamp::from_secs(now));
        assert!(lets(first, 9000) && lets(first, 0) && !lets(second, 1060) && lets(second, 1061));
        assert!(owner.lets(second, &Quotas::NONE, Timestamp::from_secs(1000)));
    }
}
