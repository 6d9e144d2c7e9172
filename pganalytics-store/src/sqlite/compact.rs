//! Compaction.
//!
//! What takes long (decoding, joining, encoding) happens on a thread that only
//! reads; the writer swaps rows, a slice at a time, so appends go on. Killed at
//! any moment, it leaves each run either loose or joined.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use pganalytics_core::{TenantId, Timestamp, frame::Frame};
use rusqlite::{Connection, params};

use super::{
    append::{BLOCK, FRAME, NewChunk},
    error::Doing,
    inner::Inner,
    names::Memory,
    read::{self, Place, SchemaCache},
    shrink::shrink,
    value::Id,
    writer::Step,
};
use crate::{
    compaction::{self, BLOCK_MICROS, Piece},
    error::StoreError,
    metric_store::JobReport,
};

/// Bytes and number of blocks that are made before they are written.
const MADE_BYTES: usize = 2 << 20;
const MADE_BLOCKS: usize = 256;

/// An hour of a series, as it is worked through: in the order of the index.
type Hour = (i64, i64);

/// A run of chunks and the block that they became.
struct Swap {
    old: Vec<i64>,
    new: Frame,
    place: Run,
}

#[derive(Clone, Copy)]
struct Run {
    tenant: TenantId,
    series: i64,
    source: i64,
    schema: i64,
}

/// Some blocks that were made.
#[derive(Default)]
struct Made {
    swaps: VecDeque<Swap>,
    bytes: usize,
    /// The hour after which to go on; `None`: all hours were looked at.
    next: Option<Hour>,
    error: Option<StoreError>,
}

/// Joins the loose frames of finished hours, and adds what it has done to the report, also when
/// something of it fails.
pub(super) async fn compact(inner: &Arc<Inner>, before: Timestamp, report: &mut JobReport) -> Result<(), StoreError> {
    let _alone = inner.jobs.lock().await;
    let end = compaction::first_open_hour(before);
    let made_before = report.chunks_out;
    let mut first_error = None;
    let mut from = Some((i64::MIN, i64::MIN));
    while let Some(after) = from {
        let schemas = Arc::clone(&inner.schemas);
        let made = inner.readers.run(move |connection| make(connection, &schemas, after, end)).await?;
        from = made.next;
        first_error = first_error.or(made.error);
        if !made.swaps.is_empty() {
            (_, *report) = inner.writer.sliced((made.swaps, *report), swap).await?;
        }
    }
    if report.chunks_out > made_before {
        shrink(inner).await?;
    }
    first_error.map_or(Ok(()), Err)
}

/// Makes the blocks of the next hours behind one.
fn make(connection: &Connection, cache: &SchemaCache, after: Hour, end: i64) -> Result<Made, StoreError> {
    let mut made = Made::default();
    for hour in hours_to_compact(connection, after, end)? {
        made.next = Some(hour);
        for (place, old) in runs_of(connection, hour)? {
            match join(connection, cache, &old) {
                Ok(new) => {
                    made.bytes += new.bytes().len();
                    made.swaps.push_back(Swap { old: old.into_iter().map(|place| place.id).collect(), new, place });
                }
                Err(error) => {
                    // One damaged frame must not keep all others from being joined.
                    let (series, hour) = hour;
                    tracing::error!(%error, series, hour, "frames could not be compacted and stay as they are");
                    made.error.get_or_insert(error);
                }
            }
        }
        if made.bytes >= MADE_BYTES || made.swaps.len() >= MADE_BLOCKS {
            return Ok(made);
        }
    }
    Ok(made)
}

/// The next hours that hold loose frames, of those before `end`; none when there are none.
fn hours_to_compact(connection: &Connection, after: Hour, end: i64) -> Result<Vec<Hour>, StoreError> {
    let doing = "looking for frames to compact";
    let mut statement = connection
        .prepare_cached(
            "SELECT series, t_min FROM chunks
             WHERE level = 0 AND (series, t_min) >= (?1, ?2) AND t_min < ?3 ORDER BY series, t_min",
        )
        .doing(doing)?;
    let (series, hour) = after;
    let from = hour.saturating_add(1).saturating_mul(BLOCK_MICROS);
    let mut rows = statement.query(params![series, from, end.saturating_mul(BLOCK_MICROS)]).doing(doing)?;
    let mut hours: Vec<Hour> = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let first_scrape = Timestamp::from_micros(row.get(1).doing(doing)?);
        let hour = (row.get(0).doing(doing)?, compaction::hour_of(first_scrape));
        if hours.last() != Some(&hour) {
            if hours.len() >= MADE_BLOCKS {
                break;
            }
            hours.push(hour);
        }
    }
    Ok(hours)
}

fn runs_of(connection: &Connection, (series, hour): Hour) -> Result<Vec<(Run, Vec<Place>)>, StoreError> {
    let doing = "reading an hour's frames";
    let start = hour.saturating_mul(BLOCK_MICROS);
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {}, tenant, source, schema, level, decoded FROM chunks
                 WHERE series = ?1 AND t_min >= ?2 AND t_min < ?3 ORDER BY t_min, t_max, id",
            Place::COLUMNS
        ))
        .doing(doing)?;
    let rows = statement
        .query_map(params![series, start, start.saturating_add(BLOCK_MICROS)], |row| {
            let (source, schema) = (row.get(6)?, row.get(7)?);
            let run = Run { tenant: TenantId::from_uuid(row.get::<_, Id>(5)?.0), series, source, schema };
            let decoded = u64::try_from(row.get::<_, i64>(9)?).unwrap_or_default();
            let piece = Piece { kind: (source, schema), block: row.get::<_, i64>(8)? != FRAME, decoded };
            Ok((Place::of(row)?, run, piece))
        })
        .doing(doing)?;
    let rows = rows.collect::<Result<Vec<_>, _>>().doing(doing)?;
    let pieces: Vec<_> = rows.iter().map(|(_, _, piece)| *piece).collect();
    let runs = compaction::plan(&pieces).into_iter().filter_map(|run| {
        let (_, place, _) = rows.get(run.start)?;
        Some((*place, run))
    });
    let runs: Vec<_> = runs.collect();
    let mut places: Vec<Option<Place>> = rows.into_iter().map(|(place, _, _)| Some(place)).collect();
    let mut take = |run| places.get_mut(run).into_iter().flatten().filter_map(Option::take).collect();
    Ok(runs.into_iter().map(|(place, run): (Run, Range<usize>)| (place, take(run))).collect())
}

fn join(connection: &Connection, cache: &SchemaCache, places: &[Place]) -> Result<Frame, StoreError> {
    let frames = places.iter().map(|place| read::frame(connection, cache, place)).collect::<Result<Vec<_>, _>>()?;
    compaction::join(&frames).map_err(|error| StoreError::Corrupt(format!("joining {} frames: {error}", places.len())))
}

/// Replaces the chunks of the next run by their block.
fn swap(
    connection: &Connection,
    memory: &mut Memory,
    (swaps, report): &mut (VecDeque<Swap>, JobReport),
) -> Result<Step, StoreError> {
    let Some(swap) = swaps.pop_front() else { return Ok(Step::Done) };
    let doing = "replacing frames by their block";
    let mut statement =
        connection.prepare_cached("DELETE FROM chunks WHERE id = ?1 RETURNING byte_count").doing(doing)?;
    for id in &swap.old {
        let bytes: i64 = statement.query_row([id], |row| row.get(0)).doing(doing)?;
        report.bytes_in += u64::try_from(bytes).unwrap_or_default();
        report.chunks_in += 1;
    }
    let Run { tenant, series, source, schema } = swap.place;
    let id = memory.new_chunk();
    NewChunk { id, tenant, series, source, schema, level: BLOCK, frame: &swap.new, link: None }.insert(connection)?;
    report.chunks_out += 1;
    let bytes = swap.new.bytes().len();
    report.bytes_out += bytes as u64;
    Ok(Step::More(bytes + (32 << 10)))
}
