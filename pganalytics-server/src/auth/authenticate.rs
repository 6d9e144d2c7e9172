//! From a request's credential to a principal.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use pganalytics_core::{CollectorId, TenantId};
use pganalytics_store::{
    MetaStore, StoreError,
    meta_store::{ApiToken, Role},
};
use uuid::Uuid;

use super::{
    access_token::{Refused, Signer},
    api_token,
    cookie::Cookie,
    key_store, random,
    scope::Scopes,
};
use crate::{
    error::Problem,
    principal::{Principal, PrincipalKind},
    state::now,
};

/// What a request brings to prove who makes it.
#[derive(Clone, Copy)]
pub(crate) enum Credential<'a> {
    None,
    /// An `Authorization` header that is not a bearer token.
    Unknown,
    Bearer(&'a str),
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|text| text.split_once(' '));
            return match token {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Self::Bearer(token.trim()),
                _ => Self::Unknown,
            };
        }
        Cookie::Access.read(headers).map_or(Self::None, Self::Cookie)
    }
}

/// Tokens looked up lately. What was revoked elsewhere is seen within
/// [`FRESH`], what was revoked here at once.
#[derive(Default)]
pub(crate) struct TokenCache {
    tokens: Mutex<HashMap<Uuid, (Instant, ApiToken, Principal)>>,
}

const FRESH: Duration = Duration::from_secs(2);
const MOST_TOKENS: usize = 20_000;

impl TokenCache {
    fn get(&self, id: Uuid) -> Option<(ApiToken, Principal)> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, token, principal) = tokens.get(&id)?;
        (read.elapsed() < FRESH).then(|| (token.clone(), principal.clone()))
    }

    fn put(&self, token: &ApiToken, principal: &Principal) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MOST_TOKENS {
            tokens.clear();
        }
        tokens.insert(token.id, (Instant::now(), token.clone(), principal.clone()));
    }

    /// Something about tokens, users or collectors has changed.
    pub(crate) fn clear(&self) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Finds out who makes a request.
pub(crate) struct Authenticator<'a> {
    pub(crate) meta: &'a dyn MetaStore,
    pub(crate) signer: &'a Signer,
    pub(crate) cache: &'a TokenCache,
}

/// Why a credential proves nothing, or could not be looked up.
pub(crate) enum AuthError {
    Refused(Problem),
    Store(StoreError),
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn invalid() -> AuthError {
    AuthError::Refused(Problem::unauthorized(
        "invalid_token",
        "the token is not valid: it is unknown, has ended or was revoked; log in again or make a new one",
    ))
}

impl Authenticator<'_> {
    /// Whether the store has to be asked before anything is known of who it is.
    pub(crate) fn needs_lookup(&self, credential: Credential<'_>) -> bool {
        let Credential::Bearer(text) = credential else { return false };
        // Sessions prove themselves by their signature.
        let Some((id, hash)) = api_token::parse(text) else { return false };
        !self.cache.get(id).is_some_and(|(token, _)| random::same(&token.hash, &hash))
    }

    /// The principal of a credential; `None` when there is no credential.
    pub(crate) async fn authenticate(&self, credential: Credential<'_>) -> Result<Option<Principal>, AuthError> {
        match credential {
            Credential::None => Ok(None),
            Credential::Unknown => Err(AuthError::Refused(Problem::unauthorized(
                "unknown_credential",
                "the Authorization header holds no token; send: Authorization: Bearer <token>",
            ))),
            Credential::Bearer(text) if api_token::looks_like_one(text) => self.token(text).await.map(Some),
            Credential::Bearer(text) => self.session(text, false).await.map(Some),
            Credential::Cookie(text) => self.session(text, true).await.map(Some),
        }
    }

    async fn session(&self, text: &str, cookie: bool) -> Result<Principal, AuthError> {
        let claims = match self.signer.verify(text, now()) {
            Err(Refused::UnknownKey) if self.signer.may_look() => {
                // Another server may have rotated the keys.
                if let Err(error) = key_store::refresh(self.meta, self.signer).await {
                    tracing::warn!(%error, "the signing keys can't be read; those that are known go on");
                }
                self.signer.verify(text, now())
            }
            verified => verified,
        };
        let claims = claims.map_err(|_| invalid())?;
        let user = self.meta.user(claims.sub).await?.ok_or_else(invalid)?;
        // A log-out, a new password or another role ends what was issued before.
        let current = user.version == claims.ver && user.role == claims.role && user.tenant.as_uuid() == claims.tenant;
        if !current {
            return Err(invalid());
        }
        Ok(Principal::session(&user, claims.sid, cookie))
    }

    async fn token(&self, text: &str) -> Result<Principal, AuthError> {
        let (id, hash) = api_token::parse(text).ok_or_else(invalid)?;
        let (token, principal) = match self.cache.get(id) {
            Some(known) => known,
            None => {
                let token = self.meta.api_token(id).await?.ok_or_else(invalid)?;
                // Only those who have the secret make us remember anything.
                if !random::same(&token.hash, &hash) {
                    return Err(invalid());
                }
                let principal = self.principal_of(&token).await?;
                self.cache.put(&token, &principal);
                (token, principal)
            }
        };
        let ended = token.expires_at.is_some_and(|end| end <= now());
        if ended || !random::same(&token.hash, &hash) {
            return Err(invalid());
        }
        Ok(principal)
    }

    async fn principal_of(&self, token: &ApiToken) -> Result<Principal, AuthError> {
        match (token.collector, token.user) {
            (Some(collector), _) => {
                self.refuse_revoked(token.tenant, collector).await?;
                Ok(Principal {
                    tenant: token.tenant,
                    kind: PrincipalKind::Collector { id: collector, token: token.id },
                    role: Role::Viewer,
                    scopes: Scopes::from_names(["push"]),
                })
            }
            (None, Some(user)) => {
                let user = self.meta.user(user).await?.ok_or_else(invalid)?;
                if user.tenant != token.tenant {
                    return Err(invalid());
                }
                Ok(Principal {
                    tenant: user.tenant,
                    kind: PrincipalKind::Token { token: token.id, user: user.id, username: user.username },
                    role: user.role,
                    scopes: Scopes::from_names(token.scopes.iter().map(String::as_str)),
                })
            }
            (None, None) => Err(invalid()),
        }
    }

    async fn refuse_revoked(&self, tenant: TenantId, collector: CollectorId) -> Result<(), AuthError> {
        let refused = |code, detail| Err(AuthError::Refused(Problem::forbidden(code, detail)));
        match self.meta.collector(collector).await? {
            Some(record) if record.tenant != tenant => Err(invalid()),
            Some(record) if record.revoked => {
                refused("collector_revoked", "this collector was revoked; an admin can let it in again")
            }
            Some(_) => Ok(()),
            None => refused("collector_unknown", "this collector was removed; register it again"),
        }
    }
}
