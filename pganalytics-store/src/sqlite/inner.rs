//! What all handles of one open store share.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use tokio::sync::Mutex;

use super::{
    lock::FileLock,
    open::{self, METRICS},
    options::SqliteOptions,
    pool::Readers,
    quarantine,
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
    /// Whether anything was ever set aside: seldom, and each query asks.
    pub(super) set_aside: AtomicBool,
    /// One job at a time: they take chunks away, each must see what it saw.
    pub(super) jobs: Mutex<()>,
    /// One at a time, beside jobs: it takes nothing away.
    pub(super) heads: Mutex<()>,
}

impl Inner {
    pub(super) fn open(folder: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let file = METRICS.prepare(folder)?;
        let lock = FileLock::alone(&file)?;
        let connection = open::metrics_writer(&file)?;
        let set_aside = quarantine::any(&connection)?.into();
        let writer = Writer::start(&file, connection, lock, &options)?;
        let readers = Arc::new(Readers::new(file, options.idle_readers));
        let engine = Engine::new(options.engine)?;
        Ok(Self {
            writer,
            readers,
            schemas: Arc::default(),
            engine,
            set_aside,
            jobs: Mutex::default(),
            heads: Mutex::default(),
        })
    }

    /// What only reads.
    pub(super) fn reader(&self) -> SqliteReader {
        SqliteReader { readers: Arc::clone(&self.readers), schemas: Arc::clone(&self.schemas) }
    }
}
