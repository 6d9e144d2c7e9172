//! The web UI, part of the program: built by `make ui` where that was done
//! before, else a plain page that needs no building.
//!
//! The UI has pages of its own: a path that is one of [them](PAGES) is answered
//! with `index.html`, whose references are written relative to that path, so
//! that it works under any prefix. All else is a file of the build, or nothing.
//! No path of a client ever reaches the file system of a released program.

mod files;
#[cfg(feature = "front")]
pub(crate) mod front;

use axum::{
    body::Body,
    extract::OriginalUri,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
    routing,
};

pub(crate) use self::files::queries;
use self::files::{File, Site};
use crate::{
    auth::{permission::Permission, routes::Routes},
    edge::{PAGE_POLICY, UI_POLICY},
    rate::Class,
};

/// First parts of the paths of the UI's pages.
const PAGES: &[&str] =
    &["activity", "admin", "collectors", "events", "explore", "logs", "queries", "s", "settings", "setup", "sql"];

/// `/` and what lies below it.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes.page(Permission::Public, Class::Page, "/", routing::get(home)).page(
        Permission::Public,
        Class::Page,
        "/{*path}",
        routing::get(below),
    )
}

/// The page names its files and the API relative to its own path; that path has
/// to end with a slash.
async fn home(OriginalUri(asked): OriginalUri, headers: HeaderMap) -> Response {
    if asked.path().ends_with('/') {
        page(Site::current(), 0, &headers)
    } else {
        Redirect::permanent(&format!("{}/", asked.path())).into_response()
    }
}

async fn below(uri: Uri, headers: HeaderMap) -> Response {
    let site = Site::current();
    let path = uri.path().trim_start_matches('/');
    if let Some(depth) = depth_of_page(path).filter(|_| site == Site::Built) {
        return page(site, depth, &headers);
    }
    match site.file(path, &headers) {
        Some(file) => answer(&headers, site, file),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// How many folders deep the path of a page of the UI is; `None` for all others.
fn depth_of_page(path: &str) -> Option<usize> {
    let first = path.split('/').next()?;
    PAGES.contains(&first).then(|| path.matches('/').count())
}

fn page(site: Site, depth: usize, headers: &HeaderMap) -> Response {
    match site.page(depth) {
        Some(file) => answer(headers, site, file),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(asked: &HeaderMap, site: Site, file: File) -> Response {
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|tag| *tag == file.tag);
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { Response::new(Body::from(file.bytes)) };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    let policy = if site == Site::Built { UI_POLICY } else { PAGE_POLICY };
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    // The name of an asset holds its hash. Of all else a new version must show at once.
    let keep = if file.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::ETAG, file.tag);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = file.encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::depth_of_page;

    #[test]
    fn only_paths_of_pages_are_pages() {
        assert_eq!(depth_of_page("queries"), Some(0));
        assert_eq!(depth_of_page("s/db1.0a1b2c3d/queries/-123"), Some(3));
        assert_eq!(depth_of_page("sql/"), Some(1));
        for path in ["", "api/v1/nothing", "assets/x.js", "sqlx", "S", "../sql", ".git/config", "%73ql"] {
            assert_eq!(depth_of_page(path), None, "{path}");
        }
    }
}
