//! Answers as lines of a batch, each complete before it goes out.

use std::{io, sync::Arc, time::Instant};

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use pganalytics_store::sql::RecordStream;
use serde::Serialize;
use tokio::{sync::Semaphore, time::timeout};

use super::{AHEAD, Answers, Form, PIECE, Piece, Writer, queue::Queue, take};
use crate::{auth::random, error::ApiResult};

/// Longest line; rows beyond it are left out, and the line says so.
const LINE: usize = 4 << 20;
/// What ends the part of an answer that its token stands for.
const TOOK: &[u8] = b",\"elapsed_ms\":";

/// A line with the room that it takes.
pub(crate) struct Line(Piece);

impl Line {
    /// The line of a query that has no rows.
    pub(crate) fn problem(id: &str, problem: &impl Serialize) -> Self {
        Self::small(&serde_json::json!({"id": id, "problem": problem}))
    }

    fn small(value: &serde_json::Value) -> Self {
        Self(Piece { bytes: format!("{value}\n").into_bytes(), room: Vec::new() })
    }
}

impl Answers {
    /// The line with the rows of a stream; without them where the client has
    /// them already, under the token `known`.
    pub(crate) async fn line(
        self: &Arc<Self>,
        id: &str,
        rows: RecordStream,
        known: Option<&str>,
        started: Instant,
    ) -> ApiResult<Line> {
        // Taken at once: who holds a part and waits for more could wait for ever.
        let mut room = self.room(LINE + 2 * PIECE).await?;
        let mut writer = Writer { most: LINE, ..Writer::new(rows, Form::Json, started)? };
        let mut answer = Vec::new();
        while let Some(piece) = writer.next().await? {
            answer.extend(piece);
        }
        let same_part = answer.windows(TOOK.len()).rposition(|part| part == TOOK).unwrap_or(answer.len());
        let hash = random::hash(answer.get(..same_part).unwrap_or_default());
        let token = random::hex(hash.get(..12).unwrap_or_default());
        if known == Some(token.as_str()) {
            return Ok(Line::small(&serde_json::json!({"id": id, "unchanged": true})));
        }
        // `{"columns":…}` becomes `{"id":…,"token":…,"columns":…}` and a new line.
        let head = serde_json::json!({"id": id, "token": token}).to_string();
        let mut bytes = head.trim_end_matches('}').as_bytes().to_vec();
        bytes.push(b',');
        bytes.extend_from_slice(answer.get(1..).unwrap_or_default());
        bytes.push(b'\n');
        drop(room.split((LINE + 2 * PIECE).saturating_sub(bytes.len())));
        Ok(Line(Piece { bytes, room: vec![room] }))
    }

    /// A response with these lines as they come. When its reader goes, or stalls
    /// for too long, the stream is dropped, and what still makes lines with it.
    pub(crate) fn follow_lines(self: &Arc<Self>, lines: BoxStream<'static, Line>) -> Response {
        let queue = Arc::new(Queue::default());
        let body = Body::new(StreamBody::new(queue.read()));
        let answers = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = queue.gone() => {}
                end = answers.send_lines(lines, &queue) => {
                    if let Err(error) = &end {
                        tracing::info!(%error, "a batch was broken off");
                    }
                    queue.end(end);
                }
            }
        });
        ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
    }

    async fn send_lines(&self, mut lines: BoxStream<'static, Line>, queue: &Queue) -> io::Result<()> {
        let ahead = Arc::new(Semaphore::new(AHEAD));
        while let Some(Line(mut piece)) = lines.next().await {
            let mine = timeout(self.patience, take(&ahead, piece.bytes.len().min(AHEAD))).await.ok().flatten();
            let stalled = || io::Error::new(io::ErrorKind::TimedOut, "its reader took nothing for too long");
            piece.room.push(mine.ok_or_else(stalled)?);
            queue.push(Frame::data(Bytes::from_owner(piece)));
        }
        Ok(())
    }
}
