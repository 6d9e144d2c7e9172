//! Strategies for property tests over the data model, for the tests of this and
//! of other crates (feature `testing`).
//!
//! ```ignore
//! proptest! {
//!     #[test]
//!     fn holds_for_any_batch(batch in pganalytics_core::testing::batches()) { … }
//! }
//! ```

use std::{sync::Arc, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Union};
use uuid::Uuid;

use crate::{
    batch::{Batch, Block, Scrape, ScrapeClock, ScrapeKind},
    epoch::{CounterFamily, Epoch},
    id::{InstanceId, MeasurementName, ServerId},
    mask::Mask,
    rows::Rows,
    schema::{Aggregate, Column, ColumnKind, ColumnType, Presence, Schema},
    source::Source,
    time::Timestamp,
    value::{ColumnData, Value},
};

const TYPES: [ColumnType; 5] =
    [ColumnType::Text, ColumnType::Int, ColumnType::Float, ColumnType::Bool, ColumnType::Timestamp];
const KINDS: [ColumnKind; 4] = [ColumnKind::Key, ColumnKind::Counter, ColumnKind::Gauge, ColumnKind::Info];
/// Every family of counters.
pub(crate) const FAMILIES: [CounterFamily; 6] = [
    CounterFamily::None,
    CounterFamily::Cumulative,
    CounterFamily::Shared,
    CounterFamily::Statements,
    CounterFamily::Host,
    CounterFamily::Process,
];

/// A value that owns its text.
#[derive(Debug, Clone)]
enum Owned {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    Timestamp(i64),
    Text(String),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Bool(value) => Value::Bool(*value),
            Self::Timestamp(value) => Value::Timestamp(*value),
            Self::Text(text) => Value::Text(text),
        }
    }
}

/// Any schema of up to eight columns.
pub fn schemas() -> impl Strategy<Value = Schema> {
    let aggregate = select(&[Aggregate::Sum, Aggregate::Avg, Aggregate::Max, Aggregate::Last][..]);
    let column = (select(&KINDS[..]), select(&TYPES[..]), "[a-z%/]{0,6}", aggregate);
    let retention = option::of((0_u64..1 << 40).prop_map(Duration::from_secs));
    let stamp = any::<prop::sample::Index>();
    let derived = any::<u8>();
    (vec(column, 1..8), select(&FAMILIES[..]), any::<bool>(), stamp, any::<bool>(), derived, retention).prop_filter_map(
        "a good schema",
        |(columns, family, append, stamp, stamped, derived, retention)| {
            let columns = columns.into_iter().enumerate().map(|(at, (kind, ty, unit, aggregate))| Column {
                name: format!("c{at}"),
                kind,
                ty,
                unit,
                aggregate,
            });
            let columns: Vec<Column> = columns.collect();
            let stamps: Vec<&Column> = columns.iter().filter(|column| column.ty == ColumnType::Timestamp).collect();
            let stamp = (stamped && !stamps.is_empty()).then(|| stamp.get(&stamps).name.clone());
            let schema = Schema::new(MeasurementName::new("m_any").ok()?, family, columns).ok()?;
            let counters = schema.positions_of(ColumnKind::Counter).filter(|at| derived >> at & 1 == 1);
            let derived: Vec<String> = counters.map(|at| format!("c{at}")).collect();
            let schema = schema.with_derived(derived.iter().map(String::as_str)).ok()?;
            let schema = schema.with_presence(if append { Presence::Append } else { Presence::State });
            let schema = schema.with_retention(retention);
            match stamp {
                Some(stamp) => schema.with_row_stamp(&stamp).ok(),
                None => Some(schema),
            }
        },
    )
}

/// Any source.
pub fn sources() -> impl Strategy<Value = Source> {
    (any::<u128>(), any::<u128>(), ".{0,12}", option::of(".{0,12}")).prop_map(|(server, instance, name, database)| {
        Source {
            server_id: ServerId::from_uuid(Uuid::from_u128(server)),
            instance_id: InstanceId::from_uuid(Uuid::from_u128(instance)),
            server: name.into(),
            database: database.map(Into::into),
        }
    })
}

/// Any scrape.
pub fn scrapes() -> impl Strategy<Value = Scrape> {
    let time = || integers().prop_map(Timestamp::from_micros);
    let epoch = (option::of(time()), option::of(time()), option::of(integers()))
        .prop_map(|(stamp, started, evictions)| Epoch { stamp, started, evictions });
    let clock = (any::<bool>(), option::of(integers()));
    let clock = clock.prop_map(|(stepped, offset_micros)| ScrapeClock { stepped, offset_micros });
    let clock = Union::new([Just(ScrapeClock::default()).boxed(), clock.boxed()]);
    (time(), any::<u64>(), any::<bool>(), epoch, clock).prop_map(
        |(collected_at, interval_micros, keyframe, epoch, clock)| Scrape {
            collected_at,
            interval_micros,
            kind: if keyframe { ScrapeKind::Keyframe } else { ScrapeKind::Delta },
            epoch,
            clock,
        },
    )
}

/// Integers of all sizes, the ends of the range and times among them.
fn integers() -> BoxedStrategy<i64> {
    Union::new([
        any::<i64>().boxed(),
        (-3_i64..300).boxed(),
        select(vec![0, -1, i64::MIN, i64::MAX, i64::MIN + 1, i64::from(u32::MAX)]).boxed(),
        (1_700_000_000_000_000_i64..1_800_000_000_000_000).boxed(),
    ])
    .boxed()
}

fn floats() -> BoxedStrategy<f64> {
    let special = vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324];
    Union::new([
        any::<u64>().prop_map(f64::from_bits).boxed(),
        (-1000_i32..1000).prop_map(|n| f64::from(n) / 100.0).boxed(),
        any::<f64>().boxed(),
        select(special).boxed(),
    ])
    .boxed()
}

fn values(ty: ColumnType) -> BoxedStrategy<Owned> {
    match ty {
        ColumnType::Int => integers().prop_map(Owned::Int).boxed(),
        ColumnType::Timestamp => integers().prop_map(Owned::Timestamp).boxed(),
        ColumnType::Float => floats().prop_map(Owned::Float).boxed(),
        ColumnType::Bool => any::<bool>().prop_map(Owned::Bool).boxed(),
        ColumnType::Text => {
            Union::new(["\\PC{0,12}", "[ab]{0,2}", "a{0,200}", "(?s).{0,4}"]).prop_map(Owned::Text).boxed()
        }
    }
}

/// A column of `rows` values: mixed, all alike, or from a few; with and
/// without NULLs.
fn columns(ty: ColumnType, rows: usize) -> BoxedStrategy<ColumnData> {
    let few = vec(values(ty), 1..4).prop_flat_map(move |few| vec(select(few), rows));
    let alike = values(ty).prop_map(move |value| vec![value; rows]);
    let counting = (integers(), vec(0_i64..50, rows)).prop_map(move |(start, steps)| {
        let next = |at: &mut i64, step: i64| {
            *at = at.wrapping_add(step);
            Some(*at)
        };
        let counted = steps.into_iter().scan(start, next);
        match ty {
            ColumnType::Int => counted.map(Owned::Int).collect(),
            ColumnType::Timestamp => counted.map(Owned::Timestamp).collect(),
            _ => vec![Owned::Null; rows],
        }
    });
    let data = Union::new([vec(values(ty), rows).boxed(), few.boxed(), alike.boxed(), counting.boxed()]);
    let nulls = Union::new([Just(vec![false; rows]).boxed(), vec(any::<bool>(), rows).boxed()]);
    (data, nulls)
        .prop_map(move |(values, nulls)| {
            let mut data = ColumnData::with_capacity(ty, rows);
            for (value, null) in values.iter().zip(nulls) {
                let _ = data.push(if null { Value::Null } else { value.value() });
            }
            data
        })
        .boxed()
}

/// Any rows of a schema, up to `most`.
pub fn rows(schema: &Schema, most: usize) -> BoxedStrategy<Rows> {
    let schema = schema.clone();
    let count = Union::new([Just(0).boxed(), (0..5.min(most + 1)).boxed(), (0..=most).boxed()]);
    count
        .prop_flat_map(move |count| {
            let schema = schema.clone();
            let data: Vec<_> = schema.columns().iter().map(|column| columns(column.ty, count)).collect();
            (data, option::of(vec(any::<bool>(), count))).prop_filter_map("rows fit", move |(data, gone)| {
                Rows::new(&schema, data, gone.map(|gone| gone.into_iter().collect::<Mask>())).ok()
            })
        })
        .boxed()
}

/// Any batch of up to 60 rows and seven columns: all types, NULLs, all bit
/// patterns of floats, gone rows, no rows.
pub fn batches() -> BoxedStrategy<Batch> {
    (schemas(), sources(), scrapes())
        .prop_flat_map(|(schema, source, scrape)| {
            let rows = rows(&schema, 60);
            let schema = Arc::new(schema);
            rows.prop_map(move |rows| Batch { schema: Arc::clone(&schema), source: source.clone(), scrape, rows })
        })
        .boxed()
}

/// Any block of up to five scrapes. Its rows are in no order.
pub fn blocks() -> BoxedStrategy<Block> {
    (schemas(), sources(), vec(scrapes(), 1..6))
        .prop_flat_map(|(schema, source, mut scrapes)| {
            scrapes.sort_by_key(|scrape| scrape.collected_at);
            let of_rows = vec(0..u32::try_from(scrapes.len()).unwrap_or(1), 60);
            let schema_of_rows = schema.clone();
            (rows(&schema, 60), of_rows).prop_filter_map("a good block", move |(rows, mut of_rows)| {
                of_rows.truncate(rows.len());
                let schema = Arc::new(schema_of_rows.clone());
                Block::new(schema, source.clone(), scrapes.clone(), of_rows, rows).ok()
            })
        })
        .boxed()
}

/// Whether two sets of rows are equal, floats bit for bit.
#[must_use]
pub fn same_rows(a: &Rows, b: &Rows) -> bool {
    let bits = |value: Value<'_>| match value {
        Value::Float(value) => Err(value.to_bits()),
        _ => Ok(()),
    };
    a.len() == b.len()
        && a.gone() == b.gone()
        && a.columns().len() == b.columns().len()
        && a.columns().iter().zip(b.columns()).all(|(a, b)| {
            a.ty() == b.ty()
                && a.nulls() == b.nulls()
                && (0..a.len()).all(|row| match (bits(a.get(row)), bits(b.get(row))) {
                    (Ok(()), Ok(())) => a.get(row) == b.get(row),
                    (a, b) => a == b,
                })
        })
}

/// Whether two batches are equal, floats bit for bit.
#[must_use]
pub fn same_batch(a: &Batch, b: &Batch) -> bool {
    a.schema == b.schema && a.source == b.source && a.scrape == b.scrape && same_rows(&a.rows, &b.rows)
}

/// Whether two blocks are equal, floats bit for bit.
#[must_use]
pub fn same_block(a: &Block, b: &Block) -> bool {
    a.schema() == b.schema()
        && a.source() == b.source()
        && a.scrapes() == b.scrapes()
        && a.scrape_of_row() == b.scrape_of_row()
        && same_rows(a.rows(), b.rows())
}
