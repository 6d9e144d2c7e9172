//! Where a request comes from.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, Uri, header, request::Parts},
};

use crate::{serve::activity::Activity, settings::Settings};

/// Headers that only a proxy sets: behind one, a loopback peer is nobody local.
const PROXY_HEADERS: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];

/// The other end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    address: Option<IpAddr>,
    local: bool,
    https: bool,
    relation: Relation,
}

/// How a request came from its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Relation {
    /// By itself, or through proxies that are trusted.
    Client,
    /// It is a trusted proxy that asks for itself, as balancers do for a
    /// server's health.
    TrustedProxy,
    /// Through a proxy that is not on the list, or so it says: all that come
    /// this way count as one, apart from the proxy's own requests.
    UnknownProxy,
}

impl Peer {
    /// The peer as the connection and trusted proxies know it. What anybody
    /// else says of it counts only against it.
    pub(crate) fn of(settings: &Settings, parts: &Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let tls = parts.extensions.get::<Arc<Activity>>().is_some_and(|connection| connection.is_tls());
        let trusted = peer.is_some_and(|peer| settings.proxies.trusts(peer));
        let forwarded = peer.and_then(|peer| settings.proxies.forwarded(peer, &parts.headers));
        let proxied = PROXY_HEADERS.iter().any(|name| parts.headers.contains_key(*name));
        let relation = match (trusted, forwarded.is_some(), proxied) {
            (true, true, _) | (false, _, false) => Relation::Client,
            (true, false, _) => Relation::TrustedProxy,
            (false, _, true) => Relation::UnknownProxy,
        };
        let local = settings.local_access
            && !trusted
            && !proxied
            && peer.is_some_and(|peer| peer.is_loopback())
            && names_this_machine(&parts.uri, &parts.headers);
        Self {
            address: forwarded.map(|forwarded| forwarded.client).or(peer),
            local,
            https: tls || settings.https || forwarded.is_some_and(|forwarded| forwarded.https),
            relation,
        }
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What is counted as one: an IPv4 address, or a /64 of IPv6.
    pub(crate) fn network(&self) -> Option<IpAddr> {
        self.address.map(network)
    }

    /// Whether the request was made on this machine, and that means something.
    pub(crate) fn is_local(&self) -> bool {
        self.local
    }

    /// Whether the client speaks HTTPS, to this server or to its proxy.
    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn relation(&self) -> Relation {
        self.relation
    }
}

/// An IPv4 address, or the /64 of an IPv6 address: what one stranger has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        IpAddr::V4(_) => address,
    }
}

/// The two addresses under which programs reach their own machine.
pub(crate) fn is_this_machine(address: IpAddr) -> bool {
    address == IpAddr::from([127, 0, 0, 1]) || address == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// A page of a stranger whose name was made to point at 127.0.0.1 asks under
/// that name, not under ours. That a request names this machine proves nothing.
fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(uri.host()).unwrap_or_default();
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
    use crate::proxy::Proxies;
    use axum::http::Request;

    fn peer_of(settings: &Settings, address: &str, headers: &[(&str, &str)]) -> Peer {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 4711)));
        Peer::of(settings, &parts)
    }

    fn peer(address: &str, headers: &[(&str, &str)]) -> Peer {
        peer_of(&Settings::default(), address, headers)
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

    #[test]
    fn nobody_is_local_where_the_setting_or_a_proxy_says_so() {
        let host = [("host", "127.0.0.1:8080")];
        let settings = Settings { local_access: false, ..Settings::default() };
        assert!(!peer_of(&settings, "127.0.0.1", &host).is_local());
        let settings = Settings { proxies: Proxies::new(["loopback"]).unwrap(), ..Settings::default() };
        assert!(!peer_of(&settings, "127.0.0.1", &host).is_local());
        assert_eq!(peer_of(&settings, "127.0.0.1", &host).relation(), Relation::TrustedProxy);
        let forwarded = [("host", "localhost"), ("x-forwarded-for", "127.0.0.1")];
        assert!(!peer_of(&settings, "127.0.0.1", &forwarded).is_local());
    }

    #[test]
    fn a_trusted_proxy_says_who_and_how() {
        let settings = Settings { proxies: Proxies::new(["10.0.0.1"]).unwrap(), ..Settings::default() };
        let headers = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")];
        let through = peer_of(&settings, "10.0.0.1", &headers);
        assert_eq!(through.address(), Some(IpAddr::from([192, 0, 2, 7])));
        assert_eq!((through.is_https(), through.relation()), (true, Relation::Client));
        let stranger = peer_of(&settings, "10.0.0.2", &headers);
        assert_eq!(stranger.address(), Some(IpAddr::from([10, 0, 0, 2])));
        assert_eq!((stranger.is_https(), stranger.relation()), (false, Relation::UnknownProxy));
    }
}
