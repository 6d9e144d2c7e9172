//! The bytes of a connection on their way, seen by its [`Activity`].

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{
    activity::{Activity, Version},
    frames::Frames,
};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until the protocol is known: at most the 24 bytes of HTTP/2's preface.
pub(super) async fn first_bytes<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(Version, Bytes)> {
    let mut bytes = [0; PREFACE.len()];
    let mut have = 0;
    loop {
        let read = stream.read(bytes.get_mut(have..).unwrap_or_default()).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        have += read;
        let seen = bytes.get(..have).unwrap_or_default();
        if seen == PREFACE {
            return Ok((Version::Http2, Bytes::copy_from_slice(seen)));
        }
        if !PREFACE.starts_with(seen) {
            return Ok((Version::Http1, Bytes::copy_from_slice(seen)));
        }
    }
}

/// A stream whose bytes are seen, and that ends when its connection is cut.
pub(super) struct Watched<S> {
    stream: S,
    /// Bytes that were read to know the protocol.
    first: Bytes,
    activity: Arc<Activity>,
    incoming: Frames,
    outgoing: Frames,
    has_ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    pub(super) fn new(stream: S, first: Bytes, activity: Arc<Activity>) -> Self {
        Self { stream, first, activity, incoming: Frames::default(), outgoing: Frames::default(), has_ended: false }
    }

    fn is_http2(&self) -> bool {
        self.activity.version() == Some(Version::Http2)
    }

    /// Says which limit it was, where that does not tear an answer apart, and
    /// reads no more.
    fn end(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let limit = self.activity.cut_for()?;
        if !self.has_ended {
            self.has_ended = true;
            let words = if self.is_http2() {
                self.outgoing.is_between().then(|| limit.go_away())
            } else {
                limit.http1_answer().filter(|_| self.activity.is_quiet()).map(String::into_bytes)
            };
            if let Some(words) = words {
                // What does not fit into the socket at once is not worth a wait.
                let _ = Pin::new(&mut self.stream).poll_write(cx, &words);
                let _ = Pin::new(&mut self.stream).poll_flush(cx);
            }
        }
        Some(io::Error::new(io::ErrorKind::TimedOut, limit.as_str()))
    }

    fn saw_written<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.activity.is_blocked(),
            Poll::Ready(Err(_)) => {}
            Poll::Ready(Ok(bytes)) => {
                self.activity.has_written(*bytes);
                if self.is_http2() {
                    let mut left = *bytes;
                    for piece in pieces {
                        let now = piece.get(..left.min(piece.len())).unwrap_or_default();
                        self.outgoing.scan(now, |_| {});
                        left -= now.len();
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.end(cx) {
            return Poll::Ready(Err(error));
        }
        if !this.first.is_empty() {
            let now = this.first.len().min(buffer.remaining());
            buffer.put_slice(this.first.get(..now).unwrap_or_default());
            this.first.advance(now);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if this.is_http2() {
            let activity = &this.activity;
            this.incoming.scan(read, |frame| activity.has_begun(frame));
            if let Some(error) = this.end(cx) {
                return Poll::Ready(Err(error));
            }
        } else if !read.is_empty() {
            this.activity.has_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.saw_written(std::iter::once(bytes), &written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        this.saw_written(pieces.iter().map(|piece| &**piece), &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        match &flushed {
            // Of TLS: bytes that were taken wait for the socket.
            Poll::Pending => this.activity.is_blocked(),
            Poll::Ready(_) => this.activity.has_flushed(),
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_protocol_is_known_by_its_first_bytes() {
        let cases: [(&[u8], Option<Version>); 6] = [
            (b"GET / HTTP/1.1\r\n", Some(Version::Http1)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest", Some(Version::Http2)),
            (b"PRI * HTTP/1.1\r\n\r\n", Some(Version::Http1)),
            (b"POST /", Some(Version::Http1)),
            (b"P", None),
            (b"", None),
        ];
        for (sent, expected) in cases {
            let found = first_bytes(&mut &*sent).await;
            let (version, read) = found.map_or((None, Bytes::new()), |(version, read)| (Some(version), read));
            assert_eq!(version, expected, "{sent:?}");
            assert!(sent.starts_with(&read));
        }
    }
}
