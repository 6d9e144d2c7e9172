//! JSON pushes: the human door to the same store.

use std::sync::Arc;

use bytes::Bytes;
use pganalytics_core::{
    Batch, CollectorId, InstanceId, Schema, ServerId, Source, Timestamp,
    frame::VerifiedFrame,
    json::{Defaults, JsonError, JsonLimits, PushDocument},
};
use pganalytics_store::Origin;
use serde::Deserialize;

use super::{
    answer::PushAnswer,
    frames::{self, Checked},
    senders::{self, Claim},
};
use crate::{
    error::{ApiResult, Problem},
    principal::Principal,
    state::App,
};

/// Who sends, read before the rest: it decides whose metrics these are.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    collector_id: Option<String>,
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    version: Option<String>,
}

fn problem(error: &JsonError) -> Problem {
    let status = match error {
        JsonError::TooLarge { .. } => axum::http::StatusCode::PAYLOAD_TOO_LARGE,
        JsonError::Syntax { .. } => axum::http::StatusCode::BAD_REQUEST,
        _ => axum::http::StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.code(), error.to_string())
}

/// Takes in a JSON document.
pub(crate) async fn push(
    app: &App,
    principal: &Principal,
    header_id: Option<String>,
    body: Bytes,
    received_at: Timestamp,
) -> ApiResult<PushAnswer> {
    let head: Head = serde_json::from_slice(&body).map_err(|error| {
        let code = if error.is_data() { "bad_document" } else { "bad_json" };
        let problem = Problem::bad_request(code, error.to_string());
        if error.is_data() {
            Problem { status: axum::http::StatusCode::UNPROCESSABLE_ENTITY, ..problem }
        } else {
            problem
        }
    })?;
    let claim = Claim { id: head.collector_id.or(header_id), hostname: head.hostname, version: head.version };
    let collector = senders::speaks_for(principal, claim.id.as_deref())?;
    app.senders.admit(app, principal, collector, &claim, received_at).await?;

    let defaults = Defaults { source: source_of(collector, &claim), received_at };
    let catalog = Arc::clone(&app.catalog);
    let parse = move || {
        let lookup = |name: &str| catalog.get(name).map(|known| Arc::clone(known.schema())) as Option<Arc<Schema>>;
        PushDocument::parse(&body, &JsonLimits::default(), &lookup, &defaults).map(|document| document.metrics)
    };
    let metrics = tokio::task::spawn_blocking(parse).await.map_err(|error| Problem::internal(&error))?;
    let metrics = metrics.map_err(|error| problem(&error))?;

    let (stream, numbers) = app.senders.number(collector, metrics.len() as u64);
    let latest = frames::latest(app, received_at);
    let encode = move || {
        let mut checked = Checked::default();
        for (index, (metric, seq)) in metrics.into_iter().zip(numbers).enumerate() {
            let batch: Batch = match metric {
                Ok(batch) => batch,
                Err(error) => {
                    checked.reject(index, None, error.code, error.message);
                    continue;
                }
            };
            match VerifiedFrame::of_batch(seq, &batch) {
                Ok(frame) => checked.take(index, frame, latest),
                Err(error) => checked.reject(index, None, error.code(), error.to_string()),
            }
        }
        checked
    };
    let checked = tokio::task::spawn_blocking(encode).await.map_err(|error| Problem::internal(&error))?;
    let origin = Origin { tenant: principal.tenant, collector, received_at };
    let answer = checked.store(app, &origin, stream).await?;
    app.senders.touch(app, collector, received_at).await;
    Ok(answer)
}

/// The source of metrics that do not name one: the collector's host.
fn source_of(collector: CollectorId, claim: &Claim) -> Source {
    let name = claim.hostname.as_deref().or(claim.id.as_deref()).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| collector.to_string(), |name| name.chars().take(255).collect());
    let server_id = ServerId::of_host(&name);
    Source { server_id, instance_id: InstanceId::of_address(server_id, &name), server: name.into(), database: None }
}
