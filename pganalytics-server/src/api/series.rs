//! `GET /servers/{id}/metrics`: ready-made series for charts.
//!
//! A server has several sources: its instances, and the databases of each. Each is scraped at
//! its own moment, so rows are put together by source first: those of a scrape, then the
//! scrapes of a step, and only then the sources, each as the catalog says of the gauge
//! ([`Aggregate`]).
//!
//! A step that is not over would be drawn as a fall: counters have no point for it, nor for one
//! that had begun before the range (the range begins with it).

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use axum::{Json, extract::State};
use futures::StreamExt as _;
use pganalytics_core::{Aggregate, Column, ColumnKind, ColumnType, Schema, Timestamp};
use pganalytics_store::sql::{SqlParam, to_json_rows};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::sql::guarded;
use crate::{
    error::{ApiResult, Problem},
    extract::{Params, Path},
    principal::Principal,
    state::{App, now},
};

const MAX_POINTS: i64 = 11_000;
const MAX_SERIES: usize = 500;
/// Points of all series together; each takes some hundred bytes until it is sent.
const MAX_ALL_POINTS: usize = 200_000;

/// Steps are counted from here: 2000-01-01.
const ORIGIN: Timestamp = Timestamp::from_secs(946_684_800);
/// What else than a key may make a series.
const OF_SOURCE: [&str; 2] = ["instance_id", "database_name"];

/// What to draw.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SeriesParams {
    /// The measurement.
    measurement: String,
    /// Begin; default an hour before the end.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// End; default now.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Seconds between two points; default about a hundredth of the range.
    #[param(minimum = 1)]
    step: Option<i64>,
    /// Columns, with commas between them; default all numbers.
    columns: Option<String>,
    /// Key columns that make a series each, with commas between them, and `instance_id`,
    /// `database_name`; default none.
    by: Option<String>,
}

/// Points of a column.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Series {
    /// The column.
    column: String,
    /// `counter`: points are increases within a step. `gauge`: points are what it was over a step,
    /// by its `aggregate`.
    #[schema(value_type = String)]
    kind: ColumnKind,
    /// How the values of several rows, scrapes and sources become a point of a gauge: `sum` over
    /// rows and sources of the average over a step, `avg`, `max`, `last`.
    #[schema(value_type = String)]
    aggregate: Aggregate,
    /// Unit of the points.
    unit: String,
    /// Values of the key columns asked for.
    #[schema(value_type = Object)]
    key: BTreeMap<String, Value>,
    /// Time and value of each point, in order of time.
    #[schema(value_type = Vec<Vec<Object>>)]
    points: Vec<(Value, Value)>,
}

/// Series of a measurement at a server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SeriesAnswer {
    server_id: Uuid,
    measurement: String,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Seconds between two points.
    step: i64,
    /// Points of counters are of steps that ended by then; what came later is in none yet.
    #[schema(value_type = String, format = DateTime)]
    complete_to: Timestamp,
    /// One series for each column and key.
    series: Vec<Series>,
    /// Whether there are more points or series than an answer may have.
    truncated: bool,
}

/// Range and step, checked.
struct Range {
    from: Timestamp,
    to: Timestamp,
    step: i64,
}

impl Range {
    fn of(params: &SeriesParams) -> ApiResult<Self> {
        let to = params.to.unwrap_or_else(now);
        let from = params.from.unwrap_or_else(|| to.plus_micros(-3_600_000_000));
        let seconds = to.micros_since(from).div_euclid(1_000_000);
        if seconds <= 0 {
            return Err(Problem::invalid("bad_range", "from must be before to"));
        }
        let step = params.step.unwrap_or_else(|| nice_step(seconds));
        if step < 1 || seconds / step > MAX_POINTS {
            let detail =
                format!("step must leave at most {MAX_POINTS} points; here at least {} s", seconds / MAX_POINTS + 1);
            return Err(Problem::invalid("bad_step", detail));
        }
        Ok(Self { from, to, step })
    }

    /// Where the step begins that a time is in.
    fn begin_of_step(&self, time: Timestamp) -> Timestamp {
        let step = self.step.saturating_mul(1_000_000);
        let since = time.micros_since(ORIGIN);
        time.plus_micros(-since.rem_euclid(step))
    }
}

fn nice_step(seconds: i64) -> i64 {
    const NICE: [i64; 10] = [10, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400];
    NICE.into_iter().find(|step| seconds / step <= 120).unwrap_or(seconds / 120)
}

/// Ready-made series
#[utoipa::path(get, path = "/api/v1/servers/{id}/metrics", tag = "servers",
    params(("id" = Uuid, Path, description = "The server"), SeriesParams),
    responses(
        (status = 200, description = "Series", body = SeriesAnswer),
        (status = 404, description = "There is no such measurement", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 422, description = "The range, a column or a key makes no sense", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn series(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<Uuid>,
    Params(params): Params<SeriesParams>,
) -> ApiResult<Json<SeriesAnswer>> {
    let range = Range::of(&params)?;
    let schema = schema_of(&app, &principal, &params.measurement).await?;
    let mut answer = SeriesAnswer {
        server_id: id,
        measurement: params.measurement.clone(),
        from: range.from,
        to: range.to,
        step: range.step,
        complete_to: range.begin_of_step(range.to.min(now())),
        series: Vec::new(),
        truncated: false,
    };
    let Some(schema) = schema else { return Ok(Json(answer)) };
    let by = keys(&schema, params.by.as_deref())?;
    let wanted = named(&schema, params.columns.as_deref(), is_drawn)?;
    let wanted: Vec<&Column> = if params.columns.is_some() {
        wanted
    } else {
        schema.columns().iter().filter(|column| is_drawn(column)).collect()
    };
    let mut points = 0;
    for kind in [ColumnKind::Counter, ColumnKind::Gauge] {
        let columns: Vec<&Column> = wanted.iter().filter(|column| column.kind == kind).copied().collect();
        if columns.is_empty() {
            continue;
        }
        let sql = statement(&params.measurement, kind, &columns, &by, range.step);
        let (from, to) = match kind {
            ColumnKind::Counter => (range.begin_of_step(range.from), answer.complete_to),
            _ => (range.from, range.to),
        };
        let bounds = vec![SqlParam::Text(id.to_string()), SqlParam::Timestamp(from), SqlParam::Timestamp(to)];
        let mut stream = app.metrics.query(guarded(&app, &principal, &sql, bounds)?).await?;
        let mut found: BTreeMap<(String, usize), Series> = BTreeMap::new();
        'rows: while let Some(batch) = stream.next().await {
            for row in to_json_rows(&batch?) {
                if points + columns.len() > MAX_ALL_POINTS {
                    answer.truncated = true;
                    break 'rows;
                }
                points += columns.len();
                answer.truncated |= !collect(&mut found, row, &columns, &by);
            }
        }
        answer.truncated |= stream.truncated();
        answer.series.extend(found.into_values());
    }
    Ok(Json(answer))
}

/// `None` when the catalog knows it, but nobody has sent it yet.
async fn schema_of(app: &App, principal: &Principal, name: &str) -> ApiResult<Option<Arc<Schema>>> {
    let stored = principal.within(app).measurements().await?;
    match stored.into_iter().find(|stored| stored.schema.measurement().as_str() == name) {
        Some(stored) => Ok(Some(stored.schema)),
        None if app.catalog.get(name).is_some() => Ok(None),
        None => Err(Problem::not_found("measurement", name)),
    }
}

fn is_drawn(column: &Column) -> bool {
    let number = matches!(column.ty, ColumnType::Int | ColumnType::Float);
    number && matches!(column.kind, ColumnKind::Counter | ColumnKind::Gauge)
}

/// Columns of the schema by their names; nothing else gets into the SQL.
fn named<'a>(schema: &'a Schema, names: Option<&str>, fits: impl Fn(&Column) -> bool) -> ApiResult<Vec<&'a Column>> {
    let names = names.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let found = names.map(|name| {
        let column = schema.columns().iter().find(|column| column.name == name && fits(column));
        column.ok_or_else(|| {
            let name: String = name.chars().take(63).collect();
            Problem::invalid("unknown_column", format!("{} has no such column {name:?}", schema.measurement()))
        })
    });
    found.collect()
}

/// What makes a series each: key columns, and columns of the source.
fn keys(schema: &Schema, names: Option<&str>) -> ApiResult<Vec<String>> {
    let names = names.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let one = |name: &str| {
        // A column of the measurement that is called so has another name in SQL.
        if OF_SOURCE.contains(&name) {
            return Ok(name.to_owned());
        }
        named(schema, Some(name), |column| column.kind == ColumnKind::Key)?;
        Ok(name.to_owned())
    };
    names.map(one).collect()
}

/// Counters: increases, summed up. Gauges: the rows of a scrape put together, then the scrapes of
/// a step, then the sources, see above.
fn statement(measurement: &str, kind: ColumnKind, columns: &[&Column], by: &[String], step: i64) -> String {
    let keys = by.iter().fold(String::new(), |mut text, name| {
        let _ = write!(text, ", \"{name}\"");
        text
    });
    let each = |function: &dyn Fn(Aggregate) -> (&'static str, &'static str)| {
        columns.iter().fold(String::new(), |mut text, column| {
            let (function, order) = function(column.aggregate);
            let _ = write!(text, ", {function}(\"{0}\"{order}) as \"{0}\"", column.name);
            text
        })
    };
    let bin = format!("date_bin(interval '{step} seconds', time, timestamp '2000-01-01')");
    let bounds = "server_id = $1 and time >= $2 and time < $3";
    if kind == ColumnKind::Counter {
        let sums = each(&|_| ("sum", ""));
        return format!(
            "select {bin} as step{keys}{sums} from \"{measurement}_delta\" where {bounds} group by {bin}{keys} order by step"
        );
    }
    // Of several rows of one scrape none is the newest.
    let rows = each(&|aggregate| match aggregate {
        Aggregate::Sum => ("sum", ""),
        Aggregate::Avg => ("avg", ""),
        Aggregate::Max | Aggregate::Last => ("max", ""),
    });
    let newest = " order by time";
    let scrapes = each(&|aggregate| match aggregate {
        Aggregate::Sum | Aggregate::Avg => ("avg", ""),
        Aggregate::Max => ("max", ""),
        Aggregate::Last => ("last_value", newest),
    });
    let sources = each(&|aggregate| match aggregate {
        Aggregate::Sum => ("sum", ""),
        Aggregate::Avg => ("avg", ""),
        Aggregate::Max => ("max", ""),
        Aggregate::Last => ("last_value", newest),
    });
    let mut of_source = keys.clone();
    for name in OF_SOURCE.iter().filter(|name| by.iter().all(|key| key != *name)) {
        let _ = write!(of_source, ", \"{name}\"");
    }
    format!(
        "with scrapes as (select {bin} as step, time{of_source}{rows} from \"{measurement}\" where {bounds} \
             group by {bin}, time{of_source}), \
         sources as (select step, max(time) as time{of_source}{scrapes} from scrapes group by step{of_source}) \
         select step{keys}{sources} from sources group by step{keys} order by step"
    )
}

/// Puts a row's values into their series; false when there are too many.
fn collect(found: &mut BTreeMap<(String, usize), Series>, row: Vec<Value>, columns: &[&Column], by: &[String]) -> bool {
    let mut values = row.into_iter();
    let time = values.next().unwrap_or_default();
    let key: BTreeMap<String, Value> = by.iter().cloned().zip(values.by_ref()).collect();
    let label = serde_json::to_string(&key).unwrap_or_default();
    for (at, (column, value)) in columns.iter().zip(values).enumerate() {
        let place = (label.clone(), at);
        if !found.contains_key(&place) && found.len() >= MAX_SERIES {
            return false;
        }
        let series = found.entry(place).or_insert_with(|| Series {
            column: column.name.clone(),
            kind: column.kind,
            aggregate: column.aggregate,
            unit: column.unit.clone(),
            key: key.clone(),
            points: Vec::new(),
        });
        series.points.push((time.clone(), value));
    }
    true
}
