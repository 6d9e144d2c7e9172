//! `GET /health`, `/health/live`, `/health/ready`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pganalytics_core::Timestamp;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::state::{App, now};

/// Stores are asked at most this often, however many ask us.
const FRESH: Duration = Duration::from_secs(1);
/// A store that takes longer to say that it is well, is not.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last look at the stores.
#[derive(Default)]
pub(crate) struct HealthCache(Mutex<Option<(Instant, BTreeMap<&'static str, Check>)>>);

/// How one part is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Check {
    /// `healthy` or `unavailable`.
    status: &'static str,
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`, or `degraded` when a store is down.
    #[schema(example = "healthy")]
    status: &'static str,
    /// Version of the server.
    version: &'static str,
    /// The server's clock.
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// Time since it was started.
    uptime_seconds: u64,
    /// Each part.
    checks: BTreeMap<&'static str, Check>,
}

/// How the server is
#[utoipa::path(get, path = "/api/v1/health", tag = "server", responses(
    (status = 200, description = "All is well", body = Health),
    (status = 503, description = "A store is down; see Retry-After", body = Health)))]
pub(crate) async fn health(State(app): State<App>) -> Response {
    answer(&app).await
}

/// Whether the process runs
#[utoipa::path(get, path = "/api/v1/health/live", tag = "server", responses(
    (status = 200, description = "It runs", body = inline(BTreeMap<String, String>))))]
pub(crate) async fn live() -> Json<BTreeMap<&'static str, &'static str>> {
    Json(BTreeMap::from([("status", "alive")]))
}

/// Whether the server can take and answer
#[utoipa::path(get, path = "/api/v1/health/ready", tag = "server", responses(
    (status = 200, description = "It can", body = Health),
    (status = 503, description = "A store is down; see Retry-After", body = Health)))]
pub(crate) async fn ready(State(app): State<App>) -> Response {
    answer(&app).await
}

async fn answer(app: &App) -> Response {
    let checks = look(app).await;
    let well = checks.values().all(|check| check.status == "healthy");
    let health = Health {
        status: if well { "healthy" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        timestamp: now(),
        uptime_seconds: app.started.elapsed().as_secs(),
        checks,
    };
    if well {
        return Json(health).into_response();
    }
    let retry = [(axum::http::header::RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, Json(health)).into_response()
}

/// Why a store is down stands in the log, not in an answer to strangers.
async fn look(app: &App) -> BTreeMap<&'static str, Check> {
    let mut cache = app.health.0.lock().await;
    if let Some((at, checks)) = &*cache
        && at.elapsed() < FRESH
    {
        return checks.clone();
    }
    let metrics = tokio::time::timeout(PATIENCE, app.metrics.check());
    let meta = tokio::time::timeout(PATIENCE, app.meta.user(Uuid::nil()));
    let (metrics, meta) = tokio::join!(metrics, meta);
    let flat = |name, result: Result<Result<(), _>, _>| {
        let status = match result {
            Ok(Ok(())) => "healthy",
            Ok(Err(error)) => {
                tracing::error!(store = name, %error, "a store is down");
                "unavailable"
            }
            Err(_) => {
                tracing::error!(store = name, "a store does not answer");
                "unavailable"
            }
        };
        (name, Check { status })
    };
    let meta = meta.map(|found: Result<_, pganalytics_store::StoreError>| found.map(|_| ()));
    let checks = BTreeMap::from([flat("metric_store", metrics), flat("meta_store", meta)]);
    *cache = Some((Instant::now(), checks.clone()));
    checks
}
