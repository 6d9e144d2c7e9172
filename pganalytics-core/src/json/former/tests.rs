#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value as Json, json};

use crate::{
    batch::{Batch, ScrapeKind},
    catalog::Catalog,
    id::{InstanceId, ServerId},
    json::{Defaults, JsonLimits, PushDocument},
    privacy::redact_sql,
    schema::Schema,
    source::Source,
    time::Timestamp,
    value::Value,
};

/// A push of such an agent, one document of each type.
const PUSH: &str = include_str!("push.json");

fn parse_with(document: &str, lookup: &dyn Fn(&str) -> Option<Arc<Schema>>) -> PushDocument {
    let server_id = ServerId::of_host("db1");
    let instance_id = InstanceId::of_address(server_id, "db1");
    let source = Source { server_id, instance_id, server: "db1".into(), database: None };
    let defaults = Defaults { source, received_at: Timestamp::from_secs(1_795_000_000) };
    PushDocument::parse(document.as_bytes(), &JsonLimits::default(), lookup, &defaults).unwrap()
}

fn parse(document: &str) -> PushDocument {
    parse_with(document, &|name| Catalog::builtin().get(name).map(|known| Arc::clone(known.schema())))
}

fn batches(document: &PushDocument) -> BTreeMap<String, Vec<&Batch>> {
    let mut all: BTreeMap<String, Vec<&Batch>> = BTreeMap::new();
    for metric in &document.metrics {
        let batch = metric.batch.as_ref().unwrap();
        all.entry(batch.schema.measurement().to_string()).or_default().push(batch);
    }
    all
}

/// A row by its columns; those without a value are left out.
fn row(batch: &Batch, at: usize) -> BTreeMap<&str, String> {
    let value = |(column, name): (usize, &'_ crate::schema::Column)| -> Option<(String, String)> {
        let text = match batch.rows.get(at, column) {
            Value::Null => return None,
            Value::Text(text) => text.to_owned(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Timestamp(micros) => Timestamp::from_micros(micros).to_string(),
        };
        Some((name.name.clone(), text))
    };
    let columns = batch.schema.columns();
    let values: Vec<_> = columns.iter().enumerate().filter_map(value).collect();
    let name = |name: &str| columns.iter().find(|column| column.name == name).unwrap().name.as_str();
    values.into_iter().map(|(column, text)| (name(&column), text)).collect()
}

fn metric(metric: &Json) -> PushDocument {
    parse(&json!({"version": "3.0.0", "metrics": [metric]}).to_string())
}

#[test]
fn what_means_the_same_is_kept_as_ours() {
    let document = parse(PUSH);
    assert_eq!(document.metric_count, 11);
    let all = batches(&document);
    let table = all["pg_stat_user_tables"][0];
    assert_eq!((table.source.database.as_deref(), table.rows.len()), (Some("mon"), 2));
    let plain = row(table, 0);
    assert_eq!(plain["relname"], "plain");
    assert_eq!((&*plain["n_live_tup"], &*plain["n_dead_tup"]), ("901", "99"));
    assert_eq!(plain["last_autoanalyze"], "2026-11-21T03:23:20.516959Z");
    assert!(!plain.contains_key("last_vacuum"), "it never was");
    assert_eq!(row(all["pg_table_size"][0], 0)["total_size"], "114688");
    let database = row(all["pg_stat_database"][0], 0);
    assert_eq!((&*database["datname"], &*database["xact_commit"]), ("mon", "7168"));
    assert_eq!(row(all["pg_database_size"][0], 0)["size"], "10141031");
    assert_eq!(row(all["pg_stat_user_indexes"][0], 1)["indexrelname"], "t26_pkey");
    assert_eq!(row(all["pg_index_size"][0], 0)["size"], "40960");
    let host = row(all["sysstat"][0], 0);
    assert_eq!((&*host["load1"], &*host["mem_total"]), ("4.4248046875", &*(24_105_i64 << 20).to_string()));
    assert_eq!(row(all["sysstat_disk"][0], 0)["read_bytes"], (10_297_834_i64 * 512).to_string());
    assert_eq!(row(all["disk_usage"][0], 0)["size"], (251_i64 << 30).to_string());
    let statement = row(all["pg_stat_statements"][0], 0);
    assert_eq!((&*statement["queryid"], &*statement["calls"]), ("-7679994021374951153", "897"));
    assert_eq!(statement["total_exec_time"], "14631.864791999995");
    assert!(row(all["pg_query_text"][0], 0)["query"].starts_with("SELECT schemaname, relname,"));
    let extensions: Vec<_> =
        all["pg_extension"].iter().map(|batch| batch.source.database.as_deref().unwrap()).collect();
    assert_eq!(extensions, ["mon", "postgres"]);
    assert_eq!(row(all["pg_extension"][0], 0)["extversion"], "1.10");
    // There are no slots and no standbys: that is known, not missing.
    for name in ["pg_replication_slots", "pg_stat_replication"] {
        assert_eq!((all[name][0].rows.len(), all[name][0].scrape.kind), (0, ScrapeKind::Keyframe), "{name}");
    }
    for batch in all.values().flatten() {
        assert!(batch.scrape.collected_at.to_string().starts_with("2026-11-21T03:38:2"));
    }
}

#[test]
fn what_is_not_ours_is_kept_apart() {
    let document = parse(PUSH);
    let all = batches(&document);
    assert_eq!(row(all["v3_pg_stats_indexes"][0], 0)["status"], "UNUSED");
    let cpu = row(all["v3_sysstat"][0], 0);
    assert_eq!((&*cpu["cpu_idle"], &*cpu["memory_used_mb"]), ("70.51402039290939", "1774"));
    assert_eq!(row(all["v3_pg_query_stats_queries"][0], 0)["mean_time"], "16.312000882943153");
    assert_eq!(row(all["v3_pg_schema_columns"][0], 0)["data_type"], "text");
    assert_eq!(row(all["v3_pg_bloat_table_bloat"][0], 0)["table_size"], "40 kB");
    let sessions = all["v3_pg_connections_connection_stats_by_state"][0];
    assert_eq!((&*row(sessions, 0)["state"], &*row(sessions, 0)["count"]), ("idle", "1"));
    assert_eq!(row(all["v3_pg_connections"][0], 0)["connection_stats_total_connections"], "10");
    assert_eq!(row(all["v3_pg_locks_active_locks"][0], 0)["mode"], "AccessShareLock");
    assert_eq!(row(all["v3_disk_usage_filesystems"][0], 0)["percent_used"], "6.210253426561671");
}

/// Every plain value of the push is in a batch, itself or as its column has it.
#[test]
fn no_value_is_left_out() {
    fn leaves(value: &Json, all: &mut Vec<String>) {
        match value {
            Json::Object(object) => {
                let about = ["type", "timestamp", "collector_id", "hostname"];
                object
                    .iter()
                    .filter(|(name, _)| !about.contains(&name.as_str()))
                    .for_each(|(_, value)| leaves(value, all));
            }
            Json::Array(values) => values.iter().for_each(|value| leaves(value, all)),
            Json::Null => {}
            Json::String(text) if text.is_empty() => {}
            Json::String(text) => all.push(text.clone()),
            other => all.push(other.to_string()),
        }
    }
    let document = parse(PUSH);
    let mut kept: Vec<String> = Vec::new();
    for batch in batches(&document).values().flatten() {
        kept.extend(batch.source.database.as_deref().map(str::to_owned));
        kept.extend((0..batch.rows.len()).flat_map(|at| row(batch, at).into_values()));
    }
    let is_kept = |leaf: &String| {
        let number = leaf.parse::<f64>().ok();
        let as_time = format!("{}:00", leaf.replacen(' ', "T", 1));
        kept.iter().any(|value| {
            value == leaf
                || *value == redact_sql(leaf)
                || as_time.parse::<Timestamp>().is_ok_and(|time| time.to_string() == *value)
                || number.zip(value.parse::<f64>().ok()).is_some_and(|(number, value)| {
                    [1.0, 512.0, 1_048_576.0, 1_073_741_824.0, 1e-3]
                        .iter()
                        .any(|factor| (number * factor - value).abs() < 1e-9)
                })
        })
    };
    let push: Json = serde_json::from_str(PUSH).unwrap();
    let mut all = Vec::new();
    leaves(&push["metrics"], &mut all);
    assert!(all.len() > 250, "{}", all.len());
    let lost: Vec<_> = all.iter().filter(|leaf| !is_kept(leaf)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn statements_lose_their_literals() {
    let secret = "c4n4ry";
    let query = format!("select * from people where name = '{secret}' and pin = 4711");
    let session = json!({"pid": 1, "query": query, "blocked_query": query, "blocking_query": query});
    let document = parse(
        &json!({"metrics": [
            {"type": "pg_locks", "databases": {"shop": {"active_locks": [session], "lock_wait_chains": [session]}}},
            {"type": "pg_connections", "databases": {"shop": {"idle_transactions": [session]}}},
            {"type": "pg_query_stats", "database": "shop", "queries": [{"hash": 1, "text": query}]},
            {"type": "pg_log", "entries": [{"level": "ERROR", "message": format!("no '{secret}'"), "query": query}]},
        ]})
        .to_string(),
    );
    let all = batches(&document);
    let mut texts = 0;
    for batch in all.values().flatten() {
        for at in 0..batch.rows.len() {
            for (column, text) in row(batch, at) {
                assert!(!text.contains(secret) && !text.contains("4711"), "{column}: {text}");
                texts += usize::from(text.starts_with("select * from people"));
            }
        }
    }
    assert_eq!(texts, 11);
}

#[test]
fn replicas_slots_and_wal() {
    let document = metric(&json!({
        "type": "pg_replication", "timestamp": "2026-11-21T03:38:23Z",
        "wal_status": {"total_segments": 3, "current_wal_size_mb": 48, "growth_rate_mb_per_hour": 1.5},
        "replication_slots": [{"slot_name": "s", "active": true, "restart_lsn": "1/10", "backend_pid": 7, "wal_retained_mb": 9}],
        "replication_status": [{"server_pid": 8, "application_name": "r1", "client_addr": "10.0.0.1", "state": "streaming",
            "replay_lsn": "0/FF", "replay_lag_ms": 1500, "backend_start": "2026-11-21 03:00:00+00", "behind_by_mb": 2}],
        "wraparound_risk": [{"database": "shop", "at_risk": false, "oldest_table_age": 12}],
        "collection_errors": ["Failed to collect WAL status"],
    }));
    let all = batches(&document);
    assert_eq!(
        (&*row(all["pg_wal"][0], 0)["segments"], &*row(all["pg_wal"][0], 0)["segments_size"]),
        ("3", "50331648")
    );
    assert_eq!(row(all["pg_replication_slots"][0], 0)["restart_lsn"], ((1_i64 << 32) + 16).to_string());
    let standby = row(all["pg_stat_replication"][0], 0);
    assert_eq!((&*standby["replay_lag"], &*standby["replay_lsn"]), ("1.5", "255"));
    assert_eq!(row(all["v3_pg_replication_wraparound_risk"][0], 0)["oldest_table_age"], "12");
    assert_eq!(row(all["v3_pg_replication_collection_errors"][0], 0)["value"], "Failed to collect WAL status");
    assert_eq!(row(all["v3_pg_replication_replication_slots"][0], 0)["wal_retained_mb"], "9");
    assert_eq!(row(all["v3_pg_replication"][0], 0)["wal_status_growth_rate_mb_per_hour"], "1.5");
}

#[test]
fn one_statement_of_two_users_is_counted_together() {
    let document = metric(&json!({"type": "pg_query_stats", "database": "shop", "queries": [
        {"hash": 5, "calls": 3, "total_time": 1.5, "max_time": 1.0}, {"hash": 5, "calls": 4, "total_time": 2.0, "max_time": 2.0},
    ]}));
    let all = batches(&document);
    let statements = all["pg_stat_statements"][0];
    assert_eq!(statements.rows.len(), 1);
    assert_eq!((&*row(statements, 0)["calls"], &*row(statements, 0)["total_exec_time"]), ("7", "3.5"));
}

#[test]
fn what_is_of_another_kind_than_expected_is_kept_apart_and_not_lost() {
    let document = metric(&json!({"type": "pg_stats", "database": "shop", "tables": [
        {"schema": "public", "name": "t", "last_vacuum": "yesterday", "live_tuples": 7, "über": {"a": [1]}, "1st": 18_446_744_073_709_551_615_u64},
    ]}));
    let all = batches(&document);
    let rest = row(all["v3_pg_stats_tables"][0], 0);
    assert_eq!((&*rest["last_vacuum"], &*rest["_ber"]), ("yesterday", "{\"a\":[1]}"));
    assert_eq!(rest["_1st"], "18446744073709552000");
    assert_eq!(row(all["pg_stat_user_tables"][0], 0)["n_live_tup"], "7");
}

#[test]
fn a_bad_part_leaves_the_others() {
    // A number where a table has its name, and a counter that is none.
    let document = metric(&json!({"type": "pg_stats", "database": "shop",
        "transactions_committed": "many", "tables": [{"schema": "public", "name": "t", "live_tuples": 1}]}));
    let (good, bad): (Vec<_>, Vec<_>) = document.metrics.iter().partition(|metric| metric.batch.is_ok());
    assert_eq!((good.len(), bad.len()), (1, 1), "{good:?} {bad:?}");
    let error = bad[0].batch.as_ref().unwrap_err();
    assert!(error.index == 0 && error.message.contains("xact_commit"), "{error}");
}

#[test]
fn ours_and_the_unknown_are_read_as_ever() {
    let document = parse(
        &json!({"metrics": [
            {"type": "sysstat", "rows": [{"load1": 0.5}]},
            {"type": "pg_log", "entries": []},
            {"type": "app_queue", "tags": {"a": 1}},
            {"type": "pg_locks", "error": "libpq not available"},
        ]})
        .to_string(),
    );
    let told: Vec<_> = document
        .metrics
        .iter()
        .map(|metric| (metric.index, metric.batch.as_ref().err().map(|error| error.code)))
        .collect();
    assert_eq!(told[..2], [(0, None), (2, Some("bad_value"))]);
    assert_eq!((document.metric_count, told.len()), (4, 3), "an empty log is nothing");
}

#[test]
fn a_catalog_without_the_measurement_loses_nothing() {
    let document = parse_with(PUSH, &|_| None);
    let all = batches(&document);
    assert!(all.keys().all(|name| name.starts_with("v3_")));
    assert_eq!(row(all["v3_pg_stats_tables"][0], 0)["live_tuples"], "901");
}

#[test]
fn a_document_does_not_become_endless_metrics() {
    let databases: serde_json::Map<String, Json> =
        (0..3_000).map(|number| (format!("d{number}"), json!({"extensions": [{"name": "x"}]}))).collect();
    let document = metric(&json!({"type": "pg_extensions", "databases": databases}));
    assert!(document.metrics.len() <= 1_001);
    assert_eq!(document.metrics.last().unwrap().batch.as_ref().unwrap_err().code, "too_large");
}
