//! Nobody sees what belongs to another tenant, whatever is asked.

use std::sync::Arc;

use pganalytics_core::{CounterFamily, Epoch, ScrapeKind, Value};

use super::fixture::{Feed, answer, options, rows, schema, source, tenant};
use crate::{StoreError, memory::MemoryStore, sql::SqlError};

/// Two tenants with measurements of one name and of names of their own; one
/// collector id, one server.
async fn two_tenants() -> [Feed; 2] {
    let store = MemoryStore::new(options()).unwrap();
    let columns = [("id", "key:int"), ("calls", "counter:int"), ("note", "info:text")];
    let shared = Arc::new(schema("shared", CounterFamily::Cumulative, &columns));
    let mut feeds = [1, 2].map(|owner| Feed::into(store.clone(), tenant(owner), 7, source("db1", Some("app"))));
    for (feed, (own, secret)) in feeds.iter_mut().zip([("payroll", "ours"), ("invoices", "theirs")]) {
        let own = Arc::new(schema(own, CounterFamily::Cumulative, &columns));
        for (minute, kind) in [(1, ScrapeKind::Keyframe), (2, ScrapeKind::Delta)] {
            let row = vec![Value::Int(1), Value::Int(minute), Value::Text(secret)];
            feed.scrape(&shared, minute, kind, Epoch::default(), std::slice::from_ref(&row)).await;
            feed.scrape(&own, minute, kind, Epoch::default(), &[row]).await;
        }
    }
    feeds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_name_holds_ones_own_rows() {
    let [ours, theirs] = two_tenants().await;
    for (feed, secret) in [(ours, "ours"), (theirs, "theirs")] {
        for table in ["shared", "shared_delta", "shared_latest", "public.shared", "pganalytics.public.shared"] {
            for sql in [
                format!("SELECT DISTINCT note FROM {table}"),
                format!("SELECT DISTINCT note FROM {table} WHERE note = 'ours' OR note = 'theirs' OR true"),
                format!("SELECT max(note) FROM (SELECT * FROM {table}) AS t WHERE server = 'db1'"),
                format!("WITH t AS (SELECT * FROM {table}) SELECT max(a.note) FROM t a JOIN t b ON a.id = b.id"),
            ] {
                assert_eq!(feed.ask(&sql).await, [[serde_json::json!(secret)]], "{sql}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_tables_are_not_there() {
    let [ours, _] = two_tenants().await;
    for table in ["invoices", "invoices_delta", "invoices_latest", "\"invoices\"", "public.invoices"] {
        let error = ours.refusal(&format!("SELECT * FROM {table}")).await;
        assert!(matches!(&error, StoreError::Sql(SqlError::UnknownTable { .. })), "{error}");
        assert!(!error.to_string().contains("there is:"), "a hint tells of it: {error}");
    }
    // A slip of the own table's name gets a hint, of the other's none.
    let hint = ours.refusal("SELECT * FROM payrol").await.to_string();
    assert!(hint.contains("payroll"), "{hint}");
    let hint = ours.refusal("SELECT * FROM invoice").await.to_string();
    assert!(!hint.contains("invoices"), "{hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_tables_and_settings_tell_nothing_of_others() {
    let [ours, theirs] = two_tenants().await;
    for sql in [
        "SHOW TABLES",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM information_schema.views",
        "SELECT * FROM information_schema.schemata",
        "SELECT * FROM information_schema.df_settings",
        "SELECT * FROM information_schema.routines",
        "EXPLAIN SELECT * FROM shared",
        "EXPLAIN ANALYZE SELECT * FROM shared",
        "EXPLAIN VERBOSE SELECT * FROM shared WHERE note = 'x'",
        "SHOW ALL",
    ] {
        let Ok(answer) = answer(&ours.store, ours.origin.tenant, sql).await else { continue };
        let text = format!("{:?}", rows(&answer));
        for secret in ["invoices", "theirs", &theirs.origin.tenant.to_string()] {
            assert!(!text.contains(secret), "{sql} tells of {secret:?}: {text}");
        }
    }
    let tables = ours.ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'").await;
    // Three of each measurement, those of gaps and of streams.
    assert_eq!(tables.len(), 2 * 3 + 2, "{tables:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_samples_has_no_tables() {
    let [ours, _] = two_tenants().await;
    let error = answer(&ours.store, tenant(3), "SELECT * FROM shared").await.unwrap_err();
    assert!(matches!(error, StoreError::Sql(SqlError::UnknownTable { .. })), "{error}");
}
