//! Whether everything that agents numbered is accounted for.

use std::fmt;

use pganalytics_core::Ranges;
use pganalytics_store::StreamAccount;
use serde_json::{Value, json};

/// The accounts of all streams: frames are stored, declared lost by their agent, or
/// missing. As text it is a table with one line for each stream.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    accounts: Vec<StreamAccount>,
}

impl Audit {
    /// Of these accounts.
    #[must_use]
    pub fn new(accounts: Vec<StreamAccount>) -> Self {
        Self { accounts }
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.accounts.iter().all(|account| account.missing().is_empty())
    }

    /// The same for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let streams = self.accounts.iter().map(|account| {
            json!({
                "tenant": account.tenant,
                "collector_id": account.collector,
                "stream": account.stream,
                "stored": pairs(&account.stored),
                "lost": pairs(&account.lost()),
                "missing": pairs(&account.missing()),
            })
        });
        json!({"clean": self.is_clean(), "streams": streams.collect::<Vec<_>>()})
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:36}  {:36}  {:>12}  {:>8}  {:>8}", "collector", "stream", "stored", "lost", "missing")?;
        let (mut stored, mut lost, mut missing) = (0, 0, 0);
        for account in &self.accounts {
            let counts = (account.stored.len(), account.lost().len(), account.missing().len());
            let (collector, stream) = (account.collector.to_string(), account.stream.to_string());
            writeln!(f, "{collector:36}  {stream:36}  {:>12}  {:>8}  {:>8}", counts.0, counts.1, counts.2)?;
            (stored, lost, missing) = (stored + counts.0, lost + counts.1, missing + counts.2);
            if counts.2 > 0 {
                writeln!(f, "  missing: {}", account.missing())?;
            }
        }
        let streams = self.accounts.len();
        writeln!(f, "{streams} streams: {stored} frames stored, {lost} declared lost, {missing} missing")?;
        if missing > 0 {
            writeln!(
                f,
                "Missing frames wait at their agent, which sends new ones first, or were lost and nobody said so.\n\
                 Look again when nothing waits there (agent_stats.queue_frames is 0)."
            )?;
        }
        Ok(())
    }
}

/// As `[[1, 9], [12, 12]]`.
fn pairs(ranges: &Ranges) -> Vec<[u64; 2]> {
    ranges.iter().map(|range| [range.start().0, range.end().0]).collect()
}

#[cfg(test)]
mod tests {
    use pganalytics_core::{CollectorId, Seq, StreamId, TenantId};

    use super::*;

    #[test]
    fn what_is_missing_is_named_and_counted() {
        let account = |stored: &[(u64, u64)], declared: &[(u64, u64)]| {
            let ranges = |ranges: &[(u64, u64)]| ranges.iter().map(|&(first, last)| Seq(first)..=Seq(last)).collect();
            let (collector, stream) = (CollectorId::random(), StreamId::random());
            StreamAccount::new(TenantId::DEFAULT, collector, stream, ranges(stored), ranges(declared))
        };
        let clean = Audit::new(vec![account(&[(1, 4), (7, 9)], &[(5, 6)])]);
        assert!(
            clean.is_clean() && clean.to_string().contains("1 streams: 7 frames stored, 2 declared lost, 0 missing")
        );
        let odd: Vec<_> = (0..30).map(|number| (2 * number + 1, 2 * number + 1)).collect();
        let holes = Audit::new(vec![account(&odd, &[])]);
        let text = holes.to_string();
        assert!(!holes.is_clean() && text.contains("missing: 2, 4, 6"), "{text}");
        assert!(
            text.contains("30 frames stored, 0 declared lost, 29 missing") && text.contains("queue_frames"),
            "{text}"
        );
        assert_eq!(holes.to_json().get("clean"), Some(&json!(false)));
    }
}
