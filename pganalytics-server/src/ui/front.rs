//! The UI apart from the server: the pages from this program, `/api/` and
//! `/metrics` from a server elsewhere, so that a browser has one origin.
//!
//! * Nothing is kept and nobody is known here: who may do what, and how often,
//!   is the server's affair. Tell it to trust this address
//!   (`PGANALYTICS_TRUSTED_PROXIES`), or all who come this way count as one.
//! * What a client says of where it comes from is passed on only where it comes
//!   from a proxy that is trusted here.
//! * Bodies are passed on as they come, in both directions, and kept nowhere.
//! * A server that does not answer is a 502 that says so; the pages are there.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing,
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use reqwest::{Client, Url, redirect::Policy};
use serde_json::json;

use crate::{edge::plain_headers, error::ServerError, peer::Peer, settings::Settings};

const CONNECT: Duration = Duration::from_secs(5);
/// Longest silence of a server that answers; queries have deadlines of their own there.
const SILENCE: Duration = Duration::from_secs(120);

/// Of one connection, not of the request.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What only a proxy may say.
const FORWARDED: [HeaderName; 6] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
    header::FORWARDED,
    header::VIA,
];

/// Serves the UI in front of a server.
#[derive(Debug, Clone)]
pub struct Front {
    client: Client,
    backend: Url,
    settings: Arc<Settings>,
}

impl Front {
    /// In front of the server at this address, as `http://backend:8080`; of the settings
    /// the trusted proxies count.
    ///
    /// # Errors
    /// When the address is none of a server.
    pub fn new(backend: &str, settings: Settings) -> Result<Self, ServerError> {
        let refused = |why: String| ServerError::setting("--backend", why);
        let url = Url::parse(backend).map_err(|error| refused(format!("{error}; as http://backend:8080")))?;
        let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !is_plain {
            return Err(refused("it begins with http:// or https:// and names a host, no user, no query".to_owned()));
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self { client, backend: url, settings: Arc::new(settings) })
    }

    /// The service.
    pub fn into_service(self) -> Router {
        let pages = Router::new()
            .route("/", routing::get(super::home))
            .route("/{*path}", routing::get(super::below))
            .layer(map_response(async |mut response: Response| {
                plain_headers(response.headers_mut());
                response
            }));
        Router::new()
            .route("/api/{*path}", routing::any(forward))
            .route("/metrics", routing::get(forward))
            .with_state(self)
            .merge(pages)
    }

    fn target(&self, request: &Request) -> Url {
        let mut url = self.backend.clone();
        let prefix = self.backend.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}{}", request.uri().path()));
        url.set_query(request.uri().query());
        url
    }
}

async fn forward(State(front): State<Front>, request: Request) -> Response {
    let url = front.target(&request);
    let (parts, body) = request.into_parts();
    let peer = Peer::of(&front.settings, &parts);
    let mut headers = parts.headers;
    strip(&mut headers);
    for name in FORWARDED.iter().chain([&header::HOST, &header::CONTENT_LENGTH]) {
        headers.remove(name);
    }
    if let Some(address) = peer.address().and_then(|address| HeaderValue::from_str(&address.to_string()).ok()) {
        headers.insert("x-forwarded-for", address);
    }
    let scheme = if peer.is_https() { "https" } else { "http" };
    headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
    let sent = front
        .client
        .request(parts.method, url)
        .headers(headers)
        .body(reqwest::Body::wrap(Passed(Mutex::new(body))))
        .send()
        .await;
    match sent {
        Ok(answer) => {
            let mut response = axum::http::Response::from(answer).map(Body::new);
            strip(response.headers_mut());
            response
        }
        Err(error) => {
            tracing::warn!(error = error.without_url().to_string(), "the server does not answer");
            away()
        }
    }
}

/// A body on its way. The lock makes it one that may be seen from several threads; it is never
/// waited for.
struct Passed(Mutex<Body>);

impl HttpBody for Passed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let body = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

/// Takes out what is of one connection, and what that names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

fn away() -> Response {
    let detail = "the page is here, but the server behind it does not answer";
    let body = json!({
        "type": "urn:pganalytics:problem:backend_away", "title": "Bad Gateway", "status": 502,
        "code": "backend_away", "detail": detail, "message": detail,
    });
    let mut response = (StatusCode::BAD_GATEWAY, body.to_string()).into_response();
    let headers = response.headers_mut();
    plain_headers(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn front(backend: &str) -> Result<Front, ServerError> {
        Front::new(backend, Settings::default())
    }

    #[test]
    fn only_addresses_of_servers_are_taken() {
        for bad in ["backend:8080", "ftp://backend", "http://", "http://user:secret@backend", "http://b/?x=1", ""] {
            let error = front(bad).map(drop).unwrap_err().to_string();
            assert!(error.contains("--backend") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_path_stays_below_the_servers_own() {
        let asked = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
        let target = |backend: &str, path: &str| front(backend).unwrap().target(&asked(path)).to_string();
        assert_eq!(target("http://b:8080", "/api/v1/sql?x=%2F"), "http://b:8080/api/v1/sql?x=%2F");
        assert_eq!(target("http://b:8080/pga/", "/api/v1/sql"), "http://b:8080/pga/api/v1/sql");
        // Whatever a path says, it does not choose the host.
        assert_eq!(target("http://b:8080", "//evil.example/api/x"), "http://b:8080//evil.example/api/x");
    }

    #[test]
    fn what_is_of_one_connection_goes_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "x-mine, close"), ("x-mine", "1"), ("upgrade", "h2c"), ("x-other", "2")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-other"]);
    }
}
