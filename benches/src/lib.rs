//! Benches of the hot paths and the load-test harness.
//!
//! The data set here is the one that the sizes of frames are promised on: table
//! statistics of 2,000 tables with 25 counters, scraped 60 times. 15 % of the
//! tables are active; an active one changes in 80 % of scrapes, each counter by
//! an amount spread evenly over five decades; counters start spread evenly over
//! nine. It is the same on every run.

pub mod small;
pub mod statements;

use std::sync::Arc;

use pganalytics_core::{
    Batch, Column, ColumnData, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, Rows, Schema,
    Scrape, ScrapeClock, ScrapeKind, ServerId, Source, TextValues, Timestamp, Values,
};

/// Tables of the data set.
pub const TABLES: usize = 2_000;
/// Counters of each table.
pub const COUNTERS: usize = 25;
/// Scrapes.
pub const SCRAPES: usize = 60;
/// Values that the scrapes would have had without the change filter.
pub const VALUES: u64 = (TABLES * COUNTERS * SCRAPES) as u64;

/// A small generator of even numbers (splitmix64), the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator; equal seeds give equal numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to but not including 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float")]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.bits() % count.max(1) as u64).unwrap_or_default()
    }

    /// 1 to 10^`decades`, evenly spread over the decades.
    #[expect(clippy::cast_possible_truncation, reason = "below 10^18")]
    pub fn decades(&mut self, decades: f64) -> i64 {
        10_f64.powf(self.unit() * decades) as i64
    }
}

/// Names of the counters of `pg_stat_all_tables` and `pg_statio_all_tables`.
const COUNTER_NAMES: [&str; COUNTERS] = [
    "seq_scan",
    "seq_tup_read",
    "idx_scan",
    "idx_tup_fetch",
    "n_tup_ins",
    "n_tup_upd",
    "n_tup_del",
    "n_tup_hot_upd",
    "n_tup_newpage_upd",
    "n_live_tup",
    "n_dead_tup",
    "n_mod_since_analyze",
    "n_ins_since_vacuum",
    "vacuum_count",
    "autovacuum_count",
    "analyze_count",
    "autoanalyze_count",
    "heap_blks_read",
    "heap_blks_hit",
    "idx_blks_read",
    "idx_blks_hit",
    "toast_blks_read",
    "toast_blks_hit",
    "tidx_blks_read",
    "tidx_blks_hit",
];
const SCHEMAS: [&str; 5] = ["public", "sales", "billing", "audit", "staging"];
const THINGS: [&str; 16] = [
    "orders",
    "order_items",
    "customers",
    "invoices",
    "payments",
    "products",
    "events",
    "sessions",
    "shipments",
    "stock",
    "accounts",
    "messages",
    "prices",
    "carts",
    "reviews",
    "ledger",
];

/// Schema of the data set.
///
/// # Panics
/// Never: the names above are good.
#[must_use]
#[expect(clippy::expect_used, reason = "constant names")]
pub fn table_schema() -> Arc<Schema> {
    let mut columns = vec![
        Column::new("schemaname", ColumnKind::Key, ColumnType::Text),
        Column::new("relname", ColumnKind::Key, ColumnType::Text),
        Column::new("relid", ColumnKind::Key, ColumnType::Int),
    ];
    columns.extend(COUNTER_NAMES.iter().map(|name| Column::new(name, ColumnKind::Counter, ColumnType::Int)));
    let name = MeasurementName::new("pg_stat_user_tables").expect("a good name");
    Arc::new(Schema::new(name, CounterFamily::Cumulative, columns).expect("a good schema"))
}

struct Table {
    schemaname: &'static str,
    relname: String,
    relid: i64,
    active: bool,
    counters: [i64; COUNTERS],
}

/// The tables as they are at the next scrape.
pub struct Tables {
    schema: Arc<Schema>,
    source: Source,
    random: Random,
    tables: Vec<Table>,
    scrapes: usize,
}

impl Default for Tables {
    fn default() -> Self {
        let mut random = Random::new(2026);
        let mut relid = 16_384;
        let mut active_left = TABLES * 15 / 100;
        let tables = (0..TABLES).map(|number| {
            // As many of the tables to come as are still to be chosen: 15 % in the end, no more, no less.
            let active = random.below(TABLES - number) < active_left;
            active_left -= usize::from(active);
            relid += 3 + random.below(12) as i64;
            let thing = THINGS.get(random.below(THINGS.len())).copied().unwrap_or_default();
            Table {
                schemaname: SCHEMAS.get(random.below(SCHEMAS.len())).copied().unwrap_or_default(),
                relname: format!("{thing}_{number:04}"),
                relid,
                active,
                counters: std::array::from_fn(|_| random.decades(9.0)),
            }
        });
        let tables = tables.collect();
        let server_id = ServerId::of_cluster(7_364_018_273_645_019_283);
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, "db1.example.com:5432"),
            server: "db1".into(),
            database: Some("shop".into()),
        };
        Self { schema: table_schema(), source, random, tables, scrapes: 0 }
    }
}

impl Tables {
    /// The next scrape: all rows, or only the changed ones.
    ///
    /// # Panics
    /// Never: the columns fit the schema.
    #[expect(clippy::expect_used, reason = "the columns are made for the schema")]
    pub fn scrape(&mut self, kind: ScrapeKind) -> Batch {
        let first = self.scrapes == 0;
        let mut chosen = Vec::new();
        for (at, table) in self.tables.iter_mut().enumerate() {
            let changes = !first && table.active && self.random.unit() < 0.8;
            if changes {
                for counter in &mut table.counters {
                    *counter += self.random.decades(5.0);
                }
            }
            if changes || kind == ScrapeKind::Keyframe {
                chosen.push(at);
            }
        }
        let chosen: Vec<&Table> = chosen.into_iter().filter_map(|at| self.tables.get(at)).collect();
        let ints = |value: &dyn Fn(&Table) -> i64| {
            ColumnData::new(Values::Int(chosen.iter().map(|table| value(table)).collect()))
        };
        let texts = |texts: TextValues| ColumnData::new(Values::Text(texts));
        let mut columns = vec![
            texts(chosen.iter().map(|table| table.schemaname).collect()),
            texts(chosen.iter().map(|table| table.relname.as_str()).collect()),
            ints(&|table| table.relid),
        ];
        columns.extend((0..COUNTERS).map(|at| ints(&|table| table.counters.get(at).copied().unwrap_or_default())));
        let start = Timestamp::from_secs(1_769_860_800);
        // A scrape is never quite on time.
        let late = 1_000 + self.random.below(40_000) as i64;
        let scrape = Scrape {
            collected_at: start.plus_micros(self.scrapes as i64 * 60_000_000 + late),
            interval_micros: 60_000_000,
            kind,
            epoch: Epoch {
                stamp: Some(start.plus_micros(-86_400_000_000)),
                started: Some(start.plus_micros(-172_800_000_000)),
                evictions: None,
            },
            clock: ScrapeClock::default(),
        };
        self.scrapes += 1;
        Batch {
            schema: Arc::clone(&self.schema),
            source: self.source.clone(),
            scrape,
            rows: Rows::new(&self.schema, columns, None).expect("columns fit the schema"),
        }
    }
}

/// All scrapes as an agent sends them: a keyframe at the start and at every
/// `keyframe_every`-th scrape, deltas between.
#[must_use]
pub fn batches(keyframe_every: Option<usize>) -> Vec<Batch> {
    let mut tables = Tables::default();
    let kind = |number: usize| match keyframe_every {
        _ if number == 0 => ScrapeKind::Keyframe,
        Some(every) if number.is_multiple_of(every) => ScrapeKind::Keyframe,
        _ => ScrapeKind::Delta,
    };
    (0..SCRAPES).map(|number| tables.scrape(kind(number))).collect()
}
