//! Settings of a role or a database change nothing of what is collected.

use std::time::Duration;

use pganalytics_collect::Outcome;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batch, config, everything, own, text};

/// Values that break sessions of monitors, or change what they read.
const HOSTILE: &[(&str, &str)] = &[
    ("statement_timeout", "1ms"),
    ("lock_timeout", "1h"),
    ("idle_session_timeout", "200ms"),
    ("idle_in_transaction_session_timeout", "1ms"),
    ("search_path", "evil, pg_catalog"),
    ("datestyle", "SQL, DMY"),
    ("intervalstyle", "iso_8601"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-15"),
    ("timezone", "Pacific/Auckland"),
    ("row_security", "off"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_deferrable", "on"),
    ("default_transaction_read_only", "off"),
    ("standard_conforming_strings", "off"),
    ("jit", "on"),
    ("jit_above_cost", "0"),
    ("max_parallel_workers_per_gather", "4"),
    ("client_encoding", "LATIN1"),
];

/// Only superusers may set these for a role.
const BY_SUPERUSER: &[(&str, &str)] = &[
    ("lc_messages", "C"),
    ("log_statement", "none"),
    ("session_preload_libraries", "auto_explain"),
    ("log_min_messages", "error"),
];

async fn cluster(version: u16) -> Cluster {
    let cluster = Cluster::builder(version).with_statements().start().await.unwrap();
    let newer: &[(&str, &str)] = match version {
        17.. => &[("transaction_timeout", "1s"), ("stats_fetch_consistency", "snapshot")],
        15.. => &[("stats_fetch_consistency", "snapshot")],
        _ => &[],
    };
    // One session, begun before: the settings hold for those that come later.
    let client = cluster.client("postgres").await.unwrap();
    let evil = "create schema evil; create function evil.now() returns text language sql as $$ select 'never' $$";
    client.batch_execute(evil).await.unwrap();
    for (name, value) in HOSTILE.iter().chain(BY_SUPERUSER).chain(newer) {
        // A list of schemas is a list, not a name with a comma.
        let value = if *name == "search_path" { (*value).to_owned() } else { format!("'{value}'") };
        for whose in ["role monitor", "database postgres"] {
            client.batch_execute(&format!("alter {whose} set {name} = {value}")).await.unwrap();
        }
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_role_or_a_database_break_no_session() {
    for version in versions() {
        let cluster = cluster(version).await;
        let mut watch = Watch::with(config(&cluster.monitor_url("postgres")), everything());
        for round in 0..2 {
            let collected = watch.visit().await;
            let failed: Vec<_> = collected
                .reports
                .iter()
                .filter(|report| matches!(report.outcome, Outcome::Failed { .. }))
                .map(|report| format!("{report:?}"))
                .collect();
            assert_eq!(failed, Vec::<String>::new(), "{version}, round {round}");
            // Longer than an idle session may live.
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        let errors: Vec<_> =
            cluster.errors_in_log().unwrap().into_iter().filter(|line| line.contains("monitor@")).collect();
        assert_eq!(errors, Vec::<String>::new(), "{version}: no session was ended");

        let shown = own(
            "name = 'app_text'\nscope = 'cluster'\n[[query]]\nsql = \"\"\"select current_setting('datestyle') || '|' ||
             current_setting('intervalstyle') || '|' || current_setting('timezone') || '|' ||
             (interval '1 day 2 hours')::text as n\"\"\"\n[[column]]\nname = 'n'\nkind = 'info'\ntype = 'text'\n",
        );
        let mut watch = Watch::with(config(&cluster.monitor_url("postgres")), vec![shown]);
        let collected = watch.visit().await;
        assert_eq!(
            text(batch(&collected, "app_text"), 0, "n"),
            Some("ISO, YMD|postgres|UTC|1 day 02:00:00"),
            "{version}"
        );
    }
}
