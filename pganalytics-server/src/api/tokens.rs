//! `/tokens`: one's own API tokens.

use axum::{Json, extract::State, http::StatusCode};
use pganalytics_core::Timestamp;
use pganalytics_store::meta_store::{ApiToken, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{api_token, scope::Scope},
    error::{ApiResult, Problem},
    extract::{Body, List, PageParams, Params, Path},
    principal::Principal,
    state::{App, now},
};

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewToken {
    /// What people call it.
    name: String,
    /// What it may be used for, within what its owner may do.
    scopes: Vec<Scope>,
    /// When it ends; without it: never.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A token, without what makes it secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    /// The user that it acts as.
    user_id: Option<Uuid>,
    /// The collector that it speaks for.
    collector_id: Option<Uuid>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A token just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedToken {
    /// The token; it is not shown again.
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

impl From<ApiToken> for TokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            user_id: token.user,
            collector_id: token.collector.map(|id| id.as_uuid()),
            created_at: token.created_at,
            expires_at: token.expires_at,
        }
    }
}

/// One's own; admins see those of everybody, and of collectors.
fn may_see(principal: &Principal, token: &ApiToken) -> bool {
    let own = token.user.is_some() && token.user == principal.user();
    own || principal.role >= Role::Admin
}

/// List tokens
///
/// One's own; an admin sees all of the tenant.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(PageParams),
    responses((status = 200, description = "A page of tokens, newest first", body = List<TokenView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
    Params(page): Params<PageParams>,
) -> ApiResult<Json<List<TokenView>>> {
    let page = page.checked()?;
    let tokens = principal.within(&app).api_tokens().await?;
    let seen = tokens.into_iter().filter(|token| may_see(&principal, token)).map(TokenView::from);
    Ok(Json(page.cut(seen.collect())))
}

/// Make a token
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewToken, responses(
    (status = 201, description = "Made; the token is shown once", body = CreatedToken),
    (status = 422, description = "A name, scope or end that makes no sense", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(app): State<App>,
    principal: Principal,
    Body(new): Body<NewToken>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(Problem::invalid("bad_name", "a token's name has 1 to 128 characters"));
    }
    if new.scopes.is_empty() {
        return Err(Problem::invalid(
            "no_scopes",
            "a token needs at least one scope: push, read, write, admin, annotate",
        ));
    }
    if new.expires_at.is_some_and(|end| end <= now()) {
        return Err(Problem::invalid("bad_expiry", "expires_at is in the past"));
    }
    let token = api_token::issue().map_err(|error| Problem::internal(&error))?;
    let mut scopes: Vec<String> = new.scopes.iter().map(ToString::to_string).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let row = ApiToken {
        id: token.id,
        hash: token.hash,
        tenant: principal.tenant,
        name: name.to_owned(),
        collector: None,
        user: principal.user(),
        scopes,
        created_at: now(),
        expires_at: new.expires_at,
    };
    principal.within(&app).add_api_token(&row).await?;
    tracing::info!(token = %row.id, "made an API token");
    let created = CreatedToken { token: token.text.expose().clone(), view: row.into() };
    Ok((StatusCode::CREATED, Json(created)))
}

async fn find(app: &App, principal: &Principal, id: Uuid) -> ApiResult<ApiToken> {
    let token = principal.within(app).api_token(id).await?.filter(|token| may_see(principal, token));
    token.ok_or_else(|| Problem::not_found("token", &id.to_string()))
}

/// A token
#[utoipa::path(get, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 200, description = "The token, without its secret", body = TokenView),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<TokenView>> {
    find(&app, &principal, id).await.map(|token| Json(token.into()))
}

/// Remove a token
///
/// It is refused from the next request on.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<Uuid>,
) -> ApiResult<StatusCode> {
    let token = find(&app, &principal, id).await?;
    principal.within(&app).remove_api_token(token.id).await?;
    app.tokens.clear();
    tracing::info!(token = %id, "removed an API token");
    Ok(StatusCode::NO_CONTENT)
}
