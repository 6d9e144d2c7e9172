//! Rows of an answer.

use std::{
    collections::VecDeque,
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use futures::{Stream, StreamExt as _, stream::BoxStream};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, Sleep},
};

use super::{error::SqlError, watch::Stop};
use crate::{error::StoreError, metric_store::MetricStore};

/// What the engine's task tells its reader.
pub(super) enum Message {
    Batch(RecordBatch),
    Done { truncated: bool },
    Failed(StoreError),
}

/// Stops the engine's task when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) AbortHandle, pub(super) Arc<Stop>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.1.now();
        self.0.abort();
    }
}

/// Rows of an answer, batch by batch, as they are computed. Dropping it ends
/// the query.
pub struct RecordStream {
    schema: SchemaRef,
    source: Source,
    truncated: bool,
    /// The first batches, where they were waited for already.
    first: VecDeque<RecordBatch>,
    /// Whom damaged chunks are told to.
    mender: Option<Arc<dyn MetricStore>>,
    warnings: Vec<String>,
    /// Dropped after the source, with which it ends.
    held: Option<Box<dyn Send>>,
}

enum Source {
    Messages(BoxStream<'static, Message>),
    Engine { messages: mpsc::Receiver<Message>, deadline: Pin<Box<Sleep>>, seconds: u64, _task: AbortOnDrop },
    Given(std::vec::IntoIter<RecordBatch>),
    Ended,
}

impl RecordStream {
    pub(super) fn of_engine(
        messages: mpsc::Receiver<Message>,
        deadline: Instant,
        seconds: u64,
        task: AbortOnDrop,
    ) -> Self {
        let deadline = Box::pin(tokio::time::sleep_until(deadline));
        let source = Source::Engine { messages, deadline, seconds, _task: task };
        Self {
            schema: SchemaRef::new(Schema::empty()),
            source,
            truncated: false,
            first: VecDeque::new(),
            mender: None,
            warnings: Vec::new(),
            held: None,
        }
    }

    /// Rows that come from elsewhere; the last message is no batch.
    #[cfg(target_os = "linux")]
    pub(super) fn of_messages(schema: SchemaRef, messages: BoxStream<'static, Message>) -> Self {
        Self {
            schema,
            source: Source::Messages(messages),
            truncated: false,
            first: VecDeque::new(),
            mender: None,
            warnings: Vec::new(),
            held: None,
        }
    }

    /// Keeps something until the rows have ended, or nobody wants them any more.
    #[must_use]
    pub fn holding(self, what: impl Send + 'static) -> Self {
        let held: Box<dyn Send> = match self.held {
            Some(before) => Box::new((before, what)),
            None => Box::new(what),
        };
        Self { held: Some(held), ..self }
    }

    pub(super) fn with_schema(self, schema: SchemaRef) -> Self {
        Self { schema, ..self }
    }

    /// A stream of rows that are already there, for stores that run SQL
    /// elsewhere and for tests.
    #[must_use]
    pub fn of_batches(schema: SchemaRef, batches: Vec<RecordBatch>, truncated: bool) -> Self {
        Self {
            schema,
            source: Source::Given(batches.into_iter()),
            truncated,
            first: VecDeque::new(),
            mender: None,
            warnings: Vec::new(),
            held: None,
        }
    }

    /// Waits for the first rows, some bytes of them.
    ///
    /// # Errors
    /// What went wrong until then.
    pub(crate) async fn begun(mut self, bytes: usize) -> Result<Self, StoreError> {
        let (mut first, mut waiting) = (VecDeque::new(), 0);
        while waiting < bytes
            && let Some(batch) = self.next().await
        {
            let batch = batch?;
            waiting += batch.get_array_memory_size();
            first.push_back(batch);
        }
        self.first = first;
        Ok(self)
    }

    /// What turns out to be damaged from now on is set aside in this store.
    pub(crate) fn with_mender(self, store: Arc<dyn MetricStore>) -> Self {
        Self { mender: Some(store), ..self }
    }

    pub(crate) fn with_warnings(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// What whoever reads the answer is to know of it, for people.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether rows were left out because there are more than the query may
    /// return. True only once the stream has ended.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.truncated && self.first.is_empty() && matches!(self.source, Source::Ended)
    }

    /// Waits for all rows.
    ///
    /// # Errors
    /// What went wrong while they were computed.
    pub async fn into_answer(mut self) -> Result<Answer, StoreError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        let truncated = self.truncated();
        Ok(Answer { schema: self.schema, batches, truncated })
    }
}

impl std::fmt::Debug for RecordStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Stream for RecordStream {
    type Item = Result<RecordBatch, StoreError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(first) = this.first.pop_front() {
            return Poll::Ready(Some(Ok(first)));
        }
        let item = match &mut this.source {
            Source::Ended => return Poll::Ready(None),
            Source::Given(batches) => batches.next().map(Ok),
            Source::Messages(messages) => match std::task::ready!(messages.poll_next_unpin(cx)) {
                Some(Message::Batch(batch)) => return Poll::Ready(Some(Ok(batch))),
                last => end(last, &mut this.truncated),
            },
            Source::Engine { messages, deadline, seconds, .. } => {
                // The engine watches the deadline too; this one also holds
                // when its threads are too busy to look at the clock.
                if deadline.as_mut().poll(cx).is_ready() {
                    Some(Err(SqlError::Timeout { seconds: *seconds }.into()))
                } else {
                    match std::task::ready!(messages.poll_recv(cx)) {
                        Some(Message::Batch(batch)) => return Poll::Ready(Some(Ok(batch))),
                        last => end(last, &mut this.truncated),
                    }
                }
            }
        };
        if let Some(Err(StoreError::Damaged { chunk, .. })) = &item
            && let (Some(store), Ok(runtime)) = (this.mender.take(), Handle::try_current())
        {
            let chunk = *chunk;
            runtime.spawn(async move { store.set_aside(chunk).await });
        }
        if !matches!((&item, &this.source), (Some(Ok(_)), Source::Given(_))) {
            this.source = Source::Ended;
            this.held = None;
        }
        Poll::Ready(item)
    }
}

/// What a reader gets of the last message.
fn end(last: Option<Message>, truncated: &mut bool) -> Option<Result<RecordBatch, StoreError>> {
    match last {
        Some(Message::Batch(batch)) => Some(Ok(batch)),
        Some(Message::Done { truncated: cut }) => {
            *truncated = cut;
            None
        }
        Some(Message::Failed(error)) => Some(Err(error)),
        None => Some(Err(SqlError::Internal("it stopped in the middle of a query".to_owned()).into())),
    }
}

/// All rows of an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Whether rows were left out because there are more than the query may
    /// return.
    pub truncated: bool,
}

impl Answer {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}
