//! Writes good examples of what each target reads, for the fuzzer to begin with:
//! every measurement of the catalog as frames, a block, a push, a document and
//! its file. Into `corpus/` beside it, or the folder that is named.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use pganalytics_core::{
    Batch, ColumnKind, ColumnType, Epoch, InstanceId, Position, Rows, RowsBuilder, Schema, Scrape, ScrapeClock,
    ScrapeKind, Seq, ServerId, Source, StreamId, Timestamp, Value,
    catalog::Catalog,
    frame::{self, Frame, Limits},
    json,
};

/// A log in each format, in the order of the target.
const LOGS: &[(&str, &str)] = &[
    (
        "stderr",
        "2026-11-21 12:00:00.000 UTC [7] ERROR:  invalid input syntax for type integer: \"x\" at character 8\n\
         2026-11-21 12:00:00.000 UTC [8] LOG:  duration: 1.5 ms  plan:\n\tQuery Text: select 1\n\tResult  (cost=0.00..0.01 rows=1 width=4)\n\
         2026-11-21 12:00:00.000 UTC [7] STATEMENT:  select 'x'::int\n\
         2026-11-21 12:00:00.000 UTC [9] ERROR:  deadlock detected\n\
         2026-11-21 12:00:00.000 UTC [9] DETAIL:  Process 9 waits for ShareLock on transaction 1; blocked by process 8.\n\tProcess 9: select 1\n",
    ),
    (
        "csv",
        "2026-11-21 12:00:00.000 UTC,\"bob\",\"shop\",42,\"[local]\",6740c6f0.2a,1,\"SELECT\",2026-11-21 11:00:00 UTC,3/7,0,ERROR,42P01,\
         \"relation \"\"x\"\" does not exist\",,,,,,\"select *\nfrom x\",15,,\"psql\",\"client backend\",,-77\n",
    ),
    (
        "json",
        "{\"timestamp\":\"2026-11-21 12:00:00.000 UTC\",\"pid\":7,\"error_severity\":\"LOG\",\
         \"message\":\"duration: 1.5 ms  statement: select \\u00e4\"}\n",
    ),
    (
        "syslog",
        "Nov 21 12:00:01 db1 postgres[7]: [5-1] 2026-11-21 12:00:00.000 UTC [7] LOG:  statement: select 1\n\
         Nov 21 12:00:01 db1 postgres[7]: [5-2] #011from t\n",
    ),
    ("journal", "{\"MESSAGE\":\"2026-11-21 12:00:00.000 UTC [7] LOG:  x\",\"_PID\":\"7\"}\n"),
];

/// Statements with what tells tokens apart.
const STATEMENTS: &[&str] = &[
    "\0\0select 'a''b', E'c\\'d', $x$ e $x$, U&'f' uescape '!', \"g\", 1.5e-3, $1 -- h\n/* i /* j */ */",
    "\u{1}\u{3}alter role r in database d set app.k to abc, 'd'; create role r password null",
    "\u{7}\u{2}create server s options (set a 'b', add c d); copy t (a) from stdin (null x) where a = b",
    "\u{c}\u{5}update only t set a = b; merge into t using s on true when matched then update set set = 1",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder =
        env::args_os().nth(1).map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"), PathBuf::from);
    for target in ["frame", "push", "json", "catalog", "logs", "redact"] {
        fs::create_dir_all(folder.join(target))?;
    }
    for measurement in Catalog::builtin() {
        let name = measurement.name();
        let mut frames: Vec<Bytes> = Vec::new();
        for (scrape, rows) in [(0, 0), (1, 1), (2, 40), (3, 3), (4, 1_100)] {
            let batch = batch(measurement.schema(), scrape, rows)?;
            frames.push(frame::encode(&batch)?.into());
            let document = json::push_document("col_001", &[batch]);
            fs::write(folder.join("json").join(format!("{name}-{rows}")), document)?;
        }
        let parsed: Result<Vec<Frame>, _> =
            frames.iter().map(|bytes| Frame::parse(bytes.clone(), &Limits::default())).collect();
        frames.push(frame::encode_block(&frame::compact(&parsed?)?)?.into());
        for (number, bytes) in frames.iter().enumerate() {
            fs::write(folder.join("frame").join(format!("{name}-{number}")), take_apart(bytes)?)?;
        }
        let numbered: Vec<(Position, Bytes)> = (1..).map(|seq| Seq(seq).into()).zip(frames).collect();
        let schemas = [Arc::clone(measurement.schema())];
        let stream = StreamId::from_uuid(ServerId::of_cluster(1).as_uuid());
        fs::write(folder.join("push").join(name.as_str()), frame::encode_push(stream, &schemas, &numbered))?;
    }
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../pganalytics-core/catalog"))? {
        let file = file?;
        fs::copy(file.path(), folder.join("catalog").join(file.file_name()))?;
    }
    for (kind, (name, log)) in (0_u8..).zip(LOGS) {
        fs::write(folder.join("logs").join(name), [&[kind, 100], log.as_bytes()].concat())?;
    }
    for (number, text) in STATEMENTS.iter().enumerate() {
        fs::write(folder.join("redact").join(number.to_string()), text)?;
    }
    Ok(())
}

/// A frame as the target puts it together: kind, lengths of schema and head,
/// schema, head, what follows it.
fn take_apart(bytes: &Bytes) -> Result<Vec<u8>, Box<dyn Error>> {
    let (bare, schema) = frame::split_schema(bytes)?;
    let schema = schema.unwrap_or_default();
    let mut prefix = 7;
    let mut len = 0;
    for shift in (0..).step_by(7) {
        let byte = bare.get(prefix).copied().unwrap_or_default();
        len |= usize::from(byte & 0x7f) << shift;
        prefix += 1;
        if byte < 0x80 {
            break;
        }
    }
    let head = bare.get(prefix..prefix + len).unwrap_or_default();
    let body = bare.get(prefix + len + 4..).unwrap_or_default();
    let mut seed = vec![bare.get(6).copied().unwrap_or_default()];
    seed.extend(u16::try_from(schema.len())?.to_le_bytes());
    seed.extend(u16::try_from(head.len())?.to_le_bytes());
    Ok([&seed, &schema[..], head, body].concat())
}

fn batch(schema: &Arc<Schema>, scrape: i64, rows: i64) -> Result<Batch, Box<dyn Error>> {
    let server_id = ServerId::of_cluster(1);
    let instance_id = InstanceId::of_address(server_id, "db1:5432");
    Ok(Batch {
        schema: Arc::clone(schema),
        source: Source { server_id, instance_id, server: "db1".into(), database: Some("shop".into()) },
        scrape: Scrape {
            collected_at: Timestamp::from_secs(1_769_860_800 + 60 * scrape),
            interval_micros: 60_000_000,
            kind: if scrape == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta },
            epoch: Epoch {
                stamp: Some(Timestamp::from_secs(1_769_000_000)),
                started: Some(Timestamp::from_secs(1_769_000_000)),
                evictions: None,
            },
            clock: ScrapeClock::default(),
        },
        rows: build(schema, scrape, rows)?,
    })
}

/// Rows whose columns go through all the ways in which values are stored:
/// alike, near to each other, far apart, few, NULL.
fn build(schema: &Schema, scrape: i64, rows: i64) -> Result<Rows, Box<dyn Error>> {
    let mut builder = RowsBuilder::new(schema);
    for row in 0..rows {
        let text = format!("text {}", row * 7 % 10);
        let spread = |column: usize| row.wrapping_mul(7_919).wrapping_shl(column as u32 % 40) + scrape;
        let values = schema.columns().iter().enumerate().map(|(at, column)| match column.ty {
            _ if column.kind != ColumnKind::Key && (row as usize + at).is_multiple_of(9) => Value::Null,
            ColumnType::Text => Value::Text(&text),
            ColumnType::Int if at % 3 == 0 => Value::Int(row * 3 + scrape),
            ColumnType::Int => Value::Int(spread(at)),
            ColumnType::Float => Value::Float(spread(at) as f64 / 100.0),
            ColumnType::Bool => Value::Bool(row % 3 == 0),
            ColumnType::Timestamp => Value::Timestamp(1_769_860_800_000_000 + row * 1_000),
        });
        let values: Vec<Value<'_>> = values.collect();
        if row % 11 == 10 { builder.push_gone(&values)? } else { builder.push(&values)? }
    }
    Ok(builder.finish())
}
