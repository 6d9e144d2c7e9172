//! Keeps what was learned of chunks, in bounded memory, found again by the
//! number that the store gave the chunk, or by a hash of its bytes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use xxhash_rust::xxh3::xxh3_128;

use super::{
    decoded::Shape,
    facts::{KeyFacts, Rows, ValueFacts},
};
use crate::chunk::Chunk;

/// Facts of chunks, the least recently used forgotten first.
#[derive(Debug)]
pub(super) struct FactCache {
    capacity: usize,
    inner: Mutex<Inner>,
}

/// Identity of a chunk: its store's number, or a hash of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Number(u64),
    Hash(u128),
}

/// A chunk under a schema, and of which of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ChunkId {
    identity: Identity,
    schema: u64,
    rows: Rows,
}

impl ChunkId {
    /// The same of other rows.
    pub(super) fn of(self, rows: Rows) -> Self {
        Self { rows, ..self }
    }
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<ChunkId, Entry>,
    /// Entries by when they were last used.
    by_use: BTreeMap<u64, ChunkId>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    keys: Arc<KeyFacts>,
    values: Option<Arc<ValueFacts>>,
    used: u64,
    bytes: usize,
}

impl FactCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }

    /// The chunk's name in the cache.
    pub(super) fn id(chunk: &Chunk, shape: &Shape) -> ChunkId {
        let hash = || Identity::Hash(xxh3_128(chunk.frame.bytes()));
        let identity = chunk.id.map_or_else(hash, Identity::Number);
        ChunkId { identity, schema: shape.fingerprint, rows: Rows::All }
    }

    pub(super) fn get(&self, id: ChunkId) -> Option<(Arc<KeyFacts>, Option<Arc<ValueFacts>>)> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let entry = inner.entries.get_mut(&id)?;
        inner.clock += 1;
        inner.by_use.remove(&entry.used);
        inner.by_use.insert(inner.clock, id);
        entry.used = inner.clock;
        Some((Arc::clone(&entry.keys), entry.values.clone()))
    }

    pub(super) fn put(&self, id: ChunkId, keys: Arc<KeyFacts>, values: Option<Arc<ValueFacts>>) {
        const OVERHEAD: usize = 256;
        let bytes = OVERHEAD + keys.bytes() + values.as_ref().map_or(0, |values| values.bytes());
        if bytes > self.capacity {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.remove(id);
        while inner.bytes + bytes > self.capacity {
            let Some((_, &oldest)) = inner.by_use.first_key_value() else { break };
            inner.remove(oldest);
        }
        inner.clock += 1;
        let used = inner.clock;
        inner.by_use.insert(used, id);
        inner.bytes += bytes;
        inner.entries.insert(id, Entry { keys, values, used, bytes });
    }
}

impl Inner {
    fn remove(&mut self, id: ChunkId) {
        if let Some(entry) = self.entries.remove(&id) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_cache_forgets_what_was_not_used() {
        let cache = FactCache::new(1_000);
        let facts = Arc::new(KeyFacts::of_keys(&[1], vec![0], None));
        let id = |number, schema| ChunkId { identity: Identity::Number(number), schema, rows: Rows::All };
        for number in 0..3 {
            cache.put(id(number, 0), Arc::clone(&facts), None);
            cache.get(id(0, 0)).unwrap();
        }
        cache.put(id(3, 0), Arc::clone(&facts), None);
        assert!(cache.get(id(0, 0)).is_some());
        assert!(cache.get(id(1, 0)).is_none());
        assert!(cache.get(id(3, 0)).is_some());
        assert!(cache.get(id(3, 1)).is_none());
        assert!(cache.get(id(3, 0).of(Rows::Ends)).is_none());
    }
}
