//! Metadata: users, tokens, collectors, settings, documents, in a file of their own.
//!
//! Several processes have it open at once: a server, and whoever adds a user beside it.
//! Each call that writes is a transaction that begins with the right to write, waits at
//! most some seconds for other processes, and is synced when it returns. What people do
//! never waits for metrics, which are written to another file.
//!
//! # Invariants
//! * A call happens wholly or not at all, whatever other processes do meanwhile; a call
//!   that nobody waits for any more goes on to its end.
//! * A reader sees what was committed before it began, by whatever process.
//! * While a process has it open nobody puts another file in its place
//!   ([`StoreLock`](super::backup::StoreLock)).

mod accounts;
mod documents;
mod enrolment;
mod rows;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;

use std::{fmt, path::Path, sync::Arc};

use rusqlite::Connection;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    error::Doing,
    lock::FileLock,
    open::{self, META},
    pool::{Readers, blocking},
};
use crate::error::StoreError;

/// How a transaction begins that is synced at its end, ...
const SYNCED: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";
/// ... and one that is synced with whatever is written next.
const UNSYNCED: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

/// Connections for reading that are kept open.
const IDLE_READERS: usize = 2;

/// The file of metadata of a store. Clones are handles of the same one.
#[derive(Clone)]
pub struct SqliteMetaStore {
    inner: Arc<Inner>,
}

struct Inner {
    readers: Arc<Readers>,
    /// Calls of this process wait here, in their order, not on each other's locks.
    writer: Arc<Mutex<Connection>>,
    /// Given back after the connections are closed: fields drop in order.
    _lock: FileLock,
}

impl fmt::Debug for SqliteMetaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteMetaStore").field("readers", &self.inner.readers).finish_non_exhaustive()
    }
}

impl SqliteMetaStore {
    /// Opens the metadata of the store in this folder, makes it when it is not there.
    /// Other processes may have it open. Blocks while it does.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// use pganalytics_store::sqlite::SqliteMetaStore;
    /// let server = SqliteMetaStore::open(folder.path())?;
    /// let command = SqliteMetaStore::open(folder.path())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while a backup is put in its place,
    /// [`StoreError::TooNew`] when a newer version made it, others when the file can't
    /// be made or is none of ours.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let file = META.prepare(folder.as_ref())?;
        let lock = FileLock::shared(&file)?;
        let writer = Arc::new(Mutex::new(open::meta_writer(&file)?));
        let readers = Arc::new(Readers::new(file, IDLE_READERS));
        Ok(Self { inner: Arc::new(Inner { readers, writer, _lock: lock }) })
    }

    /// Runs `work` in a transaction; what it fails with undoes it.
    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.inner.writer).lock_owned().await;
        blocking(move || transaction(&connection, SYNCED, doing, work)).await
    }

    /// The same without a sync, for what is not worth one: the power may take it back,
    /// until something else is written.
    async fn note<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.inner.writer).lock_owned().await;
        blocking(move || transaction(&connection, UNSYNCED, doing, work)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.readers.run(move |connection| read(connection).doing(doing)).await
    }
}

fn transaction<T>(
    connection: &Connection,
    begin: &str,
    doing: &str,
    work: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let batch = |sql: &str| connection.execute_batch(sql).doing(doing);
    if !connection.is_autocommit() {
        // What a bug or a failing disk left open.
        batch("ROLLBACK")?;
    }
    batch(begin)?;
    let done = work(connection).doing(doing).and_then(|done| done).and_then(|value| {
        batch("COMMIT")?;
        Ok(value)
    });
    if done.is_err() && !connection.is_autocommit() {
        let _ = batch("ROLLBACK");
    }
    done
}

fn found(there: bool, what: &'static str, id: Uuid) -> Result<(), StoreError> {
    if there { Ok(()) } else { Err(no_such(what, id)) }
}

fn no_such(what: &'static str, id: Uuid) -> StoreError {
    StoreError::NotFound { what, name: id.to_string() }
}
