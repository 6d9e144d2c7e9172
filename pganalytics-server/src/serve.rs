//! Serves a listener: connections, their limits, and their end.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt as _;

use crate::{Server, error::ServerError, settings::ConnectionLimits, state::App};

/// After "too many open files" and the like the next try comes after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Least that hyper wants for its buffer.
const MIN_BUFFER: usize = 8 << 10;

/// How bytes of a connection are protected.
#[derive(Clone, Default)]
enum Transport {
    #[default]
    Plain,
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

impl Server {
    /// Serves plain HTTP until `shutdown` comes; then takes no more connections
    /// and lets what is under way end, within
    /// [`Settings::drain_timeout`](crate::Settings::drain_timeout).
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        self.run(listener, Transport::Plain, shutdown).await
    }

    /// As [`Server::serve`], over TLS 1.3.
    ///
    /// # Errors
    /// When certificate or key can't be used, or the listener fails for good.
    #[cfg(feature = "tls")]
    pub async fn serve_tls(
        self,
        listener: TcpListener,
        files: &crate::TlsFiles,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        let acceptor = tokio_rustls::TlsAcceptor::from(files.load()?);
        self.run(listener, Transport::Tls(acceptor), shutdown).await
    }

    async fn run(
        self,
        listener: TcpListener,
        transport: Transport,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        let maintenance = tokio::spawn(self.maintenance());
        let drain = self.app.settings.drain_timeout;
        let doors = Doors::new(self.app, self.router, transport);
        let graceful = GracefulShutdown::new();
        tokio::pin!(shutdown);
        loop {
            let place = tokio::select! {
                () = &mut shutdown => break,
                place = doors.place() => place,
            };
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => doors.open(stream, peer, place, &graceful),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "can't accept connections just now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Closed at once, so that a successor can have the port.
        drop(listener);
        maintenance.abort();
        let open = graceful.count();
        tracing::info!(connections = open, "stopping: taking no more requests");
        if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
            tracing::warn!(after = ?drain, "some requests did not end in time");
        }
        Ok(())
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Lets connections in.
struct Doors {
    app: App,
    router: Router,
    transport: Transport,
    places: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    builder: Arc<auto::Builder<TokioExecutor>>,
}

/// A place for one connection; free again when this is dropped.
struct Place {
    app: App,
    address: Option<IpAddr>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Doors {
    fn new(app: App, router: Router, transport: Transport) -> Self {
        let limits = &app.settings.connections;
        let places = Arc::new(Semaphore::new(limits.max.clamp(1, Semaphore::MAX_PERMITS)));
        let builder = Arc::new(builder(limits));
        Self { app, router, transport, places, by_address: Arc::default(), builder }
    }

    /// Waits until one more connection fits; until then the system queues them.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    fn open(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Option<OwnedSemaphorePermit>,
        graceful: &GracefulShutdown,
    ) {
        let address = peer.ip().to_canonical();
        let Some(place) = self.count(address, permit) else {
            tracing::debug!(%address, "too many connections of one address");
            return;
        };
        // Small answers must not wait for more to come.
        let _ = stream.set_nodelay(true);
        let patience = self.app.settings.connections.header_timeout;
        let watcher = graceful.watcher();
        let (builder, router, transport) = (Arc::clone(&self.builder), self.router.clone(), self.transport.clone());
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                router.clone().oneshot(request.map(Body::new))
            });
            match transport {
                Transport::Plain => {
                    // Whoever connects and says nothing is not waited for.
                    if !matches!(tokio::time::timeout(patience, stream.readable()).await, Ok(Ok(()))) {
                        return;
                    }
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    report(watcher.watch(connection.into_owned()).await);
                }
                #[cfg(feature = "tls")]
                Transport::Tls(acceptor) => {
                    let Ok(Ok(stream)) = tokio::time::timeout(patience, acceptor.accept(stream)).await else { return };
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    report(watcher.watch(connection.into_owned()).await);
                }
            }
        });
    }

    fn count(&self, address: IpAddr, permit: Option<OwnedSemaphorePermit>) -> Option<Place> {
        let address = ConnectionLimits::counts(address).then_some(address);
        if let Some(address) = address {
            let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(address).or_default();
            if *count >= self.app.settings.connections.max_per_address {
                return None;
            }
            *count += 1;
        }
        self.app.counters.connections.fetch_add(1, Relaxed);
        self.app.counters.connections_open.fetch_add(1, Relaxed);
        let app = self.app.clone();
        Some(Place { app, address, by_address: Arc::clone(&self.by_address), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.counters.connections_open.fetch_sub(1, Relaxed);
        let Some(address) = self.address else { return };
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

fn builder(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER))
        .max_headers(100);
    let header_bytes = u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(header_bytes)
        .max_concurrent_streams(64)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

fn report(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
