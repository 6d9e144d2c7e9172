//! The heads of series: what was live at some scrape, made beside the writer.
//!
//! Where many frames came since a series' last keyframe, who asks for the present would
//! read them all, of each series of a fleet. A head stands for most of them. It is made of
//! the one before it and of what came since, by a thread that reads; the writer puts it in
//! its place and looks whether it is still true.
//!
//! Invariants: a head and the chunks behind it say what all chunks say; what came late
//! takes a head away in the transaction that stores it; a head is gone with the keyframe
//! that it begins with.

use std::{collections::VecDeque, sync::Arc};

use pganalytics_core::{
    Timestamp,
    frame::{self, Frame},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    error::Doing,
    find::{self, Series},
    inner::Inner,
    names::Memory,
    read::{self, Place, SchemaCache},
    writer::Step,
};
use crate::{compaction::BLOCK_BYTES, error::StoreError, metric_store::JobReport};

/// Scrapes since a head, or a keyframe, from which on the next one is made.
const SINCE: i64 = 8;
/// Scrapes are not taken to come faster than this, in microseconds.
const LEAST_INTERVAL: i64 = 5_000_000;
/// Bytes and number of heads that are made before they are written.
const MADE_BYTES: usize = 2 << 20;
const MADE: usize = 256;

/// A head that was made.
struct Head {
    series: i64,
    source: i64,
    schema: i64,
    keyframe: Timestamp,
    t_max: Timestamp,
    data: Vec<u8>,
    /// The last chunk that there was when it was made.
    seen: i64,
}

/// Makes the heads anew behind which much has come.
pub(super) async fn refresh(inner: &Arc<Inner>) -> Result<JobReport, StoreError> {
    let _alone = inner.heads.lock().await;
    let mut report = JobReport::default();
    let mut due = inner.readers.run(due).await?;
    while !due.is_empty() {
        let schemas = Arc::clone(&inner.schemas);
        let (rest, made, read) = inner.readers.run(move |connection| make(connection, &schemas, due)).await?;
        due = rest;
        report.chunks_in += read;
        if !made.is_empty() {
            (_, report) = inner.writer.sliced((made, report), put).await?;
        }
    }
    Ok(report)
}

fn due(connection: &Connection) -> Result<VecDeque<Series>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(
            "SELECT s.id, s.t_max, s.interval, s.keyframe FROM series s LEFT JOIN heads h ON h.series = s.id
             WHERE s.t_max - max(s.keyframe, ifnull(h.t_max, s.keyframe)) >= ?1 * max(s.interval, ?2)",
        )?;
        statement.query_map([SINCE, LEAST_INTERVAL], find::series_of)?.collect::<Result<_, _>>()
    };
    read().doing("looking for series with news")
}

type Made = (VecDeque<Series>, VecDeque<Head>, u64);

/// Makes the next heads; gives what is left to do, and how many chunks were read.
fn make(connection: &Connection, cache: &SchemaCache, mut due: VecDeque<Series>) -> Result<Made, StoreError> {
    let seen = connection
        .query_row("SELECT ifnull(max(id), 0) FROM chunks", [], |row| row.get(0))
        .doing("reading the last chunk's number")?;
    let (mut made, mut bytes, mut read) = (VecDeque::new(), 0, 0);
    while bytes < MADE_BYTES && made.len() < MADE {
        let Some(series) = due.pop_front() else { break };
        let places = find::present(connection, &series, Timestamp::from_micros(i64::MAX))?;
        read += places.len() as u64;
        match head_of(connection, cache, &series, &places, seen) {
            Ok(None) => {}
            Ok(Some(head)) => {
                bytes += head.data.len();
                made.push_back(head);
            }
            Err(error @ StoreError::Corrupt(_)) => {
                // Queries tell of it; the other series go on.
                tracing::warn!(%error, series = series.id, "the present of a series can't be made");
            }
            Err(error @ StoreError::Damaged { .. }) if made.is_empty() => return Err(error),
            // What is made is kept first; then it is met again.
            Err(StoreError::Damaged { .. }) => {
                due.push_front(series);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((due, made, read))
}

/// A head of these chunks, if they are of one schema and name of the source, and not too many.
fn head_of(
    connection: &Connection,
    cache: &SchemaCache,
    series: &Series,
    places: &[Place],
    seen: i64,
) -> Result<Option<Head>, StoreError> {
    let mut of = None;
    let mut decoded = 0_u64;
    let mut frames = Vec::with_capacity(places.len());
    for place in places {
        let (source, frame) = (source_of(connection, place)?, read::frame(connection, cache, place)?);
        decoded = decoded.saturating_add(frame.decoded_bytes());
        if *of.get_or_insert((source, place.schema)) != (source, place.schema) || decoded > BLOCK_BYTES {
            return Ok(None);
        }
        frames.push(frame);
    }
    let Some((source, schema)) = of else { return Ok(None) };
    let corrupt = |error| StoreError::Corrupt(format!("the present of series {}: {error}", series.id));
    let Some(block) = frame::present(&frames).map_err(corrupt)? else { return Ok(None) };
    let (Some(first), Some(last)) = (block.scrapes().first(), block.scrapes().last()) else { return Ok(None) };
    let (keyframe, t_max) = (first.collected_at, last.collected_at);
    let data = frame::encode_block(&block).map_err(corrupt)?;
    let data = Frame::parse(data.into(), &crate::compaction::at_rest()).map_err(corrupt)?;
    let data = data.without_schema().to_vec();
    Ok(Some(Head { series: series.id, source, schema, keyframe, t_max, data, seen }))
}

fn source_of(connection: &Connection, place: &Place) -> Result<i64, StoreError> {
    let (sql, id) = match place.head_of {
        Some(series) => ("SELECT source FROM heads WHERE series = ?1", series),
        None => ("SELECT source FROM chunks WHERE id = ?1", place.id),
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([id], |row| row.get(0)))
        .doing("reading the source of a chunk")
}

/// Puts the next head in its place, if it is still true.
fn put(
    connection: &Connection,
    memory: &mut Memory,
    (made, report): &mut (VecDeque<Head>, JobReport),
) -> Result<Step, StoreError> {
    let Some(head) = made.pop_front() else { return Ok(Step::Done) };
    let bytes = head.data.len();
    let (keyframe, t_max) = (head.keyframe.as_micros(), head.t_max.as_micros());
    let mut write = || {
        let late = connection
            .prepare_cached("SELECT 1 FROM chunks WHERE series = ?1 AND t_min <= ?2 AND id > ?3 LIMIT 1")?
            .exists(params![head.series, t_max, head.seen])?;
        let oldest: Option<i64> = connection
            .prepare_cached("SELECT t_min FROM series WHERE id = ?1")?
            .query_row([head.series], |row| row.get(0))
            .optional()?;
        if late || oldest.is_none_or(|oldest| oldest > keyframe) {
            return Ok(false);
        }
        let id = memory.new_chunk();
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO heads (series, chunk, source, schema, keyframe, t_max, data)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![head.series, id, head.source, head.schema, keyframe, t_max, head.data])?;
        Ok(true)
    };
    if write().doing("writing the head of a series")? {
        report.chunks_out += 1;
        report.bytes_out += bytes as u64;
    }
    Ok(Step::More(bytes + (16 << 10)))
}

/// Takes the head of a series away that tells of more than is kept since `oldest`.
pub(super) fn drop_older(connection: &Connection, series: i64, oldest: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM heads WHERE series = ?1 AND keyframe < ?2")
        .and_then(|mut statement| statement.execute(params![series, oldest]))
        .doing("dropping the head of a series")
        .map(|_| ())
}
