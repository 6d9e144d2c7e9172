//! `POST /sql`.

use std::time::Instant;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use pganalytics_store::sql::{
    RecordStream, SqlError, SqlParam, SqlPrincipal, SqlQuery, column_types, csv_header, to_csv, to_json_rows,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::{ApiResult, Problem},
    extract::Body,
    principal::Principal,
    state::App,
};

/// Longest answer; rows beyond it are cut off, and the answer says so.
const MAX_ANSWER_BYTES: usize = 64 << 20;

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

/// A column of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnswerColumn {
    /// Name.
    name: String,
    /// PostgreSQL's name of its type.
    #[serde(rename = "type")]
    ty: &'static str,
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
    /// Time that it took.
    elapsed_ms: u64,
}

/// What an error of the engine means over HTTP.
pub(crate) fn problem(error: &SqlError) -> Problem {
    let status = match error {
        SqlError::Internal(_) => return Problem::internal(error),
        SqlError::Busy { .. } => return Problem::unavailable(error.code(), error.to_string()),
        SqlError::Failed(_) | SqlError::Timeout { .. } | SqlError::OutOfMemory { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        _ => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, error.code(), error.to_string())
}

/// Lets a query of this principal through the guard.
pub(crate) fn guarded(app: &App, principal: &Principal, sql: &str, params: Vec<SqlParam>) -> ApiResult<SqlQuery> {
    let tenant = SqlPrincipal::new(principal.tenant);
    app.guard.check(sql, params, tenant).map_err(|error| problem(&error))
}

/// Run SQL
///
/// Every measurement `m` is a table; `m_delta` has its counters as increases, `m_latest` the newest rows.
/// The answer is JSON, or CSV with `Accept: text/csv`.
#[utoipa::path(post, path = "/api/v1/sql", tag = "query", request_body = Query, responses(
    (status = 200, description = "Rows", content((Answer = "application/json"), (String = "text/csv"))),
    (status = 406, description = "A form that there is not", body = ref("ProblemDocument"), content_type = "application/problem+json"),
    (status = 422, description = "The query failed, took too long or too much memory", body = ref("ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn sql(
    State(app): State<App>,
    principal: Principal,
    headers: HeaderMap,
    Body(query): Body<Query>,
) -> ApiResult<Response> {
    let form = Form::wanted(&headers)?;
    let started = Instant::now();
    let params = query.params.unwrap_or_default().into_iter().enumerate().map(param).collect::<ApiResult<_>>()?;
    let mut guarded = guarded(&app, &principal, &query.sql, params)?;
    if let Some(rows) = query.max_rows {
        guarded = guarded.with_max_rows(rows);
    }
    let stream = app.metrics.query(guarded).await?;
    match form {
        Form::Json => json(stream, started).await,
        Form::Csv => csv(stream).await,
    }
}

enum Form {
    Json,
    Csv,
}

impl Form {
    fn wanted(headers: &HeaderMap) -> ApiResult<Self> {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        for range in accept.split(',') {
            match range.split(';').next().unwrap_or_default().trim() {
                "application/json" | "application/*" | "*/*" | "" => return Ok(Self::Json),
                "text/csv" | "text/*" => return Ok(Self::Csv),
                _ => {}
            }
        }
        let detail = "answers are application/json or text/csv";
        Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail))
    }
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

async fn json(mut stream: RecordStream, started: Instant) -> ApiResult<Response> {
    let columns: Vec<AnswerColumn> =
        column_types(stream.schema()).into_iter().map(|(name, ty)| AnswerColumn { name, ty }).collect();
    // Rows are written down as they come: text is a small part of what their values take.
    let mut body = serde_json::to_vec(&columns).map_err(|error| Problem::internal(&error))?;
    body.splice(0..0, *b"{\"columns\":");
    body.extend_from_slice(b",\"rows\":[");
    let (mut count, mut cut) = (0_usize, false);
    'batches: while let Some(batch) = stream.next().await {
        for row in to_json_rows(&batch?) {
            if body.len() > MAX_ANSWER_BYTES {
                cut = true;
                break 'batches;
            }
            if count > 0 {
                body.push(b',');
            }
            serde_json::to_writer(&mut body, &row).map_err(|error| Problem::internal(&error))?;
            count += 1;
        }
        tokio::task::yield_now().await;
    }
    let truncated = cut || stream.truncated();
    let elapsed = started.elapsed().as_millis();
    body.extend_from_slice(
        format!("],\"row_count\":{count},\"truncated\":{truncated},\"elapsed_ms\":{elapsed}}}").as_bytes(),
    );
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

async fn csv(mut stream: RecordStream) -> ApiResult<Response> {
    let mut body = csv_header(stream.schema());
    let mut cut = false;
    while let Some(batch) = stream.next().await {
        if body.len() > MAX_ANSWER_BYTES {
            cut = true;
            break;
        }
        body.push_str(&to_csv(&batch?));
    }
    let truncated = if cut || stream.truncated() { "true" } else { "false" };
    let headers = [(header::CONTENT_TYPE.as_str(), "text/csv; charset=utf-8"), ("x-truncated", truncated)];
    Ok((headers, body).into_response())
}
