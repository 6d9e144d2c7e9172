//! `GET /measurements`, `/measurements/{name}`: the catalog.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use pganalytics_core::{ColumnKind, ColumnType, CounterFamily, Presence, Schema, catalog::Measurement};
use pganalytics_store::StoredMeasurement;
use serde::Serialize;
use utoipa::ToSchema;

use super::metrics::StoredView;
use crate::{
    error::{ApiResult, Problem},
    extract::{List, PageParams, Params, Path},
    principal::Principal,
    state::App,
};

/// A column.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ColumnView {
    name: String,
    /// `key`, `counter`, `gauge` or `info`.
    #[schema(value_type = String)]
    kind: ColumnKind,
    /// `text`, `int`, `float`, `bool` or `timestamp`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    ty: ColumnType,
    /// Unit of its values, empty where there is none.
    unit: String,
    /// What it says.
    doc: String,
    /// Versions of PostgreSQL that have it; without it: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres: Option<String>,
}

/// A measurement: what the catalog says of it, or, for one that the catalog
/// does not know, what came with its samples.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeasurementView {
    /// Name; also the name of its table.
    name: String,
    /// Name for people.
    title: String,
    /// What it says.
    doc: String,
    /// Where it is taken: `cluster`, `database`, `host`, `pooler`, `agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    /// Planned time between two scrapes.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_seconds: Option<f64>,
    /// How long it is kept.
    retention_seconds: u64,
    /// View or file that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_view: Option<String>,
    /// What its counters begin anew with.
    #[schema(value_type = String)]
    counter_family: CounterFamily,
    /// `state`: rows stay until they are gone; `append`: rows are facts.
    #[schema(value_type = String)]
    presence: Presence,
    /// Columns.
    columns: Vec<ColumnView>,
    /// How much of it is stored; absent where nobody has sent it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<StoredView>,
}

impl MeasurementView {
    fn known(measurement: &Measurement) -> Self {
        let columns = measurement.columns().iter().map(|column| ColumnView {
            name: column.name.clone(),
            kind: column.kind,
            ty: column.ty,
            unit: column.unit.clone(),
            doc: column.doc.clone(),
            postgres: column.postgres.as_ref().map(ToString::to_string),
        });
        Self {
            name: measurement.name().to_string(),
            title: measurement.title().to_owned(),
            doc: measurement.doc().to_owned(),
            scope: Some(measurement.scope().as_str()),
            interval_seconds: Some(measurement.interval().as_secs_f64()),
            retention_seconds: measurement.retention().as_secs(),
            source_view: Some(measurement.source_view().to_owned()),
            counter_family: measurement.schema().family(),
            presence: measurement.schema().presence(),
            columns: columns.collect(),
            stored: None,
        }
    }

    fn brought(schema: &Schema, retention_seconds: u64) -> Self {
        let columns = schema.columns().iter().map(|column| ColumnView {
            name: column.name.clone(),
            kind: column.kind,
            ty: column.ty,
            unit: column.unit.clone(),
            doc: String::new(),
            postgres: None,
        });
        Self {
            name: schema.measurement().to_string(),
            title: schema.measurement().to_string(),
            doc: String::new(),
            scope: None,
            interval_seconds: None,
            retention_seconds,
            source_view: None,
            counter_family: schema.family(),
            presence: schema.presence(),
            columns: columns.collect(),
            stored: None,
        }
    }
}

fn together(app: &App, stored: &[StoredMeasurement]) -> BTreeMap<String, MeasurementView> {
    let mut views: BTreeMap<String, MeasurementView> =
        app.catalog.iter().map(|known| (known.name().to_string(), MeasurementView::known(known))).collect();
    for each in stored {
        let view = views
            .entry(each.schema.measurement().to_string())
            .or_insert_with(|| MeasurementView::brought(&each.schema, app.settings.default_retention.as_secs()));
        view.stored = Some(StoredView::from(each));
    }
    views
}

/// List measurements
#[utoipa::path(get, path = "/api/v1/measurements", tag = "measurements", params(PageParams),
    responses((status = 200, description = "A page of measurements by name", body = List<MeasurementView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
    Params(page): Params<PageParams>,
) -> ApiResult<Json<List<MeasurementView>>> {
    let page = page.checked()?;
    let stored = principal.within(&app).measurements().await?;
    Ok(Json(page.cut(together(&app, &stored).into_values().collect())))
}

/// A measurement
#[utoipa::path(get, path = "/api/v1/measurements/{name}", tag = "measurements",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The measurement", body = MeasurementView),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
) -> ApiResult<Json<MeasurementView>> {
    let stored = principal.within(&app).measurements().await?;
    let found = together(&app, &stored).remove(&name);
    found.map(Json).ok_or_else(|| Problem::not_found("measurement", &name))
}
