//! What the JSON format promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;
use crate::{
    batch::{Batch, ScrapeKind},
    epoch::CounterFamily,
    id::{InstanceId, MeasurementName, ServerId},
    schema::{Column, ColumnKind, ColumnType, Schema},
    source::Source,
    testing::{batches, same_batch},
    time::Timestamp,
    value::Value,
};

fn defaults() -> Defaults {
    let server_id = ServerId::of_cluster(7);
    let instance_id = InstanceId::of_address(server_id, "h:5432");
    let source = Source { server_id, instance_id, server: "main".into(), database: Some("shop".into()) };
    Defaults { source, received_at: Timestamp::from_secs(1_769_860_800) }
}

fn known(name: &str) -> Option<Arc<Schema>> {
    let columns = vec![
        Column::new("relname", ColumnKind::Key, ColumnType::Text),
        Column::new("seq_scan", ColumnKind::Counter, ColumnType::Int),
        Column::new("ratio", ColumnKind::Gauge, ColumnType::Float),
        Column::new("last_vacuum", ColumnKind::Info, ColumnType::Timestamp),
    ];
    let schema = || Schema::new(MeasurementName::new("m_known").unwrap(), CounterFamily::Cumulative, columns).unwrap();
    (name == "m_known").then(|| Arc::new(schema()))
}

fn parse(document: &[u8]) -> Result<PushDocument, JsonError> {
    PushDocument::parse(document, &JsonLimits::default(), &known, &defaults())
}

fn metric(metric: &serde_json::Value) -> Result<Batch, MetricError> {
    let document = json!({"collector_id": "col_001", "metrics": [metric]}).to_string();
    parse(document.as_bytes()).unwrap().metrics.remove(0).batch
}

fn refused(value: &serde_json::Value) -> (&'static str, String) {
    let error = metric(value).unwrap_err();
    (error.code, error.message)
}

proptest! {
    #[test]
    fn any_batch_comes_back(batches in vec(batches(), 1..3)) {
        let document = parse(push_document("col_001", &batches).as_bytes()).unwrap();
        prop_assert_eq!(document.collector_id.as_deref(), Some("col_001"));
        prop_assert_eq!(document.metrics.len(), batches.len());
        for (read, batch) in document.metrics.iter().zip(&batches) {
            let read = read.batch.as_ref().unwrap();
            prop_assert!(same_batch(read, batch), "{:?}\n{:?}", read, batch);
        }
    }

    #[test]
    fn foreign_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..100)) {
        prop_assert!(parse(&bytes).is_err());
    }

    #[test]
    fn changed_documents_do_no_harm(batch in batches(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut document = push_document("c", &[batch]).into_bytes();
        for (at, byte) in changes {
            let at = at.index(document.len());
            document[at] = byte;
        }
        let _ = parse(&document);
    }

    #[test]
    fn foreign_documents_do_no_harm(document in documents(4)) {
        let _ = parse(document.to_string().as_bytes());
        let _ = parse(json!({"metrics": document}).to_string().as_bytes());
        let _ = parse(json!({"metrics": [{"type": "m", "rows": document}]}).to_string().as_bytes());
    }
}

/// Any JSON, with the names that metrics use.
fn documents(depth: u32) -> BoxedStrategy<serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        "[a-z:0-9]{0,8}".prop_map(|value| json!(value)),
    ];
    let names =
        proptest::sample::select(vec!["type", "rows", "columns", "gone", "kind", "a", "b", "epoch", "interval"]);
    leaf.prop_recursive(depth, 40, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            vec((names.clone(), inner), 0..5)
                .prop_map(|fields| { fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }),
        ]
    })
    .boxed()
}

#[test]
fn a_known_measurement_needs_no_schema() {
    let batch = metric(&json!({"type": "m_known", "rows": [
        {"relname": "orders", "seq_scan": 17, "ratio": "NaN"},
        {"relname": "carts", "seq_scan": 3.0, "ratio": 1, "last_vacuum": "2026-01-31T12:00:00.5Z"},
        ["ledger", null, 0.5, null],
    ]}))
    .unwrap();
    assert_eq!(batch.schema, known("m_known").unwrap());
    assert_eq!((batch.rows.len(), batch.scrape.kind), (3, ScrapeKind::Delta));
    assert!(matches!(batch.rows.get(0, 2), Value::Float(value) if value.is_nan()));
    assert_eq!(batch.rows.get(1, 1), Value::Int(3));
    assert_eq!(batch.rows.get(1, 2), Value::Float(1.0));
    assert_eq!(batch.rows.get(1, 3), Value::Timestamp(1_769_860_800_500_000));
    assert_eq!(batch.rows.get(2, 1), Value::Null);
    assert_eq!((batch.source, batch.scrape.collected_at), (defaults().source, defaults().received_at));
}

#[test]
fn an_unknown_measurement_gets_the_types_of_its_values() {
    let batch = metric(&json!({"type": "app_queue", "queue": "mail", "waiting": 3, "age": 1.5, "paused": false,
        "since": "2026-01-31T12:00:00Z"}))
    .unwrap();
    let columns: Vec<_> = batch.schema.columns().iter().map(|c| (c.name.as_str(), c.kind, c.ty)).collect();
    assert_eq!(
        columns,
        [
            ("age", ColumnKind::Gauge, ColumnType::Float),
            ("paused", ColumnKind::Gauge, ColumnType::Bool),
            ("queue", ColumnKind::Key, ColumnType::Text),
            ("since", ColumnKind::Info, ColumnType::Timestamp),
            ("waiting", ColumnKind::Gauge, ColumnType::Int),
        ]
    );
}

#[test]
fn a_bad_metric_rejects_itself_and_not_its_neighbours() {
    let document = json!({"timestamp": "2026-01-01T00:00:00Z", "metrics": [
        {"type": "a", "x": 1}, {"x": 1}, {"type": "B"}, 7, {"type": "a", "x": {"deep": 1}}, {"type": "a", "x": 2},
    ]});
    let document = parse(document.to_string().as_bytes()).unwrap();
    let codes: Vec<_> = document
        .metrics
        .iter()
        .map(|metric| metric.batch.as_ref().map_err(|error| (error.index, error.code)).err())
        .collect();
    let expected =
        [None, Some((1, "bad_type")), Some((2, "bad_type")), Some((3, "bad_metric")), Some((4, "bad_value")), None];
    assert_eq!(codes, expected);
    let batch = document.metrics[5].batch.as_ref().unwrap();
    assert_eq!(batch.scrape.collected_at.to_string(), "2026-01-01T00:00:00Z");
}

#[test]
fn a_text_among_numbers_is_no_key() {
    let was_number = |name: &MeasurementName, column: &str| (name.as_str(), column) == ("a", "v");
    let columns = |metric: serde_json::Value| {
        let document = json!({"metrics": [metric]}).to_string();
        let limits = JsonLimits::default();
        let read = PushDocument::parse_knowing(document.as_bytes(), &limits, &|_| None, &was_number, &defaults());
        let batch = read.unwrap().metrics.remove(0).batch.unwrap();
        let columns = batch.schema.columns().iter().map(|column| (column.name.clone(), column.kind, column.ty));
        (
            columns.collect::<Vec<_>>(),
            (0..batch.rows.len()).map(|row| format!("{:?}", batch.rows.get(row, 1))).collect(),
        )
    };
    let of = |kind, ty| vec![("k".to_owned(), ColumnKind::Key, ColumnType::Text), ("v".to_owned(), kind, ty)];
    let shown = |values: &[Value<'_>]| values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>();
    // Once it was numbers, it is no key.
    let of_a = columns(json!({"type": "a", "k": "x", "v": "n/a"}));
    assert_eq!(of_a, (of(ColumnKind::Info, ColumnType::Text), shown(&[Value::Text("n/a")])));
    let of_b = columns(json!({"type": "b", "k": "x", "v": "n/a"}));
    assert_eq!(of_b, (of(ColumnKind::Key, ColumnType::Text), shown(&[Value::Text("n/a")])));
    // Nor is it beside numbers, which keep their values.
    let rows = [json!(1), json!("n/a"), json!(0.1), json!("2026-01-31T12:00:00Z"), json!(null)];
    let rows: Vec<_> = rows.iter().map(|v| json!({"k": v.to_string(), "v": v})).collect();
    let texts =
        [Value::Text("1"), Value::Text("n/a"), Value::Text("0.1"), Value::Text("2026-01-31T12:00:00Z"), Value::Null];
    assert_eq!(columns(json!({"type": "b", "rows": rows})), (of(ColumnKind::Info, ColumnType::Text), shown(&texts)));
}

#[test]
fn errors_name_what_is_wrong_and_where() {
    let row = |row: serde_json::Value| json!({"type": "m_known", "rows": [{"relname": "a"}, row]});
    let cases = [
        (row(json!({"relname": "a", "seq_scan": 1.5})), "bad_value", "row 1, column seq_scan"),
        (row(json!({"relname": 7})), "bad_value", "row 1, column relname: the number does not fit type text"),
        (row(json!({"last_vacuum": "soon"})), "bad_value", "no RFC 3339 time"),
        (row(json!({"no_such": 1})), "unknown_column", "row 1: m_known has no column \"no_such\""),
        (row(json!(["a", 1])), "bad_rows", "row 1: 2 values, 4 columns"),
        (row(json!({"seq_scan": 9_300_000_000_000_000_000_u64})), "bad_value", "seq_scan"),
        (json!({"type": "a"}), "no_rows", "rows"),
        (json!({"type": "a", "rows": [], "x": 1}), "unknown_field", "\"x\""),
        (json!({"type": "a", "rows": []}), "bad_columns", "not known"),
        (json!({"type": "a", "rows": [[1]]}), "bad_columns", "\"columns\""),
        (json!({"type": "a", "x": null}), "bad_columns", "always null"),
        (json!({"type": "a", "rows": [{"x": 1}, {"x": true}]}), "bad_columns", "different types"),
        (json!({"type": "a", "Bad Name": 1}), "bad_columns", "Bad Name"),
        (json!({"type": "a", "x": 1, "timestamp": "noon"}), "bad_timestamp", "RFC 3339"),
        (json!({"type": "a", "x": 1, "interval": "soon"}), "bad_interval", "\"60s\""),
        (json!({"type": "a", "x": 1, "kind": "full"}), "bad_kind", "keyframe"),
        (json!({"type": "a", "x": 1, "gone": [1]}), "bad_gone", "there is no row 1"),
        (json!({"type": "a", "x": 1, "server_id": "x"}), "bad_source", "UUID"),
    ];
    for (value, code, part) in cases {
        let (given, message) = refused(&value);
        assert_eq!(given, code, "{value}: {message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn errors_do_not_repeat_what_they_were_given_at_any_length() {
    let long = "ä".repeat(100_000);
    for value in [
        json!({"type": long}),
        json!({"type": "a", "x": 1, "kind": long}),
        json!({"type": "a", "x": 1, "interval": long}),
        json!({"type": "a", "x": 1, "server_id": long}),
        json!({"type": "a", "x": 1, "timestamp": long}),
        json!({"type": "a", "rows": [], &long: 1}),
        json!({"type": "a", &long: 1}),
        json!({"type": "a", &long: [1]}),
        json!({"type": "m_known", "rows": [{&long: 1}]}),
        json!({"type": "m_known", "rows": [{"seq_scan": long}]}),
        json!({"type": "a", "rows": [], "columns": [{"name": long, "kind": "key", "type": "int"}]}),
    ] {
        let (code, message) = refused(&value);
        assert!(message.len() < 500, "{code}: {} bytes", message.len());
    }
    let error = parse(json!({"metrics": [], "timestamp": long}).to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().len() < 500);
    let error = parse(json!({"metrics": long}).to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().len() < 500);
}

#[test]
fn a_column_may_be_said_to_be_derived() {
    let column = |kind: &str| json!({"name": "idx_scan", "kind": kind, "type": "int", "derived": true});
    let given = |kind: &str| json!({"type": "a", "rows": [[1]], "columns": [column(kind)], "family": "cumulative"});
    assert_eq!(metric(&given("counter")).unwrap().schema.derived(), [0]);
    assert_eq!(refused(&given("gauge")).0, "bad_columns");
}

#[test]
fn a_document_that_is_none_is_refused_as_a_whole() {
    assert_eq!(parse(b"{").unwrap_err().code(), "bad_json");
    assert_eq!(parse(b"[]").unwrap_err().code(), "bad_document");
    assert_eq!(parse(b"{\"metrics\": {}}").unwrap_err().code(), "bad_document");
    assert_eq!(parse(b"{\"metrics\": [], \"timestamp\": \"x\"}").unwrap_err().code(), "bad_document");
    assert!(parse(b"{\"collector_id\": \"col_001\", \"metrics\": []}").unwrap().metrics.is_empty());
    let deep = "[".repeat(65) + &"]".repeat(65);
    assert_eq!(parse(deep.as_bytes()).unwrap_err().code(), "document_too_large");
    let many = json!({"metrics": vec![7; 1001]}).to_string();
    assert_eq!(parse(many.as_bytes()).unwrap_err().code(), "document_too_large");
}

#[test]
fn limits_hold_for_values_and_texts() {
    let limits = JsonLimits { max_values: 5, max_text_bytes: 4, ..JsonLimits::default() };
    let read = |value: serde_json::Value| {
        let document = json!({"metrics": [value]}).to_string();
        let mut document = PushDocument::parse(document.as_bytes(), &limits, &known, &defaults()).unwrap();
        document.metrics.remove(0).batch.map_err(|error| error.code)
    };
    assert_eq!(read(json!({"type": "m_known", "rows": [["a", 1, 1, null]]})).unwrap().rows.len(), 1);
    let two = json!({"type": "m_known", "rows": [["a", 1, 1, null], ["b", 1, 1, null]]});
    assert_eq!(read(two).unwrap_err(), "too_large");
    assert_eq!(read(json!({"type": "m_known", "rows": [["abcde", 1, 1, null]]})).unwrap_err(), "too_large");
}

#[test]
fn a_server_that_is_only_named_gets_an_id_within_the_collector() {
    let at = |server: &str| metric(&json!({"type": "a", "x": 1, "server": server, "database": null})).unwrap().source;
    assert_eq!(at("main").server_id, defaults().source.server_id);
    assert_eq!(at("main").database, None);
    assert_ne!(at("other").server_id, defaults().source.server_id);
    assert_eq!(at("other"), at("other"));
}

#[test]
fn intervals_are_read_in_every_unit() {
    for (text, micros) in [
        (json!("60s"), 60_000_000),
        (json!("500ms"), 500_000),
        (json!("7us"), 7),
        (json!("5m"), 300_000_000),
        (json!("1h"), 3_600_000_000_u64),
        (json!(1.5), 1_500_000),
        (json!(60), 60_000_000),
    ] {
        let batch = metric(&json!({"type": "a", "x": 1, "interval": text})).unwrap();
        assert_eq!(batch.scrape.interval_micros, micros, "{text}");
    }
}
