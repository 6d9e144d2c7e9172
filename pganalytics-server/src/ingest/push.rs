//! `POST /metrics/push`.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use pganalytics_core::{
    Timestamp,
    frame::{CONTENT_TYPE, FrameError, PushBody, PushLimits},
};

use super::{
    admission::Admitted,
    answer::PushAnswer,
    body,
    decoders::INLINE_BYTES,
    decompress::{self, Encoding},
    documents, frames,
    senders::{self, Claim},
};
use crate::{
    error::{ApiResult, Problem},
    principal::Principal,
    state::{App, now},
};

/// Names the collector of a push of frames whose token is a user's.
const COLLECTOR_HEADER: &str = "x-collector-id";
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
/// either may be compressed (`Content-Encoding: gzip` or `zstd`). A bad frame or metric is listed in
/// `rejected` with the `code` of its reason and hinders no other: `frame_too_large`, `span_too_long`,
/// `too_many_rows`, `clock_ahead`, `too_many_sources`, `too_many_series`, `too_many_measurements`,
/// `too_many_schemas`, `too_many_gaps`, `too_many_streams`, `source_belongs_to_another_collector` and others.
/// When the answer comes, what was accepted is durable.
#[utoipa::path(post, path = "/api/v1/metrics/push", tag = "metrics",
    params(
        ("X-Collector-ID" = Option<String>, Header, description = "The collector that the frames come from; a collector's own token says it already"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip or zstd"),
    ),
    request_body(content(
        (Vec<u8> = "application/vnd.pganalytics.frame"),
        (serde_json::Value = "application/json"),
    )),
    responses(
        (status = 200, description = "Worked on; what was not taken is in `rejected`", body = PushAnswer),
        (status = 408, description = "The body came too slowly", body = ref("ProblemDocument"), content_type = "application/problem+json"),
        (status = 413, description = "Too large as it came (`body_too_large`), expanded (`expands_too_much`) or decoded (`push_too_large`); send fewer frames at once", body = ref("ProblemDocument"), content_type = "application/problem+json"),
        (status = 415, description = "A content type or encoding that is not taken", body = ref("ProblemDocument"), content_type = "application/problem+json"),
        (status = 422, description = "Not frames, or not a push document", body = ref("ProblemDocument"), content_type = "application/problem+json"),
    ))]
pub(crate) async fn push(
    State(app): State<App>,
    principal: Principal,
    request: Request,
) -> ApiResult<Json<PushAnswer>> {
    let received_at = now();
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers)?;
    let encoding = Encoding::of(&parts.headers)?;
    let claimed = header_text(&parts.headers, COLLECTOR_HEADER)?;
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
            Form::Json => documents::push(&app, &principal, claimed, bytes, received_at, place).await,
            Form::Frames => push_frames(&app, &principal, claimed, bytes, received_at, place).await,
        }
    };
    let answer = take.await;
    if let Err(Problem { code: "too_much_in_flight" | "overloaded" | "push_too_large", .. }) = &answer {
        app.counters.refused();
    }
    answer.map(Json)
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
) -> ApiResult<PushAnswer> {
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

fn header_text(headers: &HeaderMap, name: &str) -> ApiResult<Option<String>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Problem::bad_request("bad_header", format!("{name} is no text")))?;
    Ok(Some(text.to_owned()))
}
