//! The page at `/` and its files, all part of the program.

use axum::{
    body::Body,
    extract::OriginalUri,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{self, MethodRouter},
};
use bytes::Bytes;

use crate::{
    auth::{permission::Permission, random, routes::Routes},
    edge::PAGE_POLICY,
    rate::Class,
    state::App,
};

/// Paths in `ui/` and what is there.
const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

/// A route for each file, and `/` for the page. There is no path that a client
/// chooses a file with.
pub(crate) fn routes(mut routes: Routes) -> Routes {
    for (name, bytes) in FILES {
        routes = if *name == "index.html" {
            routes.page(Permission::Public, Class::Page, "/", page(name, bytes))
        } else {
            routes.page(Permission::Public, Class::Page, &format!("/{name}"), file(name, bytes))
        };
    }
    routes
}

/// The page names its files and the API relative to its own path, so that it
/// works under any; that path has to end with a slash.
fn page(name: &'static str, bytes: &'static [u8]) -> MethodRouter<App> {
    let (tag, kind) = (tag_of(bytes), kind_of(name));
    routing::get(move |OriginalUri(asked): OriginalUri, headers: HeaderMap| {
        let tag = tag.clone();
        async move {
            if asked.path().ends_with('/') {
                answer(&headers, tag, kind, bytes)
            } else {
                Redirect::permanent(&format!("{}/", asked.path())).into_response()
            }
        }
    })
}

fn file(name: &'static str, bytes: &'static [u8]) -> MethodRouter<App> {
    let (tag, kind) = (tag_of(bytes), kind_of(name));
    routing::get(move |headers: HeaderMap| {
        let tag = tag.clone();
        async move { answer(&headers, tag, kind, bytes) }
    })
}

fn tag_of(bytes: &[u8]) -> HeaderValue {
    let hash = random::hash(bytes);
    let tag = format!("\"{}\"", random::hex(hash.get(..12).unwrap_or_default()));
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"0\""))
}

fn answer(asked: &HeaderMap, tag: HeaderValue, kind: &'static str, bytes: &'static [u8]) -> Response {
    let known = asked.get(header::IF_NONE_MATCH) == Some(&tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(Bytes::from_static(bytes)))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    // Ask each time whether it is still the same: a new version must show at once.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::ETAG, tag);
    response
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}
