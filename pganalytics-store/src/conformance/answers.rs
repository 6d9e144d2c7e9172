//! SQL over a small data set, before and after compaction; and over nothing.

use std::sync::Arc;

use pganalytics_core::{ScrapeKind, Seq, frame::VerifiedFrame};

use super::{
    Candidate, Check, ConformanceFailure, Property,
    fixture::{self, Spool, TABLES, TEXTS, at, scrape, tenant},
};
use crate::{
    Job,
    sql::{SqlGuard, SqlPrincipal, to_json_rows},
};

/// Queries and what they answer, row by row as JSON.
const QUESTIONS: &[(&str, &str)] = &[
    ("SELECT count(*), min(seq_scan), max(seq_scan) FROM conformance_tables", "[[9,0,25]]"),
    ("SELECT id, sum(seq_scan) FROM conformance_tables_delta GROUP BY id ORDER BY id", "[[1,20],[2,15]]"),
    ("SELECT id, seq_scan FROM conformance_tables_latest ORDER BY id", "[[1,25],[2,15]]"),
    ("SELECT count(*) FROM conformance_tables WHERE server = 'a' AND database_name = 'app'", "[[9]]"),
    ("SELECT count(*) FROM conformance_tables WHERE server = 'b'", "[[0]]"),
];

async fn ask<S: Candidate>(
    property: Property,
    store: &S,
    guard: &SqlGuard,
    owner: u128,
    question: &str,
) -> Result<String, ConformanceFailure> {
    let principal = SqlPrincipal::new(tenant(owner));
    let query = property.ok(guard.check(question, Vec::new(), principal))?;
    let answer = property.ok(property.ok(store.query(query).await)?.into_answer().await)?;
    let rows: Vec<_> = answer.batches.iter().flat_map(to_json_rows).collect();
    property.ok(serde_json::to_string(&rows))
}

pub(super) async fn sql_sees_what_was_appended<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("SQL answers are right, before and after compaction");
    let schema = property.ok(fixture::schema(TABLES, &["seq_scan"]))?;
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    // Key 1 rises 5 a scrape; key 2 appears in the second and rises once.
    let scrapes = [
        (ScrapeKind::Keyframe, vec![(1, vec![5])]),
        (ScrapeKind::Delta, vec![(1, vec![10]), (2, vec![0])]),
        (ScrapeKind::Delta, vec![(1, vec![15])]),
        (ScrapeKind::Delta, vec![(1, vec![20]), (2, vec![15])]),
        (ScrapeKind::Delta, vec![(1, vec![25])]),
    ];
    // `_latest` shows what was seen of late, so these scrapes are of the last hours.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = property.ok(i64::try_from(property.ok(now)?.as_secs()))?;
    let begin = (now - fixture::START).div_euclid(3600) * 3600 - 3600;
    let mut frames = Vec::new();
    for (number, (kind, rows)) in (1_u64..).zip(scrapes) {
        let seconds = begin + i64::try_from(number).unwrap_or_default() * 60;
        let batch = property.ok(scrape(&schema, &spool.source, kind, seconds, &rows))?;
        frames.push(property.ok(VerifiedFrame::of_batch(Seq(number), &batch))?);
    }
    property.ok(store.append(&spool.origin, spool.stream, frames).await)?;
    for when in ["before compaction", "after compaction"] {
        for (question, expected) in QUESTIONS {
            let answer = ask(property, store.as_ref(), &SqlGuard::default(), 1, question).await?;
            property.equal(&format!("{question} {when}"), &answer.as_str(), expected)?;
        }
        property.ok(store.maintain(Job::Compact { before: at(begin + 7200) }).await)?;
    }
    // The other tenant has no such table, or an empty one; never these rows.
    let principal = SqlPrincipal::new(tenant(2));
    let query = property.ok(SqlGuard::default().check("SELECT * FROM conformance_tables", Vec::new(), principal))?;
    match store.query(query).await {
        Ok(stream) => property.equal("rows of another tenant", &property.ok(stream.into_answer().await)?.rows(), &0),
        Err(_) => Ok(()),
    }
}

pub(super) async fn what_is_known_and_not_sent_is_empty<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a measurement that is known beforehand is a table before anybody sends it");
    let known = property.ok(fixture::schema(TABLES, &["seq_scan"]))?;
    let guard = SqlGuard::default().knowing([known, property.ok(fixture::texts())?]);
    let nothing = [
        format!("SELECT id, seq_scan, server FROM {TABLES}"),
        format!("SELECT id, seq_scan, delta_quality FROM {TABLES}_delta"),
        format!("SELECT id, seq_scan FROM {TABLES}_latest"),
        format!("SELECT id, query FROM {TEXTS}"),
        format!("SELECT id, query FROM {TEXTS}_latest"),
        format!("SELECT t.id FROM {TABLES} AS t JOIN {TEXTS}_latest AS q ON q.id = t.id"),
    ];
    for question in &nothing {
        let answer = ask(property, store.as_ref(), &guard, 1, question).await?;
        property.equal(question, &answer.as_str(), &"[]")?;
    }
    // Facts have no increases, also when nobody has sent one.
    let principal = SqlPrincipal::new(tenant(1));
    let question = format!("SELECT * FROM {TEXTS}_delta");
    let refused = store.query(property.ok(guard.check(&question, Vec::new(), principal))?).await.is_err();
    property.holds(refused, || format!("{question} was answered"))?;

    // What is sent then counts, and with the schema that it came with.
    let sent = property.ok(fixture::schema(TABLES, &["seq_scan", "idx_scan"]))?;
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let batch = property.ok(scrape(&sent, &spool.source, ScrapeKind::Keyframe, 60, &[(1, vec![5, 7])]))?;
    let frame = property.ok(VerifiedFrame::of_batch(Seq(1), &batch))?;
    property.ok(store.append(&spool.origin, spool.stream, vec![frame]).await)?;
    let question = format!("SELECT id, seq_scan, idx_scan FROM {TABLES}");
    let answer = ask(property, store.as_ref(), &guard, 1, &question).await?;
    property.equal(&question, &answer.as_str(), &"[[1,5,7]]")?;
    // Another tenant goes on seeing an empty table.
    let question = format!("SELECT id, seq_scan FROM {TABLES}");
    let answer = ask(property, store.as_ref(), &guard, 2, &question).await?;
    property.equal(&question, &answer.as_str(), &"[]")
}
