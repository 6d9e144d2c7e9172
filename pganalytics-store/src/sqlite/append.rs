//! Storing frames: the ledger and the data in one transaction.

use std::collections::HashMap;

use pganalytics_core::{
    Gap, Link, MeasurementName, Position, Seq, StreamId, TenantId, Timestamp,
    frame::{Content, Frame, VerifiedFrame},
};
use rusqlite::{Connection, params};

use super::{
    error::Doing,
    gaps,
    names::{LedgerKey, Memory, Names},
    streams::{self, Digests, KnownStream},
    value::Id,
};
use crate::{
    error::StoreError,
    fork::{self, Fork},
    ledger::{Changes, Ledger},
    metric_store::{AppendOutcome, FrameOutcome, Origin},
    quota::Held,
};

/// A frame as it came.
pub(super) const FRAME: i64 = 0;
/// A compacted block.
pub(super) const BLOCK: i64 = 1;

/// Bytes of frames.
pub(super) fn size_of(frames: &[VerifiedFrame]) -> usize {
    frames.iter().map(|frame| frame.frame().map_or(0, |frame| frame.bytes().len()) + 256).sum()
}

/// Stores frames of one stream.
pub(super) fn append(
    connection: &Connection,
    memory: &mut Memory,
    origin: &Origin,
    stream: StreamId,
    frames: &[VerifiedFrame],
) -> Result<AppendOutcome, StoreError> {
    let mut append = Append::begin(connection, memory, origin, stream)?;
    let mut digests = Digests::new(connection, append.key);
    let found = fork::find(frames, append.ledger.ranges(), append.ledger.openings(), |seq| digests.of(seq))?;
    if let Some(fork) = found {
        return append.refuse(fork);
    }
    for frame in frames {
        if append.take(frame.position(), frame.content())? == FrameOutcome::Accepted {
            digests.put(frame.seq(), frame.digest())?;
            append.opened |= append.ledger.note_opening(frame.position());
        }
    }
    digests.write(append.ledger.ranges().last())?;
    append.finish()
}

/// Stores frames that have no number, in the collector's own stream.
pub(super) fn append_unnumbered(
    connection: &Connection,
    memory: &mut Memory,
    origin: &Origin,
    frames: &[VerifiedFrame],
) -> Result<AppendOutcome, StoreError> {
    let mut append = Append::begin(connection, memory, origin, StreamId::of_unnumbered(origin.collector))?;
    for frame in frames {
        // What is refused leaves no hole.
        let next = append.ledger.next();
        append.take(next.into(), frame.content())?;
    }
    append.finish()
}

/// An append under way.
struct Append<'a> {
    connection: &'a Connection,
    memory: &'a mut Memory,
    origin: &'a Origin,
    key: LedgerKey,
    ledger: Ledger,
    heard_at: Option<Timestamp>,
    changes: Changes,
    /// Whether the ledger knows an opening that the file does not, or the file
    /// does not know that the stream is alive.
    opened: bool,
    tally: Tally,
    outcome: AppendOutcome,
}

impl<'a> Append<'a> {
    fn begin(
        connection: &'a Connection,
        memory: &'a mut Memory,
        origin: &'a Origin,
        stream: StreamId,
    ) -> Result<Self, StoreError> {
        let key = (origin.tenant, origin.collector, stream);
        let known = match memory.take_ledger(&key) {
            Some(known) => known,
            None => streams::read_ledger(connection, &key)?,
        };
        let opened = known.is_late(origin.received_at);
        let KnownStream { ledger, heard_at } = known;
        let (changes, tally, outcome) = (Changes::default(), Tally::default(), AppendOutcome::default());
        Ok(Self { connection, memory, origin, key, ledger, heard_at, changes, opened, tally, outcome })
    }

    /// Stores a frame unless it is there, and notes what became of it.
    fn take(&mut self, position: Position, content: &Content) -> Result<FrameOutcome, StoreError> {
        let seq = position.seq;
        let what = match crate::ledger::refusal(seq) {
            Some(refused) => refused,
            None if self.ledger.contains(seq) => FrameOutcome::Duplicate,
            None => self.store(position, content)?,
        };
        self.outcome.frames.push((seq, what.clone()));
        Ok(what)
    }

    fn store(&mut self, position: Position, content: &Content) -> Result<FrameOutcome, StoreError> {
        let (seq, stream) = (position.seq, self.key.2);
        let touched = self.ledger.neighbours(seq);
        let more = Held { streams: u64::from(touched == 0), ..Held::default() };
        let refused = match content {
            Content::Rows(frame) => {
                let link = Link { stream, seq, base: position.base };
                store(self.connection, self.memory, &mut self.tally, self.origin, (frame, link), more)?
            }
            Content::Gap(gap) => put_gap(self.connection, self.memory, self.origin, (stream, seq), gap, more)?,
        };
        Ok(refused.unwrap_or_else(|| {
            self.memory.joined(self.origin, touched.saturating_sub(1));
            self.ledger.insert_noting(seq, &mut self.changes);
            FrameOutcome::Accepted
        }))
    }

    /// Stores nothing: the stream has two senders.
    fn refuse(self, fork: Fork) -> Result<AppendOutcome, StoreError> {
        // Of a stream that nobody has sent before nothing is kept.
        if !self.ledger.ranges().is_empty() {
            streams::put_fork(self.connection, &self.key, fork, self.origin.received_at)?;
        }
        self.memory.put_ledger(self.key, KnownStream { ledger: self.ledger, heard_at: self.heard_at });
        Ok(AppendOutcome { fork: Some(fork), ..AppendOutcome::default() })
    }

    /// Writes what belongs to all frames together.
    fn finish(self) -> Result<AppendOutcome, StoreError> {
        streams::put_ledger(self.connection, &self.key, &self.changes)?;
        let mut heard_at = self.heard_at;
        // Of a stream of which nothing is stored nothing is kept.
        if self.opened && !self.ledger.ranges().is_empty() {
            let now = self.origin.received_at;
            streams::put_openings(self.connection, &self.key, self.ledger.openings(), now)?;
            heard_at = Some(now);
        }
        self.tally.put(self.connection, self.origin)?;
        self.memory.put_ledger(self.key, KnownStream { ledger: self.ledger, heard_at });
        Ok(self.outcome)
    }
}

fn put_gap(
    connection: &Connection,
    memory: &mut Memory,
    origin: &Origin,
    (stream, seq): (StreamId, Seq),
    gap: &Gap,
    more: Held,
) -> Result<Option<FrameOutcome>, StoreError> {
    let more = Held { gaps: 1, ..more };
    let refused = memory.take(connection, origin, &more)?;
    if refused.is_none() {
        gaps::put(connection, origin, stream, seq, gap)?;
    }
    Ok(refused)
}

/// Stores a frame, or says why it is not taken; then nothing was written.
fn store(
    connection: &Connection,
    memory: &mut Memory,
    tally: &mut Tally,
    origin: &Origin,
    (frame, link): (&Frame, Link),
    more: Held,
) -> Result<Option<FrameOutcome>, StoreError> {
    let names = match memory.name(connection, origin, frame, more)? {
        Ok(names) => names,
        Err(refused) => return Ok(Some(refused)),
    };
    let Names { source, series, schema } = names;
    tally.add(source, series, frame);
    let id = memory.new_chunk();
    let (tenant, link) = (origin.tenant, Some(link));
    let chunk = NewChunk { id, tenant, series, source, schema, level: FRAME, frame, link };
    chunk.insert(connection)?;
    Ok(None)
}

/// A row of `chunks`.
pub(super) struct NewChunk<'a> {
    pub(super) id: i64,
    pub(super) tenant: TenantId,
    pub(super) series: i64,
    pub(super) source: i64,
    pub(super) schema: i64,
    pub(super) level: i64,
    pub(super) frame: &'a Frame,
    /// Where a frame stands in its stream; blocks know it themselves.
    pub(super) link: Option<Link>,
}

impl NewChunk<'_> {
    pub(super) fn insert(&self, connection: &Connection) -> Result<(), StoreError> {
        let (from, to) = self.frame.time_range();
        // The schema is in a table of its own.
        let data: &[u8] = self.frame.without_schema();
        let write = || {
            connection
                .prepare_cached(
                    "INSERT INTO chunks (id, tenant, series, source, schema, level, t_min, t_max,
                                         row_count, byte_count, decoded, keyframe, stream, seq, base, data)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                )?
                .execute(params![
                    self.id,
                    Id(self.tenant.as_uuid()),
                    self.series,
                    self.source,
                    self.schema,
                    self.level,
                    from.as_micros(),
                    to.as_micros(),
                    count(self.frame.rows() as u64),
                    count(data.len() as u64),
                    count(self.frame.decoded_bytes()),
                    self.frame.last_keyframe().map(Timestamp::as_micros),
                    self.link.map(|link| Id(link.stream.as_uuid())),
                    self.link.map(|link| link.seq.0.cast_signed()),
                    self.link.and_then(|link| link.base).map(|base| base.0.cast_signed()),
                    data,
                ])
        };
        write().doing("writing a frame").map(|_| ())
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

type Times = (Timestamp, Timestamp);

/// What an append adds to a series.
struct OfSeries {
    times: Times,
    /// Of the newest scrape.
    interval: u64,
    keyframe: Option<Timestamp>,
}

/// What an append adds to a measurement.
struct OfMeasurement {
    times: Times,
    scrapes: u64,
    rows: u64,
    values: u64,
}

/// What an append adds to the summaries, written once at its end.
#[derive(Default)]
struct Tally {
    sources: HashMap<i64, Times>,
    series: HashMap<i64, OfSeries>,
    totals: HashMap<MeasurementName, OfMeasurement>,
}

fn widen(times: &mut Times, (from, to): Times) {
    *times = (times.0.min(from), times.1.max(to));
}

impl Tally {
    fn add(&mut self, source: i64, series: i64, frame: &Frame) {
        let times = frame.time_range();
        widen(self.sources.entry(source).or_insert(times), times);
        let interval = frame.scrapes().last().map_or(0, |scrape| scrape.interval_micros);
        let keyframe = frame.last_keyframe();
        let of = self.series.entry(series).or_insert(OfSeries { times, interval, keyframe });
        if times.1 >= of.times.1 {
            of.interval = interval;
        }
        of.keyframe = of.keyframe.max(keyframe);
        widen(&mut of.times, times);
        let name = frame.schema().measurement().clone();
        let of = self.totals.entry(name).or_insert(OfMeasurement { times, scrapes: 0, rows: 0, values: 0 });
        widen(&mut of.times, times);
        of.scrapes += frame.scrapes().len() as u64;
        of.rows += frame.rows() as u64;
        of.values += frame.value_count();
    }

    fn put(self, connection: &Connection, origin: &Origin) -> Result<(), StoreError> {
        let write = || {
            for (id, (from, to)) in &self.sources {
                connection
                    .prepare_cached(
                        "UPDATE sources SET first_seen = min(first_seen, ?2), last_seen = max(last_seen, ?3)
                         WHERE id = ?1",
                    )?
                    .execute(params![id, from.as_micros(), to.as_micros()])?;
                // Seldom: what is not changed costs no write to the index.
                connection
                    .prepare_cached("UPDATE sources SET collector = ?2 WHERE id = ?1 AND collector <> ?2")?
                    .execute(params![id, Id(origin.collector.as_uuid())])?;
            }
            for (id, of) in &self.series {
                let (from, to) = of.times;
                connection
                    .prepare_cached(
                        "UPDATE series SET interval = CASE WHEN ?3 >= t_max THEN ?4 ELSE interval END,
                             t_min = min(t_min, ?2), t_max = max(t_max, ?3),
                             keyframe = CASE WHEN keyframe >= ?5 OR ?5 IS NULL THEN keyframe ELSE ?5 END
                         WHERE id = ?1",
                    )?
                    .execute(params![
                        id,
                        from.as_micros(),
                        to.as_micros(),
                        count(of.interval),
                        of.keyframe.map(Timestamp::as_micros)
                    ])?;
                // It does not know what came late.
                connection
                    .prepare_cached("DELETE FROM heads WHERE series = ?1 AND t_max >= ?2")?
                    .execute(params![id, from.as_micros()])?;
            }
            for (measurement, of) in &self.totals {
                connection
                    .prepare_cached(
                        "INSERT INTO totals (tenant, measurement, scrape_count, row_count, value_count, t_min, t_max)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                         ON CONFLICT DO UPDATE SET scrape_count = scrape_count + excluded.scrape_count,
                             row_count = row_count + excluded.row_count,
                             value_count = value_count + excluded.value_count,
                             t_min = min(ifnull(t_min, excluded.t_min), excluded.t_min),
                             t_max = max(ifnull(t_max, excluded.t_max), excluded.t_max)",
                    )?
                    .execute(params![
                        Id(origin.tenant.as_uuid()),
                        measurement.as_str(),
                        count(of.scrapes),
                        count(of.rows),
                        count(of.values),
                        of.times.0.as_micros(),
                        of.times.1.as_micros()
                    ])?;
            }
            Ok(())
        };
        write().doing("writing the summaries")
    }
}
