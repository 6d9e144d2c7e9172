//! Settings: their values as figures, their secrets kept, their changes told;
//! and what else says how a server is set up.

use std::io::Write as _;

use pganalytics_collect::{Collected, Outcome};
use pganalytics_core::{Batch, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, all_texts, batch, batches, float, int, only, outcome, row_where, text, value};

const CANARY: &str = "c4n4ry";

fn setting(batch: &Batch, name: &str) -> usize {
    row_where(batch, &[("name", name)]).unwrap_or_else(|| panic!("no setting {name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_has_a_value_and_no_secret_leaves() {
    for version in versions() {
        let cluster = Cluster::builder(version)
            .setting("archive_mode", "on")
            .setting("archive_command", "echo c4n4ry")
            .setting("restore_command", "fetch --key c4n4ry")
            .setting("ssl_passphrase_command", "echo c4n4ry")
            .setting(
                "primary_conninfo",
                "host=other port=5433 user=me password='it\\'s host=c4n4ry' sslpassword=c4n4ry",
            )
            .setting("work_mem", "6MB")
            .setting("log_min_duration_statement", "-1")
            .setting("checkpoint_timeout", "7min")
            .start()
            .await
            .unwrap();
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_settings"]));
        let collected = watch.visit().await;
        assert!(all_texts(&collected).iter().all(|text| !text.contains(CANARY)), "{version}");
        let settings = batch(&collected, "pg_settings");
        for row in 0..settings.rows.len() {
            let name = text(settings, row, "name").unwrap();
            let figure = matches!(text(settings, row, "vartype"), Some("bool" | "integer" | "real"));
            assert_eq!(float(settings, row, "value").is_some(), figure, "{version} {name}");
            let unit = text(settings, row, "unit").is_some();
            assert_eq!(text(settings, row, "value_unit").is_some(), unit, "{version} {name}");
        }
        let is = |name: &str, figure: f64, unit: Option<&str>| {
            let row = setting(settings, name);
            assert_eq!(float(settings, row, "value"), Some(figure), "{version} {name}");
            assert_eq!(text(settings, row, "value_unit"), unit, "{version} {name}");
        };
        is("work_mem", 6_291_456.0, Some("bytes"));
        is("shared_buffers", 67_108_864.0, Some("bytes"));
        is("wal_segment_size", 16_777_216.0, Some("bytes"));
        is("checkpoint_timeout", 420.0, Some("seconds"));
        is("log_min_duration_statement", -1.0, Some("seconds"));
        is("fsync", 0.0, None);
        is("autovacuum", 1.0, None);
        is("max_connections", 100.0, None);
        for name in ["archive_command", "restore_command", "ssl_passphrase_command", "data_directory"] {
            let row = setting(settings, name);
            assert_eq!(text(settings, row, "setting"), Some("..."), "{version} {name}");
            assert_eq!(value(settings, row, "hidden"), Value::Bool(true), "{version} {name}");
        }
        let row = setting(settings, "primary_conninfo");
        assert_eq!(text(settings, row, "setting"), Some("host=other port=5433 user=me"), "{version}");
        let row = setting(settings, "work_mem");
        assert_eq!(text(settings, row, "source"), Some("configuration file"), "{version}");
        assert_eq!(value(settings, row, "hidden"), Value::Bool(false), "{version}");
    }
}

/// Kind, object, old and new of each event.
fn events(collected: &Collected) -> Vec<[String; 4]> {
    let of = |batch: &Batch, row: usize| {
        ["kind", "object", "old", "new"].map(|column| text(batch, row, column).unwrap_or("-").to_owned())
    };
    batches(collected, "pg_event")
        .flat_map(|batch| (0..batch.rows.len()).map(|row| of(batch, row)).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_setting_is_an_event_with_both_values() {
    let Some(version) = versions().last().copied() else { return };
    let cluster =
        Cluster::builder(version).setting("work_mem", "4MB").setting("archive_mode", "on").start().await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_settings", "pg_event"]));
    assert_eq!(events(&watch.visit().await), Vec::<[String; 4]>::new());
    for sql in [
        "alter system set work_mem = '8MB'",
        "alter system set archive_command = 'echo c4n4ry'",
        "alter system set primary_conninfo = 'host=other password=c4n4ry'",
        "alter system set max_connections = 50",
        "select pg_reload_conf()",
    ] {
        cluster.sql("postgres", sql).await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..1200 {
        let collected = watch.visit().await;
        assert!(all_texts(&collected).iter().all(|text| !text.contains(CANARY)));
        seen.extend(events(&collected));
        if seen.len() >= 4 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    seen.sort();
    let expected = [
        ["setting", "archive_command", "", "..."],
        ["setting", "primary_conninfo", "", "host=other"],
        ["setting", "work_mem", "4194304 bytes", "8388608 bytes"],
        ["setting_pending", "max_connections", "no restart needed", "restart needed"],
    ];
    assert_eq!(seen, expected.map(|event| event.map(str::to_owned)));
    // Once.
    assert_eq!(events(&watch.visit().await), Vec::<[String; 4]>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_databases_and_the_rules_of_authentication() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).start().await.unwrap();
    cluster
        .sql("postgres", "create role app login password 'c4n4ry' connection limit 7 valid until '2030-01-01'; create role team; grant team to app")
        .await
        .unwrap();
    cluster.sql("postgres", "create database shop connection limit 3").await.unwrap();
    let names =
        ["pg_roles_audit", "pg_database", "pg_tablespace", "pg_stat_ssl", "pg_hba_file_rules", "pg_process_idle"];
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&names));
    let sleeper = cluster.client("postgres").await.unwrap();
    sleeper.batch_execute("set application_name = 'sleeper'").await.unwrap();
    let collected = watch.visit().await;
    assert!(all_texts(&collected).iter().all(|text| !text.contains(CANARY) && !text.contains("SCRAM-SHA")));

    let roles = batch(&collected, "pg_roles_audit");
    let row = row_where(roles, &[("rolname", "app")]).unwrap();
    assert_eq!(int(roles, row, "rolconnlimit"), Some(7));
    assert_eq!((int(roles, row, "member_of"), int(roles, row, "members")), (Some(1), Some(0)));
    assert!(matches!(value(roles, row, "rolvaliduntil"), Value::Timestamp(_)));
    assert_eq!(value(roles, row, "rolsuper"), Value::Bool(false));
    let databases = batch(&collected, "pg_database");
    let row = row_where(databases, &[("datname", "shop")]).unwrap();
    assert_eq!(int(databases, row, "datconnlimit"), Some(3));
    assert_eq!(text(databases, row, "encoding"), Some("UTF8"));
    let spaces = batch(&collected, "pg_tablespace");
    let row = row_where(spaces, &[("spcname", "pg_default")]).unwrap();
    assert!(int(spaces, row, "size").unwrap() > 1_000_000);
    let ssl = batch(&collected, "pg_stat_ssl");
    let row = row_where(ssl, &[("encryption", "none"), ("via", "network")]).unwrap();
    assert!(int(ssl, row, "count").unwrap() >= 2);
    let idle = batch(&collected, "pg_process_idle");
    let row = row_where(idle, &[("state", "idle"), ("application_name", "sleeper")]).unwrap();
    assert_eq!((int(idle, row, "count"), int(idle, row, "le_300")), (Some(1), Some(1)));

    // pg_monitor may not read the rules; what helps is said, and helps.
    let Outcome::Unsupported { reason } = outcome(&collected, "pg_hba_file_rules") else {
        panic!("{:?}", outcome(&collected, "pg_hba_file_rules"))
    };
    let grant = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO monitor";
    assert!(reason.ends_with(grant), "{reason}");
    assert_eq!(cluster.errors_in_log().unwrap(), Vec::<String>::new());
    cluster.sql("postgres", grant).await.unwrap();
    let file = cluster.data_dir().join("pg_hba.conf");
    let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    writeln!(file, "host all all 192.0.2.1/32 ldap ldapserver=h ldapbinddn=d ldapbindpasswd=c4n4ry").unwrap();
    writeln!(file, "host all all nowhere-at-all/99 trust").unwrap();
    let collected = watch.visit().await;
    assert!(all_texts(&collected).iter().all(|text| !text.contains(CANARY)));
    let rules = batch(&collected, "pg_hba_file_rules");
    assert!(row_where(rules, &[("auth_method", "scram-sha-256"), ("type", "host")]).is_some());
    let wrong: Vec<_> = (0..rules.rows.len()).filter_map(|row| text(rules, row, "error")).collect();
    assert!(!wrong.is_empty(), "{rules:#?}");
}
