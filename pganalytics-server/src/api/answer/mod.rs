//! Rows as bodies: written while they come, within what all answers may hold.
//!
//! A small answer is complete before its headers go out, so that whatever is wrong
//! with its query has a status of its own. A large one follows its headers piece by
//! piece; an error in the middle breaks the body off, which no client takes for the
//! end. Pieces that wait for their reader are counted, for one answer and for all;
//! they are counted until the connection has taken them. A reader that takes nothing
//! for a while is cut off, and its query ends.

mod line;
mod queue;

pub(crate) use self::line::Line;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::StreamBody;
use hyper::body::Frame;
use pganalytics_store::{
    StoreError,
    sql::{ArrowPieces, RecordBatch, RecordStream, column_types, csv_header, to_csv, to_json_rows},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use self::queue::Queue;
use super::sql::AnswerColumn;
use crate::{
    error::{ApiResult, Problem},
    settings::QueryLimits,
};

/// Longest answer; rows beyond it are left out, and the answer says so.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// An answer up to this size is complete before its first byte goes out.
const COMPLETE: usize = 1 << 20;
/// What one answer may have waiting for its reader.
const AHEAD: usize = 4 << 20;
/// About the size of a piece.
const PIECE: usize = 64 << 10;
/// Rows that are written at a time.
const ROWS: usize = 256;

const TRUNCATED: HeaderName = HeaderName::from_static("x-truncated");
const WARNINGS: HeaderName = HeaderName::from_static("x-warnings");

/// What answers wait in.
pub(crate) struct Answers {
    room: Arc<Semaphore>,
    /// How long a reader may take nothing.
    patience: Duration,
}

impl Answers {
    pub(crate) fn new(limits: &QueryLimits) -> Self {
        // The largest answer that is complete at once must fit.
        let bytes = limits.answer_bytes.clamp(2 * COMPLETE, u32::MAX as usize);
        Self { room: Arc::new(Semaphore::new(bytes)), patience: limits.reader_timeout }
    }

    async fn room(&self, bytes: usize) -> ApiResult<OwnedSemaphorePermit> {
        // Whoever holds it up is cut off before.
        match timeout(2 * self.patience, take(&self.room, bytes)).await {
            Ok(Some(room)) => Ok(room),
            _ => Err(Problem::unavailable("too_many_answers", "other answers fill the memory for answers; try again")),
        }
    }

    /// The response with the rows of a stream.
    pub(crate) async fn respond(
        self: &Arc<Self>,
        rows: RecordStream,
        form: Form,
        started: Instant,
    ) -> ApiResult<Response> {
        let mut room = self.room(COMPLETE + PIECE).await?;
        let mut writer = Writer::new(rows, form, started)?;
        let mut text = Vec::new();
        while text.len() < COMPLETE {
            match writer.next().await? {
                Some(piece) => text.extend(piece),
                None => {
                    let mut headers = HeaderMap::from_iter([(TRUNCATED, truncated(writer.truncated))]);
                    headers.extend(writer.warnings());
                    let headers = (form != Form::Json).then_some(headers);
                    drop(room.split((COMPLETE + PIECE).saturating_sub(text.len())));
                    let body = Bytes::from_owner(Piece { bytes: text, room: vec![room] });
                    return Ok((form.headers(), headers, body).into_response());
                }
            }
        }
        Ok(self.follow(writer, Piece { bytes: text, room: vec![room] }))
    }

    /// A response that begins with this and goes on while its rows come.
    fn follow(self: &Arc<Self>, writer: Writer, begin: Piece) -> Response {
        let form = writer.form;
        let warnings = HeaderMap::from_iter(writer.warnings());
        let queue = Arc::new(Queue::default());
        queue.push(Frame::data(Bytes::from_owner(begin)));
        let body = Body::new(StreamBody::new(queue.read()));
        let answers = Arc::clone(self);
        tokio::spawn(async move {
            // When the client goes, the query ends at once.
            tokio::select! {
                () = queue.gone() => {}
                end = answers.send(writer, &queue) => {
                    if let Err(error) = &end {
                        tracing::info!(%error, "an answer was broken off");
                    }
                    queue.end(end);
                }
            }
        });
        if form == Form::Json {
            return (form.headers(), body).into_response();
        }
        // Whether rows are left out is known at the end.
        (form.headers(), warnings, [(header::TRAILER, TRUNCATED.as_str())], body).into_response()
    }

    async fn send(&self, mut writer: Writer, queue: &Queue) -> io::Result<()> {
        let mine = Arc::new(Semaphore::new(AHEAD));
        let stalled = || io::Error::new(io::ErrorKind::TimedOut, "its reader took nothing for too long");
        while let Some(bytes) = writer.next().await.map_err(|problem| io::Error::other(problem.detail))? {
            let mine = timeout(self.patience, take(&mine, bytes.len().min(AHEAD))).await.ok().flatten();
            let mine = mine.ok_or_else(stalled)?;
            let all = self.room(bytes.len()).await.map_err(|problem| io::Error::other(problem.detail))?;
            let room = vec![mine, all];
            queue.push(Frame::data(Bytes::from_owner(Piece { bytes, room })));
        }
        if writer.form != Form::Json {
            queue.push(Frame::trailers(HeaderMap::from_iter([(TRUNCATED, truncated(writer.truncated))])));
        }
        Ok(())
    }
}

async fn take(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(room).acquire_many_owned(u32::try_from(bytes).ok()?).await.ok()
}

fn truncated(yes: bool) -> HeaderValue {
    HeaderValue::from_static(if yes { "true" } else { "false" })
}

/// Bytes with the room that they take.
struct Piece {
    bytes: Vec<u8>,
    room: Vec<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The forms that answers come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Csv,
    Arrow,
}

impl Form {
    const ARROW: &'static str = "application/vnd.apache.arrow.stream";

    /// What a client asks for with `Accept`.
    pub(crate) fn wanted(headers: &HeaderMap) -> ApiResult<Self> {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        for range in accept.split(',') {
            match range.split(';').next().unwrap_or_default().trim() {
                "application/json" | "application/*" | "*/*" | "" => return Ok(Self::Json),
                "text/csv" | "text/*" => return Ok(Self::Csv),
                Self::ARROW => return Ok(Self::Arrow),
                _ => {}
            }
        }
        let detail = format!("answers are application/json, text/csv or {}", Self::ARROW);
        Err(Problem::new(http::StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail))
    }

    fn headers(self) -> [(HeaderName, &'static str); 1] {
        let ty = match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => Self::ARROW,
        };
        [(header::CONTENT_TYPE, ty)]
    }
}

/// Writes the rows of a stream down, piece by piece.
struct Writer {
    rows: RecordStream,
    /// Rows beyond so many bytes are left out.
    most: usize,
    form: Form,
    arrow: Option<ArrowPieces>,
    started: Instant,
    /// What is left of the last batch.
    batch: Option<RecordBatch>,
    begun: bool,
    ended: bool,
    count: usize,
    bytes: usize,
    /// Whether rows were left out; known at the end.
    truncated: bool,
}

impl Writer {
    fn new(rows: RecordStream, form: Form, started: Instant) -> ApiResult<Self> {
        let arrow = match form {
            Form::Arrow => Some(ArrowPieces::new(rows.schema()).map_err(|error| Problem::internal(&error))?),
            Form::Json | Form::Csv => None,
        };
        Ok(Self {
            rows,
            most: MAX_ANSWER_BYTES,
            form,
            arrow,
            started,
            batch: None,
            begun: false,
            ended: false,
            count: 0,
            bytes: 0,
            truncated: false,
        })
    }

    /// How many warnings there are, where the form has no place for their words.
    fn warnings(&self) -> Option<(HeaderName, HeaderValue)> {
        let count = self.rows.warnings().len();
        (count > 0).then(|| (WARNINGS, HeaderValue::from(count)))
    }

    /// The next piece; nothing after the last.
    async fn next(&mut self) -> ApiResult<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        let mut piece = if self.begun { Vec::new() } else { self.begin()? };
        self.begun = true;
        while piece.len() < PIECE {
            if self.bytes + piece.len() > self.most {
                self.truncated = true;
            } else if let Some(rows) = self.some_rows().await? {
                self.write(&rows, &mut piece)?;
                tokio::task::coop::consume_budget().await;
                continue;
            } else {
                self.truncated = self.rows.truncated();
            }
            self.ended = true;
            self.end(&mut piece)?;
            break;
        }
        self.bytes += piece.len();
        Ok(Some(piece))
    }

    async fn some_rows(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let batch = match self.batch.take() {
            Some(batch) => batch,
            None => match self.rows.next().await {
                Some(batch) => batch?,
                None => return Ok(None),
            },
        };
        // Arrow makes pieces of its own.
        if self.form != Form::Arrow && batch.num_rows() > ROWS {
            self.batch = Some(batch.slice(ROWS, batch.num_rows() - ROWS));
            return Ok(Some(batch.slice(0, ROWS)));
        }
        Ok(Some(batch))
    }

    fn begin(&mut self) -> ApiResult<Vec<u8>> {
        Ok(match self.form {
            Form::Csv => csv_header(self.rows.schema()).into_bytes(),
            Form::Arrow => self.arrow.as_mut().map(ArrowPieces::head).unwrap_or_default(),
            Form::Json => {
                let columns = AnswerColumn::all(column_types(self.rows.schema()));
                let mut text = b"{\"columns\":".to_vec();
                serde_json::to_writer(&mut text, &columns).map_err(|error| Problem::internal(&error))?;
                text.extend_from_slice(b",\"rows\":[");
                text
            }
        })
    }

    fn write(&mut self, rows: &RecordBatch, piece: &mut Vec<u8>) -> ApiResult<()> {
        match self.form {
            Form::Csv => piece.extend_from_slice(to_csv(rows).as_bytes()),
            Form::Arrow => {
                for bytes in self.arrow.iter_mut().flat_map(|arrow| arrow.of(rows)) {
                    piece.extend(bytes.map_err(|error| Problem::internal(&error))?);
                }
            }
            Form::Json => {
                for (at, row) in to_json_rows(rows).iter().enumerate() {
                    if at + self.count > 0 {
                        piece.push(b',');
                    }
                    serde_json::to_writer(&mut *piece, row).map_err(|error| Problem::internal(&error))?;
                }
            }
        }
        self.count += rows.num_rows();
        Ok(())
    }

    fn end(&mut self, piece: &mut Vec<u8>) -> ApiResult<()> {
        match (self.form, &mut self.arrow) {
            (Form::Arrow, Some(arrow)) => piece.extend(arrow.end().map_err(|error| Problem::internal(&error))?),
            (Form::Json, _) => {
                let (count, truncated, took) = (self.count, self.truncated, self.started.elapsed().as_millis());
                let warnings = match self.rows.warnings() {
                    [] => String::new(),
                    warnings => format!(",\"warnings\":{}", serde_json::json!(warnings)),
                };
                let end =
                    format!("],\"row_count\":{count},\"truncated\":{truncated}{warnings},\"elapsed_ms\":{took}}}");
                piece.extend_from_slice(end.as_bytes());
            }
            _ => {}
        }
        Ok(())
    }
}
