//! `GET /metrics`, `/metrics/count`.

use axum::{Json, extract::State};
use pganalytics_core::Timestamp;
use pganalytics_store::StoredMeasurement;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{error::ApiResult, principal::Principal, state::App};

/// How much is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metrics {
    /// Values stored so far, of all measurements.
    count: u64,
    /// Each measurement that there are samples of.
    measurements: Vec<StoredView>,
}

/// How much is stored of a measurement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoredView {
    /// The measurement.
    pub(crate) name: String,
    /// Values stored so far.
    pub(crate) count: u64,
    /// Rows stored so far.
    pub(crate) rows: u64,
    /// Scrapes stored so far.
    pub(crate) scrapes: u64,
    /// Oldest scrape that is still there.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) from: Option<Timestamp>,
    /// Newest scrape.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) to: Option<Timestamp>,
}

impl From<&StoredMeasurement> for StoredView {
    fn from(stored: &StoredMeasurement) -> Self {
        Self {
            name: stored.schema.measurement().to_string(),
            count: stored.values,
            rows: stored.rows,
            scrapes: stored.scrapes,
            from: stored.range.map(|(from, _)| from),
            to: stored.range.map(|(_, to)| to),
        }
    }
}

/// A number.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Count {
    /// Values stored so far, of all measurements.
    count: u64,
}

/// How much is stored, by measurement
#[utoipa::path(get, path = "/api/v1/metrics", tag = "metrics",
    responses((status = 200, description = "Stored values", body = Metrics)))]
pub(crate) async fn metrics(State(app): State<App>, principal: Principal) -> ApiResult<Json<Metrics>> {
    let stored = principal.within(&app).measurements().await?;
    let measurements: Vec<StoredView> = stored.iter().map(StoredView::from).collect();
    Ok(Json(Metrics { count: measurements.iter().map(|each| each.count).sum(), measurements }))
}

/// How many values are stored
///
/// Needs no login on the server's own machine.
#[utoipa::path(get, path = "/api/v1/metrics/count", tag = "metrics",
    responses((status = 200, description = "Stored values", body = Count)))]
pub(crate) async fn count(State(app): State<App>, principal: Principal) -> ApiResult<Json<Count>> {
    let stored = principal.within(&app).measurements().await?;
    Ok(Json(Count { count: stored.iter().map(|each| each.values).sum() }))
}
