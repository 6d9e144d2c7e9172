//! Work for the partitions of a scan, and the queue that it waits in.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use datafusion::common::DataFusionError;
use pganalytics_core::Timestamp;
use tokio::sync::Semaphore;

use super::{
    changes::Changes,
    cuts::Cuts,
    decoded::Decoded,
    history::{Earlier, Group, Step},
    rows::{Emitter, Places, Spans, Wanted},
    sums::Sums,
};

/// Work of which record batches are made.
pub(super) enum Job {
    Changes(Step),
    Spans(Step),
    /// Live rows, all at one time.
    Latest(Arc<Group>, Timestamp, Vec<Earlier>, Cuts),
    /// Rows of events at the times of their scrapes.
    Events(Arc<Group>, Vec<(Arc<Decoded>, u32)>),
}

impl Job {
    pub(super) fn emitter(self, wanted: &Wanted) -> Result<Emitter, DataFusionError> {
        Ok(match self {
            Self::Changes(step) if step.chunk.is_summed() => Emitter::Sums(Box::new(Sums::new(step, wanted)?)),
            Self::Changes(step) => Emitter::Changes(Changes::new(step, wanted)?),
            Self::Spans(step) => Emitter::Spans(Spans::new(step, wanted)),
            Self::Latest(group, time, rows, cuts) => {
                let rows = rows.iter().map(|row| (&row.chunk, row.row, time, cuts.is_doubtful(0, row.cuts)));
                Emitter::Places(Places::new(group, rows, wanted))
            }
            Self::Events(group, rows) => {
                let rows = rows.iter().map(|(chunk, row)| (chunk, *row, chunk.time_of(chunk.scrape_of(*row)), false));
                Emitter::Places(Places::new(group, rows, wanted))
            }
        })
    }
}

/// A bounded queue that several partitions take from. One that stops asking
/// keeps nothing from the others.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: Mutex<VecDeque<Result<Job, DataFusionError>>>,
    filled: Semaphore,
    room: Semaphore,
    ended: AtomicBool,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            jobs: Mutex::default(),
            filled: Semaphore::new(0),
            room: Semaphore::new(capacity),
            ended: AtomicBool::new(false),
        }
    }

    pub(super) async fn put(&self, job: Result<Job, DataFusionError>) {
        if let Ok(room) = self.room.acquire().await {
            room.forget();
            self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
            self.filled.add_permits(1);
        }
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // Enough that everybody who asks hears of it.
        self.filled.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(super) async fn take(&self) -> Option<Result<Job, DataFusionError>> {
        self.filled.acquire().await.ok()?.forget();
        let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if job.is_some() {
            self.room.add_permits(1);
        }
        debug_assert!(job.is_some() || self.ended.load(Ordering::Acquire), "woken for nothing");
        job
    }
}
