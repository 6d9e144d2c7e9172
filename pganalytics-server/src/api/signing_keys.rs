//! `/auth/signing-keys`: what access tokens are signed with.

use axum::{Json, extract::State, http::StatusCode};
use pganalytics_core::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::key_store::{self, SigningKey},
    error::{ApiResult, Problem, ServerError},
    state::App,
};

/// A signing key, without what makes it secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Its name in the head of a token.
    kid: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Until when tokens of it are taken; null: it signs.
    #[schema(value_type = Option<String>, format = DateTime)]
    accepted_until: Option<Timestamp>,
}

/// The signing keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct Keys {
    /// Oldest first; the last one signs.
    keys: Vec<KeyView>,
}

impl From<Vec<SigningKey>> for Keys {
    fn from(keys: Vec<SigningKey>) -> Self {
        let view = |SigningKey { kid, created_at, accepted_until }| KeyView { kid, created_at, accepted_until };
        Self { keys: keys.into_iter().map(view).collect() }
    }
}

fn problem(error: ServerError) -> Problem {
    match error {
        ServerError::Setting { message, .. } => Problem::conflict("keys_not_here", message),
        ServerError::Store(error) => error.into(),
        other => Problem::internal(&other),
    }
}

/// List signing keys
///
/// Only with keys that the store holds; with `JWT_SECRET` there are none.
#[utoipa::path(get, path = "/api/v1/auth/signing-keys", tag = "auth", responses(
    (status = 200, description = "The keys", body = Keys),
    (status = 409, description = "Tokens are signed with JWT_SECRET", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn list(State(app): State<App>) -> ApiResult<Json<Keys>> {
    let keys = key_store::list(&*app.meta, &app.settings).await.map_err(problem)?;
    Ok(Json(keys.into()))
}

/// Rotate signing keys
///
/// Makes a new key, which signs from now on. Tokens of the one before are taken until they end: nobody is logged out.
#[utoipa::path(post, path = "/api/v1/auth/signing-keys", tag = "auth", responses(
    (status = 201, description = "The keys, the new one last", body = Keys),
    (status = 409, description = "Tokens are signed with JWT_SECRET, or there are too many keys", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn rotate(State(app): State<App>) -> ApiResult<(StatusCode, Json<Keys>)> {
    let keys = key_store::rotate(&*app.meta, &app.settings).await.map_err(problem)?;
    key_store::refresh(&*app.meta, &app.signer).await.map_err(problem)?;
    tracing::info!("the signing keys were rotated");
    Ok((StatusCode::CREATED, Json(keys.into())))
}
