//! What a server answers to a push of frames.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::{
    id::{Seq, StreamId},
    ranges::Ranges,
};

/// The reply to a push of frames: what became of each of them, by stream and
/// number.
///
/// A frame that none of the four lists names was *not* taken, whatever the
/// status of the reply, and is to be sent again.
///
/// ```
/// use pganalytics_core::{PushReply, Seq, StreamId};
/// let stream = StreamId::random();
/// let text = format!(r#"{{"status":"ok","stored":[{{"stream":"{stream}","first":1,"last":9}}],"duplicate":[]}}"#);
/// let reply: PushReply = serde_json::from_str(&text)?;
/// assert!(reply.stored(stream).contains(Seq(9)));
/// assert!(!reply.stored(StreamId::random()).contains(Seq(9)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushReply {
    /// In one word.
    pub status: PushStatus,
    /// Frames that are stored now, durably.
    #[serde(default)]
    pub stored: Vec<StreamRange>,
    /// Frames that were stored before, durably.
    #[serde(default)]
    pub duplicate: Vec<StreamRange>,
    /// Frames that will never be taken.
    #[serde(default)]
    pub refused: Vec<RefusedRange>,
    /// Frames that can't be read as they were sent, and may be sent otherwise:
    /// `unknown_schema` says that a frame's schema is to be sent along.
    #[serde(default)]
    pub unreadable: Vec<UnreadableItem>,
    /// How many frames are stored now.
    #[serde(default)]
    pub accepted: u64,
    /// How many were stored before.
    #[serde(default)]
    pub duplicates: u64,
    /// Version of the configuration that the collector should have; 0: none.
    #[serde(default)]
    pub next_config_version: u64,
}

/// A reply in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PushStatus {
    /// All that was sent is stored.
    #[default]
    Ok,
    /// Some of it is.
    Partial,
    /// Nothing of it is.
    Refused,
}

/// Frames of a stream, without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamRange {
    /// The stream.
    #[cfg_attr(feature = "openapi", schema(value_type = uuid::Uuid))]
    pub stream: StreamId,
    /// Number of the first of them.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub first: Seq,
    /// Number of the last of them.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub last: Seq,
}

/// Frames that are refused for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedRange {
    /// Which.
    #[serde(flatten)]
    pub range: StreamRange,
    /// Stable name of the reason.
    pub code: String,
    /// The reason in words.
    #[serde(default)]
    pub error: String,
}

/// A frame that can't be read as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnreadableItem {
    /// Its position in the push, from 0 on.
    pub index: usize,
    /// Stable name of the reason.
    pub code: String,
    /// The reason in words.
    #[serde(default)]
    pub error: String,
}

impl PushReply {
    /// Numbers of a stream that are stored now.
    #[must_use]
    pub fn stored(&self, stream: StreamId) -> Ranges {
        of_stream(self.stored.iter(), stream)
    }

    /// Numbers of a stream that were stored before.
    #[must_use]
    pub fn duplicate(&self, stream: StreamId) -> Ranges {
        of_stream(self.duplicate.iter(), stream)
    }

    /// Why a frame is refused for good.
    #[must_use]
    pub fn refusal(&self, stream: StreamId, seq: Seq) -> Option<&RefusedRange> {
        let names = |range: &StreamRange| range.stream == stream && (range.first..=range.last).contains(&seq);
        self.refused.iter().find(|refused| names(&refused.range))
    }
}

fn of_stream<'a>(ranges: impl Iterator<Item = &'a StreamRange>, stream: StreamId) -> Ranges {
    ranges.filter(|range| range.stream == stream).map(|range| range.first..=range.last).collect()
}

impl StreamRange {
    /// The ranges of a stream.
    #[must_use]
    pub fn list(stream: StreamId, ranges: &Ranges) -> Vec<Self> {
        ranges.iter().map(|range| Self::new(stream, &range)).collect()
    }

    fn new(stream: StreamId, range: &RangeInclusive<Seq>) -> Self {
        Self { stream, first: *range.start(), last: *range.end() }
    }
}

impl RefusedRange {
    /// Frames of a stream with the code and the words of their refusal;
    /// neighbours with the same ones are put together.
    #[must_use]
    pub fn list(stream: StreamId, refused: impl IntoIterator<Item = (Seq, String, String)>) -> Vec<Self> {
        let mut reasons: BTreeMap<(String, String), Ranges> = BTreeMap::new();
        for (seq, code, error) in refused {
            reasons.entry((code, error)).or_default().insert(seq);
        }
        let all = reasons.iter().flat_map(|((code, error), ranges)| {
            let range = |range| StreamRange::new(stream, &range);
            ranges.iter().map(move |seqs| Self { range: range(seqs), code: code.clone(), error: error.clone() })
        });
        let mut all: Vec<Self> = all.collect();
        all.sort_by_key(|refused| refused.range.first);
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reply_is_written_as_documented_and_read_again() {
        let stream = StreamId::from_uuid(uuid::Uuid::from_u128(7));
        let held: Ranges = [Seq(1)..=Seq(9), Seq(12)..=Seq(12)].into_iter().collect();
        let refused = [(11, "late"), (10, "late"), (14, "early")];
        let refused = refused.map(|(seq, code)| (Seq(seq), code.to_owned(), "words".to_owned()));
        let reply = PushReply {
            status: PushStatus::Partial,
            stored: StreamRange::list(stream, &held),
            refused: RefusedRange::list(stream, refused),
            accepted: 10,
            ..PushReply::default()
        };
        let text = serde_json::to_string(&reply).unwrap();
        let id = "00000000-0000-0000-0000-000000000007";
        let expected = format!(
            r#"{{"status":"partial","stored":[{{"stream":"{id}","first":1,"last":9}},{{"stream":"{id}","first":12,"last":12}}],"duplicate":[],"refused":[{{"stream":"{id}","first":10,"last":11,"code":"late","error":"words"}},{{"stream":"{id}","first":14,"last":14,"code":"early","error":"words"}}],"unreadable":[],"accepted":10,"duplicates":0,"next_config_version":0}}"#
        );
        assert_eq!(text, expected);
        let read: PushReply = serde_json::from_str(&text).unwrap();
        assert_eq!(read, reply);
        assert_eq!(read.stored(stream), held);
        assert!(read.duplicate(stream).is_empty());
        assert_eq!(read.refusal(stream, Seq(11)).unwrap().code, "late");
        assert_eq!(read.refusal(stream, Seq(13)), None);
        assert_eq!(read.refusal(StreamId::random(), Seq(11)), None);
    }

    #[test]
    fn a_reply_of_somebody_else_is_none() {
        for text in ["{}", r#"{"status":"success","accepted":3}"#, "[]", "<html>"] {
            assert!(serde_json::from_str::<PushReply>(text).is_err(), "{text}");
        }
    }
}
