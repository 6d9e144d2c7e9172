//! Serves listeners: connections, their limits, and their end.
//!
//! What stays true, for HTTP/1 and HTTP/2:
//!
//! * Each wait for the other end has a deadline: its TLS handshake, its first
//!   bytes, a request's head, the next request, its reading of an answer.
//!   Bodies have deadlines of their own where they are read.
//! * Connections at once are bounded, in all and for an address, and a stranger
//!   can't keep others from theirs ([`places`]).
//! * Frames of HTTP/2 that only steer, and requests that are taken back, are
//!   bounded by the minute ([`activity`]).
//! * A connection that has its age, or that the server has to close, takes no
//!   more requests and ends those under way; only HTTP/1 between two requests
//!   is closed without a word.
//! * Whatever is cut off is counted under the name of its limit.

pub(crate) mod activity;
mod body;
pub(crate) mod bucket;
mod connection;
mod frames;
mod io;
pub(crate) mod limit;
mod places;

use std::{
    future::Future,
    io::ErrorKind,
    net::SocketAddr,
    sync::Arc,
    sync::atomic::Ordering::{Relaxed, Release},
    time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::TaskTracker;

use self::{
    activity::Activity,
    connection::{Ending, Protocols, refuse},
    places::{Places, Standing},
};
use crate::{Server, error::ServerError, peer, state::App};

/// After "too many open files" and the like the next try comes after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How bytes of a connection are protected.
#[derive(Clone, Default)]
enum Transport {
    #[default]
    Plain,
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

/// A socket to serve, and what is served there. A server has any number of
/// them; limits of connections are those of all together.
pub struct Listener {
    socket: TcpListener,
    transport: Transport,
    service: Option<Router>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Listener {
    /// Plain HTTP.
    #[must_use]
    pub fn plain(socket: TcpListener) -> Self {
        Self { socket, transport: Transport::Plain, service: None }
    }

    /// HTTPS, as [`TlsFiles::load`](crate::TlsFiles::load) makes it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(socket: TcpListener, config: Arc<rustls::ServerConfig>) -> Self {
        let transport = Transport::Tls(tokio_rustls::TlsAcceptor::from(config));
        Self { socket, transport, service: None }
    }

    /// Serves this instead of the server's own service.
    #[must_use]
    pub fn with_service(mut self, service: Router) -> Self {
        self.service = Some(service);
        self
    }
}

impl Server {
    /// Serves plain HTTP until `shutdown` comes; says for
    /// [`Settings::drain_delay`](crate::Settings::drain_delay) that it is
    /// draining, then takes no more connections and lets what is under way end,
    /// within [`Settings::drain_timeout`](crate::Settings::drain_timeout).
    ///
    /// # Errors
    /// When the metric store has failed for good.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        self.serve_all(vec![Listener::plain(listener)], shutdown).await
    }

    /// As [`Server::serve`], over TLS 1.3.
    ///
    /// # Errors
    /// When certificate or key can't be used, or the metric store has failed
    /// for good.
    #[cfg(feature = "tls")]
    pub async fn serve_tls(
        self,
        listener: TcpListener,
        files: &crate::TlsFiles,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        self.serve_all(vec![Listener::tls(listener, files.load()?)], shutdown).await
    }

    /// As [`Server::serve`], on several sockets.
    ///
    /// # Errors
    /// When the metric store has failed for good.
    pub async fn serve_all(
        self,
        listeners: Vec<Listener>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        let maintenance = tokio::spawn(self.maintenance());
        let (delay, drain) = (self.app.settings.drain_delay, self.app.settings.drain_timeout);
        let connections = Arc::new(Connections::new(self.app));
        let mut accepting = JoinSet::new();
        for mut listener in listeners {
            let service = listener.service.take().unwrap_or_else(|| self.router.clone());
            accepting.spawn(Arc::clone(&connections).accept(listener, service));
        }
        let metrics = Arc::clone(&connections.app.metrics);
        let failed = tokio::select! {
            () = shutdown => None,
            error = metrics.failed() => Some(error),
        };
        if let Some(error) = &failed {
            tracing::error!(%error, "the metric store has failed for good: stopping");
        }
        connections.app.draining.store(true, Release);
        if failed.is_none() && !delay.is_zero() {
            tracing::info!(?delay, "draining: requests are still taken, and /health/ready turns balancers away");
            tokio::time::sleep(delay).await;
        }
        connections.ending.drain.cancel();
        // Sockets are closed at once, so that a successor can have the ports.
        accepting.shutdown().await;
        maintenance.abort();
        tracing::info!(connections = connections.open.len(), "stopping: taking no more requests");
        connections.open.close();
        if tokio::time::timeout(drain, connections.open.wait()).await.is_err() {
            tracing::warn!(after = ?drain, "some requests did not end in time");
            connections.ending.now.cancel();
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Accepts connections, and knows those that are open.
struct Connections {
    app: App,
    protocols: Protocols,
    places: Arc<Places>,
    open: TaskTracker,
    ending: Ending,
}

impl Connections {
    fn new(app: App) -> Self {
        let limits = &app.settings.connections;
        let places = Places::new(limits.max, limits.max_per_address);
        let protocols = Protocols::new(limits);
        Self { app, protocols, places, open: TaskTracker::new(), ending: Ending::default() }
    }

    async fn accept(self: Arc<Self>, listener: Listener, service: Router) {
        let Listener { socket, transport, .. } = listener;
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => self.open(stream, peer, &transport, &service),
                Err(error) if is_of_one_connection(error.kind()) => {}
                Err(error) => {
                    tracing::warn!(%error, "can't accept connections just now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn open(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, transport: &Transport, service: &Router) {
        let counters = &self.app.counters;
        let is_tls = !matches!(transport, Transport::Plain);
        let activity = Arc::new(Activity::new(&self.app.settings.connections, is_tls));
        let address = peer::network(peer.ip().to_canonical());
        counters.connections.fetch_add(1, Relaxed);
        if let Err(limit) = self.places.take(address, self.standing(peer), &activity) {
            refuse(&stream, transport, limit);
            counters.ended_by(limit);
            return;
        }
        counters.connections_open.fetch_add(1, Relaxed);
        let (connections, transport, service) = (Arc::clone(self), transport.clone(), service.clone());
        self.open.spawn(async move {
            let ending = connections.ending.clone();
            let ended = connections.protocols.run(stream, peer, &transport, service, activity, ending).await;
            if let Some(limit) = ended {
                tracing::debug!(limit = limit.as_str(), %peer, "cut off a connection");
                connections.app.counters.ended_by(limit);
            }
            connections.app.counters.connections_open.fetch_sub(1, Relaxed);
        });
    }

    fn standing(&self, peer: SocketAddr) -> Standing {
        let address = peer.ip().to_canonical();
        if self.app.settings.proxies.trusts(address) {
            Standing::TrustedProxy
        } else if peer::is_this_machine(address) {
            Standing::Local
        } else {
            Standing::Stranger
        }
    }
}

fn is_of_one_connection(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}
