//! Keys that are new in one measurement and asked for in another: the texts of
//! statements are fetched once for each query id.

use std::{collections::HashSet, time::Duration};

use pganalytics_core::{Batch, Value};
use tokio::time::Instant;

/// Keys asked for in one visit. The server reads all its texts for one
/// question, and a text may have 20,000 characters.
const IN_ONE_VISIT: usize = 2_000;

/// Keys remembered in one generation; more only costs texts that are sent again.
const REMEMBERED: usize = 100_000;

/// Least time between two losses after which all is asked for again.
const AFTER_LOSS: Duration = Duration::from_secs(600);

/// Which keys have been sent, and which wait.
///
/// Memory is in two generations: a key is forgotten when its generation is
/// dropped, between one and two `resend` after it was sent.
#[derive(Debug)]
pub(crate) struct FollowedKeys {
    resend: Option<Duration>,
    sent: HashSet<i64>,
    sent_before: HashSet<i64>,
    began: Instant,
    waiting: HashSet<i64>,
    /// Some of what was sent is lost.
    lost: bool,
    forgot: Option<Instant>,
}

impl FollowedKeys {
    pub(crate) fn new(resend: Option<Duration>) -> Self {
        Self {
            resend,
            sent: HashSet::new(),
            sent_before: HashSet::new(),
            began: Instant::now(),
            waiting: HashSet::new(),
            lost: false,
            forgot: None,
        }
    }

    /// Some of what was sent is lost: all of it is asked for again, but not again
    /// and again while a long outage loses more.
    pub(crate) fn note_loss(&mut self) {
        self.lost = true;
    }

    /// Takes note of the keys of a batch that was read now.
    pub(crate) fn note_batch(&mut self, batch: &Batch, key: &str, now: Instant) {
        if self.lost && self.forgot.is_none_or(|forgot| now.duration_since(forgot) >= AFTER_LOSS) {
            (self.lost, self.forgot) = (false, Some(now));
            self.sent.clear();
            self.sent_before.clear();
        }
        let old = self.resend.is_some_and(|resend| now.duration_since(self.began) >= resend);
        if old || self.sent.len() >= REMEMBERED {
            self.sent_before = std::mem::take(&mut self.sent);
            self.began = now;
        }
        // Only what is there now is worth asking for.
        self.waiting.clear();
        let Some(column) = batch.schema.position(key) else { return };
        for row in 0..batch.rows.len() {
            if let Value::Int(key) = batch.rows.get(row, column)
                && !self.sent.contains(&key)
                && !self.sent_before.contains(&key)
            {
                self.waiting.insert(key);
            }
        }
    }

    /// Keys to ask for now.
    pub(crate) fn due(&self) -> Vec<i64> {
        self.waiting.iter().copied().take(IN_ONE_VISIT).collect()
    }

    /// These have been asked for; also those without an answer, which would
    /// otherwise be asked for again and again.
    pub(crate) fn note_asked(&mut self, keys: &[i64]) {
        for key in keys {
            self.waiting.remove(key);
            self.sent.insert(*key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use pganalytics_core::{
        Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, RowsBuilder, Schema, Scrape,
        ScrapeClock, ScrapeKind, ServerId, Source, Timestamp,
    };

    use super::*;

    fn batch(keys: std::ops::Range<i64>) -> Batch {
        let name = MeasurementName::new("m").unwrap();
        let column = Column::new("queryid", ColumnKind::Key, ColumnType::Int);
        let schema = Arc::new(Schema::new(name, CounterFamily::None, vec![column]).unwrap());
        let mut rows = RowsBuilder::new(&schema);
        for key in keys {
            rows.push(&[Value::Int(key)]).unwrap();
        }
        let server_id = ServerId::of_cluster(1);
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, "a"),
            server: "a".into(),
            database: None,
        };
        let collected_at = Timestamp::from_secs(0);
        let scrape = Scrape {
            collected_at,
            interval_micros: 1,
            kind: ScrapeKind::Keyframe,
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        };
        let rows = rows.finish();
        Batch { schema, source, scrape, rows }
    }

    #[test]
    fn a_key_is_asked_for_once() {
        let mut followed = FollowedKeys::new(Some(Duration::from_secs(3600)));
        followed.note_batch(&batch(0..10), "queryid", Instant::now());
        let due = followed.due();
        assert_eq!(due.len(), 10);
        followed.note_asked(&due);
        followed.note_batch(&batch(5..12), "queryid", Instant::now());
        let mut due = followed.due();
        due.sort_unstable();
        assert_eq!(due, [10, 11]);
        // Not answered yet: still due. Gone meanwhile: not any more.
        followed.note_batch(&batch(11..12), "queryid", Instant::now());
        assert_eq!(followed.due(), [11]);
    }

    #[test]
    fn it_is_asked_for_again_after_its_time() {
        let mut followed = FollowedKeys::new(Some(Duration::from_secs(3600)));
        followed.note_asked(&[1]);
        let began = followed.began;
        let mut due = |seconds| {
            followed.note_batch(&batch(1..2), "queryid", began + Duration::from_secs(seconds));
            followed.due().len()
        };
        assert_eq!(due(3599), 0);
        assert_eq!(due(3601), 0);
        assert_eq!(due(7200), 0);
        assert_eq!(due(7202), 1);
    }

    #[test]
    fn what_was_lost_is_asked_for_again_but_not_at_each_loss() {
        let mut followed = FollowedKeys::new(None);
        let began = followed.began;
        followed.note_asked(&[1]);
        let mut due = |seconds, lost: bool| {
            if lost {
                followed.note_loss();
            }
            followed.note_batch(&batch(1..2), "queryid", began + Duration::from_secs(seconds));
            let due = followed.due();
            followed.note_asked(&due);
            due.len()
        };
        assert_eq!([due(1, false), due(2, true), due(3, false)], [0, 1, 0]);
        assert_eq!([due(4, true), due(500, true), due(602, false), due(603, false)], [0, 0, 1, 0]);
    }

    #[test]
    fn memory_and_questions_are_bounded() {
        let mut followed = FollowedKeys::new(None);
        followed.note_batch(&batch(0..250_000), "queryid", Instant::now());
        assert_eq!(followed.due().len(), IN_ONE_VISIT);
        for start in 0..25_i64 {
            followed.note_batch(&batch(start * 10_000..(start + 1) * 10_000), "queryid", Instant::now());
            while !followed.due().is_empty() {
                followed.note_asked(&followed.due());
            }
            assert!(followed.sent.len() + followed.sent_before.len() <= 2 * (REMEMBERED + 10_000));
        }
    }
}
