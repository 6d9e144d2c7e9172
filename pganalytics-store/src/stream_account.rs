//! What became of the frames of a stream, as far as the store knows.

use pganalytics_core::{CollectorId, Ranges, Seq, StreamId, TenantId};

/// The account of one stream: frames up to the newest are stored, declared lost by
/// their agent, or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamAccount {
    /// Whose it is.
    pub tenant: TenantId,
    /// The collector that numbers it.
    pub collector: CollectorId,
    /// The stream.
    pub stream: StreamId,
    /// Frames that were ever stored, gaps among them, whatever retention has dropped
    /// since.
    pub stored: Ranges,
    /// Frames that gaps have declared lost.
    pub declared: Ranges,
}

impl StreamAccount {
    /// An account.
    #[must_use]
    pub fn new(tenant: TenantId, collector: CollectorId, stream: StreamId, stored: Ranges, declared: Ranges) -> Self {
        Self { tenant, collector, stream, stored, declared }
    }

    /// Frames declared lost that are not here either. One may be both: its agent
    /// never heard that it was stored.
    #[must_use]
    pub fn lost(&self) -> Ranges {
        self.declared.without(&self.stored)
    }

    /// Frames below the newest that are neither stored nor declared lost. They wait at
    /// the agent, which sends new frames before its backlog, or they are lost and
    /// nobody said so.
    #[must_use]
    pub fn missing(&self) -> Ranges {
        let Some(newest) = self.stored.last() else { return Ranges::new() };
        self.stored.missing(Seq(1)..=newest).without(&self.declared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_stored_nor_declared_is_missing() {
        let ranges = |ranges: &[(u64, u64)]| ranges.iter().map(|&(first, last)| Seq(first)..=Seq(last)).collect();
        let account = |stored, declared| {
            let (stored, declared) = (ranges(stored), ranges(declared));
            StreamAccount::new(TenantId::DEFAULT, CollectorId::random(), StreamId::random(), stored, declared)
        };
        let found = account(&[(3, 5), (9, 9)], &[(1, 1), (5, 7), (20, 30)]);
        assert_eq!((found.missing(), found.lost()), (ranges(&[(2, 2), (8, 8)]), ranges(&[(1, 1), (6, 7), (20, 30)])));
        assert!(account(&[], &[]).missing().is_empty());
        assert!(account(&[(1, u64::MAX)], &[]).missing().is_empty());
    }
}
