//! The files of the UI.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use pganalytics_store::sql::TrustedQueries;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::auth::random;

/// What `make ui` makes; empty where that was not done.
#[derive(RustEmbed)]
#[folder = "../ui/dist"]
#[allow_missing = true]
struct Built;

/// The page without a build.
#[derive(RustEmbed)]
#[folder = "plain"]
struct Plain;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// The UI.
    Built,
    /// The plain page.
    Plain,
}

/// A file, ready to go out.
pub(super) struct File {
    pub(super) bytes: Bytes,
    pub(super) kind: &'static str,
    pub(super) tag: HeaderValue,
    pub(super) encoding: Option<&'static str>,
    pub(super) immutable: bool,
}

const INDEX: &str = "index.html";
/// The texts of the queries that the pages send, with `{n}` where a number is.
const QUERIES: &str = "queries.json";
/// Where the build puts what has a hash in its name.
const ASSETS: &str = "assets/";

impl Site {
    /// The UI where it was built, else the plain page.
    pub(super) fn current() -> Self {
        if Built::get(INDEX).is_some() { Self::Built } else { Self::Plain }
    }

    fn get(self, name: &str) -> Option<EmbeddedFile> {
        match self {
            Self::Built => Built::get(name),
            Self::Plain => Plain::get(name),
        }
    }

    /// `index.html` for a path that is so many folders deep.
    pub(super) fn page(self, depth: usize) -> Option<File> {
        let text = String::from_utf8(self.get(INDEX)?.data.into_owned()).ok()?;
        let bytes = Bytes::from(relative_to(&text, depth));
        let tag = tag_of(&random::hash(&bytes));
        Some(File { bytes, kind: kind_of(INDEX), tag, encoding: None, immutable: false })
    }

    /// The file of this name, compressed where there is such a one and the client
    /// takes it.
    pub(super) fn file(self, name: &str, asked: &HeaderMap) -> Option<File> {
        let hidden = name.split('/').any(|part| part.is_empty() || part.starts_with('.'));
        let part_of_another = name.ends_with(".br") || name.ends_with(".gz") || name == INDEX;
        if hidden || part_of_another {
            return None;
        }
        let whole = self.get(name)?;
        let compressed = [("br", ".br"), ("gzip", ".gz")]
            .into_iter()
            .filter(|(encoding, _)| takes(asked, encoding))
            .find_map(|(encoding, ending)| Some((encoding, self.get(&format!("{name}{ending}"))?)));
        let (encoding, file) = match compressed {
            Some((encoding, file)) => (Some(encoding), file),
            None => (None, whole),
        };
        let tag = tag_of(&file.metadata.sha256_hash());
        let bytes = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Some(File { bytes, kind: kind_of(name), tag, encoding, immutable: name.starts_with(ASSETS) })
    }
}

/// The queries of the UI in this program; none where it was not built.
pub(crate) fn queries() -> TrustedQueries {
    let Some(file) = Built::get(QUERIES) else { return TrustedQueries::default() };
    let texts: Vec<String> = serde_json::from_slice(&file.data).unwrap_or_else(|error| {
        // They run all the same, as anybody's SQL.
        tracing::warn!(%error, "the list of the web UI's queries can't be read; make ui makes it anew");
        Vec::new()
    });
    TrustedQueries::new(texts)
}

/// The build writes `./` before each file that the page names.
fn relative_to(page: &str, depth: usize) -> String {
    if depth == 0 {
        return page.to_owned();
    }
    page.replace("=\"./", &format!("=\"{}", "../".repeat(depth)))
}

fn takes(asked: &HeaderMap, encoding: &str) -> bool {
    let lines = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn tag_of(hash: &[u8]) -> HeaderValue {
    let tag = format!("\"{}\"", random::hex(hash.get(..12).unwrap_or_default()));
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"0\""))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_files_from_where_it_is() {
        let page = r#"<script type="module" src="./assets/a.js"></script><link href="./favicon.svg">"#;
        assert_eq!(relative_to(page, 0), page);
        let deep = relative_to(page, 2);
        assert!(deep.contains(r#"src="../../assets/a.js""#) && deep.contains(r#"href="../../favicon.svg""#), "{deep}");
    }

    #[test]
    fn no_name_leads_out_of_the_files() {
        for name in ["../Cargo.toml", "./style.css", ".gitignore", "/etc/passwd", "a//b", "", "index.html"] {
            assert!(Site::Plain.file(name, &HeaderMap::new()).is_none(), "{name}");
        }
        assert!(Site::Plain.file("style.css", &HeaderMap::new()).is_some());
    }

    #[test]
    fn compressed_files_go_to_those_who_take_them() {
        let asked =
            |text: &'static str| HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]);
        assert!(takes(&asked("gzip, deflate, br, zstd"), "br"));
        assert!(takes(&asked("GZIP;q=0.5"), "gzip"));
        assert!(!takes(&asked("br;q=0, gzip"), "br"));
        assert!(!takes(&asked("identity"), "gzip") && !takes(&HeaderMap::new(), "br"));
    }
}
