//! Whatever is wrong is said clearly, and nothing else suffers.

use std::time::Duration;

use pganalytics_collect::Outcome;
use pganalytics_core::{Secret, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, config, everything, failure, only, outcome, own_sql, row_where, value, went_well};

async fn cluster() -> Option<Cluster> {
    let version = versions().last().copied()?;
    Some(Cluster::start(version).await.unwrap())
}

/// The message of `pg_up`, which must say that the server is down.
async fn down(config: pganalytics_collect::postgres::PostgresConfig) -> String {
    let mut watch = Watch::with(config, everything());
    let collected = watch.visit().await;
    let up = batches(&collected, "pg_up").next().expect("pg_up also when down");
    assert_eq!(value(up, 0, "up"), Value::Bool(false));
    let Value::Text(message) = value(up, 0, "error") else { panic!("no reason") };
    assert_eq!(failure(&collected, "pg_stat_database"), message);
    message.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_not_be_reached_says_why() {
    let Some(cluster) = cluster().await else { return };
    let good = || config(&cluster.monitor_url("postgres"));

    let mut wrong = good();
    wrong.hosts[0].port = 1;
    let message = down(wrong).await;
    assert!(message.starts_with("127.0.0.1:1: nothing listens there"), "{message}");

    let mut wrong = good();
    wrong.hosts[0].name = String::from("no-such-host.invalid");
    let message = down(wrong).await;
    assert!(message.contains("no-such-host.invalid") && message.contains("DNS"), "{message}");

    let mut wrong = good();
    wrong.password = pganalytics_collect::postgres::PasswordSource::Given(Secret::new(String::from("c4n4ry")));
    let message = down(wrong).await;
    assert!(message.contains("role \"monitor\"") && message.contains("check user and password"), "{message}");
    assert!(!message.contains("c4n4ry"));

    let mut wrong = good();
    wrong.password = pganalytics_collect::postgres::PasswordSource::None;
    let message = down(wrong).await;
    assert!(message.contains("password_file"), "{message}");

    let mut wrong = good();
    wrong.database = String::from("nowhere");
    let message = down(wrong).await;
    assert!(message.contains("\"nowhere\" does not exist") && message.contains("check database"), "{message}");

    let mut wrong = good();
    wrong.sslmode = pganalytics_collect::postgres::SslMode::Require;
    let message = down(wrong).await;
    assert!(message.contains("lower sslmode"), "{message}");

    // Somebody who listens and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut wrong = good();
    wrong.hosts[0].port = silent.local_addr().unwrap().port();
    wrong.connect_timeout = Duration::from_millis(500);
    let message = down(wrong).await;
    assert!(message.contains("longer than 500ms"), "{message}");

    cluster.sql("postgres", "alter role monitor connection limit 0").await.unwrap();
    let message = down(good()).await;
    assert!(message.contains("too many connections"), "{message}");
    cluster.sql("postgres", "alter role monitor connection limit -1 nologin").await.unwrap();
    let message = down(good()).await;
    assert!(message.contains("not permitted to log in") && message.contains("may log in"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_hosts_is_enough() {
    let Some(cluster) = cluster().await else { return };
    let mut config = config(&cluster.monitor_url("postgres"));
    let good = config.hosts[0].clone();
    config.hosts = vec![pganalytics_collect::postgres::Host { name: good.name.clone(), port: 1 }, good];
    let collected = Watch::with(config, everything()).visit().await;
    assert_eq!(value(batches(&collected, "pg_up").next().unwrap(), 0, "up"), Value::Bool(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_measurement_costs_no_other() {
    let Some(cluster) = cluster().await else { return };
    cluster
        .sql("postgres", "create schema hidden; create table hidden.t (a int); create table public.t (a int)")
        .await
        .unwrap();
    let mut config = config(&cluster.monitor_url("postgres"));
    config.statement_timeout = Duration::from_secs(2);
    let mut measurements = only(&["pg_up", "pg_stat_database"]);
    measurements.extend([
        own_sql("a_syntax", "selekt 1"),
        own_sql("b_unknown", "select n from nothing_there"),
        own_sql("c_never_ends", "select 1 as n from pg_catalog.pg_sleep(3600)"),
        own_sql("d_forbidden", "select a as n from public.t"),
        own_sql("e_schema", "select a as n from hidden.t"),
        own_sql("f_function", "select 1 as n from pg_catalog.pg_read_file('postgresql.conf')"),
        own_sql("g_writes", "with x as (select pg_catalog.lo_create(0)) select 1 as n from x"),
        own_sql("h_type", "select 'a'::text as n"),
        own_sql("i_value", "select 1 / 0 as n"),
        own_sql("j_column", "select 1 as m"),
        own_sql("k_good", "select 1::numeric as n"),
        own_sql("l_fraction", "select 1.5::numeric as n"),
    ]);
    let mut watch = Watch::with(config, measurements);
    let collected = watch.visit().await;

    let says = |name: &str, parts: &[&str]| {
        let message = failure(&collected, name);
        for part in parts {
            assert!(message.contains(part), "{name}: {message}");
        }
    };
    says("a_syntax", &["syntax error", "42601", "catalog file"]);
    says("b_unknown", &["nothing_there", "does not exist", "search_path is pg_catalog"]);
    says("c_never_ends", &["statement_timeout (2s)"]);
    says("d_forbidden", &["permission denied", "in database postgres: GRANT SELECT ON t TO monitor"]);
    says("e_schema", &["GRANT USAGE ON SCHEMA hidden TO monitor"]);
    says("f_function", &["GRANT EXECUTE ON FUNCTION pg_read_file TO monitor"]);
    says("g_writes", &["read-only", "may only read"]);
    says("h_type", &["column n comes as text", "n::int8"]);
    says("i_value", &["22012"]);
    says("l_fraction", &["column n", "does not fit the type int"]);
    for good in ["pg_up", "pg_stat_database", "j_column", "k_good"] {
        assert!(went_well(&collected, good), "{good}: {:?}", outcome(&collected, good));
    }
    let column = batches(&collected, "j_column").next().unwrap();
    assert_eq!((column.rows.len(), value(column, 0, "n")), (1, Value::Null));

    // What is bound to fail is not sent again at once.
    let errors = cluster.errors_in_log().unwrap().len();
    let again = watch.visit().await;
    assert_eq!(failure(&again, "a_syntax"), failure(&collected, "a_syntax"));
    assert_eq!(cluster.errors_in_log().unwrap().len(), errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_pg_monitor_is_told_the_grant() {
    for version in versions() {
        let cluster = Cluster::start(version).await.unwrap();
        cluster.sql("postgres", &format!("create role plain login password '{}'", cluster.password())).await.unwrap();
        let waldir = own_sql("waldir", "select count(*) as n from pg_catalog.pg_ls_waldir()");
        let measurements = everything().into_iter().chain([waldir]).collect();
        let mut watch = Watch::new(&cluster.url("plain", "postgres"), measurements);
        let collected = watch.visit().await;
        assert!(
            failure(&collected, "waldir").contains("GRANT pg_monitor TO plain"),
            "{}",
            failure(&collected, "waldir")
        );
        for report in &collected.reports {
            if report.measurement.as_str() != "waldir" {
                assert!(
                    matches!(report.outcome, Outcome::Collected { .. } | Outcome::Unsupported { .. }),
                    "{version}: {report:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_not_waited_for() {
    let Some(cluster) = cluster().await else { return };
    cluster.sql("postgres", "create table t (a int); grant select on t to monitor").await.unwrap();
    let holder = cluster.client("postgres").await.unwrap();
    holder.batch_execute("begin; lock table t").await.unwrap();
    let measurements = everything().into_iter().chain([own_sql("locked", "select a as n from public.t")]).collect();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), measurements);
    let collected = watch.visit().await;
    match outcome(&collected, "locked") {
        Outcome::Skipped { reason } => assert!(reason.contains("lock_timeout (100ms)"), "{reason}"),
        other => panic!("{other:?}"),
    }
    for report in collected.reports.iter().filter(|report| report.measurement.as_str() != "locked") {
        assert!(!matches!(report.outcome, Outcome::Failed { .. } | Outcome::Skipped { .. }), "{report:?}");
    }
    // Asking for the size of a relation that is locked so would wait: it is not asked.
    let sizes = batches(&collected, "pg_table_size").next().unwrap();
    let row = row_where(sizes, &[("relname", "t")]).unwrap();
    assert_eq!((value(sizes, row, "skipped"), value(sizes, row, "total_size")), (Value::Bool(true), Value::Null));
    holder.batch_execute("rollback").await.unwrap();
    assert!(went_well(&watch.visit().await, "locked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_dropped_is_gone_and_no_more() {
    let Some(cluster) = cluster().await else { return };
    cluster.sql("postgres", "create database doomed").await.unwrap();
    cluster.sql("doomed", "create table t (a int)").await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), everything());
    let doomed = |collected: &pganalytics_collect::Collected| -> Vec<usize> {
        let here = |batch: &&pganalytics_core::Batch| batch.source.database.as_deref() == Some("doomed");
        batches(collected, "pg_stat_user_tables").filter(here).map(|batch| batch.rows.len()).collect()
    };
    assert_eq!(doomed(&watch.visit().await), [1]);
    cluster.sql("postgres", "drop database doomed with (force)").await.unwrap();
    let after = watch.visit().await;
    assert_eq!(doomed(&after), [0], "an empty keyframe says that its rows are gone");
    assert!(
        after.reports.iter().all(|report| !matches!(report.outcome, Outcome::Failed { .. })),
        "{:#?}",
        after.reports
    );
    assert_eq!(doomed(&watch.visit().await), [0; 0]);

    // One that is named stays an error, and the others go on.
    let mut config = config(&cluster.monitor_url("postgres"));
    config.databases = vec![String::from("doomed"), String::from("postgres")];
    let collected = Watch::with(config, everything()).visit().await;
    let of = |name: &str| {
        let here = |report: &&pganalytics_collect::Report| {
            report.measurement.as_str() == "pg_stat_user_tables"
                && report.source.as_ref().and_then(|source| source.database.as_deref()) == Some(name)
        };
        collected.reports.iter().find(here).unwrap().outcome.clone()
    };
    assert!(matches!(of("doomed"), Outcome::Failed { message } if message.contains("does not exist")));
    assert!(matches!(of("postgres"), Outcome::Collected { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived() {
    for version in versions() {
        let cluster = Cluster::start(version).await.unwrap();
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), everything());
        let up = |collected: &pganalytics_collect::Collected| {
            value(batches(collected, "pg_up").next().unwrap(), 0, "up") == Value::Bool(true)
        };
        assert!(up(&watch.visit().await));
        cluster.restart().await.unwrap();
        let collected = watch.visit().await;
        assert!(up(&collected), "{version}: a session that died is replaced in the same visit");
        assert!(collected.reports.iter().all(|report| !matches!(report.outcome, Outcome::Failed { .. })));

        cluster.stop().await.unwrap();
        let collected = watch.visit().await;
        let batch = batches(&collected, "pg_up").next().unwrap();
        assert_eq!(value(batch, 0, "up"), Value::Bool(false));
        assert!(batch.source.server_id != pganalytics_core::ServerId::of_cluster(0));
        cluster.start_again().await.unwrap();
        let again = watch.visit().await;
        assert!(up(&again));
        assert_eq!(batch.source, batches(&again, "pg_up").next().unwrap().source, "the same server, up or down");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_start_is_watched_when_it_comes() {
    let Some(cluster) = cluster().await else { return };
    cluster.stop().await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), everything());
    let collected = watch.visit().await;
    let down = batches(&collected, "pg_up").next().unwrap();
    assert_eq!(value(down, 0, "up"), Value::Bool(false));
    cluster.start_again().await.unwrap();
    let collected = watch.visit().await;
    let up = batches(&collected, "pg_up").next().unwrap();
    assert_eq!(value(up, 0, "up"), Value::Bool(true));
    assert_ne!(down.source.server_id, up.source.server_id, "a name stands in for who it is until it has said so");
    for measurement in ["pg_stat_database", "pg_stat_user_tables", "pg_stat_statements"] {
        assert!(went_well(&collected, measurement), "{:?}", outcome(&collected, measurement));
    }
}

/// What `pg_upgrade` leaves where nobody ran `ALTER EXTENSION … UPDATE`.
#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_was_left_behind_is_read_as_far_as_it_goes() {
    for version in versions() {
        let cluster = Cluster::start(version).await.unwrap();
        let with = async |extension: &str| {
            let sql =
                format!("drop extension pg_stat_statements; create extension pg_stat_statements version '{extension}'");
            cluster.sql("postgres", &sql).await.unwrap();
            Watch::new(&cluster.monitor_url("postgres"), everything()).visit().await
        };
        let collected = with("1.8").await;
        let batch = batches(&collected, "pg_stat_statements").next().unwrap();
        assert!(!batch.rows.is_empty() && value(batch, 0, "toplevel") == Value::Bool(true), "{version}");
        assert_eq!((batch.scrape.epoch.stamp, batch.scrape.epoch.evictions), (None, None), "{version}");
        assert!(batches(&collected, "pg_query_text").next().is_some_and(|batch| !batch.rows.is_empty()), "{version}");

        let collected = with("1.7").await;
        match outcome(&collected, "pg_stat_statements") {
            Outcome::Unsupported { reason } => {
                assert!(reason.contains("in database postgres: ALTER EXTENSION pg_stat_statements UPDATE"), "{reason}");
            }
            other => panic!("{version}: {other:?}"),
        }
        assert_eq!(cluster.errors_in_log().unwrap(), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_found_in_whichever_database_they_are() {
    let Some(cluster) = cluster().await else { return };
    cluster.sql("postgres", "drop extension pg_stat_statements").await.unwrap();
    cluster.sql("postgres", "create database app").await.unwrap();
    cluster
        .sql("app", "create schema \"My Ext\"; create extension pg_stat_statements schema \"My Ext\"")
        .await
        .unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), everything());
    let collected = watch.visit().await;
    let message = failure(&collected, "pg_stat_statements");
    assert!(message.contains("in database app: GRANT USAGE ON SCHEMA \"My Ext\" TO monitor"), "{message}");
    cluster.sql("app", "grant usage on schema \"My Ext\" to monitor").await.unwrap();
    let errors = cluster.errors_in_log().unwrap();

    let mut watch = Watch::new(&cluster.monitor_url("postgres"), everything());
    let collected = watch.visit().await;
    assert!(went_well(&collected, "pg_stat_statements"), "{:?}", outcome(&collected, "pg_stat_statements"));
    assert!(went_well(&watch.visit().await, "pg_query_text"));

    cluster.sql("app", "drop extension pg_stat_statements").await.unwrap();
    let collected = watch.visit().await;
    match outcome(&collected, "pg_stat_statements") {
        Outcome::Unsupported { reason } => assert!(reason.contains("CREATE EXTENSION pg_stat_statements"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(cluster.errors_in_log().unwrap(), errors);
}
