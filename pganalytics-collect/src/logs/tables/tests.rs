#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use pganalytics_core::{InstanceId, ServerId};

use super::*;
use crate::logs::{Format, Options, Parser, Prefix};

/// One entry for each table.
const LOG: &str = "\
2026-11-21 12:00:00.000 UTC [5] LOG:  checkpoint starting: wal\n\
2026-11-21 12:00:01.000 UTC [5] LOG:  checkpoint complete: wrote 3 buffers (0.1%), wrote 2 SLRU buffers; 1 WAL file(s) added, 2 removed, 3 recycled; write=0.250 s, sync=0.001 s, total=0.500 s; sync files=4, longest=0.002 s, average=0.001 s; distance=10 kB, estimate=20 kB; lsn=1/2A, redo lsn=1/29\n\
2026-11-21 12:00:02.000 UTC [6] LOG:  automatic vacuum of table \"shop.public.t\": index scans: 1\n\tpages: 0 removed, 45 remain, 45 scanned (100.00% of total)\n\tavg read rate: 1.000 MB/s, avg write rate: 0.000 MB/s\n\
2026-11-21 12:00:03.000 UTC [7] LOG:  process 7 still waiting for ShareLock on transaction 748 after 1000.5 ms\n\
2026-11-21 12:00:03.000 UTC [7] DETAIL:  Process holding the lock: 8. Wait queue: 7, 9.\n\
2026-11-21 12:00:03.000 UTC [7] STATEMENT:  update t set a = 'secret'\n\
2026-11-21 12:00:04.000 UTC [7] ERROR:  deadlock detected\n\
2026-11-21 12:00:04.000 UTC [7] DETAIL:  Process 7 waits for ShareLock on transaction 748; blocked by process 8.\n\tProcess 8 waits for ShareLock on transaction 747; blocked by process 7.\n\tProcess 7: update t\n\t set a = 'secret'\n\tProcess 8: update t set a = 'secret'\n\
2026-11-21 12:00:05.000 UTC [7] LOG:  duration: 12.500 ms  plan:\n\tQuery Text: select * from t where a = 'secret'\n\tSeq Scan on t  (cost=0.00..25.88 rows=6 width=36)\n\t  Filter: (a = 'secret'::text)\n";

fn tables(level: Redaction) -> (LogTables, Vec<Batch>) {
    let mut tables = LogTables::new(level, Timestamp::from_secs(1));
    let mut parser = Parser::new(Format::Stderr(Prefix::default()), Options::default(), 0);
    parser.push(LOG.as_bytes(), &mut |entry| {
        tables.add("f", entry).unwrap();
    });
    parser.flush(&mut |entry| {
        tables.add("f", entry).unwrap();
    });
    let batches = tables.take(&source(), Timestamp::from_secs(2)).unwrap();
    (tables, batches)
}

fn source() -> Source {
    let server_id = ServerId::of_host("db1");
    let instance_id = InstanceId::of_address(server_id, "db1");
    Source { server_id, instance_id, server: "db1".into(), database: None }
}

fn get<'a>(batches: &'a [Batch], name: &str, row: usize, column: &str) -> Value<'a> {
    let batch = batches.iter().find(|batch| batch.schema.measurement().as_str() == name).unwrap();
    batch.rows.get(row, batch.schema.position(column).unwrap_or_else(|| panic!("no column {column}")))
}

#[test]
fn each_number_is_in_its_column() {
    let (_, batches) = tables(Redaction::Literals);
    let names: Vec<_> = batches.iter().map(|batch| batch.schema.measurement().as_str()).collect();
    assert_eq!(names, TABLES.iter().map(|(name, _)| *name).collect::<Vec<_>>());

    let is = |name, row, column, value| assert_eq!(get(&batches, name, row, column), value, "{name}.{column}");
    is("pg_log", 0, "class", Value::Text("checkpoint_start"));
    is("pg_log", 3, "query", Value::Text("update t set a = '…'"));
    is("pg_log", 3, "duration_ms", Value::Float(1000.5));
    is("pg_log", 5, "cut", Value::Bool(false));
    is("pg_log_checkpoint", 0, "reason", Value::Text("wal"));
    is("pg_log_checkpoint", 0, "buffers_percent", Value::Float(0.1));
    is("pg_log_checkpoint", 0, "slru_written", Value::Int(2));
    is("pg_log_checkpoint", 0, "wal_files_recycled", Value::Int(3));
    is("pg_log_checkpoint", 0, "total_time", Value::Float(0.5));
    is("pg_log_checkpoint", 0, "estimate", Value::Int(20_480));
    is("pg_log_checkpoint", 0, "lsn", Value::Text("1/2A"));
    is("pg_log_autovacuum", 0, "command", Value::Text("vacuum"));
    is("pg_log_autovacuum", 0, "relname", Value::Text("t"));
    is("pg_log_autovacuum", 0, "pages_scanned", Value::Int(45));
    is("pg_log_autovacuum", 0, "read_rate", Value::Float(MEGABYTE));
    is("pg_log_autovacuum", 0, "wal_buffers_full", Value::Null);
    is("pg_log_lock_wait", 0, "object", Value::Text("transaction 748"));
    is("pg_log_lock_wait", 0, "waiters", Value::Text("7,9"));
    is("pg_log_lock_wait", 0, "query", Value::Text("update t set a = '…'"));
    is("pg_log_deadlock", 0, "query", Value::Text("update t\n set a = '…'"));
    is("pg_log_deadlock", 0, "victim", Value::Bool(true));
    is("pg_log_deadlock", 1, "blocked_by", Value::Int(7));
    is("pg_log_plan", 0, "query", Value::Text("select * from t where a = '…'"));
    is("pg_log_plan", 0, "duration_ms", Value::Float(12.5));
    let plan = "Query Text: select * from t where a = '…'\nSeq Scan on t  (cost=0.00..25.88 rows=6 width=36)\n  Filter: (a = '…'::text)";
    is("pg_log_plan", 0, "plan", Value::Text(plan));
}

const MEGABYTE: f64 = 1_048_576.0;

#[test]
fn nothing_is_taken_twice_and_counts_go_on() {
    let (mut tables, _) = tables(Redaction::All);
    assert!(tables.is_empty());
    assert!(tables.take(&source(), Timestamp::from_secs(3)).unwrap().is_empty());
    let summary = tables.summary(&source(), Timestamp::from_secs(3)).unwrap().unwrap();
    let rows = summary.rows.len();
    let entries: Vec<_> =
        (0..rows).map(|row| summary.rows.get(row, summary.schema.position("entries").unwrap())).collect();
    assert_eq!(entries, vec![Value::Int(1); 6]);
}

#[test]
fn each_level_shows_what_it_may() {
    let shows = |level| format!("{:?}", tables(level).1).contains("secret");
    assert!(shows(Redaction::None));
    assert!(!shows(Redaction::Literals) && !shows(Redaction::All));
    let (_, all) = tables(Redaction::All);
    assert_eq!(get(&all, "pg_log", 4, "message"), Value::Null);
    assert_eq!(get(&all, "pg_log_deadlock", 0, "query"), Value::Null);
    assert_eq!(get(&all, "pg_log_plan", 0, "plan"), Value::Null);
}
