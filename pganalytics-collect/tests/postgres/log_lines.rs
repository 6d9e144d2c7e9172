//! What the agent's log says: each change once.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use pganalytics_collect::{Agent, MemorySink, Plan, postgres::PostgresServer};
use pganalytics_core::Value;
use pganalytics_testkit::{Cluster, versions};
use tokio_util::sync::CancellationToken;

use crate::watch::{config, everything, own_sql, row_where, value};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self, level: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(level)).map(str::to_owned).collect()
    }
}

// One thread, so that the log of all tasks is this test's.
#[tokio::test]
async fn a_server_that_goes_and_comes_is_a_line_each_time() {
    let Some(version) = versions().last().copied() else { return };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let cluster = Cluster::start(version).await.unwrap();
    cluster.stop().await.unwrap();
    // Three that fail for one reason of their own.
    let mut measurements = everything();
    let secret = |name: &str| own_sql(name, "select 1 as n from pg_catalog.pg_authid");
    measurements.extend(["app_one", "app_two", "app_three", "app_four"].map(secret));
    let mut plan = Plan::default();
    for measurement in &measurements {
        plan.set_interval(measurement.name().as_str(), Duration::from_secs(1));
    }
    let sink = MemorySink::new();
    let server = PostgresServer::new(config(&cluster.monitor_url("postgres")), measurements);
    let agent = Agent::builder().plan(plan).server(server).sink(sink.clone()).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    let until = |what: &'static str, measurement: &'static str, status: &'static str, times: usize| {
        let sink = sink.clone();
        async move {
            let found = || {
                let batches = sink.batches_of("agent_scrape");
                let of = |batch| row_where(batch, &[("measurement", measurement), ("status", status)]).is_some();
                batches.iter().filter(|batch| of(batch)).count() >= times
            };
            let wait = async {
                while !found() {
                    sink.wait_for(sink.batches().len() + 1).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(120), wait).await.unwrap_or_else(|_| panic!("never {what}"));
        }
    };
    until("down", "pg_stat_database", "failed", 1).await;
    until("down in the databases", "pg_stat_user_tables", "failed", 1).await;
    let said = log.lines("WARN");
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("server=watched") || said[0].contains("127.0.0.1"), "{said:#?}");

    cluster.start_again().await.unwrap();
    until("up", "pg_stat_database", "ok", 1).await;
    until("up in the databases", "pg_stat_user_tables", "ok", 1).await;
    until("its own failure", "app_four", "failed", 2).await;
    let said = log.lines("WARN");
    assert!(log.lines("INFO").iter().filter(|line| line.contains("answers again")).count() == 1);
    assert!(!log.lines("INFO").iter().any(|line| line.contains("collected again")));
    let refused: Vec<_> = said.iter().filter(|line| line.contains("permission denied")).collect();
    assert_eq!(refused.len(), 1, "{said:#?}");
    assert!(refused[0].contains("and 1 more") && refused[0].contains("GRANT"), "{refused:?}");
    let up = sink.batches_of("pg_up");
    assert!(up.iter().any(|batch| !batch.rows.is_empty() && value(batch, 0, "up") == Value::Bool(false)));
    // While it starts it may be down in other words; each is a change.
    let others: Vec<_> = said.iter().skip(1).filter(|line| !line.contains("permission denied")).collect();
    assert!(others.iter().all(|line| line.contains("server=watched") && !line.contains("not collected")), "{said:#?}");
    stop.cancel();
    running.await.unwrap().unwrap();
}
