//! `GET /health`, `/health/live`, `/health/ready`.
//!
//! Answers come from memory: stores are looked at by a task of their own, once
//! a second while somebody asks. A look that takes long holds up nobody who
//! asks, as long as the one before is not too old.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire, Ordering::Release},
    },
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pganalytics_core::Timestamp;
use pganalytics_store::StoreError;
use serde::Serialize;
use tokio::{sync::watch, time::timeout};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::state::{App, now};

/// Stores are asked at most this often, however many ask us.
const FRESH: Duration = Duration::from_secs(1);
/// A look of this age is still an answer while the next one is under way.
const STALE: Duration = Duration::from_secs(10);
/// A store that takes longer to say that it is well, is not.
const PATIENCE: Duration = Duration::from_secs(5);

type Checks = BTreeMap<&'static str, Check>;

/// What was seen of the stores, and when.
#[derive(Debug, Clone)]
struct Look {
    at: Instant,
    checks: Arc<Checks>,
}

/// The last look at the stores.
pub(crate) struct HealthCache {
    last: watch::Sender<Option<Look>>,
    is_looking: AtomicBool,
}

impl Default for HealthCache {
    fn default() -> Self {
        Self { last: watch::Sender::new(None), is_looking: AtomicBool::new(false) }
    }
}

/// How one part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Check {
    /// `healthy` or `unavailable`.
    status: &'static str,
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`; `degraded` when a part is down; `draining` when the server is
    /// about to stop.
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
    #[schema(value_type = BTreeMap<String, Check>)]
    checks: Arc<Checks>,
}

/// How the server is
#[utoipa::path(get, path = "/api/v1/health", tag = "server", responses(
    (status = 200, description = "All is well", body = Health),
    (status = 503, description = "A part is down, or the server is about to stop; see Retry-After", body = Health)))]
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
    (status = 503, description = "A part is down, or the server is about to stop; see Retry-After", body = Health)))]
pub(crate) async fn ready(State(app): State<App>) -> Response {
    answer(&app).await
}

async fn answer(app: &App) -> Response {
    let checks = checks(app).await;
    let well = are_well(&checks);
    let draining = app.draining.load(Acquire);
    let health = Health {
        status: match (draining, well) {
            (true, _) => "draining",
            (false, true) => "healthy",
            (false, false) => "degraded",
        },
        version: env!("CARGO_PKG_VERSION"),
        timestamp: now(),
        uptime_seconds: app.started.elapsed().as_secs(),
        checks,
    };
    if well && !draining {
        return Json(health).into_response();
    }
    let retry = [(axum::http::header::RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, Json(health)).into_response()
}

/// Whether it takes requests, and can answer them.
pub(crate) async fn is_ready(app: &App) -> bool {
    !app.draining.load(Acquire) && are_well(checks(app).await.as_ref())
}

fn are_well(checks: &Checks) -> bool {
    checks.values().all(|check| check.status == "healthy")
}

async fn checks(app: &App) -> Arc<Checks> {
    let mut looks = app.health.last.subscribe();
    let last = looks.borrow_and_update().clone();
    if let Some(look) = &last
        && look.at.elapsed() < FRESH
    {
        return Arc::clone(&look.checks);
    }
    if !app.health.is_looking.swap(true, AcqRel) {
        let app = Arc::clone(app);
        // Not part of a request: it must end also when nobody waits any more.
        tokio::spawn(async move {
            let checks = Arc::new(look(&app).await);
            app.health.last.send_replace(Some(Look { at: Instant::now(), checks }));
            app.health.is_looking.store(false, Release);
        });
    }
    if let Some(look) = last
        && look.at.elapsed() < STALE
    {
        return look.checks;
    }
    let next =
        timeout(PATIENCE + FRESH, looks.wait_for(|look| look.as_ref().is_some_and(|look| look.at.elapsed() < STALE)));
    match next.await {
        Ok(Ok(look)) => look.as_ref().map(|look| Arc::clone(&look.checks)).unwrap_or_default(),
        _ => Arc::new(BTreeMap::from([("metric_store", Check { status: "unavailable" })])),
    }
}

/// Why a part is down stands in the log, not in an answer to strangers.
async fn look(app: &App) -> Checks {
    let metrics = timeout(PATIENCE, app.metrics.check());
    let meta = timeout(PATIENCE, async { app.meta.user(Uuid::nil()).await.map(|_| ()) });
    let sql = tokio::time::timeout(PATIENCE, app.sql.check());
    let (metrics, meta, sql) = tokio::join!(metrics, meta, sql);
    let flat = |name, result: Result<Result<(), StoreError>, _>| {
        let status = match result {
            Ok(Ok(())) => "healthy",
            Ok(Err(error)) => {
                tracing::error!(part = name, %error, "a part is down");
                "unavailable"
            }
            Err(_) => {
                tracing::error!(part = name, "a part does not answer");
                "unavailable"
            }
        };
        (name, Check { status })
    };
    BTreeMap::from([flat("metric_store", metrics), flat("meta_store", meta), flat("sql", sql)])
}
