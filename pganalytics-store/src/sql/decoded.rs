//! One chunk, its columns decoded when they are asked for, as Arrow arrays.
//!
//! Whatever schema a chunk came with, its columns are those of the
//! measurement's stored schema: missing ones are NULL, and of a column that has
//! another type now values stay where that type can say them.
//!
//! Rows are in *runs*: all rows of a key, in order of their scrapes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, UInt32Array, new_null_array},
        compute::{interleave, take},
        datatypes::DataType,
    },
    common::DataFusionError,
    execution::memory_pool::MemoryReservation,
};
use pganalytics_core::{
    Link, Scrape, ScrapeKind, Timestamp,
    frame::{BlockFacts, Frame},
};

use super::{
    arrays::{corrupt, read_column, to_arrow},
    ends::{Ends, is_lower},
    facts::{KeyFacts, Run, ValueFacts},
    narrow::Part,
    shape::{Shape, arrow_type},
};

/// A chunk, or several that overlap in time and were joined.
pub(super) struct Decoded {
    pub(super) shape: Arc<Shape>,
    pub(super) scrapes: Arc<[Scrape]>,
    /// Where each scrape stood in its stream; empty where it is of no matter.
    pub(super) links: Arc<[Option<Link>]>,
    pub(super) keys: Arc<KeyFacts>,
    /// The first scrape that had all rows. Keys without a row up to it are gone.
    pub(super) first_keyframe: Option<u32>,
    origin: Origin,
    values: OnceLock<Arc<ValueFacts>>,
    ends: OnceLock<Ends>,
    columns: Box<[OnceLock<ArrayRef>]>,
    noted: Option<Noted>,
    memory: MemoryReservation,
}

/// What a block has noted of its rows.
struct Noted {
    facts: Arc<BlockFacts>,
    /// Values of columns in the first and the last rows of runs; read when first asked for.
    ends: Mutex<HashMap<usize, [ArrayRef; 2]>>,
    /// Whether sums of counters are wanted, and not their rows.
    summed: bool,
}

enum Origin {
    Frame {
        frame: Frame,
        order: Option<UInt32Array>,
    },
    /// Some keys of a block.
    Part(Part),
    /// For each row the part and the row in it.
    Merged {
        parts: Vec<Arc<Decoded>>,
        rows: Vec<(usize, usize)>,
    },
}

impl Decoded {
    /// A chunk of which the keys are known.
    pub(super) fn of_frame(frame: Frame, shape: Arc<Shape>, keys: Arc<KeyFacts>, memory: MemoryReservation) -> Self {
        let scrapes: Arc<[Scrape]> = frame.scrapes().into();
        let order = keys.order.as_ref().map(|order| UInt32Array::from(order.to_vec()));
        Self::new(shape, scrapes, keys, Origin::Frame { frame, order }, memory)
    }

    /// Some keys of a block.
    pub(super) fn of_part(part: Part, shape: Arc<Shape>, keys: KeyFacts, memory: MemoryReservation) -> Self {
        let scrapes: Arc<[Scrape]> = part.frame().scrapes().into();
        Self::new(shape, scrapes, Arc::new(keys), Origin::Part(part), memory)
    }

    /// Several chunks as one.
    pub(super) fn of_parts(
        parts: Vec<Arc<Self>>,
        rows: Vec<(usize, usize)>,
        scrapes: Arc<[Scrape]>,
        keys: KeyFacts,
        memory: MemoryReservation,
        shape: Arc<Shape>,
    ) -> Self {
        Self::new(shape, scrapes, Arc::new(keys), Origin::Merged { parts, rows }, memory)
    }

    fn new(
        shape: Arc<Shape>,
        scrapes: Arc<[Scrape]>,
        keys: Arc<KeyFacts>,
        origin: Origin,
        memory: MemoryReservation,
    ) -> Self {
        let columns = shape.schema.columns().iter().map(|_| OnceLock::new()).collect();
        let first_keyframe = scrapes.iter().position(|scrape| scrape.kind == ScrapeKind::Keyframe);
        let first_keyframe = first_keyframe.and_then(|at| u32::try_from(at).ok());
        Self {
            shape,
            scrapes,
            links: Arc::default(),
            keys,
            first_keyframe,
            origin,
            values: OnceLock::new(),
            ends: OnceLock::new(),
            columns,
            noted: None,
            memory,
        }
    }

    /// The same, given what the block has noted of its rows. `summed`: only sums of its counters
    /// are wanted.
    pub(super) fn with_facts(self, facts: Arc<BlockFacts>, summed: bool) -> Self {
        let values = match &self.origin {
            Origin::Part(part) => Some(ValueFacts::of_part(&facts, &part.keys, &part.ranges)),
            Origin::Frame { order: None, .. } if self.keys.runs.len() == facts.first.len() => {
                Some(ValueFacts::of_block(&facts))
            }
            _ => None,
        };
        let Some(values) = values else { return self };
        self.set_values(Arc::new(values));
        Self { noted: Some(Noted { facts, ends: Mutex::default(), summed }), ..self }
    }

    /// Whether it has noted what its rows say of each other.
    pub(super) fn has_noted(&self) -> bool {
        self.noted.is_some()
    }

    /// The block that it is all of.
    pub(super) fn whole_block(&self) -> Option<&Frame> {
        match &self.origin {
            Origin::Frame { frame, order: None } if self.noted.is_some() => Some(frame),
            _ => None,
        }
    }

    /// Whether only sums of its counters are wanted.
    pub(super) fn is_summed(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| noted.summed)
    }

    /// Whether the counters of a run simply went on from its first row to its last.
    pub(super) fn is_regular(&self, run: u32) -> bool {
        let key = self.key_of(run);
        self.noted.as_ref().is_some_and(|noted| !noted.facts.irregular.get(key))
    }

    /// The number of a run's key in its block.
    fn key_of(&self, run: u32) -> usize {
        match &self.origin {
            Origin::Part(part) => part.keys.get(run as usize).map_or(usize::MAX, |&key| key as usize),
            _ => run as usize,
        }
    }

    /// The scrape of a run's first row.
    pub(super) fn first_scrape(&self, number: u32, run: &Run) -> u32 {
        let noted = self.noted.as_ref().and_then(|noted| noted.facts.first_scrape.get(self.key_of(number)));
        noted.copied().unwrap_or_else(|| self.scrape_of(run.start))
    }

    /// The scrape of a row of a run.
    pub(super) fn scrape_in(&self, number: u32, run: &Run, row: u32) -> u32 {
        let noted = self.noted.as_ref().map(|noted| &noted.facts);
        let noted = match noted {
            Some(facts) if row == run.start => facts.first_scrape.get(self.key_of(number)),
            Some(facts) if row + 1 == run.end => facts.last_scrape.get(self.key_of(number)),
            _ => None,
        };
        noted.copied().unwrap_or_else(|| self.scrape_of(row))
    }

    /// Reads what the block has noted of the values of these columns in the first and last rows
    /// of its runs, all at once.
    pub(super) fn load_ends(&self, wanted: &[usize]) -> Result<(), DataFusionError> {
        let Some(noted) = &self.noted else { return Ok(()) };
        let (frame, keys) = match &self.origin {
            Origin::Part(part) => (part.frame(), Some(UInt32Array::from(part.keys.clone()))),
            Origin::Frame { frame, .. } => (frame, None),
            Origin::Merged { .. } => return Ok(()),
        };
        let missing: Vec<usize> = {
            let known = noted.ends.lock().unwrap_or_else(PoisonError::into_inner);
            let missing = wanted.iter().filter(|column| !known.contains_key(column));
            missing.copied().collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let place = |&at: &usize| (at, self.shape.place_in(frame.schema(), at));
        let places: Vec<_> = missing.iter().map(place).collect();
        let asked = |column| places.iter().any(|(_, place)| *place == Some(column));
        let mut found = frame.head().ends(&asked, frame.rest()).map_err(corrupt)?.unwrap_or_default();
        for (at, place) in places {
            let read = found.iter().position(|ends| Some(ends.column) == place).map(|number| found.swap_remove(number));
            let arrays = match read {
                Some(ends) => [to_arrow(ends.first), to_arrow(ends.last)],
                // A column that is younger than the block.
                None if place.is_none() => {
                    let ty = self.shape.schema.columns().get(at).map_or(DataType::Null, |column| arrow_type(column.ty));
                    let keys = noted.facts.first.len();
                    [new_null_array(&ty, keys), new_null_array(&ty, keys)]
                }
                None => continue,
            };
            let arrays = match &keys {
                Some(keys) => {
                    let [first, last] = &arrays;
                    [take(first, keys, None)?, take(last, keys, None)?]
                }
                None => arrays,
            };
            self.memory.try_grow(arrays.iter().map(Array::get_array_memory_size).sum())?;
            noted.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(at, arrays);
        }
        Ok(())
    }

    /// The values of a column in the first and the last rows of runs, where the block has noted
    /// them.
    pub(super) fn end_values(&self, column: usize) -> Result<Option<[ArrayRef; 2]>, DataFusionError> {
        let Some(noted) = &self.noted else { return Ok(None) };
        let known = || noted.ends.lock().unwrap_or_else(PoisonError::into_inner).get(&column).cloned();
        if let Some(known) = known() {
            return Ok(Some(known));
        }
        self.load_ends(&[column])?;
        Ok(known())
    }

    /// The same, knowing where its scrapes stood in their stream.
    pub(super) fn with_links(self, links: Arc<[Option<Link>]>) -> Self {
        Self { links, ..self }
    }

    /// A column, in the order of runs; kept for as long as the chunk is.
    pub(super) fn column(&self, column: usize) -> Result<&ArrayRef, DataFusionError> {
        let slot = self.slot(column)?;
        if let Some(array) = slot.get() {
            return Ok(array);
        }
        let array = self.decode(column)?;
        self.memory.try_grow(array.get_array_memory_size())?;
        Ok(slot.get_or_init(|| array))
    }

    /// Looks at a column once. Unless it is kept already it is gone afterwards: a wide
    /// measurement is never decoded as a whole for what a look at each column tells.
    pub(super) fn look_at<T>(&self, column: usize, look: impl FnOnce(&ArrayRef) -> T) -> Result<T, DataFusionError> {
        if let Some(array) = self.slot(column)?.get() {
            return Ok(look(array));
        }
        let array = self.decode(column)?;
        let held = self.memory.new_empty();
        held.try_grow(array.get_array_memory_size())?;
        Ok(look(&array))
    }

    fn slot(&self, column: usize) -> Result<&OnceLock<ArrayRef>, DataFusionError> {
        self.columns.get(column).ok_or_else(|| DataFusionError::Internal(format!("no column {column}")))
    }

    fn decode(&self, column: usize) -> Result<ArrayRef, DataFusionError> {
        match &self.origin {
            Origin::Frame { frame, order } => {
                let array = read_column(frame, &self.shape, column)?;
                match order {
                    Some(order) => Ok(take(&array, order, None)?),
                    None => Ok(array),
                }
            }
            Origin::Part(part) => part.column(&self.shape, column),
            Origin::Merged { parts, rows } => {
                let arrays = parts.iter().map(|part| match part.slot(column)?.get() {
                    Some(array) => Ok(Arc::clone(array)),
                    None => part.decode(column),
                });
                let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, DataFusionError>>()?;
                let arrays: Vec<_> = arrays.iter().map(AsRef::as_ref).collect();
                Ok(interleave(&arrays, rows)?)
            }
        }
    }

    /// What the rows' values say of each other; computed when first asked for.
    pub(super) fn values(&self) -> Result<&Arc<ValueFacts>, DataFusionError> {
        if let Some(values) = self.values.get() {
            return Ok(values);
        }
        // Where rows have no stamps their counters are compared across chunks too: better
        // now than by reading every column again.
        let unstamped = self.shape.schema.row_stamp().is_none() && self.ends.get().is_none();
        let mut ends = Ok(Ends::default());
        let facts = ValueFacts::of(self, |column, array| {
            if unstamped
                && self.shape.own_counters.contains(&column)
                && let Ok(all) = &mut ends
                && let Err(error) = all.add(&self.keys.runs, array)
            {
                ends = Err(error);
            }
        })?;
        if unstamped {
            self.keep_ends(ends?)?;
        }
        Ok(self.values.get_or_init(|| Arc::new(facts)))
    }

    /// Where the runs begin and end; read when first asked for.
    pub(super) fn ends(&self) -> Result<&Ends, DataFusionError> {
        match self.ends.get() {
            Some(ends) => Ok(ends),
            None => self.keep_ends(match self.noted_ends()? {
                Some(ends) => ends,
                None => Ends::of(self)?,
            }),
        }
    }

    fn noted_ends(&self) -> Result<Option<Ends>, DataFusionError> {
        self.load_ends(&self.shape.own_counters)?;
        let columns = self.shape.own_counters.iter().map(|&column| self.end_values(column));
        Ok(columns.collect::<Result<Option<Vec<_>>, _>>()?.map(Ends::from))
    }

    fn keep_ends(&self, ends: Ends) -> Result<&Ends, DataFusionError> {
        self.memory.try_grow(ends.bytes())?;
        Ok(self.ends.get_or_init(|| ends))
    }

    /// Puts in what was known from an earlier query.
    pub(super) fn set_values(&self, values: Arc<ValueFacts>) {
        // Equal facts may have come from elsewhere meanwhile.
        drop(self.values.set(values));
    }

    /// A reservation of the same query's memory that holds nothing yet.
    pub(super) fn empty_reservation(&self) -> MemoryReservation {
        self.memory.new_empty()
    }

    /// The scrape of a row.
    pub(super) fn scrape_of(&self, row: u32) -> u32 {
        self.keys.scrape_of_row.get(row as usize).copied().unwrap_or_default()
    }

    /// The time of a scrape.
    pub(super) fn time_of(&self, scrape: u32) -> Timestamp {
        self.scrapes.get(scrape as usize).map(|scrape| scrape.collected_at).unwrap_or_default()
    }

    /// Times of the first and the last scrape.
    pub(super) fn range(&self) -> (Timestamp, Timestamp) {
        let time = |scrape: Option<&Scrape>| scrape.map(|scrape| scrape.collected_at).unwrap_or_default();
        (time(self.scrapes.first()), time(self.scrapes.last()))
    }
}

/// Whether any of a row's own counters is lower than in another one.
pub(super) fn fell(before: (&Decoded, u32), now: (&Decoded, u32)) -> Result<bool, DataFusionError> {
    for &column in &now.0.shape.own_counters {
        if is_lower(now.0.column(column)?, now.1 as usize, before.0.column(column)?, before.1 as usize) {
            return Ok(true);
        }
    }
    Ok(false)
}
