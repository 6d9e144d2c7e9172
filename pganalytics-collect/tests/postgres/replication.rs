//! Standbys, slots, subscriptions, and what a failover looks like.

use std::{collections::BTreeSet, time::Duration};

use pganalytics_collect::{Agent, Collected, Plan, PostgresServer, Snapshots};
use pganalytics_core::{Batch, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, all_texts, batch, batches, config, float, int, only, row_where, text, value};

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_primary_makes_no_lag_and_a_paused_replay_does() {
    let all = versions();
    let Some((first, last)) = all.first().zip(all.last()) else { return };
    for version in [*first, *last] {
        let primary = Cluster::builder(version).start().await.unwrap();
        let replica = primary.replica().await.unwrap();
        primary.sql("postgres", "create table t (a int); insert into t values (1)").await.unwrap();
        let mut watch = Watch::new(&replica.monitor_url("postgres"), only(&["pg_standby", "pg_stat_wal_receiver"]));
        let idle = |batch: &Batch, lag: f64| {
            float(batch, 0, "replay_delay") == Some(0.0) && float(batch, 0, "replay_lag").is_some_and(|now| now > lag)
        };
        let caught_up = watch.until("pg_standby", "all replayed", |batch| idle(batch, 0.0)).await;
        assert_eq!(int(&caught_up, 0, "replay_lag_bytes"), Some(0), "{version}");
        assert_eq!(value(&caught_up, 0, "streaming"), Value::Bool(true), "{version}");
        assert_eq!(value(&caught_up, 0, "paused"), Value::Bool(false), "{version}");
        let lag = float(&caught_up, 0, "replay_lag").unwrap();
        // Nothing happens on the primary: the plain age grows, the delay does not.
        watch.until("pg_standby", "a greater age and no delay", |batch| idle(batch, lag + 1.0)).await;

        let collected = watch.visit().await;
        let receiver = batch(&collected, "pg_stat_wal_receiver");
        assert_eq!(text(receiver, 0, "status"), Some("streaming"), "{version}");
        assert_eq!(int(receiver, 0, "received_tli"), Some(1), "{version}");
        assert_eq!(text(receiver, 0, "sender_host"), Some("127.0.0.1"), "{version}");
        assert_eq!(int(receiver, 0, "sender_port"), Some(i64::from(primary.port())), "{version}");
        assert!(all_texts(&collected).iter().all(|text| !text.contains(primary.password())), "{version}");

        replica.sql("postgres", "select pg_wal_replay_pause()").await.unwrap();
        primary.sql("postgres", "insert into t select generate_series(1, 1000)").await.unwrap();
        let paused = watch
            .until("pg_standby", "what waits for replay", |batch| int(batch, 0, "replay_lag_bytes") > Some(10_000))
            .await;
        assert_eq!(value(&paused, 0, "paused"), Value::Bool(true), "{version}");
        assert!(float(&paused, 0, "replay_delay").unwrap() > 0.0, "{version}");
        replica.sql("postgres", "select pg_wal_replay_resume()").await.unwrap();
        watch.until("pg_standby", "all replayed again", |batch| idle(batch, 0.0)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_query_on_a_standby_is_a_conflict() {
    let Some(version) = versions().last().copied() else { return };
    let primary = Cluster::builder(version)
        .setting("max_standby_streaming_delay", "10ms")
        .setting("autovacuum", "off")
        .start()
        .await
        .unwrap();
    primary.sql("postgres", "create table t as select generate_series(1, 1000) a").await.unwrap();
    let replica = primary.replica().await.unwrap();
    let reader = replica.client("postgres").await.unwrap();
    reader.batch_execute("begin isolation level repeatable read; select count(*) from t").await.unwrap();
    let client = primary.client("postgres").await.unwrap();
    client.batch_execute("delete from t").await.unwrap();
    client.batch_execute("vacuum t").await.unwrap();
    let mut watch = Watch::new(&replica.monitor_url("postgres"), only(&["pg_stat_database_conflicts"]));
    let conflicts = |batch: &Batch| {
        let row = row_where(batch, &[("datname", "postgres")]).unwrap();
        let of = |column: &str| int(batch, row, column).unwrap();
        of("confl_snapshot") + of("confl_lock")
    };
    watch.until("pg_stat_database_conflicts", "the conflict", |batch| conflicts(batch) > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_nobody_reads_holds_back_wal() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).setting("wal_level", "logical").start().await.unwrap();
    cluster.sql("postgres", "select pg_create_physical_replication_slot('left_behind', true)").await.unwrap();
    cluster.sql("postgres", "select pg_create_logical_replication_slot('changes', 'pgoutput')").await.unwrap();
    for _ in 0..3 {
        cluster.sql("postgres", "create table if not exists t (a int); insert into t values (1)").await.unwrap();
        cluster.sql("postgres", "select pg_switch_wal()").await.unwrap();
    }
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_replication_slots", "pg_xmin_horizon"]));
    let collected = watch.visit().await;
    let slots = batch(&collected, "pg_replication_slots");
    let row = row_where(slots, &[("slot_name", "left_behind")]).unwrap();
    let retained = int(slots, row, "retained_bytes").unwrap();
    assert!(retained > 2 * 16 * 1024 * 1024, "{retained}");
    let (here, restart) = (int(slots, row, "wal_lsn").unwrap(), int(slots, row, "restart_lsn").unwrap());
    assert_eq!(here - restart, retained);
    assert_eq!(int(slots, row, "confirmed_flush_lsn"), None);
    assert_eq!(value(slots, row, "active"), Value::Bool(false));
    let row = row_where(slots, &[("slot_name", "changes")]).unwrap();
    assert!(int(slots, row, "confirmed_flush_lsn").unwrap() > 0);
    let horizon = batch(&collected, "pg_xmin_horizon");
    let row = row_where(horizon, &[("kind", "slot catalog")]).unwrap();
    assert_eq!(text(horizon, row, "name"), Some("changes"));
    assert!(int(horizon, row, "xmin_age").unwrap() >= 3);
}

/// 0 would say that it is in step.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_without_a_position_retains_nobody_knows_how_much() {
    for version in versions() {
        let settings = [
            ("max_slot_wal_keep_size", "1MB"),
            ("max_wal_size", "32MB"),
            ("min_wal_size", "32MB"),
            ("wal_level", "logical"),
        ];
        let builder =
            settings.iter().fold(Cluster::builder(version), |builder, (name, value)| builder.setting(name, value));
        let cluster = builder.start().await.unwrap();
        let make = "select pg_create_physical_replication_slot('lost', true);
                    select pg_create_physical_replication_slot('never_used');
                    select pg_create_logical_replication_slot('lost_logical', 'pgoutput');
                    create table t (a text)";
        cluster.sql("postgres", make).await.unwrap();
        for _ in 0..4 {
            let fill = "insert into t select repeat(md5(i::text), 30) from generate_series(1, 20000) i; select pg_switch_wal()";
            cluster.sql("postgres", fill).await.unwrap();
            cluster.sql("postgres", "checkpoint").await.unwrap();
        }
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_replication_slots"]));
        let lost = |batch: &Batch| {
            ["lost", "lost_logical"]
                .iter()
                .all(|slot| row_where(batch, &[("slot_name", slot), ("wal_status", "lost")]).is_some())
        };
        let slots = watch.until("pg_replication_slots", "lost slots", lost).await;
        for slot in ["lost", "lost_logical", "never_used"] {
            let row = row_where(&slots, &[("slot_name", slot)]).unwrap();
            if int(&slots, row, "restart_lsn").is_none() {
                assert_eq!(int(&slots, row, "retained_bytes"), None, "{version} {slot}");
            } else {
                assert!(int(&slots, row, "retained_bytes") > Some(0), "{version} {slot}");
            }
        }
        let never = row_where(&slots, &[("slot_name", "never_used")]).unwrap();
        assert_eq!(int(&slots, never, "restart_lsn"), None, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_works_and_then_fails() {
    let all = versions();
    let Some((first, last)) = all.first().zip(all.last()) else { return };
    for version in [*first, *last] {
        let publisher = Cluster::builder(version).setting("wal_level", "logical").start().await.unwrap();
        let subscriber =
            Cluster::builder(version).setting("wal_retrieve_retry_interval", "200ms").start().await.unwrap();
        for cluster in [&publisher, &subscriber] {
            cluster.sql("postgres", "create table p (id int primary key)").await.unwrap();
        }
        publisher.sql("postgres", "create publication pub for table p").await.unwrap();
        let sql = format!(
            "create subscription sub connection 'host=127.0.0.1 port={} user=postgres dbname=postgres password={}' publication pub",
            publisher.port(),
            publisher.password()
        );
        subscriber.sql("postgres", &sql).await.unwrap();
        publisher.sql("postgres", "insert into p values (1)").await.unwrap();

        let names = ["pg_stat_subscription", "pg_stat_subscription_stats"];
        let mut watch = Watch::new(&subscriber.monitor_url("postgres"), only(&names));
        let works = |batch: &Batch| {
            row_where(batch, &[("subname", "sub"), ("worker_type", "apply")])
                .is_some_and(|row| int(batch, row, "received_lsn") > Some(0))
        };
        let running = watch.until("pg_stat_subscription", "a worker", works).await;
        let row = row_where(&running, &[("subname", "sub"), ("worker_type", "apply")]).unwrap();
        assert_eq!(value(&running, row, "enabled"), Value::Bool(true), "{version}");
        assert_eq!(text(&running, row, "datname"), Some("postgres"), "{version}");
        assert_eq!(int(&running, row, "relid"), Some(0), "{version}");
        assert!(int(&running, row, "pid").is_some(), "{version}");
        let texts = all_texts(&watch.visit().await);
        assert!(texts.iter().all(|text| !text.contains(publisher.password())), "{version}");

        let mut published = Watch::new(&publisher.monitor_url("postgres"), only(&["pg_publication"]));
        let publications = published.visit().await;
        let publications = batch(&publications, "pg_publication");
        assert_eq!((text(publications, 0, "pubname"), int(publications, 0, "tables")), (Some("pub"), Some(1)));

        // Once the first copy of the table is over; until then the copy would fail instead.
        let observer = subscriber.client("postgres").await.unwrap();
        let copying = "select count(*) from pg_subscription_rel where srsubstate <> 'r'";
        while observer.query_one(copying, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A row that is there already can't be applied, and is tried again and again.
        subscriber.sql("postgres", "insert into p values (7)").await.unwrap();
        publisher.sql("postgres", "insert into p values (7)").await.unwrap();
        if version >= 15 {
            let errors = watch
                .until("pg_stat_subscription_stats", "the error", |batch| {
                    int(batch, 0, "apply_error_count").is_some_and(|errors| errors > 0)
                })
                .await;
            assert_eq!(text(&errors, 0, "subname"), Some("sub"), "{version}");
            assert_eq!(int(&errors, 0, "confl_insert_exists").is_some(), version >= 18, "{version}");
        }
    }
}

/// The kinds of events that were told.
fn kinds(collected: &Collected) -> Vec<String> {
    let of = |batch: &Batch, row| text(batch, row, "kind").unwrap().to_owned();
    batches(collected, "pg_event")
        .flat_map(|batch| (0..batch.rows.len()).map(|row| of(batch, row)).collect::<Vec<_>>())
        .collect()
}

/// Visits until an event of this kind is told, and returns all that were.
async fn until_event(watch: &mut Watch, kind: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..1200 {
        seen.extend(kinds(&watch.visit().await));
        if seen.iter().any(|seen| seen == kind) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no event {kind}, only {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_is_an_event_and_the_server_stays_the_same() {
    for version in versions() {
        let primary = Cluster::builder(version).start().await.unwrap();
        let replica = primary.replica().await.unwrap();
        let mut watch = Watch::new(&replica.monitor_url("postgres"), only(&["pg_server", "pg_event"]));
        let before = watch.visit().await;
        assert_eq!(kinds(&before), Vec::<String>::new(), "{version}");
        let id = batch(&before, "pg_server").source.server_id;
        primary.stop().await.unwrap();
        replica.sql("postgres", "select pg_promote()").await.unwrap();
        let mut seen = until_event(&mut watch, "role").await;
        if !seen.iter().any(|kind| kind == "timeline") {
            seen.extend(until_event(&mut watch, "timeline").await);
        }
        assert!(!seen.iter().any(|kind| kind == "restart" || kind == "version"), "{version}: {seen:?}");
        let after = watch.visit().await;
        let server = batch(&after, "pg_server");
        assert_eq!(server.source.server_id, id, "{version}");
        assert_eq!(int(server, 0, "timeline"), Some(2), "{version}");
        assert_eq!(value(server, 0, "in_recovery"), Value::Bool(false), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_that_was_left_has_no_present() {
    let Some(version) = versions().last().copied() else { return };
    let primary = Cluster::builder(version).start().await.unwrap();
    let replica = primary.replica().await.unwrap();
    let mut both = config(&primary.monitor_url("postgres"));
    both.hosts.extend(config(&replica.monitor_url("postgres")).hosts);
    let mut plan = Plan::default();
    let names = ["pg_up", "pg_server", "pg_stat_database", "pg_stat_user_tables"];
    only(&names).iter().for_each(|measurement| plan.set_interval(measurement.name().as_str(), Duration::from_secs(1)));
    let now = Snapshots::new();
    let server = PostgresServer::new(both, only(&names));
    let agent = Agent::builder().plan(plan).server(server).sink(now.clone()).own_figures(false);
    let agent = agent.build().unwrap().start().unwrap();
    let instances = || now.series().into_iter().map(|(_, source)| source.instance_id).collect::<BTreeSet<_>>();
    let of_server = || now.of("pg_server").first().map(|snapshot| snapshot.batch.source.instance_id);
    while of_server().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = of_server().unwrap();
    primary.stop().await.unwrap();
    replica.sql("postgres", "select pg_promote()").await.unwrap();
    let began = std::time::Instant::now();
    while instances().contains(&before) || of_server().is_none() {
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", now.series());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(instances().len(), 1, "{:?}", now.series());
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_crash_are_told_apart() {
    for version in versions() {
        let cluster = Cluster::builder(version).start().await.unwrap();
        // Whatever is measured: the epoch is read at each visit.
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_server", "pg_event"]));
        assert_eq!(kinds(&watch.visit().await), Vec::<String>::new(), "{version}");
        cluster.restart().await.unwrap();
        assert_eq!(until_event(&mut watch, "restart").await, ["restart"], "{version}");
        cluster.kill9_backend().await.unwrap();
        assert_eq!(until_event(&mut watch, "crash").await, ["crash"], "{version}");
        cluster.kill9_backend_and_recover_for(Duration::from_secs(3)).await.unwrap();
        assert_eq!(until_event(&mut watch, "crash").await, ["crash"], "{version}, with a long recovery");
        assert_eq!(kinds(&watch.visit().await), Vec::<String>::new(), "{version}");
    }
}
