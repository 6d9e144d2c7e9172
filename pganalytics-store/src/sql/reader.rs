//! Reads a scan's chunks, follows each source's history and puts jobs into the
//! queue; decodes chunks some way ahead, with all that the query asks of them.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array as _, AsArray as _, RecordBatch, RecordBatchOptions, UInt32Array},
        buffer::BooleanBuffer,
        compute::take,
    },
    common::{DataFusionError, runtime::SpawnedTask},
    execution::memory_pool::MemoryReservation,
};
use futures::StreamExt as _;
use pganalytics_core::{
    Presence, Timestamp,
    frame::{BlockFacts, Frame, KeyDirectory},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    arrays::corrupt,
    cuts::CutFinder,
    decoded::Decoded,
    fact_cache::{ChunkId, FactCache, Identity},
    facts::{KeyFacts, Rows},
    history::{Group, History, KeyMap},
    merge::merge,
    narrow::narrow,
    pick::Picker,
    queue::{Job, Queue},
    rows::ColumnSource,
    scan::Scan,
    table::{Filter, View},
};
use crate::{chunk::Chunk, error::StoreError, metric_store::StoredGap};

/// Reads all chunks and puts jobs into the queue.
pub(super) async fn read(scan: Arc<Scan>, queue: Arc<Queue>, memory: MemoryReservation) {
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
        let gaps = match scan.shape.schema.presence() {
            Presence::State => scan.source.losses(scan.select.tenant).await.map_err(external)?,
            Presence::Append => Vec::new(),
        };
        let present = scan.view == View::Latest && scan.shape.schema.presence() == Presence::State;
        let near = |gap: &StoredGap| (present || gap.gap.to >= scan.select.from) && gap.gap.from <= scan.select.to;
        let gaps: Vec<_> = gaps.into_iter().filter(near).map(Arc::new).collect();
        let pick = Arc::new(Picker(Arc::clone(scan)));
        let chunks = match present {
            true => scan.source.present(scan.select.clone(), pick).await,
            false => scan.source.picked(scan.select.clone(), pick).await,
        };
        let chunks = chunks.map_err(external)?;
        let mut group: Option<(Arc<Group>, bool)> = None;
        let most = kilobytes(scan.ahead_bytes).max(1);
        let room = Arc::new(Semaphore::new(most as usize));
        let prepared = chunks
            .filter_map(|chunk| {
                let known = match chunk {
                    Ok(chunk) => same_group(&mut group, &chunk, scan).map(|wanted| wanted.map(|group| (group, chunk))),
                    Err(error) => Err(external(error)),
                };
                futures::future::ready(known.transpose())
            })
            // In their order, or one might wait for room that a later one holds.
            .then(|chunk| with_room(Arc::clone(&room), most, chunk))
            .map(|(chunk, room)| {
                let scan = Arc::clone(scan);
                let memory = memory.new_empty();
                SpawnedTask::spawn(async move {
                    let (group, chunk) = chunk?;
                    let (chunk, wanted) = prepare(&scan, chunk, memory)?;
                    Ok::<_, DataFusionError>((group, chunk, wanted, room))
                })
            })
            .buffered(scan.ahead);
        let mut prepared = std::pin::pin!(prepared);
        while let Some(chunk) = prepared.next().await {
            let (group, chunk, wanted, room) =
                chunk.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
            drop(room);
            if self.group.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &group)) {
                self.finish().await?;
                let measurement = scan.shape.schema.measurement();
                self.history = History::new(CutFinder::new(&group, measurement.as_str(), &gaps));
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
        if let Some((time, live, cuts)) = history.into_live() {
            self.queue.put(Ok(Job::Latest(Arc::clone(&group), time, live, cuts))).await;
        }
        if !newest.is_empty() {
            self.queue.put(Ok(Job::Events(group, newest.into_values().collect()))).await;
        }
        Ok(())
    }
}

type Found = Result<(Arc<Group>, Chunk), DataFusionError>;

/// A chunk that may be prepared now, and its room.
async fn with_room(room: Arc<Semaphore>, most: u32, chunk: Found) -> (Found, Option<OwnedSemaphorePermit>) {
    let bytes = chunk.as_ref().map_or(0, |(_, chunk)| chunk.frame.bytes().len());
    (chunk, room.acquire_many_owned(kilobytes(bytes).min(most)).await.ok())
}

fn kilobytes(bytes: usize) -> u32 {
    u32::try_from(bytes >> 10).unwrap_or(u32::MAX)
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
pub(super) fn passes(
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
    let delta = scan.view == View::Delta;
    let state = scan.shape.schema.presence() == Presence::State;
    let known = chunk.id.and_then(|id| scan.cache.head(Identity::Number(id))).map(|(_, directory)| directory);
    let part = if state { narrow(&chunk.frame, &scan.shape, &scan.keys, known.clone())? } else { None };
    let facts = if delta { facts_of(scan, &chunk.frame)? } else { None };
    let summed = facts.is_some() && scan.may_be_summed(chunk.frame.scrapes());
    let links = if state { chunk.frame.links().map_err(corrupt)?.into() } else { Arc::default() };
    // What is known of a part, or of events, is of no use to others.
    let mut whole = None;
    let decoded = if let Some((part, keys)) = part {
        Decoded::of_part(part, Arc::clone(&scan.shape), keys, memory)
    } else if scan.view == View::Rows && !state {
        let keys = Arc::new(KeyFacts::of_events(&chunk.frame)?);
        Decoded::of_frame(chunk.frame, Arc::clone(&scan.shape), keys, memory)
    } else {
        // Of a block of which no row is looked at, only the keys are learned.
        let ends = summed && scan.keys.all.is_empty() && facts.as_ref().is_some_and(|facts| !facts.irregular.any());
        let id = FactCache::id(&chunk, &scan.shape);
        whole = Some(id);
        let keys = keys_of_chunk(scan, id, &chunk.frame, if ends { Rows::Ends } else { Rows::All }, known)?;
        Decoded::of_frame(chunk.frame, Arc::clone(&scan.shape), keys, memory)
    };
    let decoded = match facts {
        Some(facts) => decoded.with_links(links).with_facts(facts, summed),
        None => decoded.with_links(links),
    };
    let wanted = wanted_runs(scan, &decoded)?;
    let asked = !scan.wanted.scrapes(&decoded.scrapes).is_empty() && scan.view != View::Latest;
    let nothing = wanted.as_ref().is_some_and(|wanted| wanted.count_set_bits() == 0);
    if decoded.is_summed() {
        let counters = scan.wanted.stored().filter(|column| scan.shape.own_counters.contains(column));
        decoded.load_ends(&counters.chain(scan.shape.schema.row_stamp()).collect::<Vec<_>>())?;
        return Ok((Arc::new(decoded), wanted));
    }
    if asked && !nothing {
        for column in scan.wanted.stored() {
            decoded.column(column)?;
        }
        if let (true, Some(stamp)) = (delta, scan.shape.schema.row_stamp()) {
            decoded.column(stamp)?;
        }
    }
    // After the columns that are kept, so that none is decoded twice.
    if delta && !decoded.has_noted() {
        learn_values(scan, whole, &decoded)?;
    }
    Ok((Arc::new(decoded), wanted))
}

/// What a block has noted of its rows, if it means the same of the stored schema.
fn facts_of(scan: &Scan, frame: &Frame) -> Result<Option<Arc<BlockFacts>>, DataFusionError> {
    let head = frame.head();
    if !head.knows_facts() || !scan.shape.measures_as(frame.schema()) {
        return Ok(None);
    }
    Ok(head.facts(frame.rest()).map_err(corrupt)?.map(Arc::new))
}

/// The keys of a whole chunk, from the cache where they are there.
fn keys_of_chunk(
    scan: &Scan,
    id: ChunkId,
    frame: &Frame,
    rows: Rows,
    known: Option<Arc<KeyDirectory>>,
) -> Result<Arc<KeyFacts>, DataFusionError> {
    let id = id.of(rows);
    if let Some((keys, _)) = scan.cache.get(id) {
        return Ok(keys);
    }
    let keys = match rows {
        Rows::All => None,
        Rows::Ends => KeyFacts::of_directory(frame, &scan.shape, rows, known.clone())?,
    };
    let keys = match keys {
        Some(keys) => keys,
        None => KeyFacts::of_frame(frame, &scan.shape, known)?,
    };
    let keys = Arc::new(keys);
    scan.cache.put(id, Arc::clone(&keys), None);
    Ok(keys)
}

/// What the values of a chunk say of each other; remembered of whole chunks.
fn learn_values(scan: &Scan, id: Option<ChunkId>, decoded: &Decoded) -> Result<(), DataFusionError> {
    if let Some((_, Some(values))) = id.and_then(|id| scan.cache.get(id)) {
        decoded.set_values(values);
        return Ok(());
    }
    let values = decoded.values()?;
    if let Some(id) = id {
        scan.cache.put(id, Arc::clone(&decoded.keys), Some(Arc::clone(values)));
    }
    Ok(())
}
