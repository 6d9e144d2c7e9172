//! `/saved-queries`: SQL that people keep, for themselves or for all of their tenant.

use axum::{Json, extract::State, http::StatusCode};
use pganalytics_core::Timestamp;
use pganalytics_store::Document;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::kept::{Kind, content, is_own, may_remove};
use crate::{
    error::{ApiResult, Problem},
    extract::{Body, List, PageParams, Params, Path},
    principal::{Principal, PrincipalKind},
    state::{App, now},
};

const QUERIES: Kind = Kind { name: "saved_query", noun: "saved query", most: 200 };
/// Most that a list is made of.
const MOST_LISTED: u64 = 20_000;
const MAX_SQL_BYTES: usize = 64 * 1024;

/// A query to keep. It is not run, nor looked at: whoever runs it has their own rights.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewQuery {
    /// What people call it: 1 to 128 characters.
    name: String,
    /// Its text.
    sql: String,
    /// Values of its parameters.
    #[serde(default)]
    params: Vec<Value>,
    /// Whether others of the tenant see it.
    #[serde(default)]
    shared: bool,
}

/// A query that somebody keeps.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct QueryView {
    id: Uuid,
    name: String,
    sql: String,
    params: Vec<Value>,
    shared: bool,
    /// Login name of who keeps it, as it was then.
    author: String,
    #[schema(value_type = String, format = DateTime)]
    saved_at: Timestamp,
    /// Whether it is one's own.
    #[serde(default)]
    mine: bool,
}

fn check(new: &NewQuery) -> ApiResult<()> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(Problem::invalid("bad_name", "a name has 1 to 128 characters"));
    }
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    if new.sql.trim().is_empty() || new.sql.len() > MAX_SQL_BYTES {
        return Err(Problem::invalid("bad_sql", format!("the text has 1 to {MAX_SQL_BYTES} bytes")));
    }
    if new.params.len() > 64 || !new.params.iter().all(is_plain) {
        return Err(Problem::invalid("bad_params", "there are at most 64 parameters, each a plain value"));
    }
    Ok(())
}

fn author(principal: &Principal) -> ApiResult<(Uuid, String)> {
    match &principal.kind {
        PrincipalKind::User { id, username, .. } => Ok((*id, username.clone())),
        _ => Err(Problem::forbidden("not_allowed", "only people keep queries")),
    }
}

async fn keep(app: &App, principal: &Principal, id: Uuid, new: NewQuery) -> ApiResult<QueryView> {
    check(&new)?;
    let (owner, author) = author(principal)?;
    let view = QueryView {
        id,
        name: new.name.trim().to_owned(),
        sql: new.sql,
        params: new.params,
        shared: new.shared,
        author,
        saved_at: now(),
        mine: true,
    };
    if !QUERIES.keep(app, principal, (owner, id), (view.saved_at, view.saved_at), &view).await? {
        let detail = format!("you keep {} queries; remove some", QUERIES.most);
        return Err(Problem::conflict("too_many_queries", detail));
    }
    Ok(view)
}

fn view(principal: &Principal, document: &Document) -> ApiResult<QueryView> {
    let mut view: QueryView = content(document)?;
    view.mine = is_own(principal, document);
    Ok(view)
}

/// List saved queries
///
/// One's own, and those that others share; the newest first.
#[utoipa::path(get, path = "/api/v1/saved-queries", tag = "ui", params(PageParams),
    responses((status = 200, description = "A page of queries", body = List<QueryView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
    Params(page): Params<PageParams>,
) -> ApiResult<Json<List<QueryView>>> {
    let page = page.checked()?;
    let ever = Timestamp::from_micros(i64::MIN)..Timestamp::from_micros(i64::MAX);
    let found = principal.within(&app).documents(QUERIES.name, ever, MOST_LISTED).await?;
    let views = found.iter().map(|document| view(&principal, document)).collect::<ApiResult<Vec<_>>>()?;
    Ok(Json(page.cut(views.into_iter().filter(|view| view.shared || view.mine).collect())))
}

/// Keep a query
#[utoipa::path(post, path = "/api/v1/saved-queries", tag = "ui", request_body = NewQuery, responses(
    (status = 201, description = "Kept", body = QueryView),
    (status = 409, description = "One keeps too many", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 422, description = "A name or text that makes no sense", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(app): State<App>,
    principal: Principal,
    Body(new): Body<NewQuery>,
) -> ApiResult<(StatusCode, Json<QueryView>)> {
    let kept = keep(&app, &principal, Uuid::new_v4(), new).await?;
    Ok((StatusCode::CREATED, Json(kept)))
}

/// One that the principal sees.
async fn find(app: &App, principal: &Principal, id: Uuid) -> ApiResult<(Document, QueryView)> {
    let document = QUERIES.find(app, principal, id).await?;
    let view = view(principal, &document)?;
    let visible = view.shared || may_remove(principal, &document);
    if visible { Ok((document, view)) } else { Err(QUERIES.not_found(id)) }
}

/// Change a saved query
///
/// One's own.
#[utoipa::path(put, path = "/api/v1/saved-queries/{id}", tag = "ui", params(("id" = Uuid, Path, description = "Its id")),
    request_body = NewQuery, responses(
        (status = 200, description = "Changed", body = QueryView),
        (status = 403, description = "It is somebody else's", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 422, description = "A name or text that makes no sense", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn change(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<Uuid>,
    Body(new): Body<NewQuery>,
) -> ApiResult<Json<QueryView>> {
    let (_, view) = find(&app, &principal, id).await?;
    if !view.mine {
        return Err(Problem::forbidden("not_yours", "who keeps it may change it; keep it under another name"));
    }
    keep(&app, &principal, id, new).await.map(Json)
}

/// Remove a saved query
///
/// One's own; an admin any.
#[utoipa::path(delete, path = "/api/v1/saved-queries/{id}", tag = "ui", params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 204, description = "Removed"),
        (status = 403, description = "It is somebody else's", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<Uuid>,
) -> ApiResult<StatusCode> {
    let (document, _) = find(&app, &principal, id).await?;
    if !may_remove(&principal, &document) {
        return Err(Problem::forbidden("not_yours", "who keeps it may remove it, and an admin"));
    }
    principal.within(&app).remove_document(document.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
