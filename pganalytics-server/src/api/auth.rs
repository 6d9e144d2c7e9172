//! Logging in, going on, logging out.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use pganalytics_core::{Secret, Timestamp};
use pganalytics_store::meta_store::{Role, User};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{
        cookie::{CSRF_HEADER, Cookie, is_foreign},
        device::{Device, REMEMBERED_SECS},
        guard::foreign,
        password, random,
        session::{self, Session},
    },
    error::{ApiResult, Problem},
    extract::{Body, Params},
    peer::Peer,
    principal::{Principal, PrincipalKind},
    state::{App, now},
};

/// A name and a password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Login {
    /// Login name.
    username: String,
    /// Password.
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
}

/// Where the session goes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionParams {
    /// Put the tokens into httpOnly cookies, for a page.
    #[serde(default)]
    pub(crate) cookie: bool,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Refresh {
    /// The refresh token; not needed where it is in a cookie.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret<String>>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangePassword {
    /// The password as it is.
    #[schema(value_type = String, format = Password)]
    current_password: Secret<String>,
    /// The password as it shall be, of at least twelve characters.
    #[schema(value_type = String, format = Password)]
    new_password: Secret<String>,
}

/// A user as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    id: Uuid,
    username: String,
    #[schema(value_type = String, example = "admin")]
    role: Role,
    tenant_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            role: user.role,
            tenant_id: user.tenant.as_uuid(),
            created_at: user.created_at,
        }
    }
}

/// A session. Tokens are there unless they went into cookies.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// Access token: send it as `Authorization: Bearer …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Refresh token: good for one new session, at `/auth/refresh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// With cookies: send it as `X-CSRF-Token` with every request that changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
    /// When the access token ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Seconds until then.
    expires_in: i64,
    user: UserView,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// `user`, `token` or `collector`.
    kind: &'static str,
    /// Id of the user, or of the collector.
    id: Option<Uuid>,
    username: Option<String>,
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    tenant_id: Uuid,
    /// What the token may be used for.
    scopes: Vec<&'static str>,
    /// With cookies: the session's CSRF token.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

/// The answer with a new session; one that begins with a password leaves a
/// mark in the browser.
pub(crate) fn answer(app: &App, peer: &Peer, session: Session, cookie: bool, begins: bool) -> ApiResult<Response> {
    let expires_at = session.expires_at;
    let user = UserView::from(&session.user);
    let expires_in = expires_at.micros_since(now()).div_euclid(1_000_000).max(0);
    let mut headers = HeaderMap::new();
    let (token, refresh_token, csrf_token) = if cookie {
        let secure = peer.is_https();
        if begins {
            let device = Device::new(&session.user.username).text(&app.signer);
            let device = device.map_err(|error| Problem::internal(&error))?;
            Cookie::Device.set(&mut headers, &device, REMEMBERED_SECS, secure);
        }
        (None, None, Some(session.into_cookies(app, secure, &mut headers)?))
    } else {
        let refresh = session.refresh.expose().clone();
        (Some(session.access), Some(refresh), None)
    };
    let view = SessionView { token, refresh_token, csrf_token, expires_at, expires_in, user };
    Ok((headers, Json(view)).into_response())
}

/// Log in
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", params(SessionParams), request_body = Login, responses(
    (status = 200, description = "A session", body = SessionView),
    (status = 401, description = "Wrong name or password", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn login(
    State(app): State<App>,
    peer: Peer,
    Params(params): Params<SessionParams>,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> ApiResult<Response> {
    let user = check_password(&app, &peer, &headers, &login.username, login.password).await?;
    tracing::info!(user = %user.username, "logged in");
    let session = session::begin(&app, user).await?;
    answer(&app, &peer, session, params.cookie, true)
}

/// The user of this name and password; as slow for those who are not there.
async fn check_password(
    app: &App,
    peer: &Peer,
    headers: &HeaderMap,
    username: &str,
    password: Secret<String>,
) -> ApiResult<User> {
    let device = Device::read(&app.signer, headers).filter(|device| device.is_of(username));
    let attempt = app.lockout.attempt(username, peer.network(), device.map(|device| device.id));
    let attempt = attempt.map_err(|wait| {
        let secs = wait.as_secs() + 1;
        Problem::too_many("locked_out", format!("too many failed log-ins; try again in {secs} s"), secs)
    })?;
    let user = app.meta.user_by_name(username).await?;
    let hash = user.as_ref().map(|user| user.password_hash.as_str());
    let right = app.passwords.check(password, hash).await?;
    match user.filter(|_| right) {
        Some(user) => {
            attempt.succeeded();
            Ok(user)
        }
        None => {
            attempt.failed();
            tracing::warn!(address = ?peer.address(), "a log-in failed");
            Err(Problem::unauthorized("wrong_credentials", "the user name or the password is wrong"))
        }
    }
}

/// Go on with a session
///
/// A refresh token is good once. One that is used again ends its session: somebody has a copy.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", params(SessionParams), request_body = Refresh, responses(
    (status = 200, description = "The session, with new tokens", body = SessionView),
    (status = 401, description = "The session has ended", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 403, description = "X-CSRF-Token is missing or wrong", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn refresh(
    State(app): State<App>,
    peer: Peer,
    Params(params): Params<SessionParams>,
    headers: HeaderMap,
    body: Option<Body<Refresh>>,
) -> ApiResult<Response> {
    let given = body.and_then(|Body(body)| body.refresh_token);
    let token = match (given, Cookie::Refresh.read(&headers)) {
        (Some(token), _) => token,
        (None, Some(token)) => {
            check_csrf_cookie(&headers)?;
            Secret::new(token.to_owned())
        }
        (None, None) => {
            return Err(Problem::unauthorized("invalid_refresh_token", "there is no refresh token; log in"));
        }
    };
    let session = session::renew(&app, token.expose()).await?;
    answer(&app, &peer, session, params.cookie, false)
}

/// The header must equal the cookie, which pages of others can't read.
fn check_csrf_cookie(headers: &HeaderMap) -> ApiResult<()> {
    if is_foreign(headers) {
        return Err(foreign());
    }
    let cookie = Cookie::Csrf.read(headers).unwrap_or_default();
    let header = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !cookie.is_empty() && random::same(cookie.as_bytes(), header.as_bytes()) {
        return Ok(());
    }
    Err(Problem::forbidden("bad_csrf_token", "X-CSRF-Token is missing or not that of this session"))
}

/// Log out everywhere
///
/// Ends all sessions of the user at once.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", responses((status = 204, description = "Logged out")))]
pub(crate) async fn logout(State(app): State<App>, peer: Peer, principal: Principal) -> ApiResult<Response> {
    if let Some(user) = principal.user() {
        app.meta.end_sessions(user).await?;
        app.tokens.clear();
    }
    let mut headers = HeaderMap::new();
    Cookie::clear_all(&mut headers, peer.is_https());
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Who asks
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth",
    responses((status = 200, description = "User, token or collector", body = Me)))]
pub(crate) async fn me(State(app): State<App>, principal: Principal) -> ApiResult<Json<Me>> {
    let (kind, id, username, csrf) = match &principal.kind {
        PrincipalKind::User { id, username, session, cookie } => {
            let csrf = if *cookie { Some(app.signer.csrf(*session)) } else { None };
            ("user", Some(*id), Some(username.clone()), csrf)
        }
        PrincipalKind::Token { user, username, .. } => ("token", Some(*user), Some(username.clone()), None),
        PrincipalKind::Collector { id, .. } => ("collector", Some(id.as_uuid()), None, None),
        PrincipalKind::Anonymous => ("anonymous", None, None, None),
    };
    Ok(Json(Me {
        kind,
        id,
        username,
        role: principal.user().map(|_| principal.role),
        tenant_id: principal.tenant.as_uuid(),
        scopes: crate::auth::scope::Scope::EACH
            .into_iter()
            .filter(|scope| principal.scopes.has(*scope))
            .map(crate::auth::scope::Scope::as_str)
            .collect(),
        csrf_token: csrf.transpose().map_err(|error| Problem::internal(&error))?,
    }))
}

/// Change one's own password
///
/// Ends all sessions of the user at once; log in again.
#[utoipa::path(post, path = "/api/v1/auth/change-password", tag = "auth", request_body = ChangePassword, responses(
    (status = 204, description = "Changed"),
    (status = 401, description = "The current password is wrong", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 422, description = "The new password is too weak", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn change_password(
    State(app): State<App>,
    peer: Peer,
    principal: Principal,
    headers: HeaderMap,
    Body(change): Body<ChangePassword>,
) -> ApiResult<Response> {
    let PrincipalKind::User { username, .. } = &principal.kind else {
        return Err(Problem::forbidden("not_allowed", "only people have passwords"));
    };
    password::refuse_weak(&change.new_password, username).map_err(|why| Problem::invalid("weak_password", why))?;
    let user = check_password(&app, &peer, &headers, username, change.current_password).await?;
    let hash = app.passwords.hash(change.new_password).await?;
    app.meta.set_password(user.id, &hash).await?;
    app.tokens.clear();
    tracing::info!(user = %user.username, "changed the password");
    let mut headers = HeaderMap::new();
    Cookie::clear_all(&mut headers, peer.is_https());
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}
