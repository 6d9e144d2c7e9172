//! Where a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, header, request::Parts},
};

/// Headers that only a proxy sets: behind one, a loopback peer is nobody local.
const PROXY_HEADERS: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    address: Option<IpAddr>,
    local: bool,
}

impl Peer {
    /// The peer as the connection knows it; what a request says of it counts
    /// only against it.
    pub(crate) fn of(parts: &Parts) -> Self {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let proxied = PROXY_HEADERS.iter().any(|name| parts.headers.contains_key(*name));
        let local = address.is_some_and(|address| address.is_loopback())
            && !proxied
            && names_this_machine(parts.uri.host(), &parts.headers);
        Self { address, local }
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What is counted as one: an IPv4 address, or a /64 of IPv6.
    pub(crate) fn network(&self) -> Option<IpAddr> {
        Some(match self.address? {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address @ IpAddr::V4(_) => address,
        })
    }

    /// Whether the request was made on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.local
    }
}

/// A page of a stranger whose name was made to point at 127.0.0.1 asks under
/// that name, not under ours.
fn names_this_machine(uri_host: Option<&str>, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(uri_host).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::Request;

    fn peer(address: &str, headers: &[(&str, &str)]) -> Peer {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 4711)));
        Peer::of(&parts)
    }

    #[test]
    fn only_this_machine_is_local() {
        for (address, host) in
            [("127.0.0.1", "localhost:8080"), ("::1", "[::1]:8080"), ("::ffff:127.0.0.1", "127.0.0.1")]
        {
            assert!(peer(address, &[("host", host)]).is_local(), "{address} {host}");
        }
        assert!(!peer("192.0.2.1", &[("host", "localhost")]).is_local());
        assert!(!peer("127.0.0.1", &[("host", "evil.example:8080")]).is_local());
        assert!(!peer("127.0.0.1", &[("host", "localhost"), ("x-forwarded-for", "192.0.2.1")]).is_local());
        assert!(!peer("127.0.0.1", &[]).is_local());
    }
}
