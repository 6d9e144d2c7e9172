//! `/collectors`: registered agents.

use axum::{Json, extract::State, http::StatusCode};
use pganalytics_core::{CollectorId, Timestamp};
use pganalytics_store::{Owned, meta_store::CollectorRecord};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    error::{ApiResult, Problem},
    extract::{List, PageParams, Params, Path},
    principal::Principal,
    state::{App, now},
};

/// A collector that pushed within this time is active.
const ACTIVE_MICROS: i64 = 300 * 1_000_000;

/// A registered agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectorView {
    /// Id.
    id: Uuid,
    /// What people call it.
    name: String,
    /// Its host.
    hostname: String,
    /// Its version.
    version: String,
    /// `active`, `silent` (nothing for five minutes), `registered` (never pushed) or `revoked`.
    status: &'static str,
    /// When it was first seen.
    #[schema(value_type = String, format = DateTime)]
    registered_at: Timestamp,
    /// When it last pushed.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen: Option<Timestamp>,
    /// Whether its tokens are refused.
    revoked: bool,
}

impl From<CollectorRecord> for CollectorView {
    fn from(record: CollectorRecord) -> Self {
        let status = match record.last_seen {
            _ if record.revoked => "revoked",
            None => "registered",
            Some(seen) if now().micros_since(seen) < ACTIVE_MICROS => "active",
            Some(_) => "silent",
        };
        Self {
            id: record.id.as_uuid(),
            name: record.name,
            hostname: record.hostname,
            version: record.version,
            status,
            registered_at: record.registered_at,
            last_seen: record.last_seen,
            revoked: record.revoked,
        }
    }
}

/// List collectors
#[utoipa::path(get, path = "/api/v1/collectors", tag = "collectors", params(PageParams),
    responses((status = 200, description = "A page of collectors by name", body = List<CollectorView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
    Params(page): Params<PageParams>,
) -> ApiResult<Json<List<CollectorView>>> {
    let page = page.checked()?;
    let (records, total) = principal.within(&app).collectors(page.offset(), page.limit()).await?;
    Ok(Json(page.list(records.into_iter().map(CollectorView::from).collect(), total)))
}

/// A collector by its id, a UUID or a human one, of the principal's tenant.
pub(super) async fn find(app: &App, principal: &Principal, id: &str) -> ApiResult<CollectorRecord> {
    let not_found = || Problem::not_found("collector", id);
    let id = CollectorId::from_human(id).map_err(|_| not_found())?;
    principal.within(app).collector(id).await?.ok_or_else(not_found)
}

/// A collector
#[utoipa::path(get, path = "/api/v1/collectors/{id}", tag = "collectors",
    params(("id" = String, Path, description = "Its id, a UUID or a human one")),
    responses(
        (status = 200, description = "The collector", body = CollectorView),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
) -> ApiResult<Json<CollectorView>> {
    find(&app, &principal, &id).await.map(|record| Json(record.into()))
}

/// Remove a collector
///
/// Its tokens end at once. What it sent stays; what it watched belongs to the
/// next collector that speaks of it.
#[utoipa::path(delete, path = "/api/v1/collectors/{id}", tag = "collectors",
    params(("id" = String, Path, description = "Its id, a UUID or a human one")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let record = find(&app, &principal, &id).await?;
    if !principal.within(&app).remove_collector(record.id).await? {
        return Err(Problem::not_found("collector", &id));
    }
    app.tokens.clear();
    app.senders.forget(record.id);
    let released = release(&app, &principal, &record).await?;
    tracing::info!(collector = %record.id, name = %record.name, released, "removed a collector");
    Ok(StatusCode::NO_CONTENT)
}

/// What a collector watched may be watched by others.
async fn release(app: &App, principal: &Principal, record: &CollectorRecord) -> ApiResult<u64> {
    Ok(principal.within(app).hand_over(Owned::By(record.id), None).await?)
}

/// Which way.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevokeParams {
    /// `true` lets a revoked collector in again.
    #[serde(default)]
    undo: bool,
}

/// Revoke a collector
///
/// Its tokens are refused from the next request on. What it watched belongs to
/// the next collector that speaks of it.
#[utoipa::path(post, path = "/api/v1/collectors/{id}/revoke", tag = "collectors",
    params(("id" = String, Path, description = "Its id, a UUID or a human one"), RevokeParams),
    responses(
        (status = 200, description = "The collector as it is now", body = CollectorView),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn revoke(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    Params(params): Params<RevokeParams>,
) -> ApiResult<Json<CollectorView>> {
    let record = find(&app, &principal, &id).await?;
    let revoked = !params.undo;
    principal.within(&app).set_collector_revoked(record.id, revoked).await?;
    app.tokens.clear();
    app.senders.forget(record.id);
    if revoked {
        release(&app, &principal, &record).await?;
    }
    tracing::info!(collector = %record.id, name = %record.name, revoked, "revoked a collector, or let it in again");
    Ok(Json(CollectorRecord { revoked, ..record }.into()))
}
