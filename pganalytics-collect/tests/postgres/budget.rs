//! Never more sessions than allowed, and fair rounds within them.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use pganalytics_collect::{Collector, Outcome};
use pganalytics_core::catalog::Measurement;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, config, context, everything, only, outcome};

/// Counts the agent's sessions again and again while something runs.
async fn most_sessions<F: Future>(cluster: &Cluster, work: F) -> (F::Output, i64) {
    let client = cluster.client("postgres").await.unwrap();
    let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let counter = {
        let (stop, most) = (Arc::clone(&stop), Arc::clone(&most));
        tokio::spawn(async move {
            let sql = "select count(*) from pg_stat_activity where application_name = 'pganalytics-agent' \
                       or usename = 'monitor'";
            while !stop.load(Ordering::Relaxed) {
                let now: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
                most.fetch_max(now, Ordering::Relaxed);
            }
        })
    };
    let output = work.await;
    stop.store(true, Ordering::Relaxed);
    counter.await.unwrap();
    (output, most.load(Ordering::Relaxed))
}

async fn with_databases(count: usize) -> Option<Cluster> {
    let version = versions().last().copied()?;
    let cluster = Cluster::start(version).await.unwrap();
    for n in 0..count {
        cluster.sql("postgres", &format!("create database d{n}")).await.unwrap();
    }
    Some(cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_databases_never_see_more_than_the_budget() {
    let Some(cluster) = with_databases(19).await else { return };
    for max in [3, 2, 1] {
        let mut config = config(&cluster.monitor_url("postgres"));
        config.max_connections = max;
        let collectors = Watch::with(config, everything()).collectors;
        let work = async {
            let tasks = collectors.into_iter().map(|mut collector| {
                tokio::spawn(async move {
                    let mut reports = Vec::new();
                    for _ in 0..5 {
                        let cx = context(&*collector, Duration::from_secs(180));
                        reports.push(collector.collect(&cx).await.unwrap().reports);
                    }
                    reports
                })
            });
            futures::future::join_all(tasks).await
        };
        let (reports, most) = most_sessions(&cluster, work).await;
        assert!(most <= i64::try_from(max).unwrap(), "{most} sessions with max_connections = {max}");
        assert!(most >= 1);
        let visits = reports.into_iter().flat_map(Result::unwrap);
        for reports in visits {
            for report in &reports {
                assert!(
                    matches!(report.outcome, Outcome::Collected { .. } | Outcome::Unsupported { .. }),
                    "max {max}: {report:?}"
                );
            }
            let places: HashSet<_> =
                reports.iter().filter_map(|report| report.source.as_ref()?.database.clone()).collect();
            assert!(places.is_empty() || places.len() == 20, "{places:?}");
        }
    }
    assert_eq!(cluster.errors_in_log().unwrap(), Vec::<String>::new());
}

/// What one collector keeps between its visits must not lock the others out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_is_kept_is_there_for_all() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).setting("logging_collector", "on").start().await.unwrap();
    cluster.sql("postgres", "create database other").await.unwrap();
    let grant = "grant execute on function pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to monitor";
    cluster.sql("postgres", grant).await.unwrap();
    for (max, over_sql) in [(3, false), (3, true), (2, true), (1, true)] {
        let mut config = config(&cluster.monitor_url("postgres"));
        config.max_connections = max;
        config.log.over_sql = over_sql;
        let mut watch = Watch::with(config, everything());
        let work = async {
            for _ in 0..3 {
                let collected = watch.visit_within(Duration::from_secs(60)).await;
                let found = outcome(&collected, "pg_log");
                assert!(matches!(found, Outcome::Collected { .. }), "max {max}, over SQL {over_sql}: {found:?}");
            }
        };
        let ((), most) = most_sessions(&cluster, work).await;
        assert!(most <= i64::try_from(max).unwrap(), "{most} sessions with max_connections = {max}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_longest_comes_first() {
    let Some(cluster) = with_databases(11).await else { return };
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), vec![slow("0.5")]);
    let mut visited = Vec::new();
    let mut stale = 0;
    for _ in 0..40 {
        if visited.len() >= 12 {
            break;
        }
        let collected = watch.visit_within(Duration::from_secs(3)).await;
        for report in &collected.reports {
            let database = report.source.as_ref().unwrap().database.clone().unwrap();
            match &report.outcome {
                Outcome::Collected { .. } => visited.push(database),
                Outcome::Skipped { reason } => {
                    assert!(reason.contains("first in line"), "{reason}");
                    stale += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(stale > 0, "all were visited in time");
    let first_round: HashSet<_> = visited.iter().take(12).collect();
    assert_eq!(first_round.len(), 12, "some came twice before all had come once: {visited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sweep_that_hangs_does_not_hold_up_the_cluster() {
    let Some(cluster) = with_databases(4).await else { return };
    let measurements = only(&["pg_up", "pg_stat_activity"]).into_iter().chain([slow("1000")]).collect();
    let mut config = config(&cluster.monitor_url("postgres"));
    config.statement_timeout = Duration::from_secs(2000);
    let mut collectors = Watch::with(config, measurements).collectors;
    let mut databases = collectors.pop().unwrap();
    let mut of_cluster = collectors.pop().unwrap();
    let sweep = tokio::spawn(async move { visit(&mut *databases).await });
    let observer = cluster.client("postgres").await.unwrap();
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    while observer.query_one(asleep, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..5 {
        assert_eq!(visit(&mut *of_cluster).await, 2);
    }
    assert!(!sweep.is_finished());
    sweep.abort();
}

/// Our backends as the system sees them, those that are still logging in too: their titles.
fn backends(cluster: &Cluster) -> Vec<(u32, String)> {
    let postmaster = cluster.pid().unwrap().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let of_ours = processes.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.to_owned();
        let title = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        (parent == postmaster && title.contains(": monitor ")).then_some((pid, title))
    });
    of_ours.collect()
}

/// Visits a server again and again for so long, as a scheduler does; the most backends.
async fn visits_for(watch: &mut Watch, cluster: &Cluster, time: Duration) -> usize {
    let end = tokio::time::Instant::now() + time;
    let mut most = 0;
    while tokio::time::Instant::now() < end {
        let mut visit = std::pin::pin!(watch.visit_within(Duration::from_secs(4)));
        loop {
            tokio::select! {
                _ = &mut visit => break,
                () = tokio::time::sleep(Duration::from_millis(50)) => most = most.max(backends(cluster).len()),
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    most
}

async fn until_gone(cluster: &Cluster, what: &str) {
    for _ in 0..200 {
        if backends(cluster).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {:?}", backends(cluster));
}

/// A backend that waits for a lock in its login does not see that its client has gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_that_hang_are_not_joined_by_others() {
    for version in versions() {
        let cluster = Cluster::start(version).await.unwrap();
        let locked = cluster.client("postgres").await.unwrap();
        locked.batch_execute("begin; lock table pg_catalog.pg_authid, pg_catalog.pg_database").await.unwrap();
        let mut config = config(&cluster.monitor_url("postgres"));
        config.max_connections = 3;
        config.connect_timeout = Duration::from_millis(500);
        let mut watch = Watch::with(config, only(&["pg_up", "pg_stat_database", "pg_stat_user_tables"]));
        let most = visits_for(&mut watch, &cluster, Duration::from_secs(6)).await;
        assert_eq!(most, 1, "PostgreSQL {version}: logins at once");
        locked.batch_execute("rollback").await.unwrap();
        // It goes on by itself, and nothing is left of what hung.
        let collected = watch.visit_within(Duration::from_secs(20)).await;
        let found = outcome(&collected, "pg_stat_database");
        assert!(matches!(found, Outcome::Collected { .. }), "PostgreSQL {version}: {found:?}");
        drop(watch);
        until_gone(&cluster, "sessions stay").await;
    }
}

/// A backend that hangs in the kernel, as on a disk that does not answer: it neither ends its
/// statement nor hears of a cancel.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_hang_keep_their_place_in_the_budget() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    let mut config = config(&cluster.monitor_url("postgres"));
    config.max_connections = 2;
    config.statement_timeout = Duration::from_millis(500);
    let mut watch = Watch::with(config, only(&["pg_up", "pg_stat_database", "pg_stat_user_tables"]));
    watch.visit_within(Duration::from_secs(20)).await;
    let hung = backends(&cluster);
    assert_eq!(hung.len(), 2, "{hung:?}");
    for (pid, _) in &hung {
        signal(*pid, "STOP");
    }
    let most = visits_for(&mut watch, &cluster, Duration::from_secs(20)).await;
    for (pid, _) in &hung {
        signal(*pid, "CONT");
    }
    assert_eq!(most, 2, "sessions with max_connections = 2");
    let collected = watch.visit_within(Duration::from_secs(20)).await;
    let found = outcome(&collected, "pg_stat_database");
    assert!(matches!(found, Outcome::Collected { .. }), "{found:?}");
}

fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Who stops in the middle of a statement has it cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_that_nobody_waits_for_is_cancelled() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    let mut config = config(&cluster.monitor_url("postgres"));
    config.statement_timeout = Duration::from_secs(2000);
    let mut watch = Watch::with(config, vec![slow("1000")]);
    let visit = tokio::time::timeout(Duration::from_secs(3), watch.visit_within(Duration::from_secs(60))).await;
    assert!(visit.is_err(), "it slept a thousand seconds");
    assert!(backends(&cluster).iter().any(|(_, title)| title.contains("SELECT")), "{:?}", backends(&cluster));
    drop(watch);
    until_gone(&cluster, "it sleeps on").await;
}

/// A measurement of each database that takes so many seconds.
fn slow(seconds: &str) -> Arc<Measurement> {
    crate::watch::own(&format!(
        "name = 'slow'\nscope = 'database'\n[[query]]\nsql = \"select 1 as n from pg_catalog.pg_sleep({seconds})\"\n\
         [[column]]\nname = 'n'\nkind = 'gauge'\ntype = 'int'\n",
    ))
}

/// Visits and says how many measurements went well.
async fn visit(collector: &mut dyn Collector) -> usize {
    let cx = context(collector, Duration::from_secs(3600));
    let reports = collector.collect(&cx).await.unwrap().reports;
    reports.iter().filter(|report| matches!(report.outcome, Outcome::Collected { .. })).count()
}
