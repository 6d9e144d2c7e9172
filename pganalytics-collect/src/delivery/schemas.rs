//! Schemas are sent once for each stream: frames leave without theirs, and those
//! that the receiver may not know yet go along.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use pganalytics_core::{
    Position, Schema, StreamId,
    frame::{Limits, decode_schema, encode_push, split_schema},
};

use crate::sink::FrameGroup;

/// What the receiver of a stream has been told.
#[derive(Debug, Default)]
pub(super) struct ToldSchemas(Mutex<Option<(StreamId, HashSet<u64>)>>);

/// A group whose frames only name their schemas.
pub(super) struct CutGroup {
    stream: StreamId,
    frames: Vec<(Position, Bytes)>,
    schemas: BTreeMap<u64, Arc<Schema>>,
}

impl CutGroup {
    /// Takes the schemas off the frames of a group. A frame that can't be taken
    /// apart stays as it is: the receiver says what is wrong with it.
    pub(super) fn new(group: &FrameGroup) -> Self {
        let mut cut = Self { stream: group.stream, frames: Vec::new(), schemas: BTreeMap::new() };
        for (position, bytes) in &group.frames {
            let bare = cut.take_off(bytes).unwrap_or_else(|| bytes.clone());
            cut.frames.push((*position, bare));
        }
        cut
    }

    fn take_off(&mut self, bytes: &Bytes) -> Option<Bytes> {
        let (bare, schema) = split_schema(bytes).ok()?;
        let schema = decode_schema(&schema?, &Limits::default()).ok()?;
        self.schemas.entry(schema.fingerprint()).or_insert(schema);
        Some(bare)
    }

    /// The body of a push with all schemas that its frames name.
    pub(super) fn whole(&self) -> Bytes {
        let schemas: Vec<Arc<Schema>> = self.schemas.values().cloned().collect();
        encode_push(self.stream, &schemas, &self.frames).into()
    }
}

impl ToldSchemas {
    /// The body of a push with the schemas that the receiver was not told yet.
    pub(super) fn push(&self, group: &CutGroup) -> Bytes {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.as_ref().filter(|(stream, _)| *stream == group.stream).map(|(_, told)| told);
        let is_new = |fingerprint: &u64| told.is_none_or(|told| !told.contains(fingerprint));
        let new = group.schemas.iter().filter(|(fingerprint, _)| is_new(fingerprint));
        let new: Vec<Arc<Schema>> = new.map(|(_, schema)| Arc::clone(schema)).collect();
        encode_push(group.stream, &new, &group.frames).into()
    }

    /// The receiver has taken a push of this group.
    pub(super) fn taken(&self, group: &CutGroup) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.as_mut().filter(|(stream, _)| *stream == group.stream) {
            Some((_, told)) => told.extend(group.schemas.keys()),
            None => *told = Some((group.stream, group.schemas.keys().copied().collect())),
        }
    }

    /// The receiver has forgotten what it was told.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
