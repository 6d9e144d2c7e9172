//! Reads a body under limits of size, memory and time.

use std::time::Duration;

use axum::{body::Body, http::StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::admission::Admitted;
use crate::{error::Problem, settings::IngestLimits};

/// A body that did not say how long it is begins with this much room.
pub(crate) const UNKNOWN_LENGTH: usize = 64 << 10;

/// A refused body is read to its end, and thrown away, for at most this long:
/// then the connection can go on.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {limit} bytes; send fewer frames at once");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// The whole body.
pub(crate) async fn read(
    mut body: Body,
    length: Option<usize>,
    limits: &IngestLimits,
    place: &mut Admitted,
) -> Result<Bytes, Problem> {
    let limit = limits.max_body_bytes;
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Problem::bad_request("body_cut", format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let so_far = first.as_ref().map_or(whole.len(), Bytes::len);
            let then = so_far + data.len();
            if then > limit {
                return Err(too_large(limit));
            }
            place.grow_to(then)?;
            match first.take() {
                None if so_far == 0 => first = Some(data),
                // A body in one piece is used as it is, others are put together.
                before => {
                    if let Some(before) = before {
                        whole.reserve(length.unwrap_or(UNKNOWN_LENGTH).max(then));
                        whole.extend_from_slice(&before);
                    }
                    whole.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| whole.freeze()))
    };
    match tokio::time::timeout(limits.body_timeout, reading).await {
        Ok(result) => result,
        Err(_) => {
            let detail = format!("the body did not come within {} s", limits.body_timeout.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail))
        }
    }
}

/// Reads and throws away a body that was not admitted.
pub(crate) async fn drain(mut body: Body, limit: usize) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > limit {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, reading).await;
}
