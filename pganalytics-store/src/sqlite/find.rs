//! Which chunks a query needs.

use std::collections::{HashSet, VecDeque};

use pganalytics_core::{CollectorId, TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{error::Doing, read::Place, value::Id};
use crate::{
    chunk::{ChunkSelect, MISSED},
    error::StoreError,
};

/// Why chunks are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// For what was in the range.
    Range,
    /// For what is live at present.
    Present,
}

/// What is known of a series.
pub(super) struct Series {
    pub(super) id: i64,
    pub(super) t_max: i64,
    pub(super) interval: i64,
    pub(super) keyframe: Option<i64>,
}

/// The chunks of a selection, in the promised order.
pub(super) fn chunks(
    connection: &Connection,
    select: &ChunkSelect,
    wanted: Wanted,
) -> Result<VecDeque<(CollectorId, Place)>, StoreError> {
    let mut places = VecDeque::new();
    for (series, collector) in series(connection, select, wanted)? {
        let found = match wanted {
            Wanted::Range => from_to(connection, series.id, select.from.as_micros(), select.to.as_micros())?,
            Wanted::Present => present(connection, &series, select.from)?,
        };
        places.extend(found.into_iter().map(|place| (collector, place)));
    }
    Ok(places)
}

fn series(
    connection: &Connection,
    select: &ChunkSelect,
    wanted: Wanted,
) -> Result<Vec<(Series, CollectorId)>, StoreError> {
    let doing = "finding series";
    let servers = select.servers.as_ref().map(|wanted| servers_of(connection, select.tenant, wanted)).transpose()?;
    let missed = if wanted == Wanted::Present { MISSED } else { 0 };
    let mut statement = connection
        .prepare_cached(
            "SELECT id, t_max, interval, keyframe, collector, server_id, database FROM series
             WHERE tenant = ?1 AND measurement = ?2 AND t_min <= ?3 AND t_max + ?5 * interval >= ?4
             ORDER BY server_id, instance_id, database, collector",
        )
        .doing(doing)?;
    let keys = params![
        Id(select.tenant.as_uuid()),
        select.measurement.as_str(),
        select.to.as_micros(),
        select.from.as_micros(),
        missed
    ];
    let mut rows = statement.query(keys).doing(doing)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let is_wanted = || -> rusqlite::Result<bool> {
            if servers.as_ref().is_some_and(|servers| !matches!(row.get::<_, Id>(5), Ok(id) if servers.contains(&id))) {
                return Ok(false);
            }
            let Some(databases) = &select.databases else { return Ok(true) };
            Ok(row.get::<_, Option<String>>(6)?.is_some_and(|database| databases.contains(&database)))
        };
        if is_wanted().doing(doing)? {
            let collector = CollectorId::from_uuid(row.get::<_, Id>(4).doing(doing)?.0);
            all.push((series_of(row).doing(doing)?, collector));
        }
    }
    Ok(all)
}

/// From a row that begins with `id, t_max, interval, keyframe`.
pub(super) fn series_of(row: &Row<'_>) -> rusqlite::Result<Series> {
    Ok(Series { id: row.get(0)?, t_max: row.get(1)?, interval: row.get(2)?, keyframe: row.get(3)? })
}

/// Chunks of a series that touch a range.
fn from_to(connection: &Connection, series: i64, from: i64, to: i64) -> Result<Vec<Place>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {} FROM chunks WHERE series = ?1 AND t_min <= ?2 AND t_max >= ?3 ORDER BY t_min, t_max, id",
            Place::COLUMNS
        ))?;
        statement.query_map(params![series, to, from], Place::of)?.collect::<Result<_, _>>()
    };
    read().doing("finding chunks")
}

/// The head of a series and the chunks behind it, or the chunks from its last keyframe on,
/// whatever is less to read. A series that never had a keyframe is read from `from`, or for
/// as long as its rows are taken for present.
pub(super) fn present(connection: &Connection, series: &Series, from: Timestamp) -> Result<Vec<Place>, StoreError> {
    let Some(keyframe) = series.keyframe else {
        let own = series.t_max.saturating_sub(series.interval.saturating_mul(MISSED));
        return from_to(connection, series.id, from.as_micros().min(own), i64::MAX);
    };
    if let Some((head, until)) = head(connection, series.id)?.filter(|(_, until)| *until > keyframe) {
        let behind = behind(connection, series.id, until)?;
        // A block that goes on from before it says more than is asked for; then there is no
        // frame left that was read for nothing.
        if behind.iter().all(|(_, first)| *first > until) {
            let behind = behind.into_iter().map(|(place, _)| place);
            return Ok(std::iter::once(head).chain(behind).collect());
        }
    }
    from_to(connection, series.id, keyframe, i64::MAX)
}

/// The head of a series, and its last scrape.
fn head(connection: &Connection, series: i64) -> Result<Option<(Place, i64)>, StoreError> {
    connection
        .prepare_cached("SELECT chunk, schema, t_max FROM heads WHERE series = ?1")
        .and_then(|mut statement| {
            let read = |row: &Row<'_>| {
                let place = Place { id: row.get(0)?, schema: row.get(1)?, link: None, head_of: Some(series) };
                Ok((place, row.get(2)?))
            };
            statement.query_row([series], read).optional()
        })
        .doing("finding the head of a series")
}

/// Chunks of a series with a scrape behind a time, and when each begins.
fn behind(connection: &Connection, series: i64, time: i64) -> Result<Vec<(Place, i64)>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {}, t_min FROM chunks WHERE series = ?1 AND t_max > ?2 ORDER BY t_min, t_max, id",
            Place::COLUMNS
        ))?;
        let rows = statement.query_map(params![series, time], |row| Ok((Place::of(row)?, row.get(5)?)))?;
        rows.collect::<Result<_, _>>()
    };
    read().doing("finding chunks")
}

/// Ids of the servers that are, or ever were, called so.
fn servers_of(connection: &Connection, tenant: TenantId, wanted: &[String]) -> Result<HashSet<Id>, StoreError> {
    let read = || {
        let mut statement =
            connection.prepare_cached("SELECT DISTINCT server_id, server FROM sources WHERE tenant = ?1")?;
        let rows =
            statement.query_map([Id(tenant.as_uuid())], |row| Ok((row.get::<_, Id>(0)?, row.get::<_, String>(1)?)))?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    let known = read().doing("finding servers")?;
    let ids: HashSet<Id> = wanted.iter().filter_map(|text| text.parse().ok().map(Id)).collect();
    Ok(known.into_iter().filter(|(id, name)| ids.contains(id) || wanted.contains(name)).map(|(id, _)| id).collect())
}
