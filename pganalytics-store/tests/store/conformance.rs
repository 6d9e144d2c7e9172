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
    let two = || async { MemoryStore::new(EngineOptions::default()).map(|store| [store.clone(), store]) };
    conformance::run_on_two(two).await.unwrap();
    conformance::run_meta_on_two(two).await.unwrap();
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
    conformance::run(&make).await.unwrap();
    // A second process is refused; two handles are in one.
    conformance::run_on_two(|| async { make().await.map(|store| [store.clone(), store]) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn metadata_in_sqlite_keeps_every_promise() {
    let folders = Mutex::new(Vec::new());
    let two = || async {
        let folder = tempfile::tempdir().unwrap();
        // As two processes have it.
        let stores =
            SqliteMetaStore::open(folder.path()).and_then(|one| Ok([one, SqliteMetaStore::open(folder.path())?]));
        folders.lock().unwrap().push(folder);
        stores
    };
    conformance::run_meta_on_two(two).await.unwrap();
    conformance::run_meta(|| async { two().await.map(|[one, _]| one) }).await.unwrap();
}
