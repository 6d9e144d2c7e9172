//! Keeps what was learned of chunks, in bounded memory, found again by the
//! number that the store gave the chunk, or by a hash of its bytes.
//!
//! A query goes through its chunks in one order each time. If they are more than fit, forgetting
//! the least recently used would forget each just before it is asked for. So when there is no
//! room most of what is new is not taken in, and a part of the chunks stays known.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use pganalytics_core::frame::{FrameHead, KeyDirectory};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    facts::{KeyFacts, Rows, ValueFacts},
    shape::Shape,
};
use crate::chunk::Chunk;

/// Of what is new when there is no room, one in so many is taken in.
const TAKEN_IN: u64 = 8;
/// Of the memory, what heads and directories of keys may have: a third.
const HEADS_SHARE: usize = 3;

/// What was learned of chunks, the least recently used forgotten first.
#[derive(Debug)]
pub(super) struct FactCache {
    facts: Recent<ChunkId, (Arc<KeyFacts>, Option<Arc<ValueFacts>>)>,
    heads: Recent<Identity, (FrameHead, Arc<KeyDirectory>)>,
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

impl FactCache {
    /// A cache of so many bytes.
    pub(super) fn new(capacity: usize) -> Self {
        let heads = capacity / HEADS_SHARE;
        Self { facts: Recent::new(capacity - heads), heads: Recent::new(heads) }
    }

    /// The chunk's name in the cache.
    pub(super) fn id(chunk: &Chunk, shape: &Shape) -> ChunkId {
        let hash = || Identity::Hash(xxh3_128(chunk.frame.bytes()));
        let identity = chunk.id.map_or_else(hash, Identity::Number);
        ChunkId { identity, schema: shape.fingerprint, rows: Rows::All }
    }

    pub(super) fn get(&self, id: ChunkId) -> Option<(Arc<KeyFacts>, Option<Arc<ValueFacts>>)> {
        self.facts.get(&id)
    }

    pub(super) fn put(&self, id: ChunkId, keys: Arc<KeyFacts>, values: Option<Arc<ValueFacts>>) {
        let bytes = keys.bytes() + values.as_ref().map_or(0, |values| values.bytes());
        self.facts.put(id, (keys, values), bytes);
    }

    /// The head of a chunk and its directory of keys.
    pub(super) fn head(&self, id: Identity) -> Option<(FrameHead, Arc<KeyDirectory>)> {
        self.heads.get(&id)
    }

    pub(super) fn put_head(&self, id: Identity, head: FrameHead, directory: Arc<KeyDirectory>) {
        let bytes = head.memory() + directory.memory();
        self.heads.put(id, (head, directory), bytes);
    }
}

/// Values by their keys, in bounded memory.
#[derive(Debug)]
struct Recent<K, V> {
    capacity: usize,
    inner: Mutex<Inner<K, V>>,
}

#[derive(Debug)]
struct Inner<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Entries by when they were last used.
    by_use: BTreeMap<u64, K>,
    clock: u64,
    bytes: usize,
    /// How often there was no room.
    full: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used: u64,
    bytes: usize,
}

impl<K: Copy + Eq + Hash, V: Clone> Recent<K, V> {
    fn new(capacity: usize) -> Self {
        let inner = Inner { entries: HashMap::new(), by_use: BTreeMap::new(), clock: 0, bytes: 0, full: 0 };
        Self { capacity, inner: Mutex::new(inner) }
    }

    fn get(&self, key: &K) -> Option<V> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let entry = inner.entries.get_mut(key)?;
        inner.clock += 1;
        inner.by_use.remove(&entry.used);
        inner.by_use.insert(inner.clock, *key);
        entry.used = inner.clock;
        Some(entry.value.clone())
    }

    fn put(&self, key: K, value: V, bytes: usize) {
        const OVERHEAD: usize = 256;
        let bytes = OVERHEAD + bytes;
        if bytes > self.capacity {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.remove(&key);
        if inner.bytes + bytes > self.capacity {
            inner.full += 1;
            if !inner.full.is_multiple_of(TAKEN_IN) {
                return;
            }
        }
        while inner.bytes + bytes > self.capacity {
            let Some((_, &oldest)) = inner.by_use.first_key_value() else { break };
            inner.remove(&oldest);
        }
        inner.clock += 1;
        let used = inner.clock;
        inner.by_use.insert(used, key);
        inner.bytes += bytes;
        inner.entries.insert(key, Entry { value, used, bytes });
    }
}

impl<K: Eq + Hash, V> Inner<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
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
        let cache = FactCache::new(1_500);
        let facts = Arc::new(KeyFacts::of_keys(&[1], vec![0], None));
        let id = |number, schema| ChunkId { identity: Identity::Number(number), schema, rows: Rows::All };
        for number in 0..3 {
            cache.put(id(number, 0), Arc::clone(&facts), None);
            cache.get(id(0, 0)).unwrap();
        }
        // There is room for three; of many others some come in, in the place of what was not used.
        for number in 3..3 + TAKEN_IN {
            cache.put(id(number, 0), Arc::clone(&facts), None);
        }
        assert!(cache.get(id(0, 0)).is_some());
        let known = (1..3 + TAKEN_IN).filter(|&number| cache.get(id(number, 0)).is_some()).collect::<Vec<_>>();
        assert_eq!(known, [2, 2 + TAKEN_IN]);
        assert!(cache.get(id(2, 1)).is_none());
        assert!(cache.get(id(2, 0).of(Rows::Ends)).is_none());
    }
}
