//! What every answer passes: request id, headers, problem documents, counting.

use std::{
    net::IpAddr,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{OriginalUri, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    error::{Problem, ProblemDocument},
    peer::{Peer, Relation},
    state::App,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
pub(crate) const PAGE_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Of the built UI. Nothing is set up from text: even its own code can't make
/// markup or scripts of what servers send.
pub(crate) const UI_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
     form-action 'self'; require-trusted-types-for 'script'; trusted-types pga";

/// An answer's own word on how long it may be kept.
const API_PREFIX: &str = "/api/";

pub(crate) async fn edge(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    let peer = Peer::of(&app.settings, &parts);
    parts.extensions.insert(peer);
    warn_of_proxy(&app, &peer);
    let request = Request::from_parts(parts, body);
    let id = request_id(request.headers());
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<OriginalUri>()
        .map_or_else(|| request.uri().path().to_owned(), |uri| uri.0.path().to_owned());
    let origin = allowed_origin(&app, request.headers());
    let span = tracing::info_span!("request", request_id = %id, %method, path = %path);

    let mut response = if let Some(answer) = preflight(&method, &request, origin.as_ref()) {
        answer
    } else {
        let deadline = app.settings.request_timeout;
        let work = AssertUnwindSafe(tokio::time::timeout(deadline, next.run(request))).catch_unwind();
        match work.instrument(span.clone()).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => late(deadline).into_response(),
            // The panic's own message went to the panic hook.
            Err(_) => span.in_scope(|| Problem::internal(&"a handler panicked").into_response()),
        }
    };
    render_problem(&mut response, &path, &id);
    set_headers(&app, &peer, &mut response, &id, origin);
    let elapsed = started.elapsed();
    app.counters.request(response.status(), elapsed);
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), ?elapsed, "answered"));
    response
}

/// A proxy that nobody put on the list makes all its clients one: whoever runs
/// it should hear of that. A stranger far away who only pretends is no reason.
fn warn_of_proxy(app: &App, peer: &Peer) {
    let Some(address) = peer.address().filter(|_| peer.relation() == Relation::UnknownProxy) else { return };
    let is_near = match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback(),
    };
    if is_near {
        app.proxy_warning.call_once(|| {
            tracing::warn!(
                "requests come through a proxy at {address} that is not one of PGANALYTICS_TRUSTED_PROXIES:                  all who come through it count as one address"
            );
        });
    }
}

fn late(deadline: Duration) -> Problem {
    let detail = format!("the request took longer than {} s", deadline.as_secs());
    Problem { retry_after_secs: Some(5), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "deadline", detail) }
}

/// The caller's id for the request where it is a harmless one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let harmless = |id: &&str| {
        !id.is_empty()
            && id.len() <= 64
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    given.filter(harmless).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// Errors of handlers carry a [`Problem`]; those of the router only a status.
fn render_problem(response: &mut Response, path: &str, id: &str) {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if status.is_client_error() || status.is_server_error() => {
            let typed = response.headers().contains_key(header::CONTENT_TYPE);
            // Whoever gave an error a type of its own meant it.
            if typed && status != StatusCode::METHOD_NOT_ALLOWED {
                return;
            }
            Problem::of_status(status)
        }
        None => return,
    };
    let document = ProblemDocument {
        kind: format!("urn:pganalytics:problem:{}", problem.code),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: &problem.detail,
        instance: path,
        code: problem.code,
        message: &problem.detail,
        request_id: id,
    };
    let text = serde_json::to_vec(&document).unwrap_or_default();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    *response.body_mut() = Body::from(text);
}

/// What every answer has, whoever asks for what.
pub(crate) fn plain_headers(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

fn set_headers(app: &App, peer: &Peer, response: &mut Response, id: &str, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    plain_headers(headers);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(API_POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if peer.is_https() {
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
    }
    if !app.settings.cors_allowed_origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers
            .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-request-id, retry-after, etag"));
    }
}

/// The request's origin, when it is on the list. Foreign pages use bearer
/// tokens; cookies are never offered to them.
fn allowed_origin(app: &App, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    app.settings.cors_allowed_origins.iter().any(|allowed| allowed == text).then(|| origin.clone())
}

/// The answer to a browser that asks before it asks.
fn preflight(method: &Method, request: &Request, origin: Option<&HeaderValue>) -> Option<Response> {
    let asks = method == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && request.uri().path().starts_with(API_PREFIX);
    if !asks || origin.is_none() {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type, x-request-id, x-csrf-token, x-collector-id"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(response)
}
