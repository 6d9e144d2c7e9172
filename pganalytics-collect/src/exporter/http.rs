//! The small HTTP server in front of the exporter.
//!
//! Bounds: so many connections at a time, so much of a head and so long for it,
//! so long for a connection. Bodies are not read. Whoever is not let in learns
//! nothing but how to be.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    page::Format,
    page_contents::PageKind,
    scrape::{Exporter, ScrapeRequest},
};
use crate::error::CollectError;

/// Connections at a time; more wait in the system's queue.
const CONNECTIONS: usize = 64;
/// Most bytes of a request's head.
const HEAD: usize = 16 * 1024;
/// Longest time for a head, and for a connection that says nothing.
const IDLE: Duration = Duration::from_secs(75);
/// Longest time for a connection; then it may end what it does.
const LIFE: Duration = Duration::from_secs(600);
/// What of Prometheus' time is left for the way.
const WAY: Duration = Duration::from_millis(500);

/// A listener of an [`Exporter`].
pub struct Listener {
    exporter: Exporter,
    topic: PageKind,
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    pub(super) async fn bind(exporter: Exporter, topic: PageKind, address: SocketAddr) -> Result<Self, CollectError> {
        let key = match topic {
            PageKind::Postgres => "exporter.listen",
            PageKind::Pgbouncer => "exporter.pgbouncer_listen",
        };
        let wrong = |message: String| CollectError::Config { key: key.to_owned(), message };
        let bound = TcpListener::bind(address).await.and_then(|tcp| Ok((tcp.local_addr()?, tcp)));
        let (address, tcp) = bound.map_err(|error| {
            wrong(format!("{address} can't be listened on: {error}; stop what listens there, or set another address"))
        })?;
        let tls = match &exporter.settings().identity {
            Some((cert, key)) => Some(acceptor(cert, key)?),
            None => None,
        };
        tracing::info!(%address, tls = tls.is_some(), auth = exporter.settings().auth.is_some(), "the exporter listens");
        Ok(Self { exporter, topic, tcp, tls, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`.
    pub async fn serve(&self, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while let Some(ended) = connections.try_join_next() {
                if let Err(fault) = ended {
                    tracing::error!(%fault, "a connection of the exporter ended by itself: a bug");
                }
            }
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.tcp.accept() => accepted,
            };
            let tcp = match accepted {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    // Too many open files: it passes.
                    tracing::warn!(%error, "the exporter could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let (exporter, topic, tls) = (self.exporter.clone(), self.topic, self.tls.clone());
            connections.spawn(async move {
                let _permit = permit;
                connection(exporter, topic, tcp, tls).await;
            });
        }
    }
}

async fn connection(exporter: Exporter, topic: PageKind, tcp: TcpStream, tls: Option<TlsAcceptor>) {
    let _ = tcp.set_nodelay(true);
    match tls {
        None => serve(exporter, topic, tcp).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(Duration::from_secs(10), tls.accept(tcp)).await {
                serve(exporter, topic, stream).await;
            }
        }
    }
}

async fn serve(exporter: Exporter, topic: PageKind, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(move |request| {
        let exporter = exporter.clone();
        async move { Ok::<_, Infallible>(answer(&exporter, topic, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    if timeout(LIFE, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(IDLE, connection).await;
    }
}

async fn answer(exporter: &Exporter, topic: PageKind, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    // Whether the process lives is no secret.
    if matches!(path, "/-/healthy" | "/-/ready") {
        return plain(StatusCode::OK, "ok\n");
    }
    if let Some(auth) = &exporter.settings().auth {
        let shown = request.headers().get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let admitted = auth.admits(shown).unwrap_or_else(|error| {
            tracing::warn!("the exporter lets nobody in: {error}");
            false
        });
        if !admitted {
            let mut response = plain(StatusCode::UNAUTHORIZED, "not let in\n");
            response.headers_mut().insert(WWW_AUTHENTICATE, http::HeaderValue::from_static(auth.challenge()));
            return response;
        }
    }
    let query = request.uri().query().unwrap_or_default();
    let server = match path {
        "/metrics" => parameter(query, "server"),
        "/probe" => match parameter(query, "target") {
            Some(target) => Some(target),
            None => return plain(StatusCode::BAD_REQUEST, "name a server of the settings: /probe?target=…\n"),
        },
        "/" => return front(exporter, topic),
        _ => return plain(StatusCode::NOT_FOUND, "there is /metrics\n"),
    };
    let known = exporter.names(topic);
    let server = match server {
        None => None,
        Some(name) => match known.iter().find(|known| known.as_ref() == name) {
            Some(known) => Some(Arc::clone(known)),
            None => return plain(StatusCode::NOT_FOUND, "no server of that name is watched\n"),
        },
    };
    let format = format(request.headers());
    let page = exporter.scrape(ScrapeRequest { topic, server, format }, patience(request.headers())).await;
    if page.is_empty() {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made; see the agent's log\n");
    }
    let mut response = Response::new(Full::new(page));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(format.content_type()));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn front(exporter: &Exporter, topic: PageKind) -> Response<Full<Bytes>> {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let encoded = |text: &str| -> String {
        let keep = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        text.bytes()
            .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    let links: String = exporter
        .names(topic)
        .iter()
        .map(|name| format!("<li><a href=\"/metrics?server={}\">{}</a></li>", encoded(name), escaped(name)))
        .collect();
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>pganalytics-agent</title>\
         <h1>pganalytics-agent</h1><p><a href=\"/metrics\">/metrics</a></p><ul>{links}</ul>\n"
    );
    let mut response = Response::new(Full::new(Bytes::from(page)));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// A parameter of a query, decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The format that is asked for: OpenMetrics when it comes before plain text.
fn format(headers: &HeaderMap) -> Format {
    let mut best = (0.0, Format::Text);
    for accepted in
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','))
    {
        let mut parts = accepted.split(';').map(str::trim);
        let format = match parts.next() {
            Some("application/openmetrics-text") => Format::OpenMetrics,
            Some("text/plain" | "text/*" | "*/*") => Format::Text,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse::<f32>().ok()).unwrap_or(1.0);
        if quality > best.0 {
            best = (quality, format);
        }
    }
    best.1
}

/// How long Prometheus waits, less what the way takes.
fn patience(headers: &HeaderMap) -> Duration {
    let seconds =
        headers.get("x-prometheus-scrape-timeout-seconds").and_then(|value| value.to_str().ok()?.parse().ok());
    let patience = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(LIFE);
    patience.saturating_sub(WAY).max(WAY)
}

fn acceptor(cert: &std::path::Path, key: &std::path::Path) -> Result<TlsAcceptor, CollectError> {
    let wrong = |name: &str, path: &std::path::Path, message: String| CollectError::Config {
        key: format!("exporter.{name}"),
        message: format!("{}: {message}", path.display()),
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong("tls_cert_file", cert, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("tls_key_file", key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| wrong("tls_cert_file", cert, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(parameter("a=1&server=db%201+x", "server").as_deref(), Some("db 1 x"));
        assert_eq!(parameter("servers=1", "server"), None);
        assert_eq!(parameter("server=%zz", "server"), None);
        assert_eq!(parameter("server=%", "server"), None);
    }

    #[test]
    fn the_format_is_what_is_asked_for() {
        let format = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, http::HeaderValue::from_static(accept));
            format(&headers)
        };
        // Of Prometheus 2.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(format(prometheus), Format::OpenMetrics);
        assert_eq!(format("text/plain"), Format::Text);
        assert_eq!(format("*/*"), Format::Text);
        assert_eq!(format("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Text);
        assert_eq!(format("application/openmetrics-text;q=0.3,text/plain;q=0.5"), Format::Text);
    }

    #[test]
    fn patience_is_a_little_less_than_that_of_prometheus() {
        let patience = |seconds: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-prometheus-scrape-timeout-seconds", http::HeaderValue::from_static(seconds));
            patience(&headers)
        };
        assert_eq!(patience("10"), Duration::from_millis(9500));
        assert_eq!(patience("0.1"), WAY);
        assert_eq!((patience("nan"), patience("-1")), (LIFE - WAY, LIFE - WAY));
    }
}
