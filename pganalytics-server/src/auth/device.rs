//! Browsers in which an account has logged in before.
//!
//! A log-in leaves a signed cookie that says so. Failed log-ins with it are
//! counted for the browser alone, so that no stranger can keep it out, however
//! many wrong passwords they try; and nobody who steals it gets more guesses
//! than anybody else. It is no credential: the password is asked for as ever.

use axum::http::HeaderMap;
use uuid::Uuid;

use super::{access_token::Signer, cookie::Cookie, random};
use crate::error::ServerError;

/// How long a browser is remembered, from its last log-in.
pub(crate) const REMEMBERED_SECS: i64 = 180 * 86_400;

/// A browser, and the account that has logged in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: Uuid,
    account: [u8; 32],
}

fn account_of(username: &str) -> [u8; 32] {
    random::hash(username.as_bytes())
}

impl Device {
    /// A new one of this account.
    pub(crate) fn new(username: &str) -> Self {
        Self { id: Uuid::new_v4(), account: account_of(username) }
    }

    /// Whether this account has logged in there.
    pub(crate) fn is_of(&self, username: &str) -> bool {
        self.account == account_of(username)
    }

    /// The one of a request, when the cookie is one of ours and not too old.
    pub(crate) fn read(signer: &Signer, headers: &HeaderMap) -> Option<Self> {
        Self::parse(signer, Cookie::Device.read(headers)?, now_secs())
    }

    fn parse(signer: &Signer, text: &str, now: i64) -> Option<Self> {
        if text.len() > 256 {
            return None;
        }
        let (payload, signature) = text.rsplit_once('.')?;
        let mut parts = payload.split('.');
        let (id, account, since) = (parts.next()?, parts.next()?, parts.next()?);
        let expected = signer.sign("device", payload).ok()?;
        let age = now.checked_sub(since.parse().ok()?)?;
        if parts.next().is_some() || age > REMEMBERED_SECS || !random::same(expected.as_bytes(), signature.as_bytes()) {
            return None;
        }
        Some(Self { id: Uuid::parse_str(id).ok()?, account: random::from_hex(account)? })
    }

    /// The cookie's value.
    pub(crate) fn text(&self, signer: &Signer) -> Result<String, ServerError> {
        self.text_at(signer, now_secs())
    }

    fn text_at(&self, signer: &Signer, now: i64) -> Result<String, ServerError> {
        let payload = format!("{}.{}.{now}", self.id.simple(), random::hex(&self.account));
        let signature = signer.sign("device", &payload)?;
        Ok(format!("{payload}.{signature}"))
    }
}

fn now_secs() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use pganalytics_core::Secret;

    use super::*;

    #[test]
    fn only_our_own_are_believed_and_not_for_ever() {
        let signer = |key: &str| Signer::shared(&Secret::new(key.as_bytes().to_vec()), 900);
        let ours = signer("a key of at least thirty-two bytes!");
        let device = Device::new("ada");
        let text = device.text_at(&ours, 1000).unwrap();
        assert_eq!(Device::parse(&ours, &text, 1000), Some(device.clone()));
        assert!(device.is_of("ada") && !device.is_of("bob"));
        assert_eq!(Device::parse(&ours, &text, 1001 + REMEMBERED_SECS), None);
        assert_eq!(Device::parse(&signer("another key of thirty-two bytes!!!!"), &text, 1000), None);
        let other = Device::new("bob").text_at(&ours, 1000).unwrap();
        let (payload, _) = other.rsplit_once('.').unwrap();
        let (_, signature) = text.rsplit_once('.').unwrap();
        for forged in
            [format!("{payload}.{signature}"), text.replace(".1000.", ".9999."), String::new(), "a.b.c.d".into()]
        {
            assert_eq!(Device::parse(&ours, &forged, 1000), None, "{forged}");
        }
    }
}
