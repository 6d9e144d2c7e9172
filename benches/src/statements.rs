//! Statements of one server as `pg_stat_statements` shows them, minute by minute.
//!
//! As PostgreSQL makes them: times are whole nanoseconds shown in milliseconds, most
//! statements never write a block, never use a temporary file and never compile, so
//! most counters of most rows are zero for ever.

use std::sync::Arc;

use pganalytics_core::{
    Batch, ColumnKind, ColumnType, Epoch, InstanceId, RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, ServerId,
    Source, Timestamp, Value, catalog::Catalog,
};

use crate::Random;

/// 2026-01-31T12:00:00Z, a full hour.
pub const START: i64 = 1_769_860_800;
/// Minutes between two keyframes.
const KEYFRAME_MINUTES: i64 = 60;
/// Of 100 statements so many never write.
const READERS: usize = 70;

struct Statement {
    keys: [i64; 3],
    /// Nanoseconds of columns of floats, whole numbers of others.
    counts: Vec<i64>,
    /// Whether the counter of each column ever moves.
    moves: Vec<bool>,
    nanos_a_call: i64,
}

/// A server whose statements run.
pub struct Statements {
    schema: Arc<Schema>,
    source: Source,
    random: Random,
    all: Vec<Statement>,
    active: f64,
}

impl Statements {
    /// `count` statements, of which `active` of 100 run in each minute.
    ///
    /// # Panics
    /// When the catalog has no such measurement.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::expect_used, reason = "a share; the catalog is ours")]
    pub fn new(count: usize, active: usize) -> Self {
        let catalog = Catalog::builtin();
        let schema = Arc::clone(catalog.get("pg_stat_statements").expect("it is built in").schema());
        let mut random = Random::new(7);
        let columns = schema.columns();
        let statement = |_| {
            let writes = random.below(100) >= READERS;
            let moves = |random: &mut Random, name: &str, kind: ColumnKind| match kind {
                ColumnKind::Counter => match name {
                    "calls" | "rows" | "total_exec_time" | "shared_blks_hit" => true,
                    "shared_blks_read" | "shared_blk_read_time" => random.below(100) < 40,
                    _ if name.starts_with("jit") || name.starts_with("temp") || name.starts_with("parallel") => {
                        random.below(100) < 3
                    }
                    _ if name.starts_with("local") || name.contains("plan") => false,
                    _ => writes,
                },
                ColumnKind::Gauge => true,
                _ => false,
            };
            let moves: Vec<bool> = columns.iter().map(|c| moves(&mut random, &c.name, c.kind)).collect();
            let counts = moves.iter().map(|&moves| if moves { random.decades(7.0) } else { 0 }).collect();
            let keys = [5 + random.below(4).cast_signed() as i64, 10, random.bits().cast_signed()];
            Statement { keys, counts, moves, nanos_a_call: 1_000 * random.decades(4.0) }
        };
        let all = (0..count).map(statement).collect();
        let server_id = ServerId::of_cluster(1);
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, "db1:5432"),
            server: "db1".into(),
            database: None,
        };
        Self { schema, source, random, all, active: active as f64 / 100.0 }
    }

    /// The query id of one of them.
    #[must_use]
    pub fn query_id(&self, number: usize) -> i64 {
        self.all.get(number).map_or(0, |statement| statement.keys[2])
    }

    /// What is seen at a minute.
    ///
    /// # Panics
    /// When the rows do not fit their schema.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as PostgreSQL does")]
    #[expect(clippy::expect_used, reason = "a bench")]
    pub fn scrape(&mut self, minute: i64) -> Batch {
        let kind = if minute % KEYFRAME_MINUTES == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
        let start = Timestamp::from_secs(START);
        let columns = self.schema.columns();
        let mut rows = RowsBuilder::new(&self.schema);
        for statement in &mut self.all {
            let ran = self.random.unit() < self.active;
            if ran {
                let calls = self.random.decades(3.0);
                for ((count, column), moves) in statement.counts.iter_mut().zip(columns).zip(&statement.moves) {
                    let more = match (column.kind, column.ty) {
                        _ if !moves => 0,
                        (ColumnKind::Counter, ColumnType::Float) => {
                            let mean = (calls * statement.nanos_a_call) as f64;
                            (mean * (0.5 + self.random.unit())) as i64
                        }
                        (ColumnKind::Counter, _) => calls,
                        (ColumnKind::Gauge, _) if self.random.below(4) == 0 => self.random.decades(3.0),
                        _ => 0,
                    };
                    *count += more;
                }
            }
            if ran || kind == ScrapeKind::Keyframe {
                let mut keys = statement.keys.iter();
                let value = |(column, &count): (&pganalytics_core::Column, &i64)| match (column.kind, column.ty) {
                    (ColumnKind::Key, ColumnType::Int) => Value::Int(keys.next().copied().unwrap_or_default()),
                    (_, ColumnType::Int) => Value::Int(count),
                    (_, ColumnType::Float) => Value::Float(count as f64 / 1e6),
                    (_, ColumnType::Bool) => Value::Bool(true),
                    (_, ColumnType::Timestamp) => Value::Timestamp(start.as_micros() - 1),
                    (_, ColumnType::Text) => Value::Text("shop"),
                };
                let row: Vec<Value<'_>> = columns.iter().zip(&statement.counts).map(value).collect();
                rows.push(&row).expect("rows fit");
            }
        }
        let scrape = Scrape {
            collected_at: start.plus_micros(minute * 60_000_000 + self.random.below(40_000) as i64),
            interval_micros: 60_000_000,
            kind,
            epoch: Epoch { stamp: Some(start), started: Some(start), evictions: Some(0) },
            clock: ScrapeClock::default(),
        };
        Batch { schema: Arc::clone(&self.schema), source: self.source.clone(), scrape, rows: rows.finish() }
    }
}
