//! `sql-worker`: runs people's SQL in a process that can be killed.

use std::sync::Arc;

use pganalytics_server::config::{Config, read::Flags};
use pganalytics_store::sql::SqlRunner;

use super::Failure;

/// What `serve` gives its people's SQL to. `None`: the store's own engine, in this
/// process.
#[cfg(target_os = "linux")]
pub(crate) async fn runner(config: &Config) -> Result<Option<Arc<dyn SqlRunner>>, Failure> {
    use std::ffi::OsString;

    use pganalytics_store::sql::worker::{WorkerOptions, WorkerPool};

    if config.sql_workers == 0 {
        return Ok(None);
    }
    // Workers change to another folder.
    let folder = std::path::absolute(&config.data_dir).map_err(Failure::new)?;
    let args = [OsString::from("sql-worker"), OsString::from("--data-dir"), folder.into_os_string()];
    let mut options = WorkerOptions::new("/proc/self/exe", args);
    options.workers = config.sql_workers;
    options.memory_bytes = config.sql_worker_memory;
    let pool = WorkerPool::start(options).await.map_err(|error| {
        Failure::new(format!("{error}; PGANALYTICS_SQL_WORKERS=0 runs people's SQL in the server itself"))
    })?;
    Ok(Some(Arc::new(pool)))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unused_async, reason = "the same as on Linux")]
pub(crate) async fn runner(_: &Config) -> Result<Option<Arc<dyn SqlRunner>>, Failure> {
    Ok(None)
}

#[cfg(target_os = "linux")]
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    use pganalytics_store::{sql::worker, sqlite::SqliteReader};

    let folder = flags.get("data_dir").and_then(|values| values.last());
    let folder = folder.ok_or_else(|| Failure::misused("sql-worker needs --data-dir"))?;
    let store = SqliteReader::open(folder).map_err(Failure::new)?;
    worker::serve(Arc::new(store)).map_err(Failure::new)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn run(_: &Flags) -> Result<(), Failure> {
    Err(Failure::misused("sql-worker is for Linux only"))
}
