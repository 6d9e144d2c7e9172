//! Free ports and random words.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

/// Below the range that Linux hands to outgoing connections and to `bind(:0)`, so that nobody is
/// given the port of a server while it restarts.
const FIRST: u64 = 10_000;
const PAST_LAST: u64 = 32_000;

/// A port that was free just now. Another process may take it first, so starting on it is retried.
pub(crate) fn free() -> anyhow::Result<u16> {
    for _ in 0..200 {
        let port = u16::try_from(FIRST + random() % (PAST_LAST - FIRST))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {PAST_LAST} on 127.0.0.1")
}

/// Different on every call and in every process; good enough for throw-away passwords on loopback.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
