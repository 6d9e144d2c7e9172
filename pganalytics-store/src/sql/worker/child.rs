//! The worker's side.

use std::{
    io::{self, Write},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use futures::StreamExt as _;
use pganalytics_core::Schema;

use super::{
    limits,
    protocol::{self, Fault, Kind, Question, Request, Terms, say},
};
use crate::{
    chunk::ChunkSource,
    error::StoreError,
    sql::{ArrowPieces, Engine, EngineOptions, SqlError},
};

/// What is left of a query that failed is gone within this time.
const UNWIND: Duration = Duration::from_millis(200);

/// Answers queries that come on the standard input, one after the other, until the
/// parent closes it; answers go to the standard output. Call it from a program that
/// does nothing else, and outside of a runtime.
///
/// # Errors
/// When the parent does not say how to work, or limits can't be set. Once it works,
/// errors are answers.
pub fn serve(source: Arc<dyn ChunkSource>) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::backend("a SQL worker", error);
    let requests = listen();
    let Ok(Request::Start(terms)) = requests.recv() else {
        return Err(StoreError::Unavailable("a SQL worker is started by its server, not by hand".to_owned()));
    };
    let engine = Engine::new(EngineOptions {
        threads: terms.threads.max(1),
        concurrent_queries: 1,
        // The rest is for what is not counted.
        query_memory_bytes: terms.memory_bytes / 8 * 5,
        cache_bytes: terms.memory_bytes / 8,
        latest_lookback: terms.latest_lookback,
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    limits::limit(terms.memory_bytes).map_err(failed)?;
    let mut worker = Worker { engine, source, terms, known: Arc::default(), out: io::stdout() };
    say(&mut worker.out, Kind::Ready, &[]).map_err(failed)?;
    while let Ok(request) = requests.recv() {
        let said = match request {
            Request::Run(question) => runtime.block_on(worker.answer(question)),
            Request::Known(known) => match protocol::schemas(&known) {
                Ok(schemas) => {
                    worker.known = schemas;
                    Ok(())
                }
                Err(why) => return Err(StoreError::backend("reading schemas", why)),
            },
            Request::Start(_) => Ok(()),
        };
        // The parent is gone.
        if said.is_err() {
            break;
        }
    }
    Ok(())
}

/// Requests from a thread of their own: when the parent is gone, the process ends at
/// once, whatever it computes.
fn listen() -> mpsc::Receiver<Request> {
    let (requests, received) = mpsc::channel();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            match protocol::read_request(&mut input) {
                Ok(Some(request)) => {
                    if requests.send(request).is_err() {
                        break;
                    }
                }
                _ => std::process::exit(0),
            }
        }
    });
    received
}

struct Worker {
    engine: Engine,
    source: Arc<dyn ChunkSource>,
    terms: Terms,
    known: Arc<[Arc<Schema>]>,
    out: io::Stdout,
}

impl Worker {
    async fn answer(&mut self, question: Question) -> io::Result<()> {
        match self.rows(question).await {
            Ok(truncated) => say(&mut self.out, Kind::Done, &serde_json::to_vec(&truncated)?),
            Err(End::Failed(error)) => {
                // One that did not stop when it should can't be stopped from here.
                let usable = self.engine.is_idle_within(UNWIND).await;
                say(&mut self.out, Kind::Failed, &serde_json::to_vec(&(Fault::from(&error), usable))?)
            }
            Err(End::Gone(error)) => Err(error),
        }
    }

    async fn rows(&mut self, question: Question) -> Result<bool, End> {
        let query = question.query(Arc::clone(&self.known)).map_err(StoreError::from)?;
        let cpu = self
            .terms
            .cpu
            .unwrap_or_else(|| query.timeout().saturating_mul(u32::try_from(self.terms.threads).unwrap_or(u32::MAX)));
        limits::limit_cpu(cpu)?;
        let mut rows = self.engine.execute(Arc::clone(&self.source), query).await?;
        let failed = |error| StoreError::from(SqlError::Internal(format!("writing an answer: {error}")));
        let mut pieces = ArrowPieces::new(rows.schema()).map_err(failed)?;
        piece(&mut self.out, &pieces.head())?;
        while let Some(batch) = rows.next().await {
            for bytes in pieces.of(&batch?) {
                piece(&mut self.out, &bytes.map_err(failed)?)?;
            }
        }
        Ok(rows.truncated())
    }
}

fn piece(out: &mut impl Write, bytes: &[u8]) -> Result<(), End> {
    if bytes.len() > protocol::MAX_MESSAGE {
        let (given, most) = (bytes.len() >> 20, protocol::MAX_MESSAGE >> 20);
        let why = format!("a row of the answer has {given} MiB, at most {most} MiB are allowed");
        return Err(StoreError::from(SqlError::Failed(why)).into());
    }
    Ok(say(out, Kind::Piece, bytes)?)
}

/// Why an answer ended early.
enum End {
    /// The query failed; the worker goes on.
    Failed(StoreError),
    /// Nobody hears it any more.
    Gone(io::Error),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}
