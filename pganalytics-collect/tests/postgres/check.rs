//! `check`: what it finds, and that each fix that it prints mends what it says.

use std::{collections::BTreeSet, fs, time::Duration};

use pganalytics_collect::{
    check::State,
    postgres::{PostgresConfig, PostgresServer, ServerCheck},
};
use pganalytics_testkit::{Cluster, PgBouncer, versions};

use crate::watch::{config, everything, own_sql};

fn newest() -> Option<u16> {
    versions().last().copied()
}

async fn check(config: &PostgresConfig) -> ServerCheck {
    check_with(config, &[]).await
}

async fn check_with(config: &PostgresConfig, own: &[(&str, &str)]) -> ServerCheck {
    let mut measurements = everything();
    measurements.extend(own.iter().map(|(name, sql)| own_sql(name, sql)));
    PostgresServer::new(config.clone(), measurements).check().await
}

/// What is wrong and has a fix: (what, fix).
fn fixes(check: &ServerCheck) -> BTreeSet<(String, String)> {
    let findings = check.findings.iter().filter(|finding| finding.state != State::Works);
    let findings = findings.filter_map(|finding| Some((finding.message.clone(), finding.fix.clone()?)));
    let measurements = check.measurements.iter().filter_map(|each| {
        let what = format!("{} {:?}: {}", each.measurement, each.database, each.why.clone().unwrap_or_default());
        Some((what, each.fix.clone()?))
    });
    findings.chain(measurements).collect()
}

/// Where fixes are typed in.
struct Psql<'a> {
    server: &'a Cluster,
    primary: &'a Cluster,
    /// The password of the settings.
    password: String,
}

impl Psql<'_> {
    /// Does what a script says, as somebody would who pastes it into psql.
    async fn run(&self, script: &str) {
        let (mut cluster, mut database) = (self.server, "postgres".to_owned());
        for line in script.lines() {
            if let Some(name) = line.strip_prefix("\\c ") {
                database = name.trim_matches('"').to_owned();
            } else if let Some(user) = line.strip_prefix("\\password ") {
                let sql = format!("alter role {user} password '{}'", self.password);
                cluster.sql("postgres", &sql).await.unwrap();
            } else if line == "-- on the primary:" {
                cluster = self.primary;
            } else if line.starts_with("-- host ") || line.starts_with("-- local ") {
                let file = cluster.data_dir().join("pg_hba.conf");
                let rules = fs::read_to_string(&file).unwrap();
                fs::write(&file, format!("{}\n{rules}", line.trim_start_matches("-- "))).unwrap();
            } else if line.contains("restart PostgreSQL") {
                cluster.restart().await.unwrap();
            } else if !line.starts_with("--") {
                let ran = cluster.sql(&database, line).await;
                assert!(ran.is_ok(), "{line}: {ran:?}\nof:\n{script}");
            }
        }
        self.caught_up().await;
    }

    async fn caught_up(&self) {
        if std::ptr::eq(self.server, self.primary) {
            return;
        }
        let primary = self.primary.client("postgres").await.unwrap();
        let lsn: String = primary.query_one("select pg_current_wal_flush_lsn()::text", &[]).await.unwrap().get(0);
        let server = self.server.client("postgres").await.unwrap();
        let sql = format!("select coalesce(pg_last_wal_replay_lsn() >= '{lsn}', false)");
        for _ in 0..600 {
            if server.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the standby does not catch up");
    }

    /// Runs one fix after the other, each of which must mend what it was printed
    /// for, until none is left.
    async fn mend(&self, config: &PostgresConfig, own: &[(&str, &str)]) -> ServerCheck {
        let mut last = check_with(config, own).await;
        for _ in 0..40 {
            let Some((what, fix)) = fixes(&last).into_iter().next() else { return last };
            eprintln!("{what}\n{fix}\n");
            self.run(&fix).await;
            last = check_with(config, own).await;
            assert!(!fixes(&last).contains(&(what.clone(), fix.clone())), "{what} is still there after:\n{fix}");
        }
        panic!("it never ends: {:#?}", fixes(&last));
    }
}

fn psql(cluster: &Cluster) -> Psql<'_> {
    Psql { server: cluster, primary: cluster, password: cluster.password().to_owned() }
}

fn state_of(check: &ServerCheck, measurement: &str) -> State {
    check.measurements.iter().find(|each| each.measurement == measurement).unwrap().state
}

/// A role that may log in and nothing else, on a cluster without extensions.
async fn bare(version: u16, preload: Option<&str>) -> Cluster {
    let builder = preload.into_iter().fold(Cluster::builder(version), pganalytics_testkit::ClusterBuilder::preload);
    let cluster = builder.start().await.unwrap();
    let role = format!("create role plain login password '{}'", cluster.password());
    cluster.sql("postgres", &role).await.unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_server_is_mended_by_what_is_printed() {
    for version in versions() {
        let cluster = bare(version, Some("auto_explain")).await;
        cluster.sql("postgres", "create database \"My app\"").await.unwrap();
        let config = config(&cluster.url("plain", "postgres"));
        let first = check(&config).await;
        assert!(first.reached() && first.worst() == State::Degraded, "{version}: {:#?}", first.findings);
        let role = first.findings.iter().find(|finding| finding.about == "pg_monitor").unwrap();
        assert_eq!(role.fix.as_deref(), Some("GRANT pg_monitor TO plain;"));
        assert_eq!(state_of(&first, "pg_stat_activity"), State::Degraded);
        assert_eq!(state_of(&first, "pg_stat_statements"), State::Off);

        let last = psql(&cluster).mend(&config, &[]).await;
        assert!(!last.failed() && last.worst() == State::Works, "{version}: {last:#?}");
        assert_eq!(state_of(&last, "pg_stat_statements"), State::Works);
        let client = cluster.client("postgres").await.unwrap();
        let loaded: String = client.query_one("show shared_preload_libraries", &[]).await.unwrap().get(0);
        assert!(loaded.contains("auto_explain") && loaded.contains("pg_stat_statements"), "{loaded}");
        // What is off now can't be had, and says why.
        for each in last.measurements.iter().filter(|each| each.state == State::Off) {
            assert!(each.out_of_reach() && each.why.as_ref().is_some_and(|why| why.len() > 10), "{version}: {each:?}");
        }
        let json = serde_json::to_value(&last).unwrap();
        let line = &json["measurements"][0];
        for field in ["measurement", "database", "state", "rows", "why", "fix", "failed", "elapsed_ms"] {
            assert!(line.get(field).is_some(), "{field}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_mended_where_it_can_be() {
    let Some(version) = newest() else { return };
    let primary = bare(version, None).await;
    let standby = primary.replica().await.unwrap();
    let config = config(&standby.url("plain", "postgres"));
    let psql = Psql { server: &standby, primary: &primary, password: primary.password().to_owned() };
    psql.caught_up().await;
    let first = check(&config).await;
    let role = first.findings.iter().find(|finding| finding.about == "pg_monitor").unwrap();
    assert_eq!(role.fix.as_deref(), Some("-- on the primary:\nGRANT pg_monitor TO plain;"));
    let last = psql.mend(&config, &[]).await;
    assert_eq!(last.worst(), State::Works, "{last:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_are_found_where_they_are_and_updated() {
    let Some(version) = newest() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    let config = config(&cluster.monitor_url("postgres"));
    for sql in ["create database app", "drop extension pg_stat_statements"] {
        cluster.sql("postgres", sql).await.unwrap();
    }
    cluster.sql("app", "create schema x; create extension pg_stat_statements schema x").await.unwrap();
    // Its schema is not open to everybody.
    let elsewhere = psql(&cluster).mend(&config, &[]).await;
    assert_eq!(state_of(&elsewhere, "pg_stat_statements"), State::Works);
    let found = elsewhere.findings.iter().find(|finding| finding.about == "extensions").unwrap();
    assert!(found.state == State::Works && found.message.ends_with("in schema x of database app"), "{found:?}");

    for (old, state) in [("1.7", State::Off), ("1.8", State::Works)] {
        let sql = format!("drop extension pg_stat_statements; create extension pg_stat_statements version '{old}'");
        cluster.sql("app", &sql).await.unwrap();
        let check = check(&config).await;
        let found = check.findings.iter().find(|finding| finding.about == "extensions").unwrap();
        assert_eq!(found.fix.as_deref(), Some("\\c app\nALTER EXTENSION pg_stat_statements UPDATE;"), "{found:?}");
        assert_eq!((state_of(&check, "pg_stat_statements"), check.worst()), (state, State::Degraded), "{old}");
        let last = psql(&cluster).mend(&config, &[]).await;
        assert_eq!((last.worst(), state_of(&last, "pg_stat_statements")), (State::Works, State::Works), "{old}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named_with_its_schema() {
    let Some(version) = newest() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    let setup = "create schema app; create table app.\"Orders\" (a int); \
                 create function app.secret(a int, b text) returns int language sql as 'select 1'; \
                 revoke execute on function app.secret from public";
    cluster.sql("postgres", setup).await.unwrap();
    let own = [
        ("app_orders", "select count(*) as n from app.\\\"Orders\\\""),
        ("app_secret", "select app.secret(1, 'x')::int8 as n"),
    ];
    let config = config(&cluster.monitor_url("postgres"));
    let first = check_with(&config, &own).await;
    assert!(first.failed() && state_of(&first, "app_orders") == State::Off);
    let last = psql(&cluster).mend(&config, &own).await;
    assert!(!last.failed() && last.worst() == State::Works, "{last:#?}");
    assert_eq!(state_of(&last, "app_orders"), State::Works);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_in_is_shown() {
    let Some(version) = newest() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    let config = config(&cluster.monitor_url("postgres"));
    // A role with another password; one that may not log in; one that is kept out
    // by pg_hba.conf or by the database.
    cluster.sql("postgres", "alter role monitor password 'another'").await.unwrap();
    let refused = check(&config).await;
    assert!(refused.failed() && !refused.reached() && refused.worst() == State::Off);
    assert!(refused.findings[0].fix.as_ref().unwrap().contains("\\password monitor"), "{:?}", refused.findings);
    assert!(psql(&cluster).mend(&config, &[]).await.reached());

    cluster.sql("postgres", "alter role monitor nologin").await.unwrap();
    assert_eq!(check(&config).await.findings[0].fix.as_deref(), Some("ALTER ROLE monitor LOGIN;"));
    assert!(psql(&cluster).mend(&config, &[]).await.reached());

    let rules = cluster.data_dir().join("pg_hba.conf");
    let keep_out = format!("host all monitor 127.0.0.1/32 reject\n{}", fs::read_to_string(&rules).unwrap());
    fs::write(&rules, keep_out).unwrap();
    cluster.sql("postgres", "select pg_reload_conf()").await.unwrap();
    for _ in 0..100 {
        if !check(&config).await.reached() {
            break;
        }
    }
    let fix = check(&config).await.findings[0].fix.clone().unwrap();
    assert!(fix.contains("-- host all monitor 127.0.0.1/32 scram-sha-256"), "{fix}");
    psql(&cluster).run(&fix).await;
    let mut last = check(&config).await;
    for _ in 0..100 {
        // A reload takes its time.
        if last.reached() {
            break;
        }
        last = check(&config).await;
    }
    assert!(last.reached());

    cluster.sql("postgres", "revoke connect on database postgres from public").await.unwrap();
    assert_eq!(check(&config).await.findings[0].fix.as_deref(), Some("GRANT CONNECT ON DATABASE postgres TO monitor;"));
    assert!(psql(&cluster).mend(&config, &[]).await.reached());

    // Nothing to type in: words say what to look for.
    let mut nowhere = config.clone();
    nowhere.hosts[0].port = 1;
    let nowhere = check(&nowhere).await;
    assert!(
        !nowhere.reached() && nowhere.worst() == State::Off && nowhere.findings[0].message.contains("nothing listens")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn superusers_and_poolers_are_worked_around() {
    let Some(version) = newest() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    let role = format!("create role boss superuser login password '{}'", cluster.password());
    cluster.sql("postgres", &role).await.unwrap();
    let last = psql(&cluster).mend(&config(&cluster.url("boss", "postgres")), &[]).await;
    assert!(last.findings.iter().any(|finding| finding.about == "pg_monitor" && finding.state == State::Works));

    // The role that initdb made stays what it is; another is made for watching.
    let first = check(&config(&cluster.superuser_url("postgres"))).await;
    let finding = first.findings.iter().find(|finding| finding.about == "role").unwrap();
    psql(&cluster).run(finding.fix.as_ref().unwrap()).await;
    let last = check(&config(&cluster.url("pganalytics", "postgres"))).await;
    assert!(last.findings.iter().all(|finding| finding.about != "role"), "{:#?}", last.findings);

    if !PgBouncer::is_installed() {
        eprintln!("PgBouncer is not installed: NOT CHECKED");
        assert!(std::env::var_os("PGANALYTICS_REQUIRE_PG").is_none());
        return;
    }
    let pooler = PgBouncer::in_front_of(&cluster).start().await.unwrap();
    let pooled = check(&config(&pooler.url("monitor", "postgres"))).await;
    let finding = pooled.findings.iter().find(|finding| finding.about == "pooler").unwrap();
    assert_eq!(finding.fix.as_deref(), Some("set host and port to the server itself"));
    assert!(pooled.findings.iter().all(|finding| finding.state != State::Off), "{:#?}", pooled.findings);
    let straight = check(&config(&cluster.monitor_url("postgres"))).await;
    assert!(straight.findings.iter().all(|finding| finding.about != "pooler"));
}
