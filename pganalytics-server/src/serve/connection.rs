//! One connection, from its first byte to its end.

use std::{error::Error as _, future::Future as _, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    Transport,
    activity::{Activity, Due, Request as UnderWay, Version},
    body::Sent,
    io::{Watched, first_bytes},
    limit::Limit,
};
use crate::settings::ConnectionLimits;

/// Least that hyper wants for its buffer.
const MIN_BUFFER: usize = 8 << 10;
/// A stalled reader holds this much of the kernel's memory, not the megabytes
/// that a fast one is given; it is also what has to move within the write timeout.
const SEND_BUFFER: usize = 256 << 10;
/// Bytes of requests that may wait unread: of a stream, of a connection.
const WINDOWS: (u32, u32) = (512 << 10, 1 << 20);

/// How connections are served.
pub(super) struct Protocols {
    http1: conn::http1::Builder,
    http2: conn::http2::Builder<TokioExecutor>,
    first_bytes_timeout: Duration,
}

/// When connections end, apart from their own limits.
#[derive(Clone, Default)]
pub(super) struct Ending {
    /// No more requests.
    pub(super) drain: CancellationToken,
    /// At once.
    pub(super) now: CancellationToken,
}

impl Protocols {
    pub(super) fn new(limits: &ConnectionLimits) -> Self {
        let mut http1 = conn::http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // Its clock also runs between two requests; ours knows the difference.
            .header_read_timeout(None)
            .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER))
            .max_headers(100);
        let mut http2 = conn::http2::Builder::new(TokioExecutor::new());
        let (stream, connection) = WINDOWS;
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(limits.http2_max_streams.max(1))
            .max_local_error_reset_streams(Some(128))
            // As many as may be cancelled at once, before a busy server has begun with them.
            .max_pending_accept_reset_streams(Some(limits.http2_max_streams as usize))
            .max_send_buf_size(128 << 10)
            .initial_stream_window_size(stream)
            .initial_connection_window_size(connection)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        Self { http1, http2, first_bytes_timeout: limits.first_bytes_timeout }
    }

    /// Serves a connection to its end; gives the limit that ended it.
    pub(super) async fn run(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        transport: &Transport,
        router: Router,
        activity: Arc<Activity>,
        ending: Ending,
    ) -> Option<Limit> {
        let socket = socket2::SockRef::from(&stream);
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        // Small answers must not wait for more to come.
        let _ = stream.set_nodelay(true);
        let served = async {
            match transport {
                Transport::Plain => self.begin(stream, peer, router, activity, ending.drain).await,
                #[cfg(feature = "tls")]
                Transport::Tls(acceptor) => match timeout(self.first_bytes_timeout, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => self.begin(stream, peer, router, activity, ending.drain).await,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, %peer, "a TLS handshake failed");
                        None
                    }
                    Err(_) => Some(Limit::TlsHandshake),
                },
            }
        };
        tokio::select! {
            limit = served => limit,
            () = ending.now.cancelled() => None,
        }
    }

    async fn begin<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        mut stream: S,
        peer: SocketAddr,
        router: Router,
        activity: Arc<Activity>,
        drain: CancellationToken,
    ) -> Option<Limit> {
        let first = tokio::select! {
            first = timeout(self.first_bytes_timeout, first_bytes(&mut stream)) => first,
            limit = cut(&activity) => {
                say(&mut stream, limit).await;
                return Some(limit);
            }
            // Nobody has asked for anything yet.
            () = drain.cancelled() => return None,
        };
        let (version, first) = match first {
            Ok(Ok(first)) => first,
            Ok(Err(_)) => return None,
            Err(_) => {
                say(&mut stream, Limit::FirstBytes).await;
                return Some(Limit::FirstBytes);
            }
        };
        activity.set_version(version);
        self.serve(stream, first, version, peer, router, activity, drain).await
    }

    #[expect(clippy::too_many_arguments, reason = "what a connection is made of")]
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        first: Bytes,
        version: Version,
        peer: SocketAddr,
        router: Router,
        activity: Arc<Activity>,
        drain: CancellationToken,
    ) -> Option<Limit> {
        let io = TokioIo::new(Watched::new(stream, first, Arc::clone(&activity)));
        let of = Arc::clone(&activity);
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, of) = (router.clone(), Arc::clone(&of));
            answer(request, peer, router, of)
        });
        match version {
            Version::Http1 => drive(self.http1.serve_connection(io, service), &activity, drain).await,
            Version::Http2 => drive(self.http2.serve_connection(io, service), &activity, drain).await,
        }
    }
}

async fn answer(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    router: Router,
    of: Arc<Activity>,
) -> Result<Response<Sent>, std::convert::Infallible> {
    let under_way = UnderWay::begin(&of);
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(Arc::clone(&of));
    let mut response = router.oneshot(request.map(Body::new)).await?;
    if of.closes_after_this() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Sent::new(body, under_way)))
}

/// Polls a connection until it ends, or until one of its deadlines is over.
async fn drive<C>(connection: C, activity: &Activity, drain: CancellationToken) -> Option<Limit>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = std::pin::pin!(connection);
    let mut drained = std::pin::pin!(drain.cancelled());
    let mut alarm = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
    let mut draining = false;
    std::future::poll_fn(|cx| {
        activity.driven_by(cx.waker());
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                let Err(error) = ended else { return Poll::Ready(activity.cut_for()) };
                tracing::debug!(%error, "a connection ended early");
                return Poll::Ready(activity.cut_for().or_else(|| is_flood(&error).then_some(Limit::Flood)));
            }
            if !draining && drained.as_mut().poll(cx).is_ready() {
                draining = true;
                activity.told_to_go();
                connection.as_mut().graceful_shutdown();
                continue;
            }
            match activity.due() {
                Due::Cut(limit) => {
                    activity.cut(limit);
                    // Once more: its next read says good-bye.
                    let _ = connection.as_mut().poll(cx);
                    return Poll::Ready(Some(limit));
                }
                Due::NoMore(limit) => {
                    tracing::debug!(limit = limit.as_str(), age = ?activity.age(), "a connection takes no more requests");
                    activity.told_to_go();
                    connection.as_mut().graceful_shutdown();
                }
                Due::At(next) => {
                    alarm.as_mut().reset(next.into());
                    if alarm.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await
}

/// Whether the HTTP/2 library has had enough of its peer.
fn is_flood(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    source.and_then(h2::Error::reason) == Some(h2::Reason::ENHANCE_YOUR_CALM)
}

/// The limit that a connection without a protocol is cut for.
async fn cut(activity: &Activity) -> Limit {
    std::future::poll_fn(|cx| {
        activity.driven_by(cx.waker());
        activity.cut_for().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Answers somebody who has asked for nothing yet.
async fn say<S: AsyncWrite + Unpin>(stream: &mut S, limit: Limit) {
    let Some(answer) = limit.http1_answer() else { return };
    let write = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // A socket that takes not even this is closed all the same.
    let _ = timeout(Duration::from_millis(100), write).await;
}

/// Refuses a connection that has no place.
pub(super) fn refuse(stream: &TcpStream, transport: &Transport, limit: Limit) {
    tracing::debug!(limit = limit.as_str(), "refused a connection");
    if matches!(transport, Transport::Plain)
        && let Some(answer) = limit.http1_answer()
    {
        let _ = stream.try_write(answer.as_bytes());
    }
}
