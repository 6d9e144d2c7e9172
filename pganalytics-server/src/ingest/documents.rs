//! JSON pushes: the human door to the same store.

use std::sync::Arc;

use bytes::Bytes;
use pganalytics_core::{
    Batch, CollectorId, InstanceId, Schema, Seq, ServerId, Source, Timestamp,
    catalog::Catalog,
    frame::VerifiedFrame,
    json::{Defaults, JsonError, JsonLimits, MetricError, PushDocument},
};
use serde::Deserialize;

use super::{
    admission::Admitted,
    answer::PushAnswer,
    frames::{Checked, Rules},
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

/// Heads of documents up to this size are read where they are.
const INLINE_HEAD: usize = 64 << 10;
/// Memory that parsing takes for each byte of a document, and for each value.
const PER_BYTE: usize = 4;
const PER_VALUE: usize = 25;
/// However short a document is, it may have so many values; NULLs need not be
/// written.
const FEW_VALUES: usize = 16 << 10;
/// However long it is, it may not have more.
const MOST_VALUES: usize = 1 << 20;

/// Limits of a document of this length. The memory that it takes is at most
/// [`PER_BYTE`] + 2 × [`PER_VALUE`] times its length, or half a MiB.
fn limits_of(app: &App, len: usize) -> JsonLimits {
    let max_bytes = app.settings.ingest.max_json_bytes;
    JsonLimits { max_bytes, max_values: len.saturating_mul(2).clamp(FEW_VALUES, MOST_VALUES), ..JsonLimits::default() }
}

fn read_head(body: &[u8]) -> ApiResult<Head> {
    serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() { "bad_document" } else { "bad_json" };
        let problem = Problem::bad_request(code, error.to_string());
        if error.is_data() {
            Problem { status: axum::http::StatusCode::UNPROCESSABLE_ENTITY, ..problem }
        } else {
            problem
        }
    })
}

/// Takes in a JSON document.
pub(crate) async fn push(
    app: &App,
    principal: &Principal,
    header_id: Option<String>,
    body: Bytes,
    received_at: Timestamp,
    place: Admitted,
) -> ApiResult<PushAnswer> {
    let limits = limits_of(app, body.len());
    if body.len() > limits.max_bytes {
        let (given, limit) = (body.len() as u64, limits.max_bytes as u64);
        return Err(problem(&JsonError::TooLarge { what: "document", given, limit }));
    }
    let (head, mut place) = if body.len() <= INLINE_HEAD {
        (read_head(&body)?, place)
    } else {
        let body = body.clone();
        app.decoders.run(move || read_head(&body).map(|head| (head, place))).await??
    };
    let claim = Claim { id: head.collector_id.or(header_id), hostname: head.hostname, version: head.version };
    let collector = senders::speaks_for(principal, claim.id.as_deref())?;
    app.senders.admit(app, principal, collector, &claim, received_at).await?;

    let defaults = Defaults { source: source_of(collector, &claim), received_at };
    let reading = Reading { catalog: Arc::clone(&app.catalog), limits, defaults };
    let before = place.bytes();
    place
        .add(body.len().saturating_mul(PER_BYTE).saturating_add(reading.limits.max_values.saturating_mul(PER_VALUE)))?;
    let numbering = Arc::clone(app);
    let rules = Rules::new(&app.settings.ingest, received_at);
    let (stream, checked, place) = app
        .decoders
        .run(move || {
            let metrics = reading.parse(&body)?;
            let (stream, numbers) = numbering.senders.number(collector, metrics.len() as u64);
            let checked = encode(metrics, numbers, &rules);
            let frames: usize = checked.frames.iter().filter_map(|frame| Some(frame.frame()?.bytes().len())).sum();
            place.shrink_to(before.saturating_add(frames));
            Ok::<_, Problem>((stream, checked, place))
        })
        .await??;
    let origin = app.origin(principal.tenant, collector, received_at);
    let answer = checked.store(app, &origin, stream).await?;
    // It is held until the store has the bytes.
    drop(place);
    app.senders.touch(app, collector, received_at).await;
    Ok(answer)
}

type Metrics = Vec<Result<Batch, MetricError>>;

/// What parsing a document needs.
struct Reading {
    catalog: Arc<Catalog>,
    limits: JsonLimits,
    defaults: Defaults,
}

impl Reading {
    fn parse(&self, body: &[u8]) -> ApiResult<Metrics> {
        let lookup = |name: &str| self.catalog.get(name).map(|known| Arc::clone(known.schema())) as Option<Arc<Schema>>;
        let document = PushDocument::parse(body, &self.limits, &lookup, &self.defaults);
        document.map(|document| document.metrics).map_err(|error| problem(&error))
    }
}

/// Frames of metrics.
fn encode(metrics: Metrics, numbers: impl Iterator<Item = Seq>, rules: &Rules) -> Checked {
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
            Ok(frame) => checked.take_within(rules, index, frame),
            Err(error) => checked.reject(index, None, error.code(), error.to_string()),
        }
    }
    checked
}

/// The source of metrics that do not name one: the collector's host.
fn source_of(collector: CollectorId, claim: &Claim) -> Source {
    let name = claim.hostname.as_deref().or(claim.id.as_deref()).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| collector.to_string(), |name| name.chars().take(255).collect());
    let server_id = ServerId::of_host(&name);
    Source { server_id, instance_id: InstanceId::of_address(server_id, &name), server: name.into(), database: None }
}
