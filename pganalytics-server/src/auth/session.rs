//! Sessions of people: begin, go on, end.

use axum::http::HeaderMap;
use pganalytics_core::{Secret, Timestamp};
use pganalytics_store::meta_store::{RefreshToken, Rotated, User};
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

/// Begins a session of somebody whose password was right a moment ago. When all
/// sessions were ended since, none begins.
pub(crate) async fn begin(app: &App, user: User) -> ApiResult<Session> {
    let now = now();
    let (refresh, hash, expires_at) = new_refresh(app, now)?;
    let row = RefreshToken { hash, family: Uuid::new_v4(), user: user.id, expires_at };
    if !app.meta.add_refresh_token(&row, user.version).await? {
        return Err(Problem::unauthorized("session_ended", "all sessions were ended just now; log in again"));
    }
    issue(app, user, row.family, refresh, now)
}

/// Spends a refresh token for the next session of its family.
pub(crate) async fn renew(app: &App, refresh: &str) -> ApiResult<Session> {
    let ended = |code| Problem::unauthorized(code, "the session has ended; log in again");
    let now = now();
    let old = random::hash(refresh.as_bytes());
    let (refresh, hash, expires_at) = new_refresh(app, now)?;
    match app.meta.rotate_refresh_token(&old, &hash, expires_at, now).await? {
        Rotated::Good { user, family } => issue(app, user, family, refresh, now),
        Rotated::Reused => {
            tracing::warn!("a refresh token was used twice: its session is revoked");
            Err(ended("refresh_token_reused"))
        }
        Rotated::Unknown => Err(ended("invalid_refresh_token")),
    }
}

/// A refresh token, its hash, and when it ends.
fn new_refresh(app: &App, now: Timestamp) -> ApiResult<(Secret<String>, [u8; 32], Timestamp)> {
    let refresh = Secret::new(random::token().map_err(|error| Problem::internal(&error))?);
    let hash = random::hash(refresh.expose().as_bytes());
    let life = i64::try_from(app.settings.refresh_lifetime.as_micros()).unwrap_or(i64::MAX);
    Ok((refresh, hash, now.plus_micros(life)))
}

fn issue(app: &App, user: User, family: Uuid, refresh: Secret<String>, now: Timestamp) -> ApiResult<Session> {
    let issued = app.signer.issue(&user, family, now).map_err(|error| Problem::internal(&error))?;
    let (access, expires_at) = issued;
    Ok(Session { user, family, access, expires_at, refresh })
}

impl Session {
    /// Puts the session into cookies; gives the CSRF token.
    pub(crate) fn into_cookies(self, app: &App, secure: bool, headers: &mut HeaderMap) -> ApiResult<String> {
        let csrf = app.signer.csrf(self.family).map_err(|error| Problem::internal(&error))?;
        let long = i64::try_from(app.settings.refresh_lifetime.as_secs()).unwrap_or(i64::MAX);
        Cookie::Access.set(headers, &self.access, app.signer.lifetime_secs(), secure);
        Cookie::Refresh.set(headers, self.refresh.expose(), long, secure);
        Cookie::Csrf.set(headers, &csrf, long, secure);
        Ok(csrf)
    }
}
