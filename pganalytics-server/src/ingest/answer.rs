//! What a push is answered.

use pganalytics_core::Seq;
use serde::Serialize;
use utoipa::ToSchema;

/// What became of a push.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct PushAnswer {
    /// Always `success`: the request was worked on. What was not taken is in
    /// `rejected`.
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    /// Frames (or metrics of a JSON push) that are stored now, durably.
    pub(crate) accepted: usize,
    /// Frames that were stored before.
    pub(crate) duplicates: usize,
    /// Frames that will never be taken.
    pub(crate) rejected: Vec<RejectedItem>,
    /// Version of the configuration that the collector should have; 0: none.
    pub(crate) next_config_version: u64,
}

/// A frame or metric that will never be taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedItem {
    /// Its position in the push, from 0 on.
    pub(crate) index: usize,
    /// Its number in its stream; frames only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub(crate) seq: Option<Seq>,
    /// Stable name of the reason.
    pub(crate) code: String,
    /// The reason in words.
    pub(crate) message: String,
}

impl PushAnswer {
    pub(crate) fn new() -> Self {
        Self { status: "success", ..Self::default() }
    }
}
