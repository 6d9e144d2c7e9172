//! A small server as a demo has it: every measurement of the catalog with a few
//! rows, most of which stay as they are from one scrape to the next. What such
//! frames cost is the frames themselves, not their values. It is the same on
//! every run.

use std::sync::Arc;

use pganalytics_core::{
    Batch, ColumnKind, ColumnType, Epoch, InstanceId, Presence, RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind,
    ServerId, Source, Timestamp, Value,
    catalog::{Catalog, Scope},
};

use crate::Random;

/// Databases of the server.
const DATABASES: [&str; 3] = ["app", "shop", "postgres"];
/// How many rows in a hundred change between two scrapes.
const CHANGING: usize = 25;

/// One measurement of one source.
struct Series {
    schema: Arc<Schema>,
    source: Source,
    /// For each row its values.
    rows: Vec<Vec<Cell>>,
}

#[derive(Clone)]
enum Cell {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    Time(i64),
    Text(String),
}

impl Cell {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Bool(value) => Value::Bool(*value),
            Self::Time(value) => Value::Timestamp(*value),
            Self::Text(text) => Value::Text(text),
        }
    }
}

/// A small server at its next scrape.
pub struct SmallServer {
    random: Random,
    series: Vec<Series>,
    scrapes: i64,
    values: u64,
}

impl Default for SmallServer {
    fn default() -> Self {
        let mut random = Random::new(7);
        let server_id = ServerId::of_cluster(7_364_018_273_645_019_284);
        let instance_id = InstanceId::of_address(server_id, "127.0.0.1:5432");
        let mut series = Vec::new();
        for measurement in Catalog::builtin().iter().filter(|measurement| measurement.scope().is_postgres()) {
            let schema = measurement.schema();
            if schema.presence() == Presence::Append {
                continue;
            }
            let (databases, most) = match measurement.scope() {
                Scope::Database => (&DATABASES[..], 90),
                _ => (&[""][..], 60),
            };
            for database in databases {
                let has_key = schema.positions_of(ColumnKind::Key).next().is_some();
                let count = if has_key { random.below(most) } else { 1 };
                let source = Source {
                    server_id,
                    instance_id,
                    server: "demo".into(),
                    database: (!database.is_empty()).then(|| (*database).into()),
                };
                let rows = (0..count).map(|row| first_row(schema, row, &mut random)).collect();
                series.push(Series { schema: Arc::clone(schema), source, rows });
            }
        }
        Self { random, series, scrapes: 0, values: 0 }
    }
}

fn first_row(schema: &Schema, row: usize, random: &mut Random) -> Vec<Cell> {
    let cell = |(at, column): (usize, &pganalytics_core::Column)| match (column.kind, column.ty) {
        (ColumnKind::Key, ColumnType::Text) => Cell::Text(format!("{}_{row}", column.name)),
        (ColumnKind::Key, ColumnType::Int) => Cell::Int(16_384 + 3 * row as i64),
        // Much of what is counted never happens on a small server.
        (ColumnKind::Counter, _) if (at + random.below(3)).is_multiple_of(2) => match column.ty {
            ColumnType::Float => Cell::Float(0.0),
            _ => Cell::Int(0),
        },
        (ColumnKind::Info | ColumnKind::Gauge, _) if random.below(5) == 0 => Cell::Null,
        (_, ColumnType::Text) => Cell::Text(format!("{} {}", column.name, random.below(3))),
        (_, ColumnType::Int) => Cell::Int(random.decades(6.0)),
        #[expect(clippy::cast_precision_loss, reason = "milliseconds with three decimals")]
        (_, ColumnType::Float) => Cell::Float(random.decades(6.0) as f64 / 1000.0),
        (_, ColumnType::Bool) => Cell::Bool(random.below(2) == 0),
        (_, ColumnType::Timestamp) => Cell::Time(1_769_800_000_000_000 + random.decades(10.0)),
    };
    schema.columns().iter().enumerate().map(cell).collect()
}

/// Lets time pass for a row: counters that count go on, gauges move.
fn change(schema: &Schema, row: &mut [Cell], random: &mut Random) {
    for (cell, column) in row.iter_mut().zip(schema.columns()) {
        match (column.kind, cell) {
            (ColumnKind::Counter, Cell::Int(value)) if *value > 0 => *value += random.decades(3.0),
            (ColumnKind::Gauge, Cell::Int(value)) if random.below(3) == 0 => *value = random.decades(6.0),
            #[expect(clippy::cast_precision_loss, reason = "milliseconds with three decimals")]
            (ColumnKind::Counter, Cell::Float(value)) if *value > 0.0 => {
                *value = ((*value * 1000.0).round() + random.decades(4.0) as f64) / 1000.0;
            }
            _ => {}
        }
    }
}

impl SmallServer {
    /// Values that the scrapes so far would have had without the change filter.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.values
    }

    /// What the next scrape sends: keyframes first, then what changed, of each
    /// series.
    ///
    /// # Panics
    /// Never: the rows fit their schemas.
    #[expect(clippy::expect_used, reason = "the rows are made for the schema")]
    pub fn scrape(&mut self) -> Vec<Batch> {
        let kind = if self.scrapes == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
        let start = Timestamp::from_secs(1_769_860_800).plus_micros(self.scrapes * 60_000_000);
        let mut batches = Vec::new();
        for (number, series) in (0_i64..).zip(&mut self.series) {
            self.values += (series.rows.len() * series.schema.columns().len()) as u64;
            let mut rows = RowsBuilder::new(&series.schema);
            for row in &mut series.rows {
                let changes = self.scrapes > 0 && self.random.below(100) < CHANGING;
                if changes {
                    change(&series.schema, row, &mut self.random);
                }
                if changes || self.scrapes == 0 {
                    let values: Vec<Value<'_>> = row.iter().map(Cell::value).collect();
                    rows.push(&values).expect("a row of the schema");
                }
            }
            batches.push(Batch {
                rows: rows.finish(),
                schema: Arc::clone(&series.schema),
                source: series.source.clone(),
                scrape: Scrape {
                    collected_at: start.plus_micros(number * 1_700 + self.random.decades(3.0)),
                    interval_micros: 60_000_000,
                    kind,
                    epoch: Epoch {
                        stamp: Some(Timestamp::from_micros(1_769_800_000_123_456)),
                        started: Some(Timestamp::from_micros(1_769_800_000_000_321)),
                        evictions: None,
                    },
                    clock: ScrapeClock::default(),
                },
            });
        }
        self.scrapes += 1;
        batches
    }
}
