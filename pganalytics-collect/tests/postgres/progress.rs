//! Work that takes long is seen while it runs.

use std::io::Write as _;

use pganalytics_core::Batch;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, float, int, only, row_where, text};

/// A table of some hundred blocks, and a function that takes as long as a
/// setting says for each row.
const TABLE: &str = "
create table big (id int primary key, v text);
insert into big select g, repeat('x', 200) from generate_series(1, 10000) g;
create function slow(a int) returns int language plpgsql immutable as $$
begin perform pg_catalog.pg_sleep(coalesce(nullif(pg_catalog.current_setting('test.delay', true), ''), '0')::float8); return a; end $$;
create table few (id int);
insert into few select generate_series(1, 3000);
create index few_slow on few (public.slow(id));
create table more as select * from few;";

/// What runs, in which session, and the kind that it is.
const WORK: &[(&str, &str, &str)] = &[
    ("vacuum", "set vacuum_cost_delay = 100; set vacuum_cost_limit = 1;", "vacuum (disable_page_skipping) big"),
    ("analyze", "set vacuum_cost_delay = 100; set vacuum_cost_limit = 1;", "analyze big"),
    ("create_index", "set test.delay = 0.1;", "create index more_slow on more (public.slow(id))"),
    ("cluster", "set test.delay = 0.1;", "vacuum full few"),
    ("copy", "", "copy (select id, pg_catalog.pg_sleep(0.1) from big) to '/dev/null'"),
];

fn of(batch: &Batch, kind: &str) -> Option<usize> {
    row_where(batch, &[("kind", kind)])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_says_how_far_it_is() {
    let all = versions();
    let Some((first, last)) = all.first().zip(all.last()) else { return };
    for version in [*first, *last] {
        let cluster = Cluster::builder(version).setting("autovacuum", "off").start().await.unwrap();
        for line in TABLE.split_inclusive(";\n") {
            cluster.sql("postgres", line).await.unwrap();
        }
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_progress"]));
        for &(kind, before, sql) in WORK {
            let client = cluster.client("postgres").await.unwrap();
            let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
            if !before.is_empty() {
                client.batch_execute(before).await.unwrap();
            }
            tokio::spawn(async move { drop(client.batch_execute(sql).await) });
            // Indexes are counted when they are done, and this one takes long.
            let least = i64::from(kind != "cluster");
            let seen = watch
                .until("pg_stat_progress", kind, |batch| {
                    of(batch, kind).is_some_and(|row| int(batch, row, "done").is_some_and(|done| done >= least))
                })
                .await;
            let row = of(&seen, kind).unwrap();
            assert_eq!(int(&seen, row, "pid"), Some(i64::from(pid)), "{version} {kind}");
            assert_eq!(text(&seen, row, "datname"), Some("postgres"), "{version} {kind}");
            assert_eq!(text(&seen, row, "backend_type"), Some("client backend"), "{version} {kind}");
            assert!(text(&seen, row, "phase").is_some_and(|phase| !phase.is_empty()), "{version} {kind}");
            assert!(text(&seen, row, "unit").is_some(), "{version} {kind}");
            assert!(float(&seen, row, "age").unwrap() >= 0.0, "{version} {kind}");
            if let Some(total) = int(&seen, row, "total") {
                assert!((0..=total).contains(&int(&seen, row, "done").unwrap()), "{version} {kind}");
            }
            let relation = match kind {
                "create_index" => Some("public.more"),
                "cluster" => Some("public.few"),
                "copy" => None,
                _ => Some("public.big"),
            };
            assert_eq!(text(&seen, row, "relation"), relation, "{version} {kind}");
            if kind == "vacuum" {
                assert!(int(&seen, row, "heap_blks_total").unwrap() > 100, "{version}");
                assert_eq!(int(&seen, row, "max_dead_tuples").is_some(), version < 17, "{version}");
                assert_eq!(int(&seen, row, "max_dead_tuple_bytes").is_some(), version >= 17, "{version}");
            }
            cluster.sql("postgres", &format!("select pg_terminate_backend({pid})")).await.unwrap();
            watch.until("pg_stat_progress", "nothing more", |batch| of(batch, kind).is_none()).await;
        }
    }
}

/// Asks for a base backup, slowly; the connection keeps it going.
fn base_backup(port: u16) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut startup = 196_608_i32.to_be_bytes().to_vec();
    startup.extend_from_slice(b"user\0postgres\0replication\0true\0\0");
    let mut query = b"BASE_BACKUP (PROGRESS true, MAX_RATE 32, CHECKPOINT 'fast')\0".to_vec();
    let length = |bytes: &[u8]| i32::try_from(bytes.len() + 4).unwrap().to_be_bytes();
    let mut bytes = length(&startup).to_vec();
    bytes.append(&mut startup);
    bytes.push(b'Q');
    bytes.extend_from_slice(&length(&query));
    bytes.append(&mut query);
    stream.write_all(&bytes).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_backup_is_work_too() {
    let Some(version) = versions().last().copied().filter(|version| *version >= 15) else { return };
    // Without a password the few messages of the protocol are easy to write.
    let cluster = Cluster::builder(version).password(false).start().await.unwrap();
    let stream = base_backup(cluster.port());
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_progress"]));
    let seen = watch
        .until("pg_stat_progress", "the backup", |batch| {
            of(batch, "basebackup").is_some_and(|row| int(batch, row, "done").is_some_and(|done| done > 0))
        })
        .await;
    let row = of(&seen, "basebackup").unwrap();
    assert_eq!(text(&seen, row, "backend_type"), Some("walsender"));
    assert_eq!(text(&seen, row, "unit"), Some("bytes"));
    assert_eq!(text(&seen, row, "phase"), Some("streaming database files"));
    assert!(int(&seen, row, "total").unwrap() > int(&seen, row, "done").unwrap());
    drop(stream);
}
