//! Access tokens: short-lived JWTs of people who logged in.
//!
//! What stays true: a key has one algorithm, pinned with it and never taken from
//! the token ([`token_keys`](super::token_keys)); every claim is required and checked; a token says who
//! logged in, not what may be done — role and `ver` are compared with the user
//! as stored, so that log-out and change of role work at once.

use std::{
    sync::{Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use pganalytics_core::{Secret, Timestamp};
use pganalytics_store::meta_store::{Role, User};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::token_keys::{KeyDocument, LEEWAY_SECS, TokenKeys};
use crate::error::ServerError;

const ISSUER: &str = "pganalytics";
const AUDIENCE: &str = "pganalytics-api";
const ACCESS: &str = "access";
/// Because of tokens by unknown keys the store is asked at most this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: Uuid,
    pub(crate) typ: String,
    pub(crate) jti: Uuid,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    pub(crate) tenant: Uuid,
    pub(crate) role: Role,
    pub(crate) ver: i64,
    /// The login that it comes from: the family of its refresh tokens.
    pub(crate) sid: Uuid,
}

/// Makes and checks access tokens and CSRF tokens.
pub(crate) struct Signer {
    /// Signs what is no token.
    mac: EncodingKey,
    keys: RwLock<TokenKeys>,
    /// Whether the keys are the store's, and when they were last looked for because of a token;
    /// `None`: there is one secret for all.
    looked: Option<Mutex<Option<Instant>>>,
    lifetime_secs: i64,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is signed by a key that this server does not know, or not yet.
    UnknownKey,
    /// It is none of ours, has ended, or was changed.
    Invalid,
}

impl Signer {
    /// Signs everything with one secret that all servers were given.
    pub(crate) fn shared(secret: &Secret<Vec<u8>>, lifetime_secs: u32) -> Self {
        Self::with(secret, TokenKeys::shared(secret), None, lifetime_secs)
    }

    /// Signs tokens with the keys of a document, all else with a secret.
    ///
    /// # Errors
    /// When a key can't be read.
    pub(crate) fn own(secret: &Secret<Vec<u8>>, keys: &KeyDocument, lifetime_secs: u32) -> Result<Self, ServerError> {
        Ok(Self::with(secret, TokenKeys::of(keys, i64::from(lifetime_secs))?, Some(Mutex::new(None)), lifetime_secs))
    }

    fn with(
        secret: &Secret<Vec<u8>>,
        keys: TokenKeys,
        looked: Option<Mutex<Option<Instant>>>,
        lifetime_secs: u32,
    ) -> Self {
        let mac = EncodingKey::from_secret(secret.expose());
        Self { mac, keys: RwLock::new(keys), looked, lifetime_secs: i64::from(lifetime_secs) }
    }

    /// Whether the keys are the store's.
    pub(crate) fn has_own_keys(&self) -> bool {
        self.looked.is_some()
    }

    /// Whether an unknown key is a reason to look into the store: strangers must not make a
    /// server do so all the time.
    pub(crate) fn may_look(&self) -> bool {
        let Some(looked) = &self.looked else { return false };
        let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }

    /// Goes on with other keys.
    ///
    /// # Errors
    /// When a key can't be read; those before stay.
    pub(crate) fn replace_keys(&self, keys: &KeyDocument) -> Result<(), ServerError> {
        let keys = TokenKeys::of(keys, self.lifetime_secs)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// A token for a user, and when it ends.
    pub(crate) fn issue(&self, user: &User, session: Uuid, now: Timestamp) -> Result<(String, Timestamp), ServerError> {
        let now = now.as_micros().div_euclid(1_000_000);
        let exp = now.saturating_add(self.lifetime_secs);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.id,
            typ: ACCESS.to_owned(),
            jti: Uuid::new_v4(),
            iat: now,
            nbf: now,
            exp,
            tenant: user.tenant.as_uuid(),
            role: user.role,
            ver: user.version,
            sid: session,
        };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.current().ok_or_else(|| ServerError::Crypto("there is no signing key".to_owned()))?;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(key.algorithm) };
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding)
            .map_err(|error| ServerError::Crypto(error.to_string()))?;
        Ok((token, Timestamp::from_secs(exp)))
    }

    /// What a token says, when it is one of ours and valid now.
    ///
    /// # Errors
    /// Says whether a look for new keys makes sense.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Refused> {
        // Far more than ours ever have.
        if token.len() > 4096 {
            return Err(Refused::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Invalid)?;
        let kid = header.kid.ok_or(Refused::Invalid)?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let unknown = || if keys.knows(&kid) { Refused::Invalid } else { Refused::UnknownKey };
        let key = keys.get(&kid, now).ok_or_else(unknown)?;
        if header.alg != key.algorithm {
            return Err(Refused::Invalid);
        }
        let validation = validation(key.algorithm);
        let claims =
            jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).map_err(|_| Refused::Invalid)?.claims;
        let ours = claims.typ == ACCESS && claims.iat <= claims.exp && claims.nbf <= claims.exp;
        if ours { Ok(claims) } else { Err(Refused::Invalid) }
    }

    /// The token that proves that a request of this session comes from our page.
    pub(crate) fn csrf(&self, session: Uuid) -> Result<String, ServerError> {
        self.sign("csrf", &session.to_string())
    }

    /// A signature of something that is said for one purpose.
    pub(crate) fn sign(&self, purpose: &str, text: &str) -> Result<String, ServerError> {
        let message = format!("{purpose}:{text}");
        jsonwebtoken::crypto::sign(message.as_bytes(), &self.mac, Algorithm::HS256)
            .map_err(|error| ServerError::Crypto(error.to_string()))
    }

    pub(crate) fn lifetime_secs(&self) -> i64 {
        self.lifetime_secs
    }
}

/// What is demanded of a token that a key of this algorithm signed.
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECS;
    validation.validate_nbf = true;
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    validation
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use pganalytics_core::TenantId;
    use serde_json::{Value, json};

    use super::*;

    const NOW: fn() -> Timestamp = || Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(b"a key of at least thirty-two bytes!".to_vec())
    }

    /// One with keys of its own, and one with a secret.
    fn signers() -> [Signer; 2] {
        let keys = KeyDocument::first(NOW()).unwrap();
        [Signer::own(&secret(), &keys, 900).unwrap(), Signer::shared(&secret(), 900)]
    }

    fn header(signer: &Signer) -> Header {
        let keys = signer.keys.read().unwrap();
        let key = keys.current().unwrap();
        Header { kid: Some(key.kid.clone()), ..Header::new(key.algorithm) }
    }

    fn user() -> User {
        User {
            id: Uuid::new_v4(),
            tenant: TenantId::DEFAULT,
            username: "ada".to_owned(),
            password_hash: String::new(),
            role: Role::User,
            version: 3,
            created_at: NOW(),
        }
    }

    /// Our own claims with some changed, signed with our own key.
    fn forged(signer: &Signer, change: impl FnOnce(&mut Value)) -> String {
        let (token, _) = signer.issue(&user(), Uuid::new_v4(), NOW()).unwrap();
        let mut claims = serde_json::to_value(signer.verify(&token, NOW()).unwrap()).unwrap();
        change(&mut claims);
        let header = header(signer);
        jsonwebtoken::encode(&header, &claims, &signer.keys.read().unwrap().current().unwrap().encoding).unwrap()
    }

    #[test]
    fn our_tokens_are_taken() {
        for signer in signers() {
            let (user, session) = (user(), Uuid::new_v4());
            let (token, expires) = signer.issue(&user, session, NOW()).unwrap();
            let claims = signer.verify(&token, NOW()).unwrap();
            assert_eq!((claims.sub, claims.sid, claims.ver, claims.role), (user.id, session, 3, Role::User));
            assert!(expires > NOW());
            assert!(signer.verify(&forged(&signer, |_| {}), NOW()).is_ok());
        }
    }

    #[test]
    fn wrong_or_missing_claims_are_refused() {
        let now = NOW().as_micros() / 1_000_000;
        let attacks: Vec<(&str, Value)> = vec![
            ("iss", json!("somebody")),
            ("aud", json!("pganalytics-collector")),
            ("typ", json!("refresh")),
            ("exp", json!(now - 60)),
            ("nbf", json!(now + 600)),
            ("sub", json!("not-a-uuid")),
            ("role", json!("root")),
            ("ver", json!("3")),
        ];
        for signer in signers() {
            for (claim, value) in attacks.clone() {
                let token = forged(&signer, |claims| claims[claim] = value);
                assert_eq!(signer.verify(&token, NOW()).err(), Some(Refused::Invalid), "{claim}");
            }
            for claim in ["iss", "aud", "sub", "typ", "jti", "iat", "nbf", "exp", "tenant", "role", "ver", "sid"] {
                let without = forged(&signer, |claims| {
                    claims.as_object_mut().unwrap().remove(claim);
                });
                assert_eq!(signer.verify(&without, NOW()).err(), Some(Refused::Invalid), "without {claim}");
            }
        }
    }

    #[test]
    fn other_algorithms_and_keys_are_refused() {
        for signer in signers() {
            let (token, _) = signer.issue(&user(), Uuid::new_v4(), NOW()).unwrap();
            let (head, signature) = token.rsplit_once('.').unwrap();
            let claims = head.split_once('.').unwrap().1;
            let Header { kid, alg, .. } = header(&signer);
            let other = if alg == Algorithm::HS256 { "EdDSA" } else { "HS256" };
            for header in [
                json!({"alg": "none", "typ": "JWT", "kid": kid}),
                json!({"alg": "None", "typ": "JWT", "kid": kid}),
                json!({"alg": "HS512", "typ": "JWT", "kid": kid}),
                json!({"alg": "RS256", "typ": "JWT", "kid": kid}),
                json!({"alg": other, "typ": "JWT", "kid": kid}),
                json!({"alg": alg, "typ": "JWT"}),
                json!({"alg": alg, "typ": "JWT", "kid": "../../dev/null"}),
            ] {
                let header = URL_SAFE_NO_PAD.encode(header.to_string());
                for signature in [signature, ""] {
                    assert!(signer.verify(&format!("{header}.{claims}.{signature}"), NOW()).is_err());
                }
            }
            let keys = KeyDocument::first(NOW()).unwrap();
            let stranger =
                Signer::own(&Secret::new(b"another key of thirty-two bytes!!!!".to_vec()), &keys, 900).unwrap();
            assert_eq!(stranger.verify(&token, NOW()).err(), Some(Refused::UnknownKey));
            assert!(signer.verify(&format!("{head}."), NOW()).is_err());
            assert!(signer.verify(&format!("{head}.{}x", &signature[..signature.len() - 1]), NOW()).is_err());
            assert!(signer.verify("", NOW()).is_err());
            assert!(signer.verify(&"a.".repeat(5000), NOW()).is_err());
        }
    }

    /// A token that takes our public key for the secret of HS256.
    #[test]
    fn a_public_key_is_no_secret() {
        let [signer, _] = signers();
        let (token, _) = signer.issue(&user(), Uuid::new_v4(), NOW()).unwrap();
        let claims = signer.verify(&token, NOW()).unwrap();
        let header = Header { alg: Algorithm::HS256, ..header(&signer) };
        let public = signer.keys.read().unwrap().current().unwrap().decoding.try_get_as_bytes().unwrap().to_vec();
        let forged = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&public)).unwrap();
        assert_eq!(signer.verify(&forged, NOW()).err(), Some(Refused::Invalid));
    }

    #[test]
    fn rotation_logs_nobody_out() {
        let keys = KeyDocument::first(NOW()).unwrap();
        let signer = Signer::own(&secret(), &keys, 900).unwrap();
        let other = Signer::own(&secret(), &keys, 900).unwrap();
        let (before, _) = signer.issue(&user(), Uuid::new_v4(), NOW()).unwrap();
        let keys = keys.rotated(NOW(), 900).unwrap();
        signer.replace_keys(&keys).unwrap();
        let (after, _) = signer.issue(&user(), Uuid::new_v4(), NOW()).unwrap();
        assert!(signer.verify(&before, NOW()).is_ok() && signer.verify(&after, NOW()).is_ok());
        // The other server learns of it by the first token that it does not know.
        assert_eq!(other.verify(&after, NOW()).err(), Some(Refused::UnknownKey));
        other.replace_keys(&keys).unwrap();
        assert!(other.verify(&after, NOW()).is_ok());
        // After the overlap the old key is no longer taken, whatever its token says.
        assert_eq!(signer.verify(&before, NOW().plus_micros(2_000 * 1_000_000)).err(), Some(Refused::Invalid));
    }
}
