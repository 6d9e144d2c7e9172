//! PgBouncer itself, through its console.

use std::time::Duration;

use pganalytics_collect::{
    Collected, Collector, Outcome,
    pgbouncer::{PgBouncerCollector, PgBouncerSettings},
    postgres::Environment,
};
use pganalytics_core::{Batch, Value};
use pganalytics_testkit::{Cluster, PgBouncer, PgBouncerBuilder, versions};
use tokio_postgres::NoTls;

use crate::watch::{batches, context, failure, outcome, row_where, value};

async fn cluster() -> Option<Cluster> {
    if !PgBouncer::is_installed() {
        eprintln!("!!! NOT TESTED: pgbouncer is not installed");
        assert!(std::env::var("PGANALYTICS_REQUIRE_PG").is_err(), "pgbouncer is required");
        return None;
    }
    Some(Cluster::start(versions().last().copied()?).await.unwrap())
}

fn collector(url: &str) -> PgBouncerCollector {
    let mut config = PgBouncerSettings::from_url(url).unwrap().resolve(&Environment::empty()).unwrap();
    // Tests may run on a machine that has much else to do.
    config.connect_timeout = Duration::from_secs(30);
    config.statement_timeout = Duration::from_secs(30);
    PgBouncerCollector::new(config)
}

async fn visit(collector: &mut PgBouncerCollector) -> Collected {
    let cx = context(collector, Duration::from_secs(120));
    collector.collect(&cx).await.unwrap()
}

fn only<'a>(collected: &'a Collected, name: &'a str) -> &'a Batch {
    batches(collected, name).next().unwrap_or_else(|| panic!("no {name}: {:#?}", collected.reports))
}

fn int(batch: &Batch, keys: &[(&str, &str)], column: &str) -> i64 {
    let row = row_where(batch, keys).unwrap_or_else(|| panic!("no row {keys:?}"));
    match value(batch, row, column) {
        Value::Int(value) => value,
        other => panic!("{column} of {keys:?} is {other:?}"),
    }
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// With a pidfile where the account of PgBouncer may write.
fn small<'a>(builder: PgBouncerBuilder<'a>, pidfile: &std::path::Path) -> PgBouncerBuilder<'a> {
    builder
        .setting("pool_mode", "transaction")
        .setting("default_pool_size", "1")
        .setting("pidfile", &pidfile.display().to_string())
}

/// A folder that any account may write into.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_clients_paused_and_disabled_databases_are_seen() {
    let Some(cluster) = cluster().await else { return };
    cluster.sql("postgres", "create database away").await.unwrap();
    let folder = open_folder();
    let pooler = small(PgBouncer::in_front_of(&cluster), &folder.path().join("pgbouncer.pid")).start().await.unwrap();
    let mut collector = collector(&pooler.console_url());

    let first = visit(&mut collector).await;
    for report in &first.reports {
        assert!(matches!(report.outcome, Outcome::Collected { .. }), "{report:?}");
    }
    let up = only(&first, "pgbouncer_up");
    assert_eq!(value(up, 0, "up"), Value::Bool(true));
    assert!(matches!(value(up, 0, "version"), Value::Text(version) if version.starts_with("1.")), "{up:?}");
    let process = only(&first, "pgbouncer_process");
    assert_eq!(value(process, 0, "pid"), Value::Int(i64::from(pooler.pid().unwrap())));
    assert!(matches!(value(process, 0, "rss"), Value::Int(rss) if rss > 100_000));

    // One server connection for two clients: the second waits.
    let busy = connect(&pooler.url("postgres", "postgres")).await;
    busy.batch_execute("begin").await.unwrap();
    let waits = connect(&pooler.url("postgres", "postgres")).await;
    let waiting = tokio::spawn(async move { waits.batch_execute("select 1").await });
    let key = [("database", "postgres"), ("user", "postgres")];
    let seen = loop {
        let seen = visit(&mut collector).await;
        let row = row_where(only(&seen, "pgbouncer_pools"), &key).unwrap();
        let waited = matches!(value(only(&seen, "pgbouncer_pools"), row, "maxwait"), Value::Float(wait) if wait > 0.0);
        if int(only(&seen, "pgbouncer_pools"), &key, "cl_waiting") == 1 && waited {
            break seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(int(only(&seen, "pgbouncer_pools"), &key, "cl_active"), 1);
    assert_eq!(int(only(&seen, "pgbouncer_pools"), &key, "sv_active"), 1);
    let clients = only(&seen, "pgbouncer_clients");
    assert_eq!(int(clients, &[("database", "postgres"), ("state", "waiting")], "connections"), 1);
    assert_eq!(int(only(&seen, "pgbouncer_servers"), &[("database", "postgres")], "connections"), 1);
    assert!(int(only(&seen, "pgbouncer_lists"), &[("list", "used_clients")], "items") >= 2);
    let setting = row_where(only(&seen, "pgbouncer_config"), &[("key", "pool_mode")]).unwrap();
    assert_eq!(value(only(&seen, "pgbouncer_config"), setting, "value"), Value::Text("transaction"));
    busy.batch_execute("commit").await.unwrap();
    waiting.await.unwrap().unwrap();

    let console = connect(&pooler.url("postgres", "pgbouncer")).await;
    let away = connect(&pooler.url("postgres", "away")).await;
    away.batch_execute("select 1").await.unwrap();
    console.simple_query("pause postgres").await.unwrap();
    console.simple_query("disable away").await.unwrap();
    let seen = visit(&mut collector).await;
    let databases = only(&seen, "pgbouncer_databases");
    let state = |name: &str, column: &str| value(databases, row_where(databases, &[("name", name)]).unwrap(), column);
    assert_eq!((state("postgres", "paused"), state("postgres", "disabled")), (Value::Bool(true), Value::Bool(false)));
    assert_eq!((state("away", "paused"), state("away", "disabled")), (Value::Bool(false), Value::Bool(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_stamps_its_counters_anew_and_an_end_is_told() {
    let Some(cluster) = cluster().await else { return };
    let folder = open_folder();
    let pooler = small(PgBouncer::in_front_of(&cluster), &folder.path().join("pgbouncer.pid")).start().await.unwrap();
    let mut collector = collector(&pooler.console_url());
    let work = connect(&pooler.url("postgres", "postgres")).await;
    for _ in 0..10 {
        work.batch_execute("select 1").await.unwrap();
    }
    let before = visit(&mut collector).await;
    let again = visit(&mut collector).await;
    let stamp = |collected: &Collected| match value(only(collected, "pgbouncer_stats"), 0, "started_at") {
        Value::Timestamp(stamp) => stamp,
        other => panic!("{other:?}"),
    };
    let key = [("database", "postgres")];
    assert!(int(only(&before, "pgbouncer_stats"), &key, "query_count") >= 10);
    assert_eq!(stamp(&before), stamp(&again), "a visit does not move the stamp");

    pooler.stop().await.unwrap();
    let down = visit(&mut collector).await;
    let up = only(&down, "pgbouncer_up");
    assert_eq!((up.rows.len(), value(up, 0, "up")), (1, Value::Bool(false)));
    assert!(matches!(value(up, 0, "error"), Value::Text(why) if why.contains("nothing listens there")), "{up:?}");
    assert!(failure(&down, "pgbouncer_pools").contains("nothing listens there"));
    assert!(batches(&down, "pgbouncer_pools").next().is_none());

    pooler.start_again().await.unwrap();
    let after = visit(&mut collector).await;
    assert_eq!(value(only(&after, "pgbouncer_up"), 0, "up"), Value::Bool(true));
    assert!(stamp(&after) > stamp(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_what_to_do() {
    let Some(cluster) = cluster().await else { return };
    let pooler = PgBouncer::in_front_of(&cluster).setting("stats_users", "somebody").start().await.unwrap();
    let why = |collected: &Collected| match outcome(collected, "pgbouncer_pools") {
        Outcome::Failed { message } => message.clone(),
        other => panic!("{other:?}"),
    };
    // It has the password and is no stats_user.
    let refused = visit(&mut collector(&pooler.console_url())).await;
    assert!(why(&refused).contains("stats_users = "), "{}", why(&refused));
    assert_eq!(value(only(&refused, "pgbouncer_up"), 0, "up"), Value::Bool(false));

    let wrong = format!("postgres://postgres:hush-hush@127.0.0.1:{}/pgbouncer", pooler.port());
    let refused = visit(&mut collector(&wrong)).await;
    assert!(why(&refused).contains("check user and password"), "{}", why(&refused));
    assert!(!format!("{refused:?}").contains("hush-hush"));

    // The server instead of its pooler.
    let server = format!("postgres://monitor:{}@127.0.0.1:{}", cluster.password(), cluster.port());
    let refused = visit(&mut collector(&server)).await;
    assert!(why(&refused).contains("is this PgBouncer"), "{}", why(&refused));

    // No process of this host is known without a pidfile: the rest works.
    let admin = visit(&mut collector(&pooler.url("postgres", "pgbouncer"))).await;
    assert!(
        matches!(outcome(&admin, "pgbouncer_process"), Outcome::Unsupported { reason } if reason.contains("pidfile"))
    );
    assert_eq!(value(only(&admin, "pgbouncer_stats"), 0, "started_at"), Value::Null);
    // The session's settings are not asked for, so nothing is refused on the way.
    assert!(!pooler.log().unwrap().contains("unsupported startup parameter"));
}
