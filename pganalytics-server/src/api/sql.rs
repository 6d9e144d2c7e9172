//! `POST /sql`.

use std::time::Instant;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use pganalytics_store::sql::{SqlError, SqlParam, SqlPrincipal, SqlQuery};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Form;
use crate::{
    error::{ApiResult, Problem},
    extract::Body,
    principal::Principal,
    state::App,
};

/// A query.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Query {
    /// One statement that only reads, in PostgreSQL's SQL.
    #[schema(example = "select * from pg_stat_database_latest")]
    sql: String,
    /// Values for `$1`, `$2`…: null, true, false, numbers, texts.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    params: Option<Vec<Value>>,
    /// Most rows of the answer.
    #[serde(default)]
    max_rows: Option<usize>,
}

impl Query {
    /// Lets it through the guard.
    pub(crate) fn guarded(self, app: &App, principal: &Principal) -> ApiResult<SqlQuery> {
        let params = self.params.unwrap_or_default().into_iter().enumerate().map(param).collect::<ApiResult<_>>()?;
        let guarded = guarded(app, principal, &self.sql, params)?;
        Ok(match self.max_rows {
            Some(rows) => guarded.with_max_rows(rows),
            None => guarded,
        })
    }
}

/// A column of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnswerColumn {
    /// Name.
    name: String,
    /// PostgreSQL's name of its type.
    #[serde(rename = "type")]
    ty: &'static str,
}

impl AnswerColumn {
    pub(crate) fn all(types: Vec<(String, &'static str)>) -> Vec<Self> {
        types.into_iter().map(|(name, ty)| Self { name, ty }).collect()
    }
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Answer {
    /// Columns in order.
    columns: Vec<AnswerColumn>,
    /// Rows; each its values in the order of the columns. Times are RFC 3339 in UTC.
    #[schema(value_type = Vec<Vec<Object>>)]
    rows: Vec<Vec<Value>>,
    /// Number of rows.
    row_count: usize,
    /// Whether there are more rows than the answer may have.
    truncated: bool,
    /// What is to be known of the answer, as that chunks of what it asks for are damaged; not
    /// there when there is nothing. Other forms have the header `X-Warnings`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
    /// Time that it took.
    elapsed_ms: u64,
}

/// What an error of the engine means over HTTP.
pub(crate) fn problem(error: &SqlError) -> Problem {
    let status = match error {
        SqlError::Internal(_) => return Problem::internal(error),
        SqlError::Busy { .. } | SqlError::Killed => return Problem::unavailable(error.code(), error.to_string()),
        SqlError::TooManyOfYours { .. } => return Problem::too_many(error.code(), error.to_string(), 1),
        SqlError::Failed(_) | SqlError::Timeout { .. } | SqlError::OutOfMemory { .. } | SqlError::OutOfCpu { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        _ => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, error.code(), error.to_string())
}

/// Lets a query of this principal through the guard.
pub(crate) fn guarded(app: &App, principal: &Principal, sql: &str, params: Vec<SqlParam>) -> ApiResult<SqlQuery> {
    let mut asks = SqlPrincipal::new(principal.tenant);
    // A user's tokens take the user's turns.
    let id = principal.user().or_else(|| principal.collector().map(|collector| collector.as_uuid()));
    if let Some(id) = id {
        asks = asks.named(id.to_string());
    }
    app.guard.check(sql, params, asks).map_err(|error| problem(&error))
}

/// Run SQL
///
/// Every measurement `m` is a table; `m_delta` has its counters as increases, `m_latest` the newest rows.
/// The answer is JSON; CSV with `Accept: text/csv`; an Arrow IPC stream with
/// `Accept: application/vnd.apache.arrow.stream`. A large one follows while it is computed; if that fails, the
/// body breaks off. At most two queries of one user run at once, further ones wait.
#[utoipa::path(post, path = "/api/v1/sql", tag = "query", request_body = Query, responses(
    (status = 200, description = "Rows", content((Answer = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"))),
    (status = 406, description = "A form that there is not", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 422, description = "The query failed, took too long or too much memory", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 429, description = "Too many queries of this user wait", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 503, description = "All workers are taken, or the system ended the query's process", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn sql(
    State(app): State<App>,
    principal: Principal,
    headers: HeaderMap,
    Body(query): Body<Query>,
) -> ApiResult<Response> {
    let form = Form::wanted(&headers)?;
    let started = Instant::now();
    let rows = app.sql.run(query.guarded(&app, &principal)?).await?;
    app.answers.respond(rows, form, started).await
}

fn param((at, value): (usize, Value)) -> ApiResult<SqlParam> {
    Ok(match value {
        Value::Null => SqlParam::Null,
        Value::Bool(value) => SqlParam::Bool(value),
        Value::String(text) => SqlParam::Text(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => SqlParam::Int(int),
            (None, Some(float)) => SqlParam::Float(float),
            (None, None) => return Err(bad_param(at)),
        },
        Value::Array(_) | Value::Object(_) => return Err(bad_param(at)),
    })
}

fn bad_param(at: usize) -> Problem {
    let detail = format!("parameter ${}: only null, true, false, numbers and texts can be parameters", at + 1);
    Problem::bad_request("bad_parameters", detail)
}
