//! What all handles of one open store share.

use std::{path::Path, sync::Arc};

use tokio::sync::Mutex;

use super::{
    lock::FileLock,
    open::{self, METRICS},
    options::SqliteOptions,
    pool::Readers,
    read::SchemaCache,
    reader::SqliteReader,
    writer::Writer,
};
use crate::{error::StoreError, sql::Engine};

pub(super) struct Inner {
    pub(super) writer: Writer,
    pub(super) readers: Arc<Readers>,
    pub(super) schemas: Arc<SchemaCache>,
    pub(super) engine: Engine,
    /// One job at a time: they take chunks away, each must see what it saw.
    pub(super) jobs: Mutex<()>,
}

impl Inner {
    pub(super) fn open(folder: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let file = METRICS.prepare(folder)?;
        let lock = FileLock::alone(&file)?;
        let connection = open::metrics_writer(&file)?;
        let writer = Writer::start(&file, connection, lock, &options)?;
        let readers = Arc::new(Readers::new(file, options.idle_readers));
        let engine = Engine::new(options.engine)?;
        Ok(Self { writer, readers, schemas: Arc::default(), engine, jobs: Mutex::default() })
    }

    /// What only reads.
    pub(super) fn reader(&self) -> SqliteReader {
        SqliteReader { readers: Arc::clone(&self.readers), schemas: Arc::clone(&self.schemas) }
    }
}
