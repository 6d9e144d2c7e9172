//! Many frames into one block.
//!
//! Frames are single scrapes or blocks, in any order. What readers see is the
//! same before and after: at the time of each scrape, expanding the frames and
//! expanding the block gives the same rows. For that a key is *absent* from a
//! keyframe when that keyframe's own frame had no row of it up to then; inside
//! a compacted block a row that is left out later means "as it was".
//!
//! One thing can't be kept: a scrape that arrives after its time was compacted,
//! and that changed a value there and back, is missed from then on in that
//! block, because the way back looked like no change when the block was made.
//! Frames that name the one before them (their *base*) are not taken in so:
//! behind one that is missing (a *cut*) every row is kept, and every keyframe
//! says once more what is gone. For others stores compact a time only when its
//! frames are in.

use std::{
    cmp::Ordering,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Frame, FrameError, keys::compare};
use crate::{
    batch::{Block, Scrape, ScrapeKind},
    mask::Mask,
    parts,
    rows::Rows,
    schema::{ColumnKind, Presence},
    stream::Link,
    value::{ColumnData, Values},
};

/// One block of many frames of one measurement, source and schema.
///
/// Rows are sorted by key, then time; a row that equals the one before it of
/// the same key is left out; a key that a keyframe no longer has becomes a row
/// marked gone. Of measurements with [`Presence::Append`] all rows are kept.
///
/// # Errors
/// [`FrameError::Mismatch`] when there are no frames or they differ in source
/// or schema; any other when a frame makes no sense.
pub fn compact(frames: &[Frame]) -> Result<Block, FrameError> {
    let first = frames.first().ok_or(FrameError::Mismatch { why: "there are none" })?;
    for frame in frames {
        if frame.source() != first.source() {
            return Err(FrameError::Mismatch { why: "they come from different sources" });
        }
        if !Arc::ptr_eq(frame.schema(), first.schema()) && frame.schema() != first.schema() {
            return Err(FrameError::Mismatch { why: "their schemas differ" });
        }
    }
    let input = Input::read(frames)?;
    let keys: Vec<usize> = first.schema().positions_of(ColumnKind::Key).collect();
    let order = input.sorted(&keys);
    let changed = match first.schema().presence() {
        Presence::Append => vec![true; order.len()],
        Presence::State => input.changed(&order),
    };
    let output = input.choose(&order, &changed, first.schema().presence());
    let is_key = |column: usize| keys.contains(&column);
    let columns = input.columns.iter().enumerate();
    let columns = columns.map(|(at, data)| data.take(if is_key(at) { &output.key_rows } else { &output.rows }));
    let rows = Rows::new(first.schema(), columns.collect(), Some(output.gone))?;
    let (schema, source) = (Arc::clone(first.schema()), first.source().clone());
    Ok(Block::new(schema, source, input.scrapes, output.scrapes, rows)?.with_links(input.links))
}

/// A row's place in the sorted order.
#[derive(Clone, Copy)]
struct Placed {
    /// Number of its key, in the order of keys.
    key: u32,
    /// Number of its scrape, in the order of time.
    scrape: u32,
    row: u32,
}

/// The rows of all frames, one behind the other.
struct Input {
    columns: Vec<ColumnData>,
    gone: Mask,
    /// All scrapes in order of time.
    scrapes: Vec<Scrape>,
    /// For each scrape the frame that it came in.
    frame_of_scrape: Vec<usize>,
    /// Where each scrape stood in its stream.
    links: Vec<Option<Link>>,
    /// For each row the number of its scrape.
    scrape_of_row: Vec<u32>,
}

/// The rows of the block, by their position in the input.
#[derive(Default)]
struct Output {
    key_rows: Vec<u32>,
    /// The same, but past the end (and so NULL) where the row is gone.
    rows: Vec<u32>,
    scrapes: Vec<u32>,
    gone: Mask,
}

impl Input {
    fn read(frames: &[Frame]) -> Result<Self, FrameError> {
        let mut places: Vec<(usize, usize, Scrape)> = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            places.extend(frame.scrapes().iter().enumerate().map(|(local, scrape)| (at, local, *scrape)));
        }
        let links: Vec<_> = frames.iter().map(Frame::links).collect::<Result<_, _>>()?;
        let link_of = |frame: usize, local: usize| *links.get(frame)?.get(local)?;
        places.sort_by_key(|(frame, local, scrape)| {
            (scrape.collected_at, link_of(*frame, *local).map(|link: Link| link.seq))
        });
        // There may be many: of each, only what is still needed is held.
        let positions: Vec<_> = places.iter().map(|(frame, local, _)| (*frame, *local)).collect();
        let placed = places.into_iter().map(|(frame, local, scrape)| {
            let link = link_of(frame, local);
            let alone = frames.get(frame).is_some_and(|frame| frame.scrapes().len() == 1);
            parts::Placed { scrape, link, alone }
        });
        let joined = parts::join(&placed.collect::<Vec<_>>());
        drop(links);
        let mut numbers: Vec<Vec<u32>> = frames.iter().map(|frame| vec![0; frame.scrapes().len()]).collect();
        let mut frame_of_scrape = vec![0; joined.scrapes.len()];
        for ((frame, local), &number) in positions.iter().zip(&joined.numbers) {
            if let Some(slot) = numbers.get_mut(*frame).and_then(|numbers| numbers.get_mut(*local)) {
                *slot = number;
            }
            // The parts of a keyframe count as one frame.
            if let Some(slot) = frame_of_scrape.get_mut(number as usize) {
                *slot = *frame;
            }
        }

        let rows: usize = frames.iter().map(Frame::rows).sum();
        let limit = u64::from(u32::MAX - 1);
        if rows as u64 > limit {
            return Err(FrameError::TooLarge { what: "rows to compact", given: rows as u64, limit });
        }
        let mut columns = Vec::new();
        if let Some(first) = frames.first() {
            for (index, column) in first.schema().columns().iter().enumerate() {
                let mut all = ColumnData::with_capacity(column.ty, rows);
                for frame in frames {
                    let too_long = |_| FrameError::malformed("compaction", "more than 4 GiB of text in a column");
                    all.append(&frame.column(index)?).map_err(too_long)?;
                }
                columns.push(all);
            }
        }
        let mut gone = Mask::default();
        let mut scrape_of_row = Vec::with_capacity(rows);
        for (frame, numbers) in frames.iter().zip(&numbers) {
            let of_row = frame.scrape_of_row()?;
            scrape_of_row.extend(of_row.iter().map(|&local| numbers.get(local as usize).copied().unwrap_or_default()));
            let frame_gone = frame.gone()?;
            for row in 0..frame.rows() {
                gone.push(frame_gone.as_ref().is_some_and(|gone| gone.get(row)));
            }
        }
        let (scrapes, links) = joined.scrapes.into_iter().unzip();
        Ok(Self { columns, gone, scrapes, frame_of_scrape, scrape_of_row, links })
    }

    /// The rows sorted by key, then time; equal ones in the order they came.
    fn sorted(&self, keys: &[usize]) -> Vec<Placed> {
        let keys: Vec<&ColumnData> = keys.iter().filter_map(|&key| self.columns.get(key)).collect();
        // Nobody who chooses keys knows the seed, so nobody can make them collide.
        let mut hashes = vec![RandomState::new().hash_one(0); self.scrape_of_row.len()];
        for data in &keys {
            add_hashes(data, &mut hashes);
        }
        // Number the keys as they come, then by their order.
        let mut number_of: HashMap<u64, u32> = HashMap::new();
        let mut first_rows: Vec<usize> = Vec::new();
        let mut key_of_row = Vec::with_capacity(hashes.len());
        for (row, mut hash) in hashes.into_iter().enumerate() {
            let number = loop {
                match number_of.get(&hash) {
                    Some(&number) => {
                        let other = first_rows.get(number as usize).copied().unwrap_or_default();
                        if compare(&keys, row, other) == Ordering::Equal {
                            break number;
                        }
                        hash = hash.wrapping_add(1);
                    }
                    None => {
                        let number = u32::try_from(first_rows.len()).unwrap_or(u32::MAX);
                        number_of.insert(hash, number);
                        first_rows.push(row);
                        break number;
                    }
                }
            };
            key_of_row.push(number);
        }
        let mut by_key: Vec<(u32, usize)> = (0..).zip(first_rows).collect();
        by_key.sort_by(|(_, a), (_, b)| compare(&keys, *a, *b));
        let mut position = vec![0_u32; by_key.len()];
        for (at, (number, _)) in (0..).zip(by_key) {
            if let Some(position) = position.get_mut(number as usize) {
                *position = at;
            }
        }
        let places = (0..).zip(key_of_row).zip(&self.scrape_of_row);
        let mut order: Vec<Placed> = places
            .map(|((row, key), &scrape)| {
                let key = position.get(key as usize).copied().unwrap_or_default();
                Placed { key, scrape, row }
            })
            .collect();
        order.sort_by_key(|place| (place.key, place.scrape));
        order
    }

    /// For each row, in sorted order, whether it says anything new.
    fn changed(&self, order: &[Placed]) -> Vec<bool> {
        let pairs = || order.iter().zip(order.iter().skip(1));
        let mut changed: Vec<bool> = std::iter::once(true).chain(pairs().map(|(a, b)| a.key != b.key)).collect();
        changed.truncate(order.len());
        for data in &self.columns {
            for ((before, now), changed) in pairs().zip(changed.iter_mut().skip(1)) {
                *changed = *changed || !same(data, before.row as usize, now.row as usize);
            }
        }
        let cuts = self.cuts();
        let cuts_at = |place: &Placed| cuts.get(place.scrape as usize);
        let behind_cut = |before: &Placed, now: &Placed| cuts_at(before) != cuts_at(now);
        for ((before, now), changed) in pairs().zip(changed.iter_mut().skip(1)) {
            if before.key == now.key {
                match (self.gone.get(before.row as usize), self.gone.get(now.row as usize)) {
                    // Behind a cut it is news that nothing has changed.
                    (true, true) => *changed = behind_cut(before, now),
                    (false, false) => *changed |= behind_cut(before, now),
                    _ => *changed = true,
                }
            }
        }
        changed
    }

    /// For each scrape how many up to it build on a frame that is not there.
    fn cuts(&self) -> Vec<u32> {
        let (mut cuts, mut last) = (0, None);
        let mut at = |link: &Option<Link>| {
            let is_cut = last.is_some_and(|last| link.is_some_and(|link| !link.follows(last)));
            last = Some(*link);
            cuts += u32::from(is_cut);
            cuts
        };
        self.links.iter().map(&mut at).collect()
    }

    /// The rows that stay, and those that keyframes say to be gone.
    fn choose(&self, order: &[Placed], changed: &[bool], presence: Presence) -> Output {
        let keyframes = match presence {
            Presence::State => Keyframes::of(&self.scrapes, &self.frame_of_scrape),
            Presence::Append => Keyframes::default(),
        };
        let frames = self.frame_of_scrape.iter().max().map_or(0, |&last| last + 1);
        // The last key of which a frame had a row.
        let mut seen: Vec<Option<u32>> = vec![None; frames];
        let mut output = Output::default();
        let mut changes = changed.iter();
        let cuts = self.cuts();
        let cuts_at = |scrape: u32| cuts.get(scrape as usize).copied().unwrap_or_default();
        let any_cut = cuts.last().is_some_and(|&cuts| cuts > 0);
        for rows in order.chunk_by(|a, b| a.key == b.key) {
            let mut next_keyframe = 0;
            let mut last: Option<Placed> = None;
            let mut is_live = false;
            // A gone row that was put in: the next row is news in any case.
            let mut put_in = false;
            // Cuts up to what was said of the key last.
            let mut said_at = 0;
            for next in rows.iter().map(Some).chain(std::iter::once(None)) {
                let upto = next.map_or(u32::MAX, |next| next.scrape);
                // A keyframe says that a live key is gone; behind a cut, that it still is.
                while let Some(last) = last.filter(|_| is_live || any_cut) {
                    let (at, without) = keyframes.first_without(last.key, &seen, next_keyframe, upto);
                    next_keyframe = at;
                    let Some(number) = without else { break };
                    if is_live || cuts_at(number) > said_at {
                        output.push(last.row, number, true);
                        (is_live, put_in, said_at) = (false, true, cuts_at(number));
                    }
                }
                let Some(&place) = next else { break };
                next_keyframe = keyframes.skip_to(next_keyframe, place.scrape);
                let gone = self.gone.get(place.row as usize);
                let news = changes.next().copied().unwrap_or(true);
                let news = if put_in { !gone || cuts_at(place.scrape) > said_at } else { news };
                if news {
                    output.push(place.row, place.scrape, gone);
                    put_in = false;
                }
                (last, is_live, said_at) = (Some(place), !gone, cuts_at(place.scrape));
                let frame = self.frame_of_scrape.get(place.scrape as usize);
                if let Some(seen) = frame.and_then(|&frame| seen.get_mut(frame)) {
                    *seen = Some(place.key);
                }
            }
        }
        output
    }
}

/// The keyframes of all frames in order of time.
#[derive(Default)]
struct Keyframes {
    /// Number of its scrape.
    numbers: Vec<u32>,
    /// The frame that it came in.
    frames: Vec<usize>,
    /// Where the run of keyframes of the same frame ends: what a block says of
    /// a key is asked once, not for each of its scrapes.
    run_ends: Vec<usize>,
}

impl Keyframes {
    fn of(scrapes: &[Scrape], frame_of_scrape: &[usize]) -> Self {
        let mut keyframes = Self::default();
        for (number, (scrape, &frame)) in (0..).zip(scrapes.iter().zip(frame_of_scrape)) {
            if scrape.kind == ScrapeKind::Keyframe {
                keyframes.numbers.push(number);
                keyframes.frames.push(frame);
            }
        }
        for run in keyframes.frames.chunk_by(|a, b| a == b) {
            let end = keyframes.run_ends.len() + run.len();
            keyframes.run_ends.extend(run.iter().map(|_| end));
        }
        keyframes
    }

    /// The first keyframe, from the one `at` on, whose frame had no row of the
    /// key so far and whose scrape comes before `upto`; and where to go on.
    fn first_without(&self, key: u32, seen: &[Option<u32>], mut at: usize, upto: u32) -> (usize, Option<u32>) {
        while let Some(&number) = self.numbers.get(at).filter(|&&number| number < upto) {
            let seen = self.frames.get(at).and_then(|&frame| seen.get(frame)).copied().flatten();
            if seen != Some(key) {
                return (at + 1, Some(number));
            }
            at = self.run_ends.get(at).copied().unwrap_or(at + 1);
        }
        (at, None)
    }

    /// The first keyframe, from the one `at` on, that does not come before `upto`.
    fn skip_to(&self, at: usize, upto: u32) -> usize {
        let rest = self.numbers.get(at..).unwrap_or_default();
        at + rest.partition_point(|&number| number < upto)
    }
}

impl Output {
    fn push(&mut self, row: u32, scrape: u32, gone: bool) {
        self.key_rows.push(row);
        self.rows.push(if gone { u32::MAX } else { row });
        self.scrapes.push(scrape);
        self.gone.push(gone);
    }
}

/// Mixes the values of a column into the rows' hashes.
fn add_hashes(data: &ColumnData, hashes: &mut [u64]) {
    let nulls = data.nulls();
    for (row, hash) in hashes.iter_mut().enumerate() {
        let seed = hash.rotate_left(5) ^ 0x9e37_79b9_7f4a_7c15;
        if nulls.is_some_and(|nulls| nulls.get(row)) {
            *hash = seed;
            continue;
        }
        *hash = match data.values() {
            Values::Int(values) | Values::Timestamp(values) => {
                xxh3_64_with_seed(&values.get(row).copied().unwrap_or_default().to_le_bytes(), seed)
            }
            Values::Float(values) => {
                xxh3_64_with_seed(&values.get(row).copied().unwrap_or_default().to_bits().to_le_bytes(), seed)
            }
            Values::Bool(values) => xxh3_64_with_seed(&[u8::from(values.get(row).copied().unwrap_or_default())], seed),
            Values::Text(values) => xxh3_64_with_seed(values.get(row).as_bytes(), seed),
        };
    }
}

/// Whether two rows of a column are equal, floats bit for bit.
fn same(data: &ColumnData, a: usize, b: usize) -> bool {
    let null = |row| data.nulls().is_some_and(|nulls| nulls.get(row));
    if null(a) != null(b) {
        return false;
    }
    match data.values() {
        Values::Int(values) | Values::Timestamp(values) => values.get(a) == values.get(b),
        Values::Float(values) => {
            values.get(a).map(|value| value.to_bits()) == values.get(b).map(|value| value.to_bits())
        }
        Values::Bool(values) => values.get(a) == values.get(b),
        Values::Text(values) => values.get(a) == values.get(b),
    }
}
