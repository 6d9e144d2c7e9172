//! What is known of streams: which frames are stored, who numbered them, what
//! the last of them held, and which of them have two senders.

use std::collections::BTreeMap;

use pganalytics_core::{CollectorId, Ranges, Seq, StreamId, TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    error::Doing,
    names::{LedgerKey, Memory},
    value::Id,
    writer::Step,
};
use crate::{
    error::StoreError,
    fork::{Fork, ForkReason, Openings, REMEMBERED, StoredFork},
    ledger::{Changes, Ledger},
};

fn ids((tenant, collector, stream): &LedgerKey) -> (Id, Id, Id) {
    (Id(tenant.as_uuid()), Id(collector.as_uuid()), Id(stream.as_uuid()))
}

/// How late the file may say that a stream was heard, in microseconds.
const HEARD_LATE: i64 = 86_400 * 1_000_000;

/// What the writer knows of a stream.
pub(super) struct KnownStream {
    pub(super) ledger: Ledger,
    /// As the file says; `None` where it does not.
    pub(super) heard_at: Option<Timestamp>,
}

impl KnownStream {
    /// Whether the file should say that it is heard now.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        self.heard_at.is_none_or(|heard_at| now.micros_since(heard_at) >= HEARD_LATE)
    }
}

/// The ledger of a stream.
pub(super) fn read_ledger(connection: &Connection, key: &LedgerKey) -> Result<KnownStream, StoreError> {
    let (tenant, collector, stream) = ids(key);
    let read = || {
        let mut statement = connection
            .prepare_cached("SELECT first, last FROM ledger WHERE tenant = ?1 AND collector = ?2 AND stream = ?3")?;
        let ranges = statement.query_map(params![tenant, collector, stream], |row| {
            let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(Seq(first.cast_unsigned())..=Seq(last.cast_unsigned()))
        })?;
        let ranges = ranges.collect::<Result<Ranges, _>>()?;
        let known = connection
            .prepare_cached(
                "SELECT openings, heard_at FROM streams WHERE tenant = ?1 AND collector = ?2 AND stream = ?3",
            )?
            .query_row(params![tenant, collector, stream], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))
            .optional()?;
        Ok((ranges, known))
    };
    let (ranges, known) = read().doing("reading the ledger")?;
    let (openings, heard_at) = known.unzip();
    let bad = || StoreError::Corrupt(format!("the openings of stream {} make no sense", key.2));
    let openings = openings.map(|bytes| Openings::from_bytes(&bytes).ok_or_else(bad)).transpose()?;
    let heard_at = heard_at.map(Timestamp::from_micros);
    Ok(KnownStream { ledger: Ledger::new(ranges, openings.unwrap_or_default()), heard_at })
}

/// Writes what changed in a ledger.
pub(super) fn put_ledger(connection: &Connection, key: &LedgerKey, changes: &Changes) -> Result<(), StoreError> {
    let (tenant, collector, stream) = ids(key);
    let write = || {
        for (first, last) in &changes.ranges {
            let first = first.cast_signed();
            match last {
                Some(last) => connection
                    .prepare_cached(
                        "INSERT INTO ledger (tenant, collector, stream, first, last) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO UPDATE SET last = excluded.last",
                    )?
                    .execute(params![tenant, collector, stream, first, last.cast_signed()])?,
                None => connection
                    .prepare_cached(
                        "DELETE FROM ledger WHERE tenant = ?1 AND collector = ?2 AND stream = ?3 AND first = ?4",
                    )?
                    .execute(params![tenant, collector, stream, first])?,
            };
        }
        Ok(())
    };
    write().doing("writing the ledger")
}

/// Writes who numbered a stream's frames, and when it was heard.
pub(super) fn put_openings(
    connection: &Connection,
    key: &LedgerKey,
    openings: &Openings,
    heard_at: Timestamp,
) -> Result<(), StoreError> {
    let (tenant, collector, stream) = ids(key);
    let write = || {
        connection
            .prepare_cached(
                "INSERT INTO streams (tenant, collector, stream, openings, heard_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET openings = excluded.openings, heard_at = excluded.heard_at",
            )?
            .execute(params![tenant, collector, stream, openings.to_bytes(), heard_at.as_micros()])
    };
    write().doing("writing the openings of a stream").map(|_| ())
}

/// Most ranges of a ledger that are dropped in one step.
const DROP_RANGES: usize = 64;

/// Forgets a stream that nobody has sent since a time, a part at a time.
pub(super) fn drop_silent(connection: &Connection, memory: &mut Memory, before: &mut i64) -> Result<Step, StoreError> {
    let mut write = || {
        let silent = connection
            .prepare_cached("SELECT tenant, collector, stream FROM streams WHERE heard_at < ?1 LIMIT 1")?
            .query_row([*before], |row| Ok([row.get::<_, Id>(0)?, row.get(1)?, row.get(2)?]))
            .optional()?;
        let Some(key) = silent else { return Ok(Step::Done) };
        memory.forget_stream(key);
        let [tenant, collector, stream] = key;
        let mut more = false;
        for table in ["ledger", "declared"] {
            let dropped = connection
                .prepare_cached(&format!(
                    "DELETE FROM {table} WHERE tenant = ?1 AND collector = ?2 AND stream = ?3 AND first IN (
                         SELECT first FROM {table} WHERE tenant = ?1 AND collector = ?2 AND stream = ?3 LIMIT ?4)"
                ))?
                .execute(params![tenant, collector, stream, DROP_RANGES as i64])?;
            more |= dropped == DROP_RANGES;
        }
        if !more {
            for table in ["digests", "forks", "streams"] {
                connection
                    .prepare_cached(&format!(
                        "DELETE FROM {table} WHERE tenant = ?1 AND collector = ?2 AND stream = ?3"
                    ))?
                    .execute(key)?;
            }
        }
        Ok(Step::More(64 << 10))
    };
    write().doing("dropping streams that are silent")
}

/// Frames of a row of `digests`.
const PART: u64 = 64;
/// Rows of a stream that are kept: all that hold one of the last frames.
const PARTS: u64 = REMEMBERED / PART;

/// Digests of the last frames of a stream; 0 where there is none.
pub(super) struct Digests<'a> {
    connection: &'a Connection,
    key: LedgerKey,
    parts: BTreeMap<u64, Part>,
}

struct Part {
    digests: [u64; PART as usize],
    stored: bool,
    changed: bool,
}

impl<'a> Digests<'a> {
    pub(super) fn new(connection: &'a Connection, key: LedgerKey) -> Self {
        Self { connection, key, parts: BTreeMap::new() }
    }

    /// The digest of a frame, where it is remembered.
    pub(super) fn of(&mut self, seq: Seq) -> Result<Option<u64>, StoreError> {
        Ok(Some(*self.place(seq)?.0).filter(|digest| *digest != 0))
    }

    /// Remembers a digest.
    pub(super) fn put(&mut self, seq: Seq, digest: u64) -> Result<(), StoreError> {
        let (place, changed) = self.place(seq)?;
        *place = digest;
        *changed = true;
        Ok(())
    }

    fn place(&mut self, seq: Seq) -> Result<(&mut u64, &mut bool), StoreError> {
        let number = seq.0 / PART;
        if !self.parts.contains_key(&number) {
            let part = self.read(number)?;
            self.parts.insert(number, part);
        }
        let part = self.parts.get_mut(&number);
        let index = usize::try_from(seq.0 % PART).unwrap_or_default();
        part.and_then(|part| Some((part.digests.get_mut(index)?, &mut part.changed)))
            .ok_or_else(|| StoreError::Corrupt(format!("digest of frame {}", seq.0)))
    }

    fn read(&self, number: u64) -> Result<Part, StoreError> {
        let (tenant, collector, stream) = ids(&self.key);
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT digests FROM digests WHERE tenant = ?1 AND collector = ?2 AND stream = ?3 AND part = ?4",
                )?
                .query_row(params![tenant, collector, stream, number.cast_signed()], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        };
        let bytes = read().doing("reading digests of frames")?;
        let mut part = Part { digests: [0; PART as usize], stored: bytes.is_some(), changed: false };
        let bytes = bytes.unwrap_or_default();
        let (numbers, _) = bytes.as_chunks::<8>();
        for (place, number) in part.digests.iter_mut().zip(numbers) {
            *place = u64::from_le_bytes(*number);
        }
        Ok(part)
    }

    /// Writes what changed and drops what is no longer of the last frames.
    pub(super) fn write(self, newest: Option<Seq>) -> Result<(), StoreError> {
        let oldest = (newest.map_or(0, |newest| newest.0) / PART).saturating_sub(PARTS);
        let (tenant, collector, stream) = ids(&self.key);
        let write = || {
            let mut grown = false;
            for (number, part) in self.parts.iter().filter(|(number, part)| part.changed && **number >= oldest) {
                grown |= !part.stored;
                let bytes: Vec<u8> = part.digests.iter().flat_map(|digest| digest.to_le_bytes()).collect();
                self.connection
                    .prepare_cached(
                        "INSERT INTO digests (tenant, collector, stream, part, digests) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO UPDATE SET digests = excluded.digests",
                    )?
                    .execute(params![tenant, collector, stream, number.cast_signed(), bytes])?;
            }
            if grown {
                self.connection
                    .prepare_cached(
                        "DELETE FROM digests WHERE tenant = ?1 AND collector = ?2 AND stream = ?3 AND part < ?4",
                    )?
                    .execute(params![tenant, collector, stream, oldest.cast_signed()])?;
            }
            Ok(())
        };
        write().doing("writing digests of frames")
    }
}

/// Notes that a stream has two senders.
pub(super) fn put_fork(connection: &Connection, key: &LedgerKey, fork: Fork, now: Timestamp) -> Result<(), StoreError> {
    let (tenant, collector, stream) = ids(key);
    let write = || {
        connection
            .prepare_cached(
                "INSERT INTO forks (tenant, collector, stream, seq, reason, first_at, last_at, times)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 1)
                 ON CONFLICT DO UPDATE SET seq = excluded.seq, reason = excluded.reason,
                     last_at = excluded.last_at, times = times + 1",
            )?
            .execute(params![
                tenant,
                collector,
                stream,
                fork.seq.0.cast_signed(),
                fork.reason.as_str(),
                now.as_micros()
            ])
    };
    write().doing("noting a fork").map(|_| ())
}

/// The forks of a tenant, in order of time.
pub(super) fn read_forks(connection: &Connection, tenant: TenantId) -> Result<Vec<StoredFork>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(
            "SELECT collector, stream, seq, reason, first_at, last_at, times FROM forks
             WHERE tenant = ?1 ORDER BY first_at, collector, stream",
        )?;
        let rows = statement.query_map([Id(tenant.as_uuid())], |row| {
            let reason: String = row.get(3)?;
            let seq = Seq(row.get::<_, i64>(2)?.cast_unsigned());
            Ok(StoredFork {
                collector: CollectorId::from_uuid(row.get::<_, Id>(0)?.0),
                stream: StreamId::from_uuid(row.get::<_, Id>(1)?.0),
                fork: Fork { seq, reason: ForkReason::of_name(&reason).unwrap_or(ForkReason::OtherContent) },
                first_at: Timestamp::from_micros(row.get(4)?),
                last_at: Timestamp::from_micros(row.get(5)?),
                times: row.get::<_, i64>(6)?.cast_unsigned(),
            })
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    read().doing("reading the forks")
}
