//! Pushes of senders that number nothing, each stored once.

use pganalytics_core::{Timestamp, frame::VerifiedFrame};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{append, error::Doing, names::Memory, value::Id};
use crate::{
    error::StoreError,
    metric_store::Origin,
    unnumbered::{KEPT, MAX_KEYS, MakeReply, PushKey, SWEEP_EVERY, Unnumbered},
};

/// Stores frames unless a push with their key came before.
pub(super) fn append(
    connection: &Connection,
    memory: &mut Memory,
    origin: &Origin,
    key: Option<PushKey>,
    frames: &[VerifiedFrame],
    reply: MakeReply,
) -> Result<Unnumbered, StoreError> {
    if let Some(key) = key
        && let Some(known) = find(connection, origin, &key)?
    {
        let same = known.content == key.content;
        return Ok(if same { Unnumbered::Repeated { reply: known.reply } } else { Unnumbered::OtherContent });
    }
    let outcome = append::append_unnumbered(connection, memory, origin, frames)?;
    if let Some(key) = key.filter(|_| outcome.accepted() > 0) {
        remember(connection, origin, &key, &reply(&outcome))?;
        if memory.count_key().is_multiple_of(SWEEP_EVERY) {
            forget_surplus(connection, origin)?;
        }
    }
    Ok(Unnumbered::Stored(outcome))
}

/// When a key that is still good must have come.
pub(super) fn oldest(now: Timestamp) -> i64 {
    now.plus_micros(-i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX)).as_micros()
}

/// A push that came before.
struct Known {
    content: Vec<u8>,
    reply: Vec<u8>,
}

fn find(connection: &Connection, origin: &Origin, key: &PushKey) -> Result<Option<Known>, StoreError> {
    let read = || {
        connection
            .prepare_cached(
                "SELECT content, reply FROM keyed_pushes
                 WHERE tenant = ?1 AND collector = ?2 AND key = ?3 AND received_at > ?4",
            )?
            .query_row(
                params![
                    Id(origin.tenant.as_uuid()),
                    Id(origin.collector.as_uuid()),
                    key.key,
                    oldest(origin.received_at)
                ],
                |row| Ok(Known { content: row.get(0)?, reply: row.get(1)? }),
            )
            .optional()
    };
    read().doing("looking for the key of a push")
}

fn remember(connection: &Connection, origin: &Origin, key: &PushKey, reply: &[u8]) -> Result<(), StoreError> {
    let write = || {
        connection
            .prepare_cached(
                "INSERT INTO keyed_pushes (tenant, collector, key, content, received_at, reply)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET content = excluded.content, received_at = excluded.received_at,
                     reply = excluded.reply",
            )?
            .execute(params![
                Id(origin.tenant.as_uuid()),
                Id(origin.collector.as_uuid()),
                key.key,
                key.content,
                origin.received_at.as_micros(),
                reply
            ])
    };
    write().doing("writing the key of a push").map(|_| ())
}

/// Forgets the oldest keys of a collector that has too many.
fn forget_surplus(connection: &Connection, origin: &Origin) -> Result<(), StoreError> {
    let write = || {
        connection
            .prepare_cached(
                "DELETE FROM keyed_pushes WHERE tenant = ?1 AND collector = ?2 AND received_at <=
                     (SELECT received_at FROM keyed_pushes WHERE tenant = ?1 AND collector = ?2
                      ORDER BY received_at DESC LIMIT 1 OFFSET ?3)",
            )?
            .execute(params![
                Id(origin.tenant.as_uuid()),
                Id(origin.collector.as_uuid()),
                i64::try_from(MAX_KEYS).unwrap_or(i64::MAX)
            ])
    };
    write().doing("dropping keys of pushes").map(|_| ())
}
