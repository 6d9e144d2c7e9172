//! JSON pushes: the same store, in a format for people.

use std::sync::Arc;

use bytes::Bytes;
use pganalytics_core::{
    CollectorId, InstanceId, MeasurementName, Seq, ServerId, Source, TenantId, Timestamp,
    frame::VerifiedFrame,
    json::{Defaults, JsonError, JsonLimits, PushDocument, ReadMetric},
};
use pganalytics_store::{AppendOutcome, Origin, PushKey, StoreError, Unnumbered};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    admission::Admitted,
    answer::{DocumentReply, PushAnswer},
    frames::{self, Checked, Rules},
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

/// The store numbers frames of documents.
const UNNUMBERED: Seq = Seq(0);

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

/// A JSON document as it came.
pub(crate) struct Pushed {
    /// The collector that a header names.
    pub(crate) claimed: Option<String>,
    /// What the push is called.
    pub(crate) key: Option<String>,
    pub(crate) bytes: Bytes,
    pub(crate) received_at: Timestamp,
}

/// Takes in a JSON document.
pub(crate) async fn push(app: &App, principal: &Principal, pushed: Pushed, place: Admitted) -> ApiResult<PushAnswer> {
    let Pushed { claimed, key, bytes: body, received_at } = pushed;
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
    let claim = Claim { id: head.collector_id.or(claimed), hostname: head.hostname, version: head.version };
    let collector = senders::speaks_for(principal, claim.id.as_deref())?;
    app.senders.admit(app, principal, collector, &claim, received_at).await?;

    let defaults = Defaults { source: source_of(collector, &claim), received_at };
    let reading = Reading { app: Arc::clone(app), tenant: principal.tenant, limits, defaults };
    let runtime = Handle::current();
    let before = place.bytes();
    place
        .add(body.len().saturating_mul(PER_BYTE).saturating_add(reading.limits.max_values.saturating_mul(PER_VALUE)))?;
    let rules = Rules::new(&app.settings.ingest, received_at);
    let sender = principal.rate_key().unwrap_or_default();
    let (key, count, checked, place) = app
        .decoders
        .run(move || {
            let document = reading.parse(&body, &runtime)?;
            let key = key_of(sender, key.as_deref(), &body, &document.metrics, received_at);
            let count = document.metric_count;
            let checked = encode(document.metrics, &rules);
            let frames: usize = checked.frames.iter().filter_map(|frame| Some(frame.frame()?.bytes().len())).sum();
            place.shrink_to(before.saturating_add(frames));
            Ok::<_, Problem>((key, count, checked, place))
        })
        .await??;
    let origin = app.origin(principal.tenant, collector, received_at);
    let answer = store(app, &origin, key, count, checked).await?;
    // It is held until the store has the bytes.
    drop(place);
    app.senders.touch(app, collector, received_at).await;
    Ok(answer)
}

/// Stores what is good of a push of so many metrics, once, and says what became of all.
async fn store(
    app: &App,
    origin: &Origin,
    key: Option<PushKey>,
    metrics: usize,
    checked: Checked,
) -> ApiResult<PushAnswer> {
    let Checked { positions, frames, rejected } = checked;
    let expired = frames::expired(app, origin.received_at, &frames);
    let reply = move |outcome: &AppendOutcome| DocumentReply::new(metrics, rejected, &positions, outcome);
    let counted = |reply: DocumentReply| {
        app.counters.pushed(reply.accepted, reply.duplicates, reply.rejected.len());
        app.counters.rejected(reply.rejected.iter().map(|item| item.code.as_str()));
        Ok(PushAnswer::Document(reply))
    };
    if frames.is_empty() {
        return counted(reply(&AppendOutcome::default()));
    }
    let make = reply.clone();
    let make = Box::new(move |outcome: &AppendOutcome| make(outcome).to_bytes());
    match app.metrics.append_unnumbered(origin, key, frames, make).await? {
        Unnumbered::Stored(outcome) => {
            app.counters.expired(expired);
            counted(reply(&outcome))
        }
        Unnumbered::Repeated { reply } => DocumentReply::replayed(&reply).map(PushAnswer::Document),
        Unnumbered::OtherContent => Err(Problem::invalid(
            "idempotency_key_reused",
            "another document was pushed with this Idempotency-Key within 24 hours; use a new key for each push",
        )),
        other => Err(Problem::internal(&format!("the store said {other:?}, which this version does not know"))),
    }
}

/// What a push is recognised by when it comes again. One whose metrics get their
/// time from its arrival is another one each time, unless it has a name.
fn key_of(
    sender: Uuid,
    name: Option<&str>,
    body: &[u8],
    metrics: &[ReadMetric],
    received_at: Timestamp,
) -> Option<PushKey> {
    let content: [u8; 32] = Sha256::digest(body).into();
    let hash = |kind: &[u8], what: &[u8]| {
        Sha256::new().chain_update(kind).chain_update(sender.as_bytes()).chain_update(what).finalize().into()
    };
    if let Some(name) = name {
        return Some(PushKey { key: hash(b"name", name.as_bytes()), content });
    }
    let is_dated =
        |metric: &ReadMetric| metric.batch.as_ref().ok().is_none_or(|batch| batch.scrape.collected_at != received_at);
    let dated = metrics.iter().all(is_dated);
    dated.then(|| PushKey { key: hash(b"body", &content), content })
}

/// What parsing a document needs.
struct Reading {
    app: App,
    tenant: TenantId,
    limits: JsonLimits,
    defaults: Defaults,
}

impl Reading {
    fn parse(&self, body: &[u8], runtime: &Handle) -> ApiResult<PushDocument> {
        let app = &self.app;
        let known = |name: &str| Some(Arc::clone(app.catalog.get(name)?.schema()));
        let was_number = |name: &MeasurementName, column: &str| {
            app.numbers.has(self.tenant, name, column, || {
                // This thread is for what blocks.
                let stored = runtime.block_on(app.metrics.measurements(self.tenant))?;
                let of_name = stored.into_iter().find(|stored| stored.schema.measurement() == name);
                Ok::<_, StoreError>(of_name.map(|stored| stored.schema))
            })
        };
        let document = PushDocument::parse_knowing(body, &self.limits, &known, &was_number, &self.defaults)
            .map_err(|error| problem(&error))?;
        for batch in document.metrics.iter().filter_map(|metric| metric.batch.as_ref().ok()) {
            app.numbers.learn(self.tenant, &batch.schema);
        }
        Ok(document)
    }
}

/// Frames of metrics.
fn encode(metrics: Vec<ReadMetric>, rules: &Rules) -> Checked {
    let mut checked = Checked::default();
    for ReadMetric { index, batch } in metrics {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                checked.reject(index, None, error.code, error.message);
                continue;
            }
        };
        match VerifiedFrame::of_batch(UNNUMBERED, &batch) {
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
