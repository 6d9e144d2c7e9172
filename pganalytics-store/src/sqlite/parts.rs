//! Parts of chunks, read where they stand in the file: the head of a block says where, and most
//! questions need little of it.

use std::{
    io::{Read as _, Seek as _, SeekFrom},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use pganalytics_core::frame::{Frame, FrameBytes, FrameError, FrameHead};
use rusqlite::{Connection, MAIN_DB, blob::Blob};

use super::{
    error::Doing,
    pool::Reader,
    read::{Place, SchemaCache, frame as whole, schema, unreadable},
};
use crate::{chunk::Pick, compaction::at_rest, error::StoreError};

const DOING: &str = "reading parts of a frame";
/// What stands no further apart is read at once.
const NEAR: usize = 4 << 10;

/// A chunk of which what was chosen is read, and how many bytes that were.
pub(super) fn frame(
    reader: &Arc<Mutex<Reader>>,
    cache: &SchemaCache,
    place: &Place,
    pick: &dyn Pick,
) -> Result<(Frame, usize), StoreError> {
    let connection = lock(reader);
    let corrupt = |error| place.damaged(error);
    let all = || {
        let frame = whole(&connection, cache, place)?;
        let len = frame.bytes().len();
        Ok((frame, len))
    };
    let Ok(id) = u64::try_from(place.id) else { return all() };
    let blob = Open(Mutex::new(open(&connection, place.id)?));
    let head = match pick.head(id) {
        Some(head) => head,
        None => head_of(&blob, &connection, cache, place)?,
    };
    let Some(mut places) = pick.places(id, &head, &blob).map_err(corrupt)? else { return all() };
    places.retain(|place| !place.is_empty());
    places.sort_by_key(|place| place.start);
    let mut wanted: Vec<Range<usize>> = Vec::new();
    for place in places {
        match wanted.last_mut() {
            Some(last) if place.start <= last.end.saturating_add(NEAR) => last.end = last.end.max(place.end),
            _ => wanted.push(place),
        }
    }
    let (mut parts, mut len) = (Vec::with_capacity(wanted.len()), 0);
    for range in &wanted {
        len += range.len();
        parts.push((range.start, blob.bytes(range.clone()).map_err(corrupt)?));
    }
    drop(blob);
    drop(connection);
    let parts = Parts { parts, reader: Arc::clone(reader), id: place.id };
    // Found here it is known which chunk it is.
    head.check(&wanted, &parts).map_err(corrupt)?;
    let frame = Frame::apart(head, Arc::new(parts));
    let frame = match place.link {
        Some(link) => frame.with_link(link),
        None => frame,
    };
    Ok((frame, len))
}

/// The connection; one that somebody panicked with still reads.
pub(super) fn lock(reader: &Mutex<Reader>) -> MutexGuard<'_, Reader> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(connection: &Connection, id: i64) -> Result<Blob<'_>, StoreError> {
    connection.blob_open(MAIN_DB, "chunks", "data", id, true).doing(DOING)
}

fn head_of(
    blob: &Open<'_>,
    connection: &Connection,
    cache: &SchemaCache,
    place: &Place,
) -> Result<FrameHead, StoreError> {
    let corrupt = |error| place.damaged(error);
    let len = blob.len();
    let prefix = blob.bytes(0..FrameHead::PREFIX.min(len)).map_err(corrupt)?;
    let head = FrameHead::len_of(&prefix).map_err(corrupt)?.min(len);
    let (fingerprint, schema) = schema(connection, cache, place.schema)?;
    let known = |asked| (asked == fingerprint).then(|| Arc::clone(&schema));
    FrameHead::parse(blob.bytes(0..head).map_err(corrupt)?, &at_rest(), &known).map_err(corrupt)
}

/// A blob that is being read.
struct Open<'a>(Mutex<Blob<'a>>);

impl Open<'_> {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl FrameBytes for Open<'_> {
    fn bytes(&self, range: Range<usize>) -> Result<Bytes, FrameError> {
        let mut blob = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if range.end > blob.len() || range.start > range.end {
            let needed = range.end.saturating_sub(blob.len());
            return Err(FrameError::Cut { what: "frame", needed, left: 0 });
        }
        let mut data = vec![0; range.len()];
        let read = blob.seek(SeekFrom::Start(range.start as u64)).and_then(|_| blob.read_exact(&mut data));
        read.map_err(|error| FrameError::Unavailable(unreadable(DOING, error).to_string()))?;
        Ok(data.into())
    }
}

/// Parts of a chunk that were read, and the connection that reads others, in the same snapshot.
struct Parts {
    /// Where each begins.
    parts: Vec<(usize, Bytes)>,
    reader: Arc<Mutex<Reader>>,
    id: i64,
}

impl FrameBytes for Parts {
    fn bytes(&self, range: Range<usize>) -> Result<Bytes, FrameError> {
        let before = self.parts.partition_point(|(start, _)| *start <= range.start);
        let part = before.checked_sub(1).and_then(|at| self.parts.get(at));
        if let Some((start, bytes)) = part
            && range.end <= start + bytes.len()
        {
            return Ok(bytes.slice(range.start - start..range.end - start));
        }
        let reader = lock(&self.reader);
        let blob = open(&reader, self.id).map_err(|error| FrameError::Unavailable(error.to_string()))?;
        Open(Mutex::new(blob)).bytes(range)
    }
}
