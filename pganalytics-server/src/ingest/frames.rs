//! Verifies frames and appends them.

use std::{collections::HashMap, sync::Arc};

use axum::http::StatusCode;
use bytes::Bytes;
use pganalytics_core::{
    Position, PushReply, Schema, Seq, StreamId, Timestamp,
    frame::{self, Content, Frame, FrameError, Limits, VerifiedFrame},
};
use pganalytics_store::{AppendOutcome, Fork, Origin};

use super::{
    admission::Admitted,
    answer::{self, RejectedItem},
    decoders::INLINE_BYTES,
};
use crate::{
    error::{ApiResult, Problem},
    settings::IngestLimits,
    state::App,
};

/// Bytes that a head takes as long as its frame is there: of itself, for each
/// scrape, for each column, and for each column of a schema of its own.
const HEAD_BYTES: usize = 512;
const SCRAPE_BYTES: usize = 96;
const COLUMN_BYTES: usize = 128;
const SCHEMA_COLUMN_BYTES: usize = 200;
/// Longest head of a schema. The largest that makes sense, 512 columns with
/// names and units of 63 bytes, has 66 KiB.
const MAX_SCHEMA_BYTES: usize = 96 << 10;
/// Most scrapes of a frame: one a second for an hour, and some.
const MAX_SCRAPES: usize = 4096;

/// Frames that may be stored, with their positions in the push.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) positions: Vec<usize>,
    pub(crate) frames: Vec<VerifiedFrame>,
    pub(crate) rejected: Vec<RejectedItem>,
}

/// What is refused before anything of a frame is decoded.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    frame: Limits,
    /// Longest time from the first to the last scrape, in microseconds.
    max_span: i64,
    /// Most rows of a scrape.
    max_rows: u64,
    /// Samples later than this come from a clock that is wrong.
    latest: Timestamp,
}

impl Rules {
    pub(crate) fn new(limits: &IngestLimits, received_at: Timestamp) -> Self {
        let micros = |time: std::time::Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let frame = Limits {
            max_frame_bytes: 8 << 20,
            max_header_bytes: MAX_SCHEMA_BYTES,
            max_decoded_bytes: limits.max_frame_decoded_bytes,
            max_scrapes: MAX_SCRAPES,
            ..Limits::default()
        };
        Self {
            frame,
            max_span: micros(limits.max_span),
            max_rows: limits.max_rows_per_scrape,
            latest: received_at.plus_micros(micros(limits.max_ahead)),
        }
    }

    /// Why a frame is not taken, by its head.
    fn refusal(&self, content: &Content) -> Option<(&'static str, String)> {
        let (oldest, newest) = content.time_range();
        if newest > self.latest {
            let message = format!(
                "it was collected at {newest}, which this server's clock reaches only after {}; \
                 set the clock of the agent's host",
                self.latest
            );
            return Some(("clock_ahead", message));
        }
        let frame = content.frame()?;
        if newest.micros_since(oldest) > self.max_span {
            let most = self.max_span / 1_000_000;
            let message = format!("its scrapes are from {oldest} to {newest}; a frame may span {most} s, send several");
            return Some(("span_too_long", message));
        }
        let rows = (frame.rows() as u64).div_ceil(frame.scrapes().len().max(1) as u64);
        (rows > self.max_rows).then(|| {
            let message = format!("it has {rows} rows a scrape, {} are taken; see max_rows_per_scrape", self.max_rows);
            ("too_many_rows", message)
        })
    }
}

/// Bytes that the head of a frame takes, beside its own.
fn head_bytes(frame: &Frame) -> usize {
    let columns = frame.schema().columns().len();
    let own_schema = frame.bytes().len() > frame.without_schema().len();
    let each = COLUMN_BYTES + if own_schema { SCHEMA_COLUMN_BYTES } else { 0 };
    HEAD_BYTES + frame.scrapes().len() * SCRAPE_BYTES + columns * each
}

/// Bytes that reading a frame takes, as its first bytes announce it: its columns
/// and its schema.
fn announced(bytes: &Bytes) -> Result<u64, FrameError> {
    let (_, schema) = frame::split_schema(bytes)?;
    let schema = schema.map_or(Ok(0), |schema| frame::schema_len(&schema))?;
    Ok(frame::decoded_bytes(bytes)?.saturating_add(schema))
}

/// Looks at each frame by itself. `place` holds the push; it grows by what the
/// heads of the frames take, and for a while by what is decoded.
pub(crate) async fn verify(
    app: &App,
    frames: Vec<(Position, Bytes)>,
    schemas: Vec<Arc<Schema>>,
    received_at: Timestamp,
    place: Admitted,
) -> ApiResult<(Checked, Admitted)> {
    let limits = &app.settings.ingest;
    let bytes: usize = frames.iter().map(|(_, frame)| frame.len()).sum();
    let mut verifier = Verifier {
        frames,
        schemas,
        rules: Rules::new(limits, received_at),
        most: limits.max_push_decoded_bytes,
        place,
    };
    if bytes > INLINE_BYTES {
        return app.decoders.run(move || verifier.measure().and_then(|measured| verifier.run(measured))).await?;
    }
    let measured = verifier.measure()?;
    if measured.total <= INLINE_BYTES as u64 {
        return verifier.run(measured);
    }
    // Counted before it waits: who sends too much at once hears of it at once.
    verifier.place.add(measured.at_once())?;
    app.decoders.run(move || verifier.run(measured)).await?
}

/// The frames of a push, and what is needed to look at them.
struct Verifier {
    frames: Vec<(Position, Bytes)>,
    schemas: Vec<Arc<Schema>>,
    rules: Rules,
    /// Most bytes of all frames once decoded.
    most: usize,
    place: Admitted,
}

/// What frames take once decoded, as they announce it.
struct Measured {
    each: Vec<Result<u64, FrameError>>,
    total: u64,
    largest: u64,
    /// Bytes of the push itself.
    push: usize,
}

impl Measured {
    /// Bytes that are decoded at one time. Frames are read one behind the other,
    /// and a column that is being read may stand there twice.
    fn at_once(&self) -> usize {
        usize::try_from(self.largest.saturating_mul(2)).unwrap_or(usize::MAX)
    }
}

impl Verifier {
    /// Adds up what the frames announce, before anything of them is decoded.
    fn measure(&self) -> Result<Measured, Problem> {
        let limit = self.rules.frame.max_decoded_bytes as u64;
        let each = self.frames.iter().map(|(_, bytes)| match announced(bytes) {
            Ok(given) if given > limit => Err(FrameError::TooLarge { what: "frame, once decoded,", given, limit }),
            other => other,
        });
        let each: Vec<_> = each.collect();
        let good = || each.iter().filter_map(|needs| needs.as_ref().ok());
        let total = good().fold(0, |sum: u64, needs| sum.saturating_add(*needs));
        if total > self.most as u64 {
            let detail =
                format!("the push has {total} bytes once decoded, {} are taken; send fewer frames at once", self.most);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "push_too_large", detail));
        }
        let largest = good().max().copied().unwrap_or_default();
        Ok(Measured { total, largest, push: self.place.bytes(), each })
    }

    /// Reads every part of every frame once.
    fn run(mut self, measured: Measured) -> ApiResult<(Checked, Admitted)> {
        let mut held = measured.push;
        self.place.grow_to(held.saturating_add(measured.at_once()))?;
        let schemas: HashMap<u64, Arc<Schema>> =
            self.schemas.into_iter().map(|schema| (schema.fingerprint(), schema)).collect();
        let find = |fingerprint| schemas.get(&fingerprint).cloned();
        let mut checked = Checked::default();
        for (index, ((position, bytes), needs)) in self.frames.into_iter().zip(measured.each).enumerate() {
            let content = needs.and_then(|needs| Ok((needs, Content::parse(bytes, &self.rules.frame, &find)?)));
            let (needs, content) = match content {
                Ok(content) => content,
                Err(error) => {
                    checked.reject(index, Some(position.seq), error.code(), error.to_string());
                    continue;
                }
            };
            if let Some((code, message)) = self.rules.refusal(&content) {
                checked.reject(index, Some(position.seq), code, message);
                continue;
            }
            // A gap is all head.
            let head = content.frame().map_or_else(|| usize::try_from(needs).unwrap_or(usize::MAX), head_bytes);
            match VerifiedFrame::check(position, content) {
                Ok(frame) => {
                    held = held.saturating_add(head);
                    self.place.add(head)?;
                    checked.take(index, frame);
                }
                Err(error) => checked.reject(index, Some(position.seq), error.code(), error.to_string()),
            }
        }
        self.place.shrink_to(held);
        Ok((checked, self.place))
    }
}

impl Checked {
    pub(crate) fn take(&mut self, index: usize, frame: VerifiedFrame) {
        self.positions.push(index);
        self.frames.push(frame);
    }

    /// Takes the frame of a metric, unless the rules refuse it.
    pub(crate) fn take_within(&mut self, rules: &Rules, index: usize, frame: VerifiedFrame) {
        match rules.refusal(frame.content()) {
            Some((code, message)) => self.reject(index, Some(frame.seq()), code, message),
            None => self.take(index, frame),
        }
    }

    pub(crate) fn reject(&mut self, index: usize, seq: Option<Seq>, code: &str, message: String) {
        self.rejected.push(RejectedItem { index, seq, code: code.to_owned(), message });
    }

    /// Stores what is good, and says what became of everything.
    pub(crate) async fn store(self, app: &App, origin: &Origin, stream: StreamId) -> ApiResult<PushReply> {
        let (mut rejected, positions) = (self.rejected, self.positions);
        let mut outcome = AppendOutcome::default();
        if !self.frames.is_empty() {
            let expired = expired(app, origin.received_at, &self.frames);
            outcome = app.metrics.append(origin, stream, self.frames).await?;
            if let Some(fork) = outcome.fork {
                return Err(forked(app, origin, stream, fork));
            }
            app.counters.expired(expired);
        }
        for (index, (seq, outcome)) in positions.into_iter().zip(&outcome.frames) {
            if let Some((code, message)) = answer::refusal(outcome) {
                rejected.push(RejectedItem { index, seq: Some(*seq), code, message });
            }
        }
        app.counters.pushed(outcome.accepted(), outcome.duplicates(), rejected.len());
        app.counters.rejected(rejected.iter().map(|item| item.code.as_str()));
        Ok(answer::reply_of(stream, rejected, &outcome))
    }
}

/// The stream has two senders; this one is to begin another.
fn forked(app: &App, origin: &Origin, stream: StreamId, fork: Fork) -> Problem {
    app.counters.forked();
    tracing::error!(collector = %origin.collector, %stream, %fork, reason = fork.reason.as_str(),
        "two agents send one stream: a spool was copied, or restored from a backup; this push was refused");
    let detail = format!(
        "stream {stream} has two senders: {fork}. Nothing of this push was stored. A spool was copied, or restored \
         from a backup or a snapshot; begin a new stream and send these frames in it"
    );
    Problem::conflict("fork", detail)
}

/// Frames that are older than their measurement is kept: taken, to be dropped.
pub(crate) fn expired(app: &App, now: Timestamp, frames: &[VerifiedFrame]) -> usize {
    let is_old = |frame: &&VerifiedFrame| {
        let Some(frame) = frame.frame() else { return false };
        let kept = frame.schema().retention().unwrap_or(app.settings.default_retention);
        let age = now.micros_since(frame.time_range().1);
        age > i64::try_from(kept.as_micros()).unwrap_or(i64::MAX)
    };
    frames.iter().filter(is_old).count()
}
