//! Proxies that speak for others.
//!
//! What a request says of where it comes from is believed only when it comes
//! from a proxy on the list, and only in the header that the list names: a
//! proxy that sets one of the two kinds passes the other on as a stranger wrote
//! it. Of a chain of proxies the last address that is none of them is the
//! client's.

use std::{net::IpAddr, str::FromStr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Networks by a word.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
const PRIVATE: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

/// The header in which proxies say whom they speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`, as nginx, HAProxy, Caddy and
    /// the balancers of clouds send them.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl FromStr for ForwardedHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err(format!("{text:?} is neither x-forwarded-for nor forwarded")),
        }
    }
}

/// Proxies that are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    networks: Vec<IpNet>,
    header: ForwardedHeader,
}

/// What proxies say of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(crate) client: IpAddr,
    pub(crate) https: bool,
}

impl Proxies {
    /// The proxies of these addresses (`192.0.2.7`), networks (`10.0.0.0/8`) and
    /// words (`loopback`, `private`).
    ///
    /// # Errors
    /// What is none of these.
    pub fn new<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, String> {
        let mut list = Vec::new();
        for text in networks {
            match text.as_ref() {
                "loopback" => list.extend(LOOPBACK.iter().filter_map(|network| network.parse::<IpNet>().ok())),
                "private" => list.extend(PRIVATE.iter().filter_map(|network| network.parse::<IpNet>().ok())),
                text => list.push(network(text)?),
            }
        }
        Ok(Self { networks: list, header: ForwardedHeader::default() })
    }

    /// The same, believed in this header.
    #[must_use]
    pub fn with_header(mut self, header: ForwardedHeader) -> Self {
        self.header = header;
        self
    }

    /// Whether the address is one of them.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// What a request from `peer` says of its client; `None` when the peer is no
    /// trusted proxy, or says nothing: then it speaks for itself.
    pub(crate) fn forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Forwarded> {
        if !self.trusts(peer) {
            return None;
        }
        let hops = match self.header {
            ForwardedHeader::XForwardedFor => x_forwarded(headers),
            ForwardedHeader::Forwarded => forwarded(headers),
        };
        let mut found = None;
        for hop in hops.iter().rev() {
            // "unknown", or what nobody can read: the proxy before it is all that is known.
            let Some(address) = hop.address else { break };
            found = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        // The first proxy saw what the client used. A stranger who adds a hop
        // before it deceives nobody but itself.
        let https = hops.first().is_some_and(|hop| hop.https);
        (!hops.is_empty()).then(|| Forwarded { client: found.unwrap_or(peer), https })
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let parsed = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address.to_canonical())),
        Err(_) => text.parse::<IpNet>(),
    };
    let network = parsed.map_err(|_| {
        format!("{text:?} is no address (192.0.2.7), no network (10.0.0.0/8), nor one of the words loopback, private")
    })?;
    if network.prefix_len() == 0 {
        return Err(format!("{text:?} is everybody: then any stranger could choose an address; name the proxies"));
    }
    Ok(network.trunc())
}

/// One station on the way of a request.
#[derive(Debug, Clone, Copy, Default)]
struct Hop {
    address: Option<IpAddr>,
    https: bool,
}

/// Elements of a header that may come in several lines.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().flat_map(|line| line.to_str().unwrap_or_default().split(',')).map(str::trim)
}

fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let mut hops: Vec<Hop> = list(headers, &X_FORWARDED_FOR)
        .filter(|text| !text.is_empty())
        .map(|text| Hop { address: address(text), https: false })
        .collect();
    let https = list(headers, &X_FORWARDED_PROTO).next().is_some_and(|word| word.eq_ignore_ascii_case("https"));
    if let Some(first) = hops.first_mut() {
        first.https = https;
    }
    hops
}

fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    // Quoted texts hold addresses, ports and names: none of them has a comma.
    list(headers, &header::FORWARDED)
        .filter(|element| !element.is_empty())
        .map(|element| {
            let mut hop = Hop::default();
            for (name, value) in element.split(';').filter_map(|pair| pair.split_once('=')) {
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => hop.address = address(value),
                    "proto" => hop.https = value.eq_ignore_ascii_case("https"),
                    _ => {}
                }
            }
            hop
        })
        .collect()
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        // One colon: a port. More: IPv6.
        None if text.matches(':').count() == 1 => text.split(':').next().unwrap_or_default(),
        None => text,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn client(proxies: &Proxies, peer: &str, lines: &[(&str, &str)]) -> Option<(String, bool)> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_str(name).unwrap(), value.parse().unwrap());
        }
        let found = proxies.forwarded(peer.parse().unwrap(), &headers)?;
        Some((found.client.to_string(), found.https))
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        let proxies = Proxies::new(["10.0.0.0/8", "2001:db8::1"]).unwrap();
        let xff = "x-forwarded-for";
        for (peer, lines, expected) in [
            ("10.0.0.1", vec![(xff, "192.0.2.1")], "192.0.2.1"),
            ("10.0.0.1", vec![(xff, "198.51.100.9, 192.0.2.1")], "192.0.2.1"),
            ("10.0.0.1", vec![(xff, "198.51.100.9, 192.0.2.1, 10.1.2.3")], "192.0.2.1"),
            ("10.0.0.1", vec![(xff, "198.51.100.9"), (xff, "192.0.2.1:4711")], "192.0.2.1"),
            ("10.0.0.1", vec![(xff, "10.0.0.7, 10.0.0.8")], "10.0.0.7"),
            ("10.0.0.1", vec![(xff, "192.0.2.1, unknown")], "10.0.0.1"),
            ("10.0.0.1", vec![(xff, "192.0.2.1, <script>, 10.0.0.2")], "10.0.0.2"),
            ("2001:db8::1", vec![(xff, "[2001:db8::9]:80")], "2001:db8::9"),
            ("::ffff:10.0.0.1", vec![(xff, "::ffff:192.0.2.1")], "192.0.2.1"),
        ] {
            assert_eq!(client(&proxies, peer, &lines), Some((expected.to_owned(), false)), "{peer} {lines:?}");
        }
    }

    #[test]
    fn strangers_and_headers_that_are_not_ours_are_not_believed() {
        let proxies = Proxies::new(["10.0.0.1"]).unwrap();
        let headers =
            [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https"), ("forwarded", "for=127.0.0.1")];
        assert_eq!(client(&proxies, "192.0.2.1", &headers), None);
        assert_eq!(client(&Proxies::default(), "127.0.0.1", &headers), None);
        assert_eq!(client(&proxies, "10.0.0.1", &[("forwarded", "for=192.0.2.9;proto=https")]), None);
        assert_eq!(client(&proxies, "10.0.0.1", &[]), None);
        let other = proxies.with_header(ForwardedHeader::Forwarded);
        assert_eq!(client(&other, "10.0.0.1", &headers[..2]), None);
    }

    #[test]
    fn both_headers_tell_https() {
        let proxies = Proxies::new(["10.0.0.0/8"]).unwrap();
        let lines = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "HTTPS")];
        assert_eq!(client(&proxies, "10.0.0.1", &lines), Some(("192.0.2.1".to_owned(), true)));
        let lines = [("x-forwarded-for", "192.0.2.1, 10.0.0.3"), ("x-forwarded-proto", "https, http")];
        assert_eq!(client(&proxies, "10.0.0.1", &lines), Some(("192.0.2.1".to_owned(), true)));
        let proxies = proxies.with_header(ForwardedHeader::Forwarded);
        for (line, address, https) in [
            ("for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1", true),
            ("For=\"[2001:db8::7]:4711\"; Proto=http", "2001:db8::7", false),
            ("for=192.0.2.1;proto=https, for=10.0.0.4;proto=http", "192.0.2.1", true),
            ("for=_hidden;proto=https", "10.0.0.1", true),
        ] {
            assert_eq!(
                client(&proxies, "10.0.0.1", &[("forwarded", line)]),
                Some((address.to_owned(), https)),
                "{line}"
            );
        }
    }

    #[test]
    fn lists_are_checked() {
        for bad in ["", "10.0.0.0/33", "example.com", "0.0.0.0/0", "::/0", "10.0.0.1:80"] {
            let error = Proxies::new([bad]).unwrap_err();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
        let words = Proxies::new(["loopback", "private", "192.0.2.0/24"]).unwrap();
        for address in ["127.0.0.1", "::1", "10.9.9.9", "172.20.0.5", "192.168.1.1", "fd00::1", "192.0.2.200"] {
            assert!(words.trusts(address.parse().unwrap()), "{address}");
        }
        for address in ["172.32.0.1", "192.0.3.1", "2001:db8::1"] {
            assert!(!words.trusts(address.parse().unwrap()), "{address}");
        }
    }
}
