//! `POST /auth/setup`: the first admin of an empty installation.

use axum::{extract::State, response::Response};
use pganalytics_core::{Secret, TenantId};
use pganalytics_store::meta_store::{Role, User};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::{SessionParams, SessionView, answer};
use crate::{
    auth::{password, random, session},
    error::{ApiResult, Problem},
    extract::{Body, Params},
    peer::Peer,
    state::{App, now},
};

/// The first admin.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Setup {
    /// The set-up token, as the server printed it at its start.
    #[schema(value_type = String, format = Password)]
    token: Secret<String>,
    /// Login name.
    username: String,
    /// Password, of at least twelve characters.
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
}

/// What a login name looks like.
pub(crate) const USERNAME_RULE: &str = "a user name has 1 to 64 letters, digits and _ . - @ +";

/// Whether a text can be a login name.
pub(crate) fn is_username(name: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | '+');
    !name.is_empty() && name.chars().count() <= 64 && name.chars().all(letter)
}

/// A user to be.
pub(crate) fn new_user(username: &str, password_hash: String, role: Role) -> User {
    User {
        id: Uuid::new_v4(),
        tenant: TenantId::DEFAULT,
        username: username.to_owned(),
        password_hash,
        role,
        version: 1,
        created_at: now(),
    }
}

/// Make the first admin
///
/// Works once, while there is no user, for whoever has the token that the server printed at its start.
#[utoipa::path(post, path = "/api/v1/auth/setup", tag = "auth", params(SessionParams), request_body = Setup, responses(
    (status = 200, description = "Made, and logged in", body = SessionView),
    (status = 403, description = "The token is wrong, or set-up is off", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 409, description = "There is a user already", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 422, description = "A name or password that can't be taken", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn setup(
    State(app): State<App>,
    peer: Peer,
    Params(params): Params<SessionParams>,
    Body(setup): Body<Setup>,
) -> ApiResult<Response> {
    let Some(expected) = &app.setup_token else {
        return Err(set_up_already(&app).await?);
    };
    if !random::same(expected.expose().as_bytes(), setup.token.expose().as_bytes()) {
        tracing::warn!(address = ?peer.address(), "somebody tried to set up the server with a wrong token");
        let detail = "the set-up token is wrong; the server printed it at its start, or was given it in \
                      PGANALYTICS_SETUP_TOKEN";
        return Err(Problem::forbidden("wrong_setup_token", detail));
    }
    if !is_username(&setup.username) {
        return Err(Problem::invalid("bad_username", USERNAME_RULE));
    }
    password::refuse_weak(&setup.password, &setup.username).map_err(|why| Problem::invalid("weak_password", why))?;
    let hash = app.passwords.hash(setup.password).await?;
    let user = new_user(&setup.username, hash, Role::Admin);
    if !app.meta.add_first_user(&user).await? {
        return Err(Problem::conflict("already_set_up", ALREADY));
    }
    tracing::info!(user = %user.username, "made the first admin");
    let session = session::begin(&app, user).await?;
    answer(&app, &peer, session, params.cookie, true)
}

const ALREADY: &str = "there is a user already; log in";

/// Why a server without a token makes no admin.
async fn set_up_already(app: &App) -> ApiResult<Problem> {
    if app.meta.has_users().await? {
        return Ok(Problem::conflict("already_set_up", ALREADY));
    }
    let detail = "set-up is off: start the server with PGANALYTICS_SETUP=true, or add a user on its command line";
    Ok(Problem::forbidden("setup_is_off", detail))
}
