//! A query in a worker: from its start until the worker is given back, or killed.

use std::{io, sync::Arc, time::Duration};

use datafusion::arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::{StreamExt as _, stream};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{
    pool::Pool,
    process::Worker,
    protocol::{Fault, Kind, Question},
};
use crate::{
    error::StoreError,
    sql::{RecordStream, SqlError, SqlQuery, pieces::PieceReader, stream::Message},
};

/// A worker ends its query at the deadline by itself, where it can; then it may stay.
const GRACE: Duration = Duration::from_millis(500);

/// A worker with a query. Dropped before the end, the worker is killed.
pub(super) struct Lease {
    pool: Arc<Pool>,
    /// Both are taken when the worker is given back.
    held: Option<(Worker, OwnedSemaphorePermit)>,
    reader: PieceReader,
    deadline: Instant,
    seconds: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((worker, permit)) = self.held.take() {
            self.pool.replace(Some(worker), permit);
        }
    }
}

/// What a worker answers.
enum Reply {
    Schema(SchemaRef),
    End(Message),
    Rows(RecordBatch),
}

impl Lease {
    pub(super) fn new(
        pool: Arc<Pool>,
        worker: Worker,
        permit: OwnedSemaphorePermit,
        deadline: Instant,
        seconds: u64,
    ) -> Self {
        Self { pool, held: Some((worker, permit)), reader: PieceReader::default(), deadline, seconds }
    }

    /// Begins the query; gives its rows.
    pub(super) async fn run(mut self, query: &SqlQuery) -> Result<RecordStream, StoreError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let question = Question::of(query, left);
        let cpu = self.pool.cpu(left);
        let asked = async {
            match &mut self.held {
                Some((worker, _)) => worker.ask(query.shared_known(), question, cpu).await,
                None => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        match timeout_at(self.deadline, asked).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(self.broken().await),
            // It lives, and has half a question: dropping the lease kills it.
            Err(_) => return Err(SqlError::Timeout { seconds: self.seconds }.into()),
        }
        match self.next().await {
            Reply::Schema(schema) => {
                let rows = stream::unfold(Some(self), |lease| async move {
                    let mut lease = lease?;
                    match lease.next().await {
                        Reply::Rows(rows) => Some((Message::Batch(rows), Some(lease))),
                        Reply::End(message) => Some((message, None)),
                        Reply::Schema(_) => Some((Message::Failed(lease.nonsense()), None)),
                    }
                });
                Ok(RecordStream::of_messages(schema, rows.boxed()))
            }
            Reply::End(Message::Failed(error)) => Err(error),
            Reply::End(_) | Reply::Rows(_) => Err(self.nonsense()),
        }
    }

    fn nonsense(&self) -> StoreError {
        SqlError::Internal("a worker answered out of order".to_owned()).into()
    }

    async fn next(&mut self) -> Reply {
        loop {
            let Some((worker, _)) = &mut self.held else {
                return Reply::End(Message::Failed(self.nonsense()));
            };
            let Ok(heard) = timeout_at(self.deadline + GRACE, worker.hear()).await else {
                // Dropping the lease kills it.
                let late = SqlError::Timeout { seconds: self.seconds };
                return Reply::End(Message::Failed(late.into()));
            };
            let ended = match heard {
                Err(_) => Message::Failed(self.broken().await),
                Ok((Kind::Piece, bytes)) => match self.decode(bytes) {
                    Ok(Some(reply)) => return reply,
                    Ok(None) => continue,
                    Err(error) => Message::Failed(error),
                },
                Ok((Kind::Done, bytes)) => {
                    self.give_back();
                    Message::Done { truncated: serde_json::from_slice(&bytes).unwrap_or_default() }
                }
                Ok((Kind::Failed, bytes)) => {
                    let (fault, usable) = match serde_json::from_slice::<(Fault, bool)>(&bytes) {
                        Ok((fault, usable)) => (fault.into(), usable),
                        Err(_) => (self.nonsense(), false),
                    };
                    if usable {
                        self.give_back();
                    }
                    Message::Failed(fault)
                }
                Ok((Kind::Ready, _)) => Message::Failed(self.nonsense()),
            };
            return Reply::End(ended);
        }
    }

    fn decode(&mut self, bytes: Vec<u8>) -> Result<Option<Reply>, StoreError> {
        let first = self.reader.schema().is_none();
        let rows = self.reader.read(bytes);
        let rows = rows.map_err(|error| SqlError::Internal(format!("reading a worker's answer: {error}")))?;
        Ok(match (rows, self.reader.schema()) {
            (Some(rows), _) => Some(Reply::Rows(rows)),
            (None, Some(schema)) if first => Some(Reply::Schema(schema)),
            _ => None,
        })
    }

    fn give_back(&mut self) {
        if let Some((worker, permit)) = self.held.take() {
            self.pool.give_back(worker, permit);
        }
    }

    /// Another worker takes the place of one that is gone; says why it is.
    async fn broken(&mut self) -> StoreError {
        let Some((worker, permit)) = self.held.take() else { return self.nonsense() };
        self.pool.replace(None, permit);
        worker.death().await.into()
    }
}
