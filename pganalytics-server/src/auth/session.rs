//! Sessions of people: begin, go on, end.

use axum::http::HeaderMap;
use pganalytics_core::{Secret, Timestamp};
use pganalytics_store::meta_store::{Redeemed, RefreshToken, User};
use uuid::Uuid;

use super::{cookie::Cookie, random};
use crate::{
    error::{ApiResult, Problem},
    state::{App, now},
};

/// What somebody has after logging in.
pub(crate) struct Session {
    pub(crate) user: User,
    pub(crate) family: Uuid,
    pub(crate) access: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) refresh: Secret<String>,
}

/// Begins a session, or goes on with the one of this family.
pub(crate) async fn begin(app: &App, user: User, family: Option<Uuid>) -> ApiResult<Session> {
    let internal = |error| Problem::internal(&error);
    let now = now();
    let family = family.unwrap_or_else(Uuid::new_v4);
    let refresh = Secret::new(random::token().map_err(internal)?);
    let life = i64::try_from(app.settings.refresh_lifetime.as_micros()).unwrap_or(i64::MAX);
    let row = RefreshToken {
        hash: random::hash(refresh.expose().as_bytes()),
        family,
        user: user.id,
        expires_at: now.plus_micros(life),
    };
    app.meta.add_refresh_token(&row).await?;
    let (access, expires_at) = app.signer.issue(&user, family, now).map_err(internal)?;
    Ok(Session { user, family, access, expires_at, refresh })
}

/// Spends a refresh token for the next session of its family.
pub(crate) async fn renew(app: &App, refresh: &str) -> ApiResult<Session> {
    let ended = |code| Problem::unauthorized(code, "the session has ended; log in again");
    let hash = random::hash(refresh.as_bytes());
    let spent = match app.meta.redeem_refresh_token(&hash, now()).await? {
        Redeemed::Good(token) => token,
        Redeemed::Reused => {
            tracing::warn!("a refresh token was used twice: its session is revoked");
            return Err(ended("refresh_token_reused"));
        }
        Redeemed::Unknown => return Err(ended("invalid_refresh_token")),
    };
    let user = app.meta.user(spent.user).await?.ok_or_else(|| ended("invalid_refresh_token"))?;
    begin(app, user, Some(spent.family)).await
}

impl Session {
    /// Puts the session into cookies; gives the CSRF token.
    pub(crate) fn into_cookies(self, app: &App, headers: &mut HeaderMap) -> ApiResult<String> {
        let csrf = app.signer.csrf(self.family).map_err(|error| Problem::internal(&error))?;
        let secure = app.settings.https;
        let long = i64::try_from(app.settings.refresh_lifetime.as_secs()).unwrap_or(i64::MAX);
        Cookie::Access.set(headers, &self.access, app.signer.lifetime_secs(), secure);
        Cookie::Refresh.set(headers, self.refresh.expose(), long, secure);
        Cookie::Csrf.set(headers, &csrf, long, secure);
        Ok(csrf)
    }
}
