#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pganalytics_core::{
    Column, ColumnType, CounterFamily, Epoch, InstanceId, RowsBuilder, Schema, Scrape, ScrapeClock, ServerId, Timestamp,
};
use proptest::prelude::*;

use super::*;

type Key = (Option<i64>, String);
type Row = (Option<i64>, u64, Option<bool>, String);
type Table = BTreeMap<Key, Row>;

fn schema(family: CounterFamily) -> Arc<Schema> {
    let columns = [
        ("id", ColumnKind::Key, ColumnType::Int),
        ("name", ColumnKind::Key, ColumnType::Text),
        ("count", ColumnKind::Counter, ColumnType::Int),
        ("share", ColumnKind::Gauge, ColumnType::Float),
        ("flag", ColumnKind::Gauge, ColumnType::Bool),
        ("note", ColumnKind::Info, ColumnType::Text),
    ];
    let columns = columns.into_iter().map(|(name, kind, ty)| Column::new(name, kind, ty)).collect();
    Arc::new(Schema::new(MeasurementName::new("orders").unwrap(), family, columns).unwrap())
}

fn source(database: &str) -> Source {
    let server_id = ServerId::of_cluster(1);
    Source {
        server_id,
        instance_id: InstanceId::of_address(server_id, "here"),
        server: "main".into(),
        database: Some(database.into()),
    }
}

fn rows(schema: &Schema, rows: &[(Key, Row)]) -> Rows {
    let mut builder = RowsBuilder::new(schema);
    for ((id, name), (count, share, flag, note)) in rows {
        builder
            .push(&[
                id.map_or(Value::Null, Value::Int),
                Value::Text(name),
                count.map_or(Value::Null, Value::Int),
                Value::Float(f64::from_bits(*share)),
                flag.map_or(Value::Null, Value::Bool),
                Value::Text(note),
            ])
            .unwrap();
    }
    builder.finish()
}

fn batch(schema: &Arc<Schema>, table: &[(Key, Row)], epoch: Epoch) -> Batch {
    let scrape = Scrape {
        collected_at: Timestamp::from_secs(1),
        interval_micros: 60_000_000,
        kind: ScrapeKind::Keyframe,
        epoch,
        clock: ScrapeClock::default(),
    };
    Batch { schema: Arc::clone(schema), source: source("app"), scrape, rows: rows(schema, table) }
}

/// What a reader does.
fn expand(table: &mut Table, batch: &Batch) {
    if batch.scrape.kind == ScrapeKind::Keyframe {
        table.clear();
    }
    for row in 0..batch.rows.len() {
        let get = |column| batch.rows.get(row, column);
        let text = |column| match get(column) {
            Value::Text(text) => text.to_owned(),
            _ => String::new(),
        };
        let int = |column| match get(column) {
            Value::Int(value) => Some(value),
            _ => None,
        };
        let key = (int(0), text(1));
        if batch.rows.is_gone(row) {
            assert!(table.remove(&key).is_some(), "only what was there can go");
            continue;
        }
        let Value::Float(share) = get(3) else { panic!("share is never NULL") };
        let flag = match get(4) {
            Value::Bool(flag) => Some(flag),
            _ => None,
        };
        table.insert(key, (int(2), share.to_bits(), flag, text(5)));
    }
}

fn row(count: i64) -> Row {
    (Some(count), 0, None, String::new())
}

fn key(id: i64) -> Key {
    (Some(id), "t".to_owned())
}

#[test]
fn an_idle_table_costs_an_empty_delta() {
    let (schema, now) = (schema(CounterFamily::None), Instant::now());
    let mut filter = ChangeFilter::new();
    let table = [(key(1), row(1)), (key(2), row(2))];
    let first = filter.apply(batch(&schema, &table, Epoch::default()), now).unwrap().batch;
    assert_eq!((first.scrape.kind, first.rows.len()), (ScrapeKind::Keyframe, 2));
    let second = filter.apply(batch(&schema, &table, Epoch::default()), now).unwrap().batch;
    assert_eq!((second.scrape.kind, second.rows.len()), (ScrapeKind::Delta, 0));
}

#[test]
fn a_keyframe_comes_after_loss_after_schema_change_and_when_counters_began_anew() {
    let (host, now) = (schema(CounterFamily::Host), Instant::now());
    let table = [(key(1), row(1))];
    let booted = |secs| Epoch { stamp: Some(Timestamp::from_secs(secs)), ..Epoch::default() };
    let mut filter = ChangeFilter::new();
    let kind = |filter: &mut ChangeFilter, schema: &Arc<Schema>, epoch| {
        filter.apply(batch(schema, &table, epoch), now).unwrap().batch.scrape.kind
    };
    assert_eq!(kind(&mut filter, &host, booted(1)), ScrapeKind::Keyframe);
    assert_eq!(kind(&mut filter, &host, booted(1)), ScrapeKind::Delta);
    assert_eq!(kind(&mut filter, &host, booted(2)), ScrapeKind::Keyframe);
    assert_eq!(kind(&mut filter, &host, booted(2)), ScrapeKind::Delta);
    filter.force_keyframe();
    assert_eq!(kind(&mut filter, &host, booted(2)), ScrapeKind::Keyframe);
    assert_eq!(kind(&mut filter, &schema(CounterFamily::None), booted(2)), ScrapeKind::Keyframe);
}

#[test]
fn a_keyframe_comes_where_counters_may_have_begun_anew() {
    let (cumulative, now) = (schema(CounterFamily::Cumulative), Instant::now());
    let table = [(key(1), row(1))];
    let mut filter = ChangeFilter::new();
    let mut kind = |stamp, started| {
        let at = |secs| Some(Timestamp::from_secs(secs));
        let epoch = Epoch { stamp: at(stamp), started: at(started), ..Epoch::default() };
        filter.apply(batch(&cumulative, &table, epoch), now).unwrap().batch.scrape.kind
    };
    assert_eq!(kind(1, 1), ScrapeKind::Keyframe);
    assert_eq!(kind(1, 50), ScrapeKind::Delta, "a clean restart");
    assert_eq!(kind(60, 90), ScrapeKind::Keyframe, "a reset and a restart, or a crash between them");
}

#[test]
fn keyframes_come_at_least_every_period() {
    for (interval, period) in [(1, 600), (10, 600), (30, 1800), (60, 3600), (300, 3600), (86_400, 3600)] {
        assert_eq!(keyframe_period(Duration::from_secs(interval)), Duration::from_secs(period));
    }
    let (schema, start) = (schema(CounterFamily::None), Instant::now());
    let mut filter = ChangeFilter::new();
    let mut keyframes = Vec::new();
    for minute in 0..600_u64 {
        let now = start + Duration::from_secs(60 * minute);
        let made = filter.apply(batch(&schema, &[(key(1), row(1))], Epoch::default()), now).unwrap().batch;
        if made.scrape.kind == ScrapeKind::Keyframe {
            keyframes.push(minute);
        }
    }
    let pauses: Vec<u64> = keyframes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((30..=60).contains(&pauses[0]) && pauses[1..].iter().all(|&pause| pause == 60), "{keyframes:?}");
}

#[test]
fn of_duplicate_keys_the_last_counts() {
    let (schema, now) = (schema(CounterFamily::None), Instant::now());
    let mut filter = ChangeFilter::new();
    for kind in [ScrapeKind::Keyframe, ScrapeKind::Delta] {
        let table = [(key(1), row(1)), (key(2), row(2)), (key(1), row(3)), (key(1), row(4))];
        let made = filter.apply(batch(&schema, &table, Epoch::default()), now).unwrap();
        assert_eq!((made.batch.scrape.kind, made.duplicates), (kind, 2));
        if kind == ScrapeKind::Keyframe {
            assert_eq!(made.batch.rows, rows(&schema, &[(key(2), row(2)), (key(1), row(4))]));
        } else {
            assert!(made.batch.rows.is_empty());
        }
    }
}

#[test]
fn facts_pass_as_they_are() {
    let now = Instant::now();
    let schema = Arc::new(Schema::clone(&schema(CounterFamily::None)).with_presence(Presence::Append));
    let mut filter = ChangeFilter::new();
    for _ in 0..3 {
        let given = batch(&schema, &[(key(1), row(1)), (key(1), row(1))], Epoch::default());
        assert_eq!(filter.apply(given.clone(), now).unwrap().batch, given);
    }
}

#[test]
fn a_measurement_without_keys_has_one_row() {
    let columns = vec![Column::new("up", ColumnKind::Gauge, ColumnType::Int)];
    let schema = Arc::new(Schema::new(MeasurementName::new("x").unwrap(), CounterFamily::None, columns).unwrap());
    let now = Instant::now();
    let mut filter = ChangeFilter::new();
    let mut apply = |values: &[i64]| {
        let mut builder = RowsBuilder::new(&schema);
        values.iter().for_each(|&value| builder.push(&[Value::Int(value)]).unwrap());
        let mut given = batch(&super::tests::schema(CounterFamily::None), &[], Epoch::default());
        given.schema = Arc::clone(&schema);
        given.rows = builder.finish();
        filter.apply(given, now).unwrap().batch.rows
    };
    assert_eq!(apply(&[1]).len(), 1);
    assert_eq!(apply(&[1]).len(), 0);
    assert_eq!(apply(&[2]).len(), 1);
    let gone = apply(&[]);
    assert!(gone.len() == 1 && gone.is_gone(0));
}

fn tables() -> impl Strategy<Value = Vec<(Key, Row)>> {
    // Few different keys and values, so that rows stay, change, go and repeat.
    let key = (proptest::option::of(0_i64..6), "[ab]?");
    let shares =
        prop_oneof![Just(0_u64), Just(f64::NAN.to_bits()), Just((-0.0_f64).to_bits()), Just(1.5_f64.to_bits())];
    let row = (proptest::option::of(0_i64..3), shares, proptest::option::of(any::<bool>()), "[xy]?");
    proptest::collection::vec((key, row), 0..12)
}

proptest! {
    #[test]
    fn keyframe_and_deltas_give_the_scrapes(
        scrapes in proptest::collection::vec((tables(), 0_u8..20, 0_u64..2000), 1..20)
    ) {
        let schema = schema(CounterFamily::None);
        let mut now = Instant::now();
        let mut filter = ChangeFilter::new();
        let mut seen = Table::new();
        for (table, event, seconds) in scrapes {
            if event == 0 {
                filter.force_keyframe();
            }
            now += Duration::from_secs(seconds);
            let wanted: Table = table.iter().cloned().collect();
            let before = seen.clone();
            let made = filter.apply(batch(&schema, &table, Epoch::default()), now).unwrap();
            prop_assert_eq!(made.duplicates, table.len() - wanted.len());
            expand(&mut seen, &made.batch);
            prop_assert_eq!(&seen, &wanted);
            if made.batch.scrape.kind == ScrapeKind::Delta {
                let changed = wanted.iter().filter(|(key, row)| before.get(*key) != Some(*row)).count();
                let gone = before.keys().filter(|key| !wanted.contains_key(*key)).count();
                prop_assert_eq!(made.batch.rows.len(), changed + gone, "no row travels that need not");
            }
        }
    }
}
