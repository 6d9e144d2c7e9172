//! What the filter remembers of one measurement at one source.

use std::{sync::Arc, time::Duration};

use hashbrown::HashTable;
use pganalytics_core::{Batch, ColumnData, Epoch, Schema};
use tokio::time::Instant;

use super::hash::{hash_rows, same_key};

/// The row is of a key that was not there before.
const FRESH: u32 = u32::MAX;
/// A later row has the same key.
const DUPLICATE: u32 = u32::MAX - 1;

/// What differs between two scrapes.
#[derive(Debug)]
pub(super) struct Change {
    /// Rows of the new scrape that are new or changed, in order.
    pub rows: Vec<u32>,
    /// Key columns of the keys that are gone.
    pub gone: Option<Vec<ColumnData>>,
    /// Rows left out for a later one of the same key.
    pub duplicates: usize,
}

/// The keys and row hashes of the last scrape. A *slot* is a position in them.
#[derive(Debug)]
pub(super) struct Track {
    schema: Arc<Schema>,
    epoch: Epoch,
    keyframe_due: Instant,
    seen: Instant,
    keys: Vec<ColumnData>,
    key_hashes: Vec<u64>,
    row_hashes: Vec<u64>,
    slots: HashTable<u32>,
}

impl Track {
    /// Nothing seen yet; the first batch is a keyframe.
    pub(super) fn new(batch: &Batch, keyframe_after: Duration, now: Instant) -> Self {
        Self {
            schema: Arc::clone(&batch.schema),
            epoch: batch.scrape.epoch,
            keyframe_due: now + keyframe_after,
            seen: now,
            keys: Vec::new(),
            key_hashes: Vec::new(),
            row_hashes: Vec::new(),
            slots: HashTable::new(),
        }
    }

    pub(super) fn is_of(&self, schema: &Arc<Schema>) -> bool {
        Arc::ptr_eq(&self.schema, schema) || self.schema == *schema
    }

    pub(super) fn keyframe_is_due(&self, now: Instant) -> bool {
        now >= self.keyframe_due
    }

    pub(super) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(super) fn seen(&self) -> Instant {
        self.seen
    }

    /// Takes a full scrape in and says what changed.
    pub(super) fn update(&mut self, batch: &Batch, keys: &[usize], seed: u64, now: Instant) -> Change {
        let count = batch.rows.len();
        let columns = batch.rows.columns();
        let key_columns: Vec<&ColumnData> = keys.iter().filter_map(|&key| columns.get(key)).collect();
        let values = columns.iter().enumerate().filter(|(at, _)| !keys.contains(at)).map(|(_, column)| column);
        let key_hashes = hash_rows(key_columns.iter().copied(), count, seed);
        let row_hashes = hash_rows(values, count, seed.rotate_left(1));
        self.epoch = batch.scrape.epoch;
        self.seen = now;

        let matched = self.match_rows(&key_columns, &key_hashes);
        let changed = |(row, &slot): (usize, &u32)| match slot {
            DUPLICATE => false,
            FRESH => true,
            slot => self.row_hashes.get(slot as usize) != row_hashes.get(row),
        };
        let rows = matched.slot_of_row.iter().enumerate().filter(|&it| changed(it)).map(|(row, _)| row_number(row));
        let rows = rows.collect();
        let gone = matched.gone();
        let change = Change {
            rows,
            gone: gone.map(|gone| self.keys.iter().map(|column| column.take(&gone)).collect()),
            duplicates: matched.duplicates,
        };
        if matched.fresh || change.gone.is_some() {
            self.rebuild(&key_columns, &matched.slot_of_row, &key_hashes, &row_hashes);
        } else {
            for (&slot, hash) in matched.slot_of_row.iter().zip(row_hashes) {
                if let Some(known) = self.row_hashes.get_mut(slot as usize) {
                    *known = hash;
                }
            }
        }
        change
    }

    /// Finds the slot of each row.
    fn match_rows(&self, key_columns: &[&ColumnData], key_hashes: &[u64]) -> Match {
        let mut matched = Match {
            slot_of_row: Vec::with_capacity(key_hashes.len()),
            row_of_slot: vec![u32::MAX; self.key_hashes.len()],
            fresh: false,
            duplicates: 0,
        };
        let mut fresh: HashTable<u32> = HashTable::new();
        for (row, &hash) in key_hashes.iter().enumerate() {
            if let Some(slot) = self.slot_of(key_columns, row, hash) {
                if let Some(owner) = matched.row_of_slot.get_mut(slot as usize) {
                    let earlier = std::mem::replace(owner, row_number(row));
                    matched.drop_row(earlier);
                }
                matched.slot_of_row.push(slot);
                continue;
            }
            matched.fresh = true;
            matched.slot_of_row.push(FRESH);
            let hash_of = |&other: &u32| key_hashes.get(other as usize).copied().unwrap_or_default();
            let same = |&other: &u32| hash_of(&other) == hash && same_rows(key_columns, other as usize, row);
            match fresh.entry(hash, same, hash_of) {
                hashbrown::hash_table::Entry::Occupied(mut earlier) => {
                    let earlier = std::mem::replace(earlier.get_mut(), row_number(row));
                    matched.drop_row(earlier);
                }
                hashbrown::hash_table::Entry::Vacant(place) => {
                    place.insert(row_number(row));
                }
            }
        }
        matched
    }

    fn slot_of(&self, key_columns: &[&ColumnData], row: usize, hash: u64) -> Option<u32> {
        let is_it =
            |slot: usize| self.key_hashes.get(slot) == Some(&hash) && same_key(&self.keys, slot, key_columns, row);
        // Servers mostly return their rows in the same order again.
        if is_it(row) {
            return Some(row_number(row));
        }
        self.slots.find(hash, |&slot| is_it(slot as usize)).copied()
    }

    /// Forgets the old keys and remembers those of a scrape.
    fn rebuild(&mut self, key_columns: &[&ColumnData], slot_of_row: &[u32], key_hashes: &[u64], row_hashes: &[u64]) {
        let kept = || slot_of_row.iter().enumerate().filter(|&(_, &slot)| slot != DUPLICATE).map(|(row, _)| row);
        let rows: Vec<u32> = kept().map(row_number).collect();
        self.keys = key_columns.iter().map(|column| column.take(&rows)).collect();
        self.key_hashes.clear();
        self.key_hashes.extend(kept().filter_map(|row| key_hashes.get(row)));
        self.row_hashes.clear();
        self.row_hashes.extend(kept().filter_map(|row| row_hashes.get(row)));
        self.slots.clear();
        let hashes = &self.key_hashes;
        let hash_of = |&slot: &u32| hashes.get(slot as usize).copied().unwrap_or_default();
        self.slots.reserve(hashes.len(), hash_of);
        for (slot, &hash) in hashes.iter().enumerate() {
            self.slots.insert_unique(hash, row_number(slot), hash_of);
        }
    }
}

/// Which row of a scrape is which slot.
struct Match {
    slot_of_row: Vec<u32>,
    /// `u32::MAX` where no row of the scrape has the slot's key.
    row_of_slot: Vec<u32>,
    fresh: bool,
    duplicates: usize,
}

impl Match {
    fn drop_row(&mut self, row: u32) {
        if let Some(slot) = self.slot_of_row.get_mut(row as usize) {
            *slot = DUPLICATE;
            self.duplicates += 1;
        }
    }

    fn gone(&self) -> Option<Vec<u32>> {
        let gone = self.row_of_slot.iter().enumerate().filter(|&(_, &row)| row == u32::MAX);
        let gone: Vec<u32> = gone.map(|(slot, _)| row_number(slot)).collect();
        (!gone.is_empty()).then_some(gone)
    }
}

fn same_rows(columns: &[&ColumnData], a: usize, b: usize) -> bool {
    columns.iter().all(|column| same_key(std::slice::from_ref(*column), a, &[column], b))
}

/// Rows of a batch are counted in 32 bits, as in frames.
fn row_number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX - 2)
}
