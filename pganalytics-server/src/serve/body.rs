//! The body of an answer, handed over in pieces whose going is seen.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::activity::Request;

/// Longest piece. What is handed over waits in memory of the connection; the
/// rest is shared with whoever made it.
const PIECE: usize = 64 << 10;

/// A body on its way to the peer.
pub(super) struct Sent {
    body: Body,
    rest: Bytes,
    request: Request,
}

impl Sent {
    pub(super) fn new(body: Body, request: Request) -> Self {
        Self { body, rest: Bytes::new(), request }
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.request.goes_on();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = this.rest.split_to(PIECE.min(this.rest.len()));
        this.request.waits_for_reader();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(of.lower() + rest);
        if let Some(upper) = of.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{
        serve::activity::{Activity, Version},
        settings::ConnectionLimits,
    };

    #[tokio::test]
    async fn what_arrives_is_what_was_made() {
        let activity = Arc::new(Activity::new(&ConnectionLimits::default(), false));
        activity.set_version(Version::Http1);
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 7] {
            let made: Bytes = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut sent = Sent::new(Body::from(made.clone()), Request::begin(&activity));
            let mut arrived = Vec::new();
            while let Some(frame) = sent.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert!(data.len() <= PIECE);
                arrived.extend(data);
                assert_eq!(sent.size_hint().exact(), Some((length - arrived.len()) as u64));
                assert_eq!(sent.is_end_stream(), arrived.len() == length);
            }
            assert_eq!(arrived, made);
        }
    }
}
