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
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use datafusion::{
    arrow::{
        array::{Array as _, AsArray as _, RecordBatch, RecordBatchOptions, UInt32Array},
        buffer::BooleanBuffer,
        compute::take,
        datatypes::SchemaRef,
    },
    common::{DataFusionError, runtime::SpawnedTask},
    execution::{
        TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_plan::{SendableRecordBatchStream, stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::{StreamExt as _, stream};
use pganalytics_core::{Presence, Timestamp, frame::Frame};
use tokio::sync::Semaphore;

use super::{
    changes::Changes,
    decoded::{Decoded, Shape},
    facts::{FactCache, KeyFacts},
    history::{Earlier, Group, History, KeyMap, Step},
    merge::merge,
    rows::{ColumnSource, Emitter, Places, Spans, Wanted},
    table::{Filter, View},
};
use crate::{
    chunk::{Chunk, ChunkSelect, ChunkSource},
    error::StoreError,
};

/// What a scan reads and gives.
pub(super) struct Scan {
    pub(super) view: View,
    pub(super) shape: Arc<Shape>,
    pub(super) wanted: Wanted,
    pub(super) select: ChunkSelect,
    pub(super) sources: Filter,
    pub(super) keys: Filter,
    pub(super) source: Arc<dyn ChunkSource>,
    pub(super) cache: Arc<FactCache>,
    /// Chunks that may be decoded ahead.
    pub(super) ahead: usize,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("view", &self.view).field("select", &self.select).finish_non_exhaustive()
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
                let queue = Arc::new(Queue::new(self.scan.ahead));
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

/// Work of which record batches are made.
enum Job {
    Changes(Step),
    Spans(Step),
    /// Live rows, all at one time.
    Latest(Arc<Group>, Timestamp, Vec<Earlier>),
    /// Rows of events at the times of their scrapes.
    Events(Arc<Group>, Vec<(Arc<Decoded>, u32)>),
}

impl Job {
    fn emitter(self, wanted: &Wanted) -> Result<Emitter, DataFusionError> {
        Ok(match self {
            Self::Changes(step) => Emitter::Changes(Changes::new(step, wanted)?),
            Self::Spans(step) => Emitter::Spans(Spans::new(step, wanted)),
            Self::Latest(group, time, rows) => {
                let rows = rows.iter().map(|row| (&row.chunk, row.row, time));
                Emitter::Places(Places::new(group, rows, wanted))
            }
            Self::Events(group, rows) => {
                let rows = rows.iter().map(|(chunk, row)| (chunk, *row, chunk.time_of(chunk.scrape_of(*row))));
                Emitter::Places(Places::new(group, rows, wanted))
            }
        })
    }
}

/// A bounded queue that several partitions take from. One that stops asking
/// keeps nothing from the others.
#[derive(Debug)]
struct Queue {
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
    fn new(capacity: usize) -> Self {
        Self {
            jobs: Mutex::default(),
            filled: Semaphore::new(0),
            room: Semaphore::new(capacity),
            ended: AtomicBool::new(false),
        }
    }

    async fn put(&self, job: Result<Job, DataFusionError>) {
        if let Ok(room) = self.room.acquire().await {
            room.forget();
            self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
            self.filled.add_permits(1);
        }
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // Enough that everybody who asks hears of it.
        self.filled.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn take(&self) -> Option<Result<Job, DataFusionError>> {
        self.filled.acquire().await.ok()?.forget();
        let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if job.is_some() {
            self.room.add_permits(1);
        }
        debug_assert!(job.is_some() || self.ended.load(Ordering::Acquire), "woken for nothing");
        job
    }
}

/// Reads all chunks and puts jobs into the queue.
async fn read(scan: Arc<Scan>, queue: Arc<Queue>, memory: MemoryReservation) {
    if let Err(error) = Reader::new(&scan, &queue).run(memory).await {
        queue.put(Err(error)).await;
    }
    queue.end();
}

struct Reader<'a> {
    scan: &'a Arc<Scan>,
    queue: &'a Queue,
    group: Option<Arc<Group>>,
    history: History,
    /// Newest row of each key, of events.
    newest: KeyMap<(Arc<Decoded>, u32)>,
    /// Chunks that overlap, not yet followed, and when they end.
    pending: Vec<(Arc<Decoded>, Option<BooleanBuffer>)>,
    end: Timestamp,
}

impl<'a> Reader<'a> {
    fn new(scan: &'a Arc<Scan>, queue: &'a Queue) -> Self {
        Self {
            scan,
            queue,
            group: None,
            history: History::default(),
            newest: KeyMap::default(),
            pending: Vec::new(),
            end: Timestamp::default(),
        }
    }

    async fn run(mut self, memory: MemoryReservation) -> Result<(), DataFusionError> {
        let scan = self.scan;
        let chunks = scan.source.chunks(scan.select.clone()).await.map_err(external)?;
        let mut group: Option<(Arc<Group>, bool)> = None;
        let prepared = chunks
            .filter_map(|chunk| {
                let known = match chunk {
                    Ok(chunk) => same_group(&mut group, &chunk, scan).map(|wanted| wanted.map(|group| (group, chunk))),
                    Err(error) => Err(external(error)),
                };
                futures::future::ready(known.transpose())
            })
            .map(|chunk| {
                let scan = Arc::clone(scan);
                let memory = memory.new_empty();
                SpawnedTask::spawn(async move {
                    let (group, chunk) = chunk?;
                    let (chunk, wanted) = prepare(&scan, chunk, memory)?;
                    Ok::<_, DataFusionError>((group, chunk, wanted))
                })
            })
            .buffered(scan.ahead);
        let mut prepared = std::pin::pin!(prepared);
        while let Some(chunk) = prepared.next().await {
            let (group, chunk, wanted) = chunk.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
            if self.group.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &group)) {
                self.finish().await?;
                self.group = Some(group);
            }
            let (first, last) = chunk.range();
            if scan.shape.schema.presence() == Presence::Append {
                self.events(chunk, wanted).await;
                continue;
            }
            if !self.pending.is_empty() && first > self.end {
                self.follow().await?;
            }
            self.end = if self.pending.is_empty() { last } else { self.end.max(last) };
            self.pending.push((chunk, wanted));
        }
        self.finish().await
    }

    /// Follows the pending chunks.
    async fn follow(&mut self) -> Result<(), DataFusionError> {
        let Some(group) = self.group.clone() else { return Ok(()) };
        let mut pending = std::mem::take(&mut self.pending);
        let (chunk, wanted) = if pending.len() > 1 {
            let parts = pending.into_iter().map(|(chunk, _)| chunk).collect();
            let Some(chunk) = merge(parts)? else { return Ok(()) };
            if self.scan.view == View::Delta {
                chunk.values()?;
            }
            let wanted = wanted_runs(self.scan, &chunk)?;
            (chunk, wanted)
        } else {
            let Some(only) = pending.pop() else { return Ok(()) };
            only
        };
        let carry = self.scan.view == View::Rows;
        let step = self.history.advance(&group, chunk, wanted.as_ref(), carry);
        let asked = !self.scan.wanted.scrapes(&step.chunk.scrapes).is_empty();
        match self.scan.view {
            View::Rows if asked => self.queue.put(Ok(Job::Spans(step))).await,
            View::Delta if asked => self.queue.put(Ok(Job::Changes(step))).await,
            _ => {}
        }
        Ok(())
    }

    async fn events(&mut self, chunk: Arc<Decoded>, wanted: Option<BooleanBuffer>) {
        let Some(group) = self.group.clone() else { return };
        let mut rows = Vec::new();
        for (number, run) in chunk.keys.runs.iter().enumerate() {
            if wanted.as_ref().is_some_and(|wanted| !wanted.value(number)) {
                continue;
            }
            if self.scan.view == View::Latest {
                let row = run.end.saturating_sub(1);
                let time = |chunk: &Decoded, row| chunk.time_of(chunk.scrape_of(row));
                let newer = |(known, at): &(Arc<Decoded>, u32)| time(&chunk, row) >= time(known, *at);
                if self.newest.get(&run.key).is_none_or(newer) {
                    self.newest.insert(run.key, (Arc::clone(&chunk), row));
                }
            } else {
                rows.extend((run.start..run.end).map(|row| (Arc::clone(&chunk), row)));
            }
        }
        if !rows.is_empty() {
            self.queue.put(Ok(Job::Events(group, rows))).await;
        }
    }

    /// Ends a source.
    async fn finish(&mut self) -> Result<(), DataFusionError> {
        self.follow().await?;
        let history = std::mem::take(&mut self.history);
        let newest = std::mem::take(&mut self.newest);
        let (Some(group), View::Latest) = (self.group.take(), self.scan.view) else { return Ok(()) };
        if let Some((time, live)) = history.into_live() {
            self.queue.put(Ok(Job::Latest(Arc::clone(&group), time, live))).await;
        }
        if !newest.is_empty() {
            self.queue.put(Ok(Job::Events(group, newest.into_values().collect()))).await;
        }
        Ok(())
    }
}

fn external(error: StoreError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The chunk's group; `None` when its source is not asked for.
fn same_group(
    current: &mut Option<(Arc<Group>, bool)>,
    chunk: &Chunk,
    scan: &Scan,
) -> Result<Option<Arc<Group>>, DataFusionError> {
    let same = |group: &Group| group.collector == chunk.collector && group.source == *chunk.frame.source();
    let (group, wanted) = match current.take().filter(|(group, _)| same(group)) {
        Some(known) => known,
        None => {
            let group = Group { collector: chunk.collector, source: chunk.frame.source().clone() };
            let wanted = source_wanted(&scan.sources, &group)?;
            (Arc::new(group), wanted)
        }
    };
    let result = wanted.then(|| Arc::clone(&group));
    *current = Some((group, wanted));
    Ok(result)
}

/// Whether filters let a source through.
fn source_wanted(filter: &Filter, group: &Group) -> Result<bool, DataFusionError> {
    let columns = filter.columns.iter().filter_map(|column| match column {
        ColumnSource::Shared(shared) => Some(shared.array(group, 1)),
        _ => None,
    });
    let passed = passes(filter, columns.collect(), 1)?;
    Ok(passed.is_none_or(|passed| passed.value(0)))
}

/// Which rows pass all filters; `None`: all do.
fn passes(
    filter: &Filter,
    columns: Vec<datafusion::arrow::array::ArrayRef>,
    rows: usize,
) -> Result<Option<BooleanBuffer>, DataFusionError> {
    if filter.all.is_empty() {
        return Ok(None);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&filter.schema), columns, &options)?;
    let mut passed = BooleanBuffer::new_set(rows);
    for one in &filter.all {
        let result = one.evaluate(&batch)?.into_array(rows)?;
        let result = result.as_boolean();
        let mut bits = result.values().clone();
        if let Some(nulls) = result.nulls() {
            bits = &bits & nulls.inner();
        }
        passed = &passed & &bits;
    }
    Ok(Some(passed))
}

/// Which keys of a chunk pass the filters.
fn wanted_runs(scan: &Scan, chunk: &Decoded) -> Result<Option<BooleanBuffer>, DataFusionError> {
    if scan.keys.all.is_empty() {
        return Ok(None);
    }
    let first: UInt32Array = chunk.keys.runs.iter().map(|run| run.start).collect::<Vec<_>>().into();
    let columns = scan.keys.columns.iter().filter_map(|column| match column {
        ColumnSource::Stored(column) => Some(chunk.column(*column).and_then(|array| Ok(take(array, &first, None)?))),
        _ => None,
    });
    let columns = columns.collect::<Result<_, _>>()?;
    passes(&scan.keys, columns, chunk.keys.runs.len())
}

/// Decodes what the query needs of a chunk.
fn prepare(
    scan: &Scan,
    chunk: Chunk,
    memory: MemoryReservation,
) -> Result<(Arc<Decoded>, Option<BooleanBuffer>), DataFusionError> {
    let frame = chunk.frame;
    let delta = scan.view == View::Delta;
    let decoded = if scan.view == View::Rows && scan.shape.schema.presence() == Presence::Append {
        let keys = Arc::new(KeyFacts::of_events(&frame)?);
        Decoded::of_frame(frame, Arc::clone(&scan.shape), keys, memory)
    } else {
        with_facts(scan, frame, memory)?
    };
    let wanted = wanted_runs(scan, &decoded)?;
    let asked = !scan.wanted.scrapes(&decoded.scrapes).is_empty() && scan.view != View::Latest;
    let nothing = wanted.as_ref().is_some_and(|wanted| wanted.count_set_bits() == 0);
    if asked && !nothing {
        for column in &scan.wanted.columns {
            if let ColumnSource::Stored(column) = column {
                decoded.column(*column)?;
            }
        }
        if let (true, Some(stamp)) = (delta, scan.shape.schema.row_stamp()) {
            decoded.column(stamp)?;
        }
    }
    Ok((Arc::new(decoded), wanted))
}

/// A chunk with the facts that the query needs, from the cache where they are.
fn with_facts(scan: &Scan, frame: Frame, memory: MemoryReservation) -> Result<Decoded, DataFusionError> {
    let id = FactCache::id(&frame, &scan.shape);
    let (keys, values) = match scan.cache.get(id) {
        Some((keys, values)) => (Some(keys), values),
        None => (None, None),
    };
    let delta = scan.view == View::Delta;
    let complete = keys.is_some() && (values.is_some() || !delta);
    let keys = match keys {
        Some(keys) => keys,
        None => Arc::new(KeyFacts::of_frame(&frame, &scan.shape)?),
    };
    let decoded = Decoded::of_frame(frame, Arc::clone(&scan.shape), keys, memory);
    if let Some(values) = values {
        decoded.set_values(values);
    }
    if !complete {
        let values = if delta { Some(Arc::clone(decoded.values()?)) } else { None };
        scan.cache.put(id, Arc::clone(&decoded.keys), values);
    }
    Ok(decoded)
}
