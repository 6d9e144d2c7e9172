//! What real servers log, in every way in which they do, is read alike, told
//! apart, and gives nothing away.

use std::collections::{BTreeMap, BTreeSet};

use pganalytics_collect::logs::{
    Class, Entry, Facts, Format, LogTables, Options, Parser, Prefix, Redaction, Zone, classify,
};
use pganalytics_core::{InstanceId, ServerId, Source, Timestamp, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::log_provocations::{CANARY, CANARY_NUMBER, PREFIX, cluster, crash_and_stop, log, provoke};

/// Classes that the provocations make happen.
const PROVOKED: &[Class] = &[
    Class::Connection,
    Class::Disconnection,
    Class::AuthenticationFailure,
    Class::OutOfConnections,
    Class::CheckpointStart,
    Class::Checkpoint,
    Class::Autovacuum,
    Class::Autoanalyze,
    Class::TemporaryFile,
    Class::LockWait,
    Class::Deadlock,
    Class::SlowStatement,
    Class::Statement,
    Class::Plan,
    Class::Timeout,
    Class::Cancel,
    Class::Terminated,
    Class::Corruption,
    Class::Crash,
    Class::Recovery,
    Class::Replication,
    Class::ArchiveFailure,
    Class::ServerStart,
    Class::ServerStop,
    Class::Config,
    Class::ConstraintViolation,
    Class::PermissionDenied,
    Class::SyntaxError,
    Class::DataError,
    Class::TransactionState,
    Class::Raised,
];

fn formats(version: u16) -> Vec<(&'static str, Format)> {
    let all = [("csv", Format::Csv), ("log", Format::Stderr(Prefix::new(PREFIX))), ("json", Format::Json)];
    all.into_iter().filter(|(ending, _)| version >= 15 || *ending != "json").collect()
}

fn read(bytes: &[u8], format: Format, each: &mut dyn FnMut(&Entry<'_>)) {
    let mut parser = Parser::new(format, Options::default().zone(Zone::named("UTC")), 0);
    for piece in bytes.chunks(4_096) {
        parser.push(piece, each);
    }
    parser.finish(each);
    let counts = parser.counts();
    assert_eq!((counts.cut, counts.guessed_zones), (0, 0));
}

/// An entry without what the format itself makes different: where it is, and the
/// number within the session, which a stderr log counts by lines.
fn comparable(entry: &Entry<'_>) -> String {
    let mut entry = entry.clone();
    (entry.offset, entry.bytes, entry.session_line) = (0, 0, None);
    let (class, facts) = classify(&entry);
    format!("{entry:?} {class:?} {facts:?}")
}

/// Entries of each session, in order.
fn by_session(bytes: &[u8], format: Format) -> BTreeMap<String, Vec<String>> {
    let mut sessions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    read(bytes, format, &mut |entry| {
        if entry.is_parsed() {
            let session = entry.session_id.expect("all formats say it").to_owned();
            sessions.entry(session).or_default().push(comparable(entry));
        } else {
            // What the archive command says goes to stderr.
            assert!(entry.message.contains(CANARY), "{entry:#?}");
        }
    });
    sessions
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_log_says_the_same() {
    for version in versions() {
        let cluster = cluster(version).await;
        provoke(&cluster).await;
        crash_and_stop(&cluster).await;
        all_alike(&cluster, version);
        all_told_apart(&cluster, version);
        for (ending, format) in formats(version) {
            nothing_leaves(&log(&cluster, ending), &format, &format!("{version} {ending}"));
        }
        // As most servers are set: no SQLSTATE, no user in the log.
        nothing_leaves(&as_by_default(&log(&cluster, "csv")), &Format::Stderr(Prefix::default()), "default prefix");
    }
}

fn all_alike(cluster: &Cluster, version: u16) {
    let mut logs =
        formats(version).into_iter().map(|(ending, format)| (ending, by_session(&log(cluster, ending), format)));
    let (_, csv) = logs.next().unwrap();
    assert!(csv.values().map(Vec::len).sum::<usize>() > 200, "{version}");
    for (ending, other) in logs {
        for (session, entries) in &csv {
            let others = other.get(session).unwrap_or_else(|| panic!("{version} {ending}: no {session}"));
            for (entry, same) in entries.iter().zip(others) {
                assert_eq!(entry, same, "{version} {ending}");
            }
            assert_eq!(entries.len(), others.len(), "{version} {ending}");
        }
        assert_eq!(csv.len(), other.len(), "{version} {ending}");
    }
}

fn all_told_apart(cluster: &Cluster, version: u16) {
    let mut seen = BTreeSet::new();
    let mut others = Vec::new();
    read(&log(cluster, "csv"), Format::Csv, &mut |entry| {
        let (class, facts) = classify(entry);
        seen.insert(class);
        if matches!(class, Class::Other | Class::Error) {
            others.push(format!("{class:?} {:?} {}", entry.sqlstate, entry.message));
        }
        let numbers_missing = match (class, &facts) {
            (Class::Checkpoint, Facts::Checkpoint(of)) => of.buffers.is_none() || of.distance_bytes.is_none(),
            (Class::Autovacuum, Facts::Autovacuum(of)) => {
                of.pages_remain.is_none()
                    || of.elapsed_s.is_none()
                    || of.buffer_reads.is_none()
                    || of.removable_cutoff_xid.is_none()
                    || (version >= 18) != of.wal_buffers_full.is_some()
                    || (version >= 15) != of.pages_scanned.is_some()
            }
            (Class::Autoanalyze, Facts::Autoanalyze(of)) => of.elapsed_s.is_none() || of.table.is_empty(),
            (Class::TemporaryFile, facts) => !matches!(facts, Facts::TemporaryFile { size_bytes: 1.. }),
            (Class::LockWait, Facts::LockWait(of)) => {
                of.wait_ms < 50.0 || (entry.detail.is_some() && of.holders.is_empty())
            }
            (Class::Deadlock, Facts::Deadlock(of)) => {
                of.len() != 2 || of.iter().any(|member| member.statement.is_none())
            }
            (Class::SlowStatement | Class::Plan, facts) => *facts == Facts::None,
            (Class::Disconnection, facts) => *facts == Facts::None,
            (Class::Checkpoint | Class::Autovacuum | Class::Autoanalyze | Class::LockWait | Class::Deadlock, _) => true,
            _ => false,
        };
        assert!(!numbers_missing, "{version}: {facts:#?} of {entry:#?}");
        // Without SQLSTATE the words tell the same, except who raised it.
        let mut bare = entry.clone();
        bare.sqlstate = None;
        let by_words = classify(&bare).0;
        if PROVOKED.contains(&class) && class != Class::Raised && by_words != class {
            let told = matches!(
                class,
                Class::SyntaxError | Class::DataError | Class::TransactionState | Class::ConstraintViolation
            );
            assert!(told && by_words == Class::Error, "{version}: {class:?} {by_words:?} {entry:#?}");
        }
    });
    others.sort();
    others.dedup();
    eprintln!("{version}: of no class:\n{}", others.join("\n"));
    let missing: Vec<_> = PROVOKED.iter().filter(|class| !seen.contains(class)).collect();
    assert!(missing.is_empty(), "{version}: {missing:?}");
}

/// What the log would be with `%m [%p] ` as its prefix and terse.
fn as_by_default(csv: &[u8]) -> Vec<u8> {
    let mut lines = String::new();
    read(csv, Format::Csv, &mut |entry| {
        let start = format!("2026-11-21 12:00:00.000 UTC [{}] ", entry.pid.unwrap_or_default());
        let mut part = |word: &str, text: Option<&str>| {
            if let Some(text) = text {
                lines.push_str(&format!("{start}{word}:  {}\n", text.replace('\n', "\n\t")));
            }
        };
        part(entry.severity_word, Some(entry.message));
        part("DETAIL", entry.detail);
        part("HINT", entry.hint);
        part("QUERY", entry.internal_query);
        part("STATEMENT", entry.statement);
    });
    lines.into_bytes()
}

fn nothing_leaves(bytes: &[u8], format: &Format, what: &str) {
    let server_id = ServerId::of_host("db1");
    let instance_id = InstanceId::of_address(server_id, "db1");
    let source = Source { server_id, instance_id, server: "db1".into(), database: None };
    assert!(String::from_utf8_lossy(bytes).matches(CANARY).count() > 100, "{what}: planted");
    let mut kept = 0;
    let mut leaks = Vec::new();
    for level in [Redaction::Literals, Redaction::All] {
        let mut tables = LogTables::new(level, Timestamp::from_secs(1));
        read(bytes, format.clone(), &mut |entry| {
            tables.add("f", entry).unwrap();
        });
        let mut batches = tables.take(&source, Timestamp::from_secs(2)).unwrap();
        batches.extend(tables.summary(&source, Timestamp::from_secs(2)).unwrap());
        for batch in &batches {
            for row in 0..batch.rows.len() {
                for (column, named) in batch.schema.columns().iter().enumerate() {
                    let Value::Text(text) = batch.rows.get(row, column) else { continue };
                    let leaked = text.contains(CANARY) || text.contains(CANARY_NUMBER) || text.contains("77347734");
                    if leaked {
                        leaks.push(format!("{level:?}: {}.{}: {text}", batch.schema.measurement(), named.name));
                    }
                    kept += usize::from(level == Redaction::Literals && named.name == "message" && text != "…");
                }
            }
        }
    }
    assert!(leaks.is_empty(), "{what}: {} leaks:\n{}", leaks.len(), leaks.join("\n"));
    // Not because nothing is left.
    assert!(kept > 150, "{what}: {kept} messages are kept");
}
