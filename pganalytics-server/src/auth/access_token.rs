//! Access tokens: short-lived JWTs of people who logged in.
//!
//! What stays true: one key and one algorithm (HS256), pinned here and never
//! taken from the token; every claim is required and checked; a token says who
//! logged in, not what may be done — role and `ver` are compared with the user
//! as stored, so that log-out and change of role work at once.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use pganalytics_core::{Secret, Timestamp};
use pganalytics_store::meta_store::{Role, User};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::random;
use crate::error::ServerError;

const ISSUER: &str = "pganalytics";
const AUDIENCE: &str = "pganalytics-api";
const ACCESS: &str = "access";
/// Clocks of two servers may differ by this much.
const LEEWAY_SECS: u64 = 5;

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
    encoding: EncodingKey,
    decoding: DecodingKey,
    kid: String,
    validation: Validation,
    lifetime_secs: i64,
}

impl Signer {
    pub(crate) fn new(key: &Secret<Vec<u8>>, lifetime_secs: u32) -> Self {
        let key = key.expose().as_slice();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECS;
        validation.validate_nbf = true;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        let id = random::hash(&[b"kid:".as_slice(), key].concat());
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            kid: random::hex(id.get(..8).unwrap_or_default()),
            validation,
            lifetime_secs: i64::from(lifetime_secs),
        }
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
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, &self.encoding)
            .map_err(|error| ServerError::Crypto(error.to_string()))?;
        Ok((token, Timestamp::from_secs(exp)))
    }

    /// What a token says, when it is one of ours and valid now.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        // Far more than ours ever have.
        if token.len() > 4096 {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.alg != Algorithm::HS256 || header.kid.as_deref() != Some(self.kid.as_str()) {
            return None;
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        let ours = claims.typ == ACCESS && claims.iat <= claims.exp && claims.nbf <= claims.exp;
        ours.then_some(claims)
    }

    /// The token that proves that a request of this session comes from our page.
    pub(crate) fn csrf(&self, session: Uuid) -> Result<String, ServerError> {
        self.sign("csrf", &session.to_string())
    }

    /// A signature of something that is said for one purpose.
    pub(crate) fn sign(&self, purpose: &str, text: &str) -> Result<String, ServerError> {
        let message = format!("{purpose}:{text}");
        jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, Algorithm::HS256)
            .map_err(|error| ServerError::Crypto(error.to_string()))
    }

    pub(crate) fn lifetime_secs(&self) -> i64 {
        self.lifetime_secs
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use pganalytics_core::TenantId;
    use serde_json::{Value, json};

    use super::*;

    const NOW: fn() -> Timestamp = || Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());

    fn signer() -> Signer {
        Signer::new(&Secret::new(b"a key of at least thirty-two bytes!".to_vec()), 900)
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
    fn forged(change: impl FnOnce(&mut Value)) -> String {
        let signer = signer();
        let (token, _) = signer.issue(&user(), Uuid::new_v4(), NOW()).unwrap();
        let mut claims = serde_json::to_value(signer.verify(&token).unwrap()).unwrap();
        change(&mut claims);
        let header = Header { kid: Some(signer.kid.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &signer.encoding).unwrap()
    }

    #[test]
    fn our_tokens_are_taken() {
        let signer = signer();
        let (user, session) = (user(), Uuid::new_v4());
        let (token, expires) = signer.issue(&user, session, NOW()).unwrap();
        let claims = signer.verify(&token).unwrap();
        assert_eq!((claims.sub, claims.sid, claims.ver, claims.role), (user.id, session, 3, Role::User));
        assert!(expires > NOW());
        assert!(signer.verify(&forged(|_| {})).is_some());
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
        for (claim, value) in attacks {
            assert!(signer().verify(&forged(|claims| claims[claim] = value)).is_none(), "{claim}");
        }
        for claim in ["iss", "aud", "sub", "typ", "jti", "iat", "nbf", "exp", "tenant", "role", "ver", "sid"] {
            let without = forged(|claims| {
                claims.as_object_mut().unwrap().remove(claim);
            });
            assert!(signer().verify(&without).is_none(), "without {claim}");
        }
    }

    #[test]
    fn other_algorithms_and_keys_are_refused() {
        let signer = signer();
        let (token, _) = signer.issue(&user(), Uuid::new_v4(), NOW()).unwrap();
        let (head, signature) = token.rsplit_once('.').unwrap();
        let claims = head.split_once('.').unwrap().1;
        for header in [
            json!({"alg": "none", "typ": "JWT", "kid": signer.kid}),
            json!({"alg": "None", "typ": "JWT", "kid": signer.kid}),
            json!({"alg": "HS512", "typ": "JWT", "kid": signer.kid}),
            json!({"alg": "RS256", "typ": "JWT", "kid": signer.kid}),
            json!({"alg": "HS256", "typ": "JWT"}),
            json!({"alg": "HS256", "typ": "JWT", "kid": "../../dev/null"}),
        ] {
            let header = URL_SAFE_NO_PAD.encode(header.to_string());
            for signature in [signature, ""] {
                assert!(signer.verify(&format!("{header}.{claims}.{signature}")).is_none());
            }
        }
        let other = Signer::new(&Secret::new(b"another key of thirty-two bytes!!!!".to_vec()), 900);
        assert!(other.verify(&token).is_none());
        assert!(signer.verify(&format!("{head}.")).is_none());
        assert!(signer.verify(&format!("{head}.{}x", &signature[..signature.len() - 1])).is_none());
        assert!(signer.verify("").is_none());
        assert!(signer.verify(&"a.".repeat(5000)).is_none());
    }
}
