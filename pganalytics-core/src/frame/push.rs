//! The body of a push: frames of one stream, each with its number.
//!
//! ```text
//! magic "PGAP", version 1, stream (16 bytes),
//! then for each frame: seq (8 bytes), length (4 bytes), the frame
//! ```
//! Integers are little-endian.

use bytes::Bytes;
use uuid::Uuid;

use super::{FrameError, PushLimits, wire::Reader};
use crate::id::{Seq, StreamId};

const MAGIC: &[u8; 4] = b"PGAP";
const MAGIC_TEXT: &str = "PGAP";
const VERSION: u8 = 1;

/// Frames of one stream, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushBody {
    /// The stream.
    pub stream: StreamId,
    /// The frames and their numbers; they share the body's memory and are not
    /// looked into yet.
    pub frames: Vec<(Seq, Bytes)>,
}

/// The body of a push.
///
/// ```
/// use pganalytics_core::{Seq, StreamId, frame::{PushBody, PushLimits, encode_push}};
/// let stream = StreamId::random();
/// let body = encode_push(stream, &[(Seq(7), b"a frame".as_slice().into())]);
/// let read = PushBody::parse(body.into(), &PushLimits::default())?;
/// assert_eq!((read.stream, read.frames.len()), (stream, 1));
/// # Ok::<(), pganalytics_core::frame::FrameError>(())
/// ```
#[must_use]
pub fn encode_push(stream: StreamId, frames: &[(Seq, Bytes)]) -> Vec<u8> {
    let size: usize = frames.iter().map(|(_, bytes)| bytes.len() + 12).sum();
    let mut out = Vec::with_capacity(size + 21);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(stream.as_uuid().as_bytes());
    for (seq, bytes) in frames {
        out.extend_from_slice(&seq.0.to_le_bytes());
        // A frame of 4 GiB can't be made; a cut length would not parse.
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out
}

impl PushBody {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is no push, a frame overruns it, or a limit is exceeded. Whether
    /// each frame is good is not looked at.
    #[expect(clippy::needless_pass_by_value, reason = "the frames keep a share of it")]
    pub fn parse(body: Bytes, limits: &PushLimits) -> Result<Self, FrameError> {
        if !body.starts_with(MAGIC) {
            return Err(FrameError::NotAFrame { expected: MAGIC_TEXT });
        }
        let mut reader = Reader::new("push", &body);
        reader.take(MAGIC.len())?;
        let version = reader.byte()?;
        if version != VERSION {
            return Err(FrameError::UnsupportedVersion { major: version, minor: 0, supported: VERSION });
        }
        let stream = StreamId::from_uuid(Uuid::from_bytes(reader.array()?));
        let mut frames = Vec::new();
        while !reader.rest().is_empty() {
            if frames.len() >= limits.max_frames {
                let limit = limits.max_frames as u64;
                return Err(FrameError::TooLarge { what: "frames in one push", given: limit + 1, limit });
            }
            let seq = Seq(u64::from_le_bytes(reader.array()?));
            let len = u32::from_le_bytes(reader.array()?) as usize;
            if len > limits.max_frame_bytes {
                return Err(FrameError::TooLarge {
                    what: "frame in a push",
                    given: len as u64,
                    limit: limits.max_frame_bytes as u64,
                });
            }
            frames.push((seq, body.slice_ref(reader.take(len)?)));
        }
        Ok(Self { stream, frames })
    }
}
