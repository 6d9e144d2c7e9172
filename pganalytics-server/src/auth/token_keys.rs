//! The keys of access tokens.
//!
//! Without `JWT_SECRET` they are Ed25519 keys that the store holds, so that every server of an
//! installation has the same. The newest one signs. When keys are rotated, those before it are
//! still taken for as long as a token lives: nobody is logged out by it. A key never leaves the
//! store and this process.
//!
//! With `JWT_SECRET` there is one key, HS256, which is that secret's, and it is rotated there.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use pganalytics_core::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::random;
use crate::error::ServerError;

/// Clocks of two servers may differ by this much.
pub(crate) const LEEWAY_SECS: u64 = 5;
/// Keys that are kept at most; more are made only by who rotates them all the time.
const MOST_KEYS: usize = 32;

/// A key that signs and checks.
pub(crate) struct TokenKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
    /// When it is no longer taken; `None`: it signs.
    ends: Option<Timestamp>,
}

impl TokenKey {
    /// The key of a secret that several servers were given.
    pub(crate) fn shared(secret: &Secret<Vec<u8>>) -> Self {
        let secret = secret.expose().as_slice();
        let id = random::hash(&[b"kid:".as_slice(), secret].concat());
        Self {
            kid: random::hex(id.get(..8).unwrap_or_default()),
            algorithm: Algorithm::HS256,
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            ends: None,
        }
    }

    fn of(record: &KeyRecord, ends: Option<Timestamp>) -> Result<Self, ServerError> {
        let broken = || ServerError::Crypto(format!("the signing key {} in the store can't be read", record.kid));
        let seed = Zeroizing::new(STANDARD.decode(record.seed.expose()).map_err(|_| broken())?);
        let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| broken())?;
        let document = pair.to_pkcs8v1().map_err(|_| broken())?;
        let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
        Ok(Self {
            kid: record.kid.clone(),
            algorithm: Algorithm::EdDSA,
            encoding: EncodingKey::from_ed_der(document.as_ref()),
            decoding: DecodingKey::from_ed_der(public.as_ref()),
            ends,
        })
    }
}

/// A key as the store has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    pub(crate) kid: String,
    pub(crate) created_at: Timestamp,
    #[serde(serialize_with = "exposed")]
    seed: Secret<String>,
}

fn exposed<S: serde::Serializer>(seed: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(seed.expose())
}

/// The keys as the store has them, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeyDocument {
    keys: Vec<KeyRecord>,
}

impl KeyDocument {
    /// A document with one key.
    pub(crate) fn first(now: Timestamp) -> Result<Self, ServerError> {
        Ok(Self { keys: vec![Self::fresh(now)?] })
    }

    fn fresh(now: Timestamp) -> Result<KeyRecord, ServerError> {
        let seed = Zeroizing::new(random::bytes::<32>()?);
        let kid = random::hex(&random::bytes::<8>()?);
        Ok(KeyRecord { kid, created_at: now, seed: Secret::new(STANDARD.encode(*seed)) })
    }

    /// The same with a new key that signs from now on, without those whose tokens have all ended.
    pub(crate) fn rotated(&self, now: Timestamp, lifetime_secs: i64) -> Result<Self, ServerError> {
        let mut keys: Vec<KeyRecord> = self
            .in_use(lifetime_secs)
            .filter(|(_, ends)| ends.is_none_or(|ends| ends > now))
            .map(|(record, _)| record.clone())
            .collect();
        if keys.len() >= MOST_KEYS {
            let why = format!("there are {MOST_KEYS} signing keys whose tokens are still valid; wait for them to end");
            return Err(ServerError::setting("signing keys", why));
        }
        keys.push(Self::fresh(now)?);
        Ok(Self { keys })
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ServerError> {
        let document: Self = serde_json::from_slice(bytes)
            .map_err(|_| ServerError::Crypto("the signing keys in the store can't be read".to_owned()))?;
        if document.keys.is_empty() {
            return Err(ServerError::Crypto("the store has no signing keys".to_owned()));
        }
        Ok(document)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Each key, and when the last token that it signed has ended; `None`: it signs.
    pub(crate) fn in_use(&self, lifetime_secs: i64) -> impl Iterator<Item = (&KeyRecord, Option<Timestamp>)> {
        let leeway = i64::try_from(LEEWAY_SECS).unwrap_or_default();
        // Until they look again, other servers sign with the key before.
        let overlap = (lifetime_secs + 2 * leeway + RELOAD_SECS) * 1_000_000;
        let successors = self.keys.iter().skip(1).map(Some).chain([None]);
        self.keys
            .iter()
            .zip(successors)
            .map(move |(key, next)| (key, next.map(|next| next.created_at.plus_micros(overlap))))
    }
}

/// A server looks for new keys this often.
pub(crate) const RELOAD_SECS: i64 = 60;

/// The keys in use.
pub(crate) struct TokenKeys {
    keys: Vec<TokenKey>,
}

impl TokenKeys {
    pub(crate) fn shared(secret: &Secret<Vec<u8>>) -> Self {
        Self { keys: vec![TokenKey::shared(secret)] }
    }

    pub(crate) fn of(document: &KeyDocument, lifetime_secs: i64) -> Result<Self, ServerError> {
        let keys = document.in_use(lifetime_secs).map(|(record, ends)| TokenKey::of(record, ends));
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// The one that signs.
    pub(crate) fn current(&self) -> Option<&TokenKey> {
        self.keys.last()
    }

    /// The key of this name, while it is taken.
    pub(crate) fn get(&self, kid: &str, now: Timestamp) -> Option<&TokenKey> {
        self.keys.iter().find(|key| key.kid == kid && key.ends.is_none_or(|ends| ends > now))
    }

    /// Whether there is such a key, taken or not.
    pub(crate) fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid == kid)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn later(secs: i64) -> Timestamp {
        START.plus_micros(secs * 1_000_000)
    }

    #[test]
    fn a_rotated_key_is_taken_until_its_tokens_have_ended() {
        let first = KeyDocument::first(START).unwrap();
        let second = first.rotated(later(1_000), 900).unwrap();
        let keys = TokenKeys::of(&second, 900).unwrap();
        let (old, new) = (&second.keys[0].kid, &second.keys[1].kid);
        assert_eq!(keys.current().unwrap().kid, *new);
        assert!(keys.get(old, later(1_900)).is_some() && keys.get(new, later(99_999)).is_some());
        let ended = later(1_000 + 900 + 60 + 10);
        assert!(keys.get(old, ended).is_none() && keys.knows(old));
        let third = second.rotated(ended, 900).unwrap();
        let kids: Vec<_> = third.keys.iter().map(|key| &key.kid).collect();
        assert_eq!((kids.len(), kids[0]), (2, new), "the first one is gone");
    }

    #[test]
    fn the_document_comes_back_and_shows_no_secret() {
        let document = KeyDocument::first(START).unwrap();
        let seed = document.keys[0].seed.expose().clone();
        assert!(!format!("{document:?}").contains(&seed));
        let again = KeyDocument::parse(&document.to_bytes()).unwrap();
        assert_eq!((again.keys[0].seed.expose(), &again.keys[0].kid), (&seed, &document.keys[0].kid));
        for broken in [&b""[..], b"{}", br#"{"keys":[]}"#, b"\xff"] {
            assert!(KeyDocument::parse(broken).is_err());
        }
        let mut broken = document;
        broken.keys[0].seed = Secret::new("c4n4ry".to_owned());
        let error = TokenKeys::of(&broken, 900).map(drop).unwrap_err().to_string();
        assert!(error.contains(&broken.keys[0].kid) && !error.contains("c4n4ry"), "{error}");
    }

    #[test]
    fn keys_do_not_pile_up() {
        let mut document = KeyDocument::first(START).unwrap();
        let mut made = 1;
        while let Ok(next) = document.rotated(later(made), 900) {
            (document, made) = (next, made + 1);
        }
        assert_eq!(document.keys.len(), MOST_KEYS);
        assert!(document.rotated(later(5_000), 900).is_ok(), "later there is room again");
    }
}
