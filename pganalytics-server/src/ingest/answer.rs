//! What pushes are answered.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use pganalytics_core::{PushReply, PushStatus, Ranges, RefusedRange, Seq, StreamId, StreamRange, UnreadableItem};
use pganalytics_store::{AppendOutcome, FrameOutcome};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ApiResult, Problem};

/// The code of a frame whose schema is to be sent along.
const UNKNOWN_SCHEMA: &str = "unknown_schema";
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a push is answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum PushAnswer {
    /// To frames.
    Frames(PushReply),
    /// To JSON.
    Document(DocumentReply),
}

/// What became of a JSON push.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DocumentReply {
    /// In one word.
    pub(crate) status: DocumentStatus,
    /// Metrics that are stored now, durably.
    pub(crate) accepted: usize,
    /// Metrics that were stored before; a push that comes again is answered as it
    /// was the first time.
    pub(crate) duplicates: usize,
    /// Metrics that will never be taken.
    pub(crate) rejected: Vec<RejectedItem>,
    /// Version of the configuration that the collector should have; 0: none.
    pub(crate) next_config_version: u64,
    /// Whether it was given before.
    #[serde(skip)]
    pub(crate) replayed: bool,
}

/// A reply to a JSON push in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DocumentStatus {
    /// Everything was taken.
    Success,
    /// Some of it was.
    Partial,
    /// Nothing of it was.
    Refused,
}

/// A frame or metric that will never be taken.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RejectedItem {
    /// Its position in the push, from 0 on.
    pub(crate) index: usize,
    /// Its number in its stream; frames only.
    #[serde(skip)]
    pub(crate) seq: Option<Seq>,
    /// Stable name of the reason.
    pub(crate) code: String,
    /// The reason in words.
    pub(crate) message: String,
}

impl DocumentReply {
    /// The reply to so many metrics, of which some did not become frames; `positions`
    /// are those of the frames, of which a metric may have several or none.
    pub(crate) fn new(
        metrics: usize,
        mut rejected: Vec<RejectedItem>,
        positions: &[usize],
        outcome: &AppendOutcome,
    ) -> Self {
        // Of each metric that has frames: whether one of them is new.
        let mut stored: BTreeMap<usize, bool> = BTreeMap::new();
        for (index, (_, outcome)) in positions.iter().zip(&outcome.frames) {
            match refusal(outcome) {
                Some((code, message)) => rejected.push(RejectedItem { index: *index, seq: None, code, message }),
                None => *stored.entry(*index).or_default() |= matches!(outcome, FrameOutcome::Accepted),
            }
        }
        rejected.sort_by_key(|item| item.index);
        let refused: BTreeSet<usize> =
            rejected.iter().map(|item| item.index).filter(|index| !stored.contains_key(index)).collect();
        let duplicates = stored.values().filter(|is_new| !**is_new).count();
        let accepted = metrics.saturating_sub(duplicates + refused.len());
        let status = match (accepted + duplicates, rejected.len()) {
            (_, 0) => DocumentStatus::Success,
            (0, _) => DocumentStatus::Refused,
            _ => DocumentStatus::Partial,
        };
        Self { status, accepted, duplicates, rejected, next_config_version: 0, replayed: false }
    }

    /// As JSON, for the store.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// One that was given before.
    pub(crate) fn replayed(bytes: &[u8]) -> ApiResult<Self> {
        let reply = serde_json::from_slice::<Self>(bytes).map_err(|error| Problem::internal(&error))?;
        Ok(Self { replayed: true, ..reply })
    }
}

/// Why a frame was not taken; `None` when it is stored.
pub(crate) fn refusal(outcome: &FrameOutcome) -> Option<(String, String)> {
    match outcome {
        FrameOutcome::Accepted | FrameOutcome::Duplicate => None,
        FrameOutcome::Rejected { code, message } => Some(((*code).to_owned(), message.clone())),
        other => {
            let message = format!("the store said {other:?}, which this version does not know");
            Some(("unknown_outcome".to_owned(), message))
        }
    }
}

impl IntoResponse for PushAnswer {
    fn into_response(self) -> Response {
        let (refused, replayed) = match &self {
            Self::Frames(reply) => (reply.status == PushStatus::Refused, false),
            Self::Document(reply) => (reply.status == DocumentStatus::Refused, reply.replayed),
        };
        let status = if refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let mut response = (status, Json(self)).into_response();
        if replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// The reply to frames of a stream.
pub(crate) fn reply_of(
    stream: StreamId,
    rejected: impl IntoIterator<Item = RejectedItem>,
    outcome: &AppendOutcome,
) -> PushReply {
    let (mut stored, mut duplicate) = (Ranges::new(), Ranges::new());
    let mut reply = PushReply::default();
    let mut refused = Vec::new();
    for (seq, what) in &outcome.frames {
        match what {
            FrameOutcome::Accepted => stored.insert(*seq),
            FrameOutcome::Duplicate => duplicate.insert(*seq),
            _ => false,
        };
    }
    for item in rejected {
        let RejectedItem { index, seq, code, message } = item;
        match seq.filter(|_| code != UNKNOWN_SCHEMA) {
            // The same number may have come twice.
            Some(seq) if stored.contains(seq) || duplicate.contains(seq) => {}
            Some(seq) => refused.push((seq, code, message)),
            None => reply.unreadable.push(UnreadableItem { index, code, error: message }),
        }
    }
    let taken = !stored.is_empty() || !duplicate.is_empty();
    reply.status = match (taken, refused.is_empty() && reply.unreadable.is_empty()) {
        (_, true) => PushStatus::Ok,
        (true, false) => PushStatus::Partial,
        (false, false) => PushStatus::Refused,
    };
    reply.accepted = outcome.accepted() as u64;
    reply.duplicates = outcome.duplicates() as u64;
    reply.stored = StreamRange::list(stream, &stored);
    reply.duplicate = StreamRange::list(stream, &duplicate);
    reply.refused = RefusedRange::list(stream, refused);
    reply
}
