//! Reads, writes, WAL, its archive, temporary files.

use pganalytics_collect::Outcome;
use pganalytics_core::{Batch, CounterFamily, Value, epoch::Continuity};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batch, float, int, only, outcome, row_where, text, value};

const NAMES: &[&str] = &["pg_stat_io", "pg_stat_wal", "pg_stat_slru", "pg_stat_archiver", "pg_wal"];

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_wal_are_counted_since_their_stamp() {
    for version in versions() {
        let cluster = Cluster::start(version).await.unwrap();
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(NAMES));
        let before = watch.visit().await;
        cluster
            .sql("postgres", "create table t as select g, repeat('x', 500) from generate_series(1, 5000) g")
            .await
            .unwrap();
        cluster.sql("postgres", "select count(*) from t").await.unwrap();
        let written = |batch: &Batch| int(batch, 0, "wal_bytes").unwrap();
        let start = written(batch(&before, "pg_stat_wal"));
        let wal = watch.until("pg_stat_wal", "what was written", |batch| written(batch) > start + 1_000_000).await;
        assert!(int(&wal, 0, "wal_records").unwrap() > 1_000, "{version}");
        assert_eq!(int(&wal, 0, "wal_write").is_some(), version < 18, "{version}");
        assert!(wal.scrape.epoch.stamp.is_some(), "{version}");

        match outcome(&before, "pg_stat_io") {
            Outcome::Unsupported { reason } => assert!(version < 16 && reason.contains("16"), "{version}: {reason}"),
            Outcome::Collected { .. } => {
                let keys = [("backend_type", "client backend"), ("object", "relation"), ("context", "normal")];
                let of = |batch: &Batch, column: &str| int(batch, row_where(batch, &keys).unwrap(), column).unwrap();
                let io = watch.until("pg_stat_io", "the work", |batch| {
                    // 5,000 rows of half a kilobyte are more than 300 blocks.
                    of(batch, "hits") > 1_000 && of(batch, "extend_bytes") > 0
                });
                let io = io.await;
                assert!(of(&io, "read_bytes") >= of(&io, "reads") * 8192, "{version}");
                assert!(float(&io, row_where(&io, &keys).unwrap(), "read_time").is_some(), "{version}");
                let wal = row_where(&io, &[("object", "wal"), ("backend_type", "client backend")]);
                assert_eq!(wal.is_some(), version >= 18, "{version}");
            }
            other => panic!("{version}: {other:?}"),
        }
        let slru = batch(&before, "pg_stat_slru");
        for row in 0..slru.rows.len() {
            assert!(matches!(value(slru, row, "stats_reset"), Value::Timestamp(_)), "{version}");
        }

        // A reset moves the stamp, and only that of the view.
        let reset = watch.visit().await;
        cluster.sql("postgres", "select pg_stat_reset_shared('wal')").await.unwrap();
        let old = batch(&reset, "pg_stat_wal").scrape.epoch;
        let after = watch.until("pg_stat_wal", "a new stamp", |batch| batch.scrape.epoch.stamp != old.stamp).await;
        assert_eq!(old.until(&after.scrape.epoch, CounterFamily::Shared), Continuity::BeganAnew, "{version}");
        let now = watch.visit().await;
        let continuity =
            |name| batch(&reset, name).scrape.epoch.until(&batch(&now, name).scrape.epoch, CounterFamily::Shared);
        assert_eq!(continuity("pg_stat_archiver"), Continuity::Continues, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_fails_piles_up_and_recovers() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version)
        .setting("archive_mode", "on")
        .setting("archive_command", "false")
        .start()
        .await
        .unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(NAMES));
    for _ in 0..3 {
        cluster.sql("postgres", "create table if not exists t (a int); insert into t values (1)").await.unwrap();
        cluster.sql("postgres", "select pg_switch_wal()").await.unwrap();
    }
    let wal = watch.until("pg_wal", "three files", |batch| int(batch, 0, "archive_ready") >= Some(3)).await;
    assert!(float(&wal, 0, "archive_ready_age").is_some());
    let segments = int(&wal, 0, "segments").unwrap();
    assert_eq!(int(&wal, 0, "segments_size"), Some(segments * 16 * 1024 * 1024));
    assert!(segments >= 3 && int(&wal, 0, "size") >= int(&wal, 0, "segments_size"));
    assert!(int(&wal, 0, "wal_lsn").unwrap() > 3 * 16 * 1024 * 1024);
    let archiver =
        watch.until("pg_stat_archiver", "a failure", |batch| value(batch, 0, "failing") == Value::Bool(true)).await;
    assert!(int(&archiver, 0, "failed_count").unwrap() > 0);
    assert_eq!((int(&archiver, 0, "archived_count"), float(&archiver, 0, "last_archive_age")), (Some(0), None));

    cluster.sql("postgres", "alter system set archive_command = 'true'").await.unwrap();
    cluster.sql("postgres", "select pg_reload_conf()").await.unwrap();
    // The archiver waits a minute after failures unless it is woken.
    cluster.sql("postgres", "select pg_switch_wal()").await.unwrap();
    let archiver =
        watch.until("pg_stat_archiver", "all archived", |batch| int(batch, 0, "archived_count") >= Some(3)).await;
    assert_eq!(value(&archiver, 0, "failing"), Value::Bool(false));
    assert!(float(&archiver, 0, "last_archive_age").unwrap() >= 0.0);
    assert!(text(&archiver, 0, "last_archived_wal").is_some_and(|name| name.len() == 24));
    watch.until("pg_wal", "nothing to archive", |batch| int(batch, 0, "archive_ready") == Some(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_are_counted() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).start().await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_database"]));
    let sql = "set work_mem = '64kB'; select count(*) from (select g from generate_series(1, 200000) g order by g desc offset 1) s";
    cluster.sql("postgres", sql).await.unwrap();
    let of = |batch: &Batch, column: &str| int(batch, row_where(batch, &[("datname", "postgres")]).unwrap(), column);
    let seen = watch.until("pg_stat_database", "the files", |batch| of(batch, "temp_files") >= Some(1)).await;
    assert!(of(&seen, "temp_bytes").unwrap() > 100_000);
}
