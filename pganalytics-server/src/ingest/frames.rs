//! Verifies frames and appends them.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use pganalytics_core::{
    Position, Schema, Seq, StreamId, Timestamp,
    frame::{Limits, VerifiedFrame},
};
use pganalytics_store::{FrameOutcome, Origin};

use super::answer::{PushAnswer, RejectedItem};
use crate::{
    error::{ApiResult, Problem},
    state::App,
};

/// A push of fewer bytes is verified where it is; handing it to another thread
/// would take longer than the work.
const INLINE_BYTES: usize = 256 << 10;

/// Frames that may be stored, with their positions in the push.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) positions: Vec<usize>,
    pub(crate) frames: Vec<VerifiedFrame>,
    pub(crate) rejected: Vec<RejectedItem>,
}

/// Limits of a frame on the wire.
pub(crate) fn wire_limits() -> Limits {
    Limits { max_frame_bytes: 8 << 20, max_decoded_bytes: 256 << 20, ..Limits::default() }
}

/// Looks at each frame by itself.
pub(crate) async fn verify(
    app: &App,
    frames: Vec<(Position, Bytes)>,
    schemas: Vec<Arc<Schema>>,
    received_at: Timestamp,
) -> ApiResult<Checked> {
    let latest = latest(app, received_at);
    let bytes: usize = frames.iter().map(|(_, frame)| frame.len()).sum();
    if bytes <= INLINE_BYTES {
        return Ok(verify_here(frames, &schemas, latest));
    }
    let work = tokio::task::spawn_blocking(move || verify_here(frames, &schemas, latest));
    work.await.map_err(|error| Problem::internal(&error))
}

fn verify_here(frames: Vec<(Position, Bytes)>, schemas: &[Arc<Schema>], latest: Timestamp) -> Checked {
    let limits = wire_limits();
    let schemas: HashMap<u64, &Arc<Schema>> = schemas.iter().map(|schema| (schema.fingerprint(), schema)).collect();
    let find = |fingerprint| schemas.get(&fingerprint).map(|schema| Arc::clone(schema));
    let mut checked = Checked::default();
    for (index, (position, bytes)) in frames.into_iter().enumerate() {
        match VerifiedFrame::verify_with(position, bytes, &limits, &find) {
            Ok(frame) => checked.take(index, frame, latest),
            Err(error) => checked.reject(index, Some(position.seq), error.code(), error.to_string()),
        }
    }
    checked
}

/// Samples later than this come from a clock that is wrong.
pub(crate) fn latest(app: &App, received_at: Timestamp) -> Timestamp {
    let ahead = i64::try_from(app.settings.ingest.max_ahead.as_micros()).unwrap_or(i64::MAX);
    received_at.plus_micros(ahead)
}

impl Checked {
    pub(crate) fn take(&mut self, index: usize, frame: VerifiedFrame, latest: Timestamp) {
        let (_, newest) = frame.content().time_range();
        if newest > latest {
            let message = format!(
                "it was collected at {newest}, which this server's clock reaches only after {latest}; \
                 set the clock of the agent's host"
            );
            self.reject(index, Some(frame.seq()), "clock_ahead", message);
            return;
        }
        self.positions.push(index);
        self.frames.push(frame);
    }

    pub(crate) fn reject(&mut self, index: usize, seq: Option<Seq>, code: &str, message: String) {
        self.rejected.push(RejectedItem { index, seq, code: code.to_owned(), message });
    }

    /// Stores what is good, and says what became of everything.
    pub(crate) async fn store(self, app: &App, origin: &Origin, stream: StreamId) -> ApiResult<PushAnswer> {
        let mut answer = PushAnswer { rejected: self.rejected, ..PushAnswer::new() };
        if !self.frames.is_empty() {
            app.counters.expired(expired(app, origin.received_at, &self.frames));
            let outcome = app.metrics.append(origin, stream, self.frames).await?;
            for (index, (seq, outcome)) in self.positions.into_iter().zip(outcome.frames) {
                match outcome {
                    FrameOutcome::Accepted => answer.accepted += 1,
                    FrameOutcome::Duplicate => answer.duplicates += 1,
                    FrameOutcome::Rejected { code, message } => {
                        answer.rejected.push(RejectedItem { index, seq: Some(seq), code: code.to_owned(), message });
                    }
                    other => {
                        let message = format!("the store said {other:?}, which this version does not know");
                        answer.rejected.push(RejectedItem {
                            index,
                            seq: Some(seq),
                            code: "unknown_outcome".to_owned(),
                            message,
                        });
                    }
                }
            }
            answer.rejected.sort_by_key(|item| item.index);
        }
        app.counters.pushed(answer.accepted, answer.duplicates, answer.rejected.len());
        Ok(answer)
    }
}

/// Frames that are older than their measurement is kept: taken, to be dropped.
fn expired(app: &App, now: Timestamp, frames: &[VerifiedFrame]) -> usize {
    let is_old = |frame: &&VerifiedFrame| {
        let Some(frame) = frame.frame() else { return false };
        let kept = frame.schema().retention().unwrap_or(app.settings.default_retention);
        let age = now.micros_since(frame.time_range().1);
        age > i64::try_from(kept.as_micros()).unwrap_or(i64::MAX)
    };
    frames.iter().filter(is_old).count()
}
