//! Reads a measurement's chunks and gives out rows, on all threads.
//!
//! One task reads chunks in their order and follows each source's history; that
//! takes little. What takes long is done by others: tasks that decode chunks
//! some way ahead, and the partitions of the plan, each of which takes the next
//! finished step and makes its record batches.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::runtime::SpawnedTask,
    execution::{TaskContext, memory_pool::MemoryConsumer},
    physical_plan::{SendableRecordBatchStream, stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::stream;
use pganalytics_core::Scrape;

use super::{
    fact_cache::FactCache,
    queue::Queue,
    reader::read,
    rows::{Emitter, Wanted},
    shape::Shape,
    sums::go_on,
    table::{Filter, View},
};
use crate::chunk::{ChunkSelect, ChunkSource};

/// What a scan reads and gives.
pub(super) struct Scan {
    pub(super) view: View,
    pub(super) shape: Arc<Shape>,
    pub(super) wanted: Wanted,
    /// Whether only sums of the counters are wanted.
    pub(super) summed: bool,
    pub(super) select: ChunkSelect,
    pub(super) sources: Filter,
    pub(super) keys: Filter,
    pub(super) source: Arc<dyn ChunkSource>,
    pub(super) cache: Arc<FactCache>,
    /// Chunks that may be decoded ahead.
    pub(super) ahead: usize,
    /// Bytes of chunks that may be; one chunk always.
    pub(super) ahead_bytes: usize,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("view", &self.view).field("select", &self.select).finish_non_exhaustive()
    }
}

impl Scan {
    /// Whether all of a block with these scrapes is asked for, and nothing but the sums of its
    /// counters.
    pub(super) fn may_be_summed(&self, scrapes: &[Scrape]) -> bool {
        let all = self.wanted.scrapes(scrapes);
        self.summed && all.len() == scrapes.len() && go_on(self.shape.schema.family(), scrapes)
    }
}

/// The partitions of a scan.
pub(super) fn partitions(scan: Scan, count: usize) -> Vec<Arc<dyn PartitionStream>> {
    let runs = Arc::new(Runs { scan: Arc::new(scan), partitions: count, open: Mutex::default() });
    (0..count.max(1))
        .map(|_| {
            Arc::new(Partition { runs: Arc::clone(&runs), executed: AtomicUsize::new(0) }) as Arc<dyn PartitionStream>
        })
        .collect()
}

/// The executions of a scan. A plan may be run several times (the static side
/// of a recursive query); the n-th executions of all partitions belong together.
#[derive(Debug)]
struct Runs {
    scan: Arc<Scan>,
    partitions: usize,
    open: Mutex<VecDeque<Open>>,
}

#[derive(Debug)]
struct Open {
    number: usize,
    taken: usize,
    queue: Arc<Queue>,
    reader: Arc<SpawnedTask<()>>,
}

#[derive(Debug)]
struct Partition {
    runs: Arc<Runs>,
    executed: AtomicUsize,
}

impl Runs {
    fn join(&self, number: usize, context: &TaskContext) -> (Arc<Queue>, Arc<SpawnedTask<()>>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match open.iter().position(|run| run.number == number) {
            Some(at) => at,
            None => {
                // What waits here was decoded: one step is enough, as more are prepared ahead.
                let queue = Arc::new(Queue::new(1));
                let memory = MemoryConsumer::new("chunks").register(context.memory_pool());
                let task = read(Arc::clone(&self.scan), Arc::clone(&queue), memory);
                let reader = Arc::new(SpawnedTask::spawn(task));
                open.push_back(Open { number, taken: 0, queue, reader });
                open.len() - 1
            }
        };
        let Some(run) = open.get_mut(at) else { unreachable!("it was just found or put there") };
        run.taken += 1;
        let (joined, all) = ((Arc::clone(&run.queue), Arc::clone(&run.reader)), run.taken >= self.partitions);
        if all {
            open.remove(at);
        }
        joined
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.runs.scan.wanted.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let number = self.executed.fetch_add(1, Ordering::Relaxed);
        let (queue, reader) = self.runs.join(number, &context);
        let scan = Arc::clone(&self.runs.scan);
        let schema = Arc::clone(&scan.wanted.schema);
        let batches = stream::try_unfold((None::<Emitter>, reader), move |(mut current, reader)| {
            let (queue, scan) = (Arc::clone(&queue), Arc::clone(&scan));
            async move {
                loop {
                    if let Some(mut emitter) = current.take()
                        && let Some(batch) = emitter.next(&scan.wanted)?
                    {
                        return Ok(Some((batch, (Some(emitter), reader))));
                    }
                    match queue.take().await {
                        Some(job) => current = Some(job?.emitter(&scan.wanted)?),
                        None => return Ok(None),
                    }
                    tokio::task::coop::consume_budget().await;
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}
