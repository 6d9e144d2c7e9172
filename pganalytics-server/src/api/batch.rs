//! `POST /sql/batch`: the queries of a page in one request.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use axum::{extract::State, response::Response};
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::Line,
    sql::{AnswerColumn, Query},
};
use crate::{
    error::{ApiResult, Problem},
    extract::Body,
    principal::Principal,
    rate::{Class, RateKey},
    state::App,
};

/// Most queries of a batch.
pub(crate) const MAX_QUERIES: usize = 24;
/// Longest id of a query.
const MAX_ID_BYTES: usize = 64;

/// Queries of a page.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Batch {
    /// At most 24 queries, each with an id of its own.
    queries: Vec<BatchQuery>,
}

/// A query of a batch.
#[derive(Deserialize, ToSchema)]
pub(crate) struct BatchQuery {
    /// Names its line in the answer.
    id: String,
    #[serde(flatten)]
    query: Query,
    /// The `token` of an answer that the client still has: if the answer is the
    /// same, its line says `unchanged` and has no rows.
    #[serde(default)]
    token: Option<String>,
}

/// A line of the answer: rows, `unchanged`, or a problem.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchLine {
    /// The query's id.
    id: String,
    /// Columns in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<AnswerColumn>>,
    /// Rows; each its values in the order of the columns.
    #[schema(value_type = Option<Vec<Vec<Object>>>)]
    rows: Option<Vec<Vec<serde_json::Value>>>,
    /// Number of rows.
    row_count: Option<usize>,
    /// Whether there are more rows than a line may have.
    truncated: Option<bool>,
    /// Time that it took.
    elapsed_ms: Option<u64>,
    /// Stands for these columns and rows.
    token: Option<String>,
    /// The answer is the one of the token that was given.
    unchanged: Option<bool>,
    /// Why there are no rows; the other queries are answered all the same.
    problem: Option<LineProblem>,
}

/// What is wrong with one query of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineProblem {
    /// The status that `POST /sql` would have.
    status: u16,
    /// Stable name of the kind of problem.
    code: &'static str,
    /// What is wrong, where, what to do.
    message: String,
    /// Seconds after which another try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

impl From<Problem> for LineProblem {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.status.as_u16(),
            code: problem.code,
            message: problem.detail,
            retry_after_seconds: problem.retry_after_secs,
        }
    }
}

/// Run several queries
///
/// Each is run as by `POST /sql`, counts as one towards the limit of queries, and is answered by one line of JSON
/// as soon as it is ready; a query that fails leaves the others. A line has at most 4 MiB: larger answers are cut,
/// and say so. When the client goes, all queries end.
#[utoipa::path(post, path = "/api/v1/sql/batch", tag = "query", request_body = Batch, responses(
    (status = 200, description = "A line for each query, in the order in which they are ready", body = BatchLine, content_type = "application/x-ndjson"),
    (status = 422, description = "No queries, too many, or ids that are not their own", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn batch(
    State(app): State<App>,
    principal: Principal,
    Body(batch): Body<Batch>,
) -> ApiResult<Response> {
    check(&batch.queries)?;
    if let Some(who) = principal.rate_key() {
        // The guard has counted the first.
        for _ in batch.queries.iter().skip(1) {
            app.rates.take(RateKey::Principal(who), Class::Query)?;
        }
    }
    let answers = Arc::clone(&app.answers);
    let lines: FuturesUnordered<_> =
        batch.queries.into_iter().map(|query| line(Arc::clone(&app), principal.clone(), query)).collect();
    Ok(answers.follow_lines(lines.boxed()))
}

fn check(queries: &[BatchQuery]) -> ApiResult<()> {
    if queries.is_empty() || queries.len() > MAX_QUERIES {
        let detail = format!("a batch has 1 to {MAX_QUERIES} queries; this one has {}", queries.len());
        return Err(Problem::invalid("bad_batch", detail));
    }
    let mut ids = BTreeSet::new();
    for BatchQuery { id, .. } in queries {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(Problem::invalid("bad_batch", format!("an id has 1 to {MAX_ID_BYTES} bytes")));
        }
        if !ids.insert(id.as_str()) {
            return Err(Problem::invalid("bad_batch", format!("the id {id:?} is there twice")));
        }
    }
    Ok(())
}

async fn line(app: App, principal: Principal, asked: BatchQuery) -> Line {
    let answer = async {
        let started = Instant::now();
        let query = asked.query.guarded(&app, &principal)?;
        let rows = app.sql.run(query).await?;
        app.answers.line(&asked.id, rows, asked.token.as_deref(), started).await
    };
    match answer.await {
        Ok(line) => line,
        Err(problem) => Line::problem(&asked.id, &LineProblem::from(problem)),
    }
}
