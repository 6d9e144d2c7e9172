//! Cookies of the page's sessions.

use axum::http::{HeaderMap, HeaderValue, header};

/// Header that proves that a request with a cookie comes from our page.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";

/// Whether a browser says that another site's page makes this request, or a
/// page of another port or name of ours: cookies know no ports.
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// The cookies that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    Access,
    Refresh,
    Csrf,
    /// Not of a session: it stays when one ends.
    Device,
}

impl Cookie {
    const fn name(self) -> &'static str {
        match self {
            Self::Access => "pga_access",
            Self::Refresh => "pga_refresh",
            Self::Csrf => "pga_csrf",
            Self::Device => "pga_device",
        }
    }

    /// The cookie's value in a request.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<&str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == self.name() && !value.is_empty()).then_some(value))
    }

    /// Sets the cookie for so many seconds; 0 removes it. Values are our own
    /// tokens, whose letters all may stand in a header.
    pub(crate) fn set(self, headers: &mut HeaderMap, value: &str, max_age_secs: i64, secure: bool) {
        // The page reads the CSRF token, and nothing else.
        let hidden = if self == Self::Csrf { "" } else { "; HttpOnly" };
        let secure = if secure { "; Secure" } else { "" };
        let name = self.name();
        let text = format!("{name}={value}; Path=/; Max-Age={max_age_secs}; SameSite=Strict{hidden}{secure}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(header::SET_COOKIE, value);
        }
    }

    /// Removes all of them.
    pub(crate) fn clear_all(headers: &mut HeaderMap, secure: bool) {
        for cookie in [Self::Access, Self::Refresh, Self::Csrf] {
            cookie.set(headers, "", 0, secure);
        }
    }
}
