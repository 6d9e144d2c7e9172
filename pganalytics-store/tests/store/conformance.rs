use std::sync::Mutex;

use pganalytics_store::{
    conformance,
    memory::MemoryStore,
    sql::EngineOptions,
    sqlite::{SqliteMetaStore, SqliteOptions, SqliteStore},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_every_promise() {
    conformance::run(|| async { MemoryStore::new(EngineOptions::default()) }).await.unwrap();
    conformance::run_meta(|| async { MemoryStore::new(EngineOptions::default()) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_keeps_every_promise() {
    let folders = Mutex::new(Vec::new());
    let make = || async {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), SqliteOptions::default());
        folders.lock().unwrap().push(folder);
        store
    };
    conformance::run(make).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn metadata_in_sqlite_keeps_every_promise() {
    let folders = Mutex::new(Vec::new());
    let make = || async {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteMetaStore::open(folder.path());
        folders.lock().unwrap().push(folder);
        store
    };
    conformance::run_meta(make).await.unwrap();
}
