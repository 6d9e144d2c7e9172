//! `POST /metrics/push`.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use pganalytics_core::{
    PushReply, Timestamp,
    frame::{CONTENT_TYPE, FrameError, PushBody, PushLimits},
};

use super::{
    admission::Admitted,
    answer::PushAnswer,
    body,
    decoders::INLINE_BYTES,
    decompress::{self, Encoding},
    documents::{self, Pushed},
    frames,
    senders::{self, Claim},
};
use crate::{
    error::{ApiResult, Problem, ProblemDocument},
    principal::Principal,
    state::{App, now},
};

/// Names the collector of a push of frames whose token is a user's.
const COLLECTOR_HEADER: &str = "x-collector-id";
/// Names a JSON push, so that it is stored once.
const KEY_HEADER: &str = "idempotency-key";
/// Longest such name.
const MAX_KEY: usize = 255;
/// Compressed bodies up to this size are expanded where they are: they have at
/// most a MiB.
const INLINE_COMPRESSED: usize = 2 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Frames,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> ApiResult<Self> {
        let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(CONTENT_TYPE) {
            Ok(Self::Frames)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Ok(Self::Json)
        } else {
            Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                format!("send Content-Type: {CONTENT_TYPE} or application/json"),
            ))
        }
    }
}

/// Take metrics in
///
/// Frames, or a JSON document `{"collector_id","hostname"?,"timestamp"?,"version"?,"metrics":[{"type",…}]}`;
/// either may be compressed (`Content-Encoding: gzip` or `zstd`). When the answer comes, what was accepted is
/// durable.
///
/// The reply to frames says what became of them by stream and number; a frame that none of its lists names was not
/// taken. A bad frame is in `refused`, a bad metric in `rejected`, with the `code` of its reason, and hinders no
/// other: `frame_too_large`, `span_too_long`, `too_many_rows`, `clock_ahead`, `too_many_sources`,
/// `too_many_series`, `too_many_measurements`, `too_many_schemas`, `too_many_gaps`, `too_many_streams`,
/// `source_belongs_to_another_collector` and others. A frame that only names its schema is in `unreadable` with
/// `unknown_schema` when this server does not know it.
///
/// A JSON push may say with `Idempotency-Key` what it is called; sent again within 24 hours it is stored once, and
/// answered as the first time (with `Idempotency-Replayed: true`). Without that header its content is its key,
/// if all its metrics say when they were collected.
#[utoipa::path(post, path = "/api/v1/metrics/push", tag = "metrics",
    params(
        ("X-Collector-ID" = Option<String>, Header, description = "The collector that the frames come from; a collector's own token says it already"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip or zstd"),
        ("Idempotency-Key" = Option<String>, Header, description = "What a JSON push is called, up to 255 characters"),
    ),
    request_body(content(
        (Vec<u8> = "application/vnd.pganalytics.frame"),
        (serde_json::Value = "application/json"),
    )),
    responses(
        (status = 200, description = "Taken, at least in part (`partial`)", body = PushAnswer),
        (status = 409, description = "Two agents send this stream (`fork`); nothing was taken", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 413, description = "Too large as it came (`body_too_large`), expanded (`expands_too_much`) or decoded (`push_too_large`); send fewer frames at once", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 415, description = "A content type or encoding that is not taken", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 422, description = "Nothing was taken: refused one by one (a reply with `refused`), not frames, not a push document, or another document under the same key (`idempotency_key_reused`)", content(
            (PushAnswer = "application/json"),
            (ProblemDocument = "application/problem+json"),
        )),
    ))]
pub(crate) async fn push(State(app): State<App>, principal: Principal, request: Request) -> ApiResult<PushAnswer> {
    let received_at = now();
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers)?;
    let encoding = Encoding::of(&parts.headers)?;
    let claimed = header_text(&parts.headers, COLLECTOR_HEADER)?;
    let key = idempotency_key(&parts.headers)?;
    let limits = &app.settings.ingest;
    let length = content_length(&parts.headers);
    if length.is_some_and(|length| length > limits.max_body_bytes) {
        return Err(body::too_large(limits.max_body_bytes));
    }
    let sender = principal.rate_key().unwrap_or_default();
    let place = match app.admission.admit(sender, length.unwrap_or(body::UNKNOWN_LENGTH)) {
        Ok(place) => place,
        Err(refusal) => {
            app.counters.refused();
            body::drain(body, limits.max_body_bytes).await;
            return Err(refusal);
        }
    };
    let take = async {
        let (bytes, place) = read(&app, body, length, encoding, place).await?;
        app.counters.ingested(bytes.len());
        match form {
            Form::Json => {
                let pushed = Pushed { claimed, key, bytes, received_at };
                documents::push(&app, &principal, pushed, place).await
            }
            Form::Frames => {
                push_frames(&app, &principal, claimed, bytes, received_at, place).await.map(PushAnswer::Frames)
            }
        }
    };
    let answer = take.await;
    if let Err(Problem { code: "too_much_in_flight" | "overloaded" | "push_too_large", .. }) = &answer {
        app.counters.refused();
    }
    answer
}

async fn read(
    app: &App,
    body: Body,
    length: Option<usize>,
    encoding: Encoding,
    mut place: Admitted,
) -> ApiResult<(Bytes, Admitted)> {
    let limits = &app.settings.ingest;
    let bytes = body::read(body, length, limits, &mut place).await?;
    if encoding == Encoding::Identity {
        return Ok((bytes, place));
    }
    if bytes.len() <= INLINE_COMPRESSED {
        return Ok((decompress::expand(&bytes, encoding, limits, &mut place)?, place));
    }
    let limits = limits.clone();
    app.decoders
        .run(move || decompress::expand(&bytes, encoding, &limits, &mut place).map(|bytes| (bytes, place)))
        .await?
}

async fn push_frames(
    app: &App,
    principal: &Principal,
    claimed: Option<String>,
    bytes: Bytes,
    received_at: Timestamp,
    mut place: Admitted,
) -> ApiResult<PushReply> {
    let collector = senders::speaks_for(principal, claimed.as_deref())?;
    let claim = Claim { id: claimed, ..Claim::default() };
    app.senders.admit(app, principal, collector, &claim, received_at).await?;
    let limits = PushLimits::default();
    let expanded = PushBody::expanded_len(&bytes).map_err(|error| unreadable(&error))?;
    let expanded = usize::try_from(expanded).unwrap_or(usize::MAX).min(limits.max_expanded_bytes);
    place.add(expanded)?;
    // Schemas are the only other thing of a push that is decoded before its frames.
    let parsed = if expanded.saturating_add(limits.max_schema_bytes) <= 2 * INLINE_BYTES {
        PushBody::parse(bytes, &limits)
    } else {
        app.decoders.run(move || PushBody::parse(bytes, &limits)).await?
    };
    let body = parsed.map_err(|error| unreadable(&error))?;
    let schemas = app.schemas.of_push(principal.tenant, body.schemas, &body.frames);
    let (checked, place) = frames::verify(app, body.frames, schemas, received_at, place).await?;
    let origin = app.origin(principal.tenant, collector, received_at);
    let answer = checked.store(app, &origin, body.stream).await?;
    // It is held until the store has the bytes.
    drop(place);
    app.senders.touch(app, collector, received_at).await;
    Ok(answer)
}

fn unreadable(error: &FrameError) -> Problem {
    let status = match error {
        FrameError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.code(), error.to_string())
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What a push is called, if it says so.
fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let key = header_text(headers, KEY_HEADER)?;
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_KEY) {
        let detail = format!("Idempotency-Key has 1 to {MAX_KEY} characters, one key for each push");
        return Err(Problem::bad_request("bad_header", detail));
    }
    Ok(key)
}

fn header_text(headers: &HeaderMap, name: &str) -> ApiResult<Option<String>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Problem::bad_request("bad_header", format!("{name} is no text")))?;
    Ok(Some(text.to_owned()))
}
