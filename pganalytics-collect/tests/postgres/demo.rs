//! The demo's servers show what can be shown.

use pganalytics_collect::{
    check::State,
    postgres::{PostgresServer, ServerCheck},
};
use pganalytics_testkit::{Cluster, demo::Demo};

use crate::watch::{config, everything};

async fn check(cluster: &Cluster) -> ServerCheck {
    PostgresServer::new(config(&cluster.monitor_url("postgres")), everything()).check().await
}

/// What does not work though it could, and why. A primary has no replay, a standby no senders.
fn wanting(check: &ServerCheck) -> Vec<String> {
    let findings = check.findings.iter().filter(|finding| finding.state != State::Works);
    let findings = findings.map(|finding| finding.message.clone());
    let measurements = check.measurements.iter().filter(|each| each.state != State::Works);
    let measurements =
        measurements.map(|each| format!("{}: {}", each.measurement, each.why.clone().unwrap_or_default()));
    let other_role = |why: &String| why.contains("this is a primary") || why.contains("this is a standby");
    findings.chain(measurements).filter(|why| !other_role(why)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_could_be_collected_is_missing_at_the_demo() {
    let version = Demo::default_version().unwrap();
    let demo = Demo::start(version).await.unwrap();
    for cluster in [demo.cluster(), demo.replica()] {
        assert_eq!(wanting(&check(cluster).await), Vec::<String>::new());
    }
}
