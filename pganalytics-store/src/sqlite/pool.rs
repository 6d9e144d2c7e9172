//! Connections that read. They never wait on the writer, nor it on them.

use std::{
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;

use super::{error::Doing, open};
use crate::error::StoreError;

/// Idle connections. When none is idle one is opened: a query that reads many
/// measurements at once must not wait on itself.
#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    keep: usize,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(file: PathBuf, keep: usize) -> Self {
        Self { file, keep, idle: Mutex::default() }
    }

    fn take(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.file)?,
        };
        Ok(Reader { connection: Some(connection), readers: Arc::clone(self) })
    }

    /// A connection that sees the store as it is now until it is dropped.
    pub(super) fn snapshot(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let reader = self.take()?;
        // Without a read, BEGIN would not fix the moment yet.
        reader.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1;").doing("beginning to read")?;
        Ok(reader)
    }

    /// Runs `read` on a thread where it may block, in one snapshot.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(self);
        blocking(move || read(&*readers.snapshot()?)).await
    }
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(run)
        .await
        .map_err(|error| StoreError::Unavailable(format!("reading was interrupted: {error}")))?
}

/// A connection on loan; it goes back when dropped.
pub(super) struct Reader {
    connection: Option<Connection>,
    readers: Arc<Readers>,
}

impl Deref for Reader {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "only drop takes it")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a reader has its connection until it is dropped")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() {
            return;
        }
        let mut idle = self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.readers.keep {
            idle.push(connection);
        }
    }
}
