#![allow(clippy::unwrap_used, clippy::panic)]

//! Each kind of text loses what people put into it, and keeps the rest.

use super::*;
use crate::logs::{classify, entry::SqlState};

fn of(severity: Severity) -> Entry<'static> {
    Entry { severity, ..Entry::default() }
}

fn error() -> Entry<'static> {
    of(Severity::Error)
}

fn log() -> Entry<'static> {
    of(Severity::Log)
}

fn redacted<'a>(entry: &Entry<'a>) -> Texts<'a> {
    let (class, facts) = classify(entry);
    texts(entry, class, &facts, Redaction::Literals)
}

#[track_caller]
fn message(entry: &Entry<'_>, text: &str, wanted: &str) {
    let entry = Entry { message: text, ..entry.clone() };
    assert_eq!(redacted(&entry).message.as_deref(), Some(wanted), "{text}");
}

#[track_caller]
fn detail(text: &str, wanted: &str) {
    let entry = Entry { message: "x", detail: Some(text), ..error() };
    assert_eq!(redacted(&entry).detail.as_deref(), Some(wanted), "{text}");
}

#[track_caller]
fn context(text: &str, wanted: &str) {
    let entry = Entry { message: "x", context: Some(text), ..error() };
    assert_eq!(redacted(&entry).context.as_deref(), Some(wanted), "{text}");
}

#[test]
fn messages_keep_names_and_lose_values() {
    for (text, wanted) in [
        ("invalid input syntax for type integer: \"s3cret\"", "invalid input syntax for type integer: \"…\""),
        (
            "invalid input syntax for type double precision: \"s3cret\"",
            "invalid input syntax for type double precision: \"…\"",
        ),
        ("invalid input value for enum mood: \"s3cret\"", "invalid input value for enum mood: \"…\""),
        ("value \"4711471147\" is out of range for type integer", "value \"…\" is out of range for type integer"),
        ("date/time field value out of range: \"2020-13-44\"", "date/time field value out of range: \"…\""),
        ("malformed array literal: \"{s3cret\"", "malformed array literal: \"…\""),
        ("syntax error at or near \"s3cret\"", "syntax error at or near \"…\""),
        ("unterminated quoted string at or near \"'s3cret\"", "unterminated quoted string at or near \"…\""),
        ("invalid byte sequence for encoding \"UTF8\": 0xff", "invalid byte sequence for encoding \"UTF8\": …"),
        (
            "duplicate key value violates unique constraint \"t_pkey\"",
            "duplicate key value violates unique constraint \"t_pkey\"",
        ),
        (
            "null value in column \"a\" of relation \"t\" violates not-null constraint",
            "null value in column \"a\" of relation \"t\" violates not-null constraint",
        ),
        ("value too long for type character varying(20)", "value too long for type character varying(20)"),
        // A value that stands where a name should: not plain.
        ("column \"s3cret, or not\" does not exist", "column \"…\" does not exist"),
        ("function f(text, integer) does not exist", "function f(text, integer) does not exist"),
        ("operator does not exist: text + s3cret", "operator does not exist: …"),
        (
            "could not open file \"pg_wal/0001\": No such file or directory",
            "could not open file \"pg_wal/0001\": No such file or directory",
        ),
        (
            "could not open file \"/home/s3cret\": No such file or directory",
            "could not open file \"…\": No such file or directory",
        ),
        ("canceling statement due to statement timeout", "canceling statement due to statement timeout"),
        ("out of memory", "out of memory"),
        // Wordings that nobody knows, and known ones with more behind them.
        ("customer s3cret has no money", "…"),
        ("division by zero of s3cret", "…"),
        ("", "…"),
    ] {
        message(&error(), text, wanted);
    }
}

#[test]
fn a_function_cannot_pass_its_text_as_the_servers() {
    // KEPT is for LOG only; these are errors.
    message(&error(), "connection received: s3cret", "…");
    message(&of(Severity::Notice), "checkpoint starting: s3cret", "…");
    message(&of(Severity::Unparsed), "cp: cannot stat 's3cret'", "…");
    message(&of(Severity::Other), "s3cret", "…");
}

#[test]
fn what_the_server_says_of_itself_is_kept() {
    for text in [
        "connection received: host=10.0.0.1 port=5432",
        "connection authorized: user=bob database=shop application_name=web",
        "disconnection: session time: 0:00:01.234 user=bob database=shop host=10.0.0.1 port=4000",
        "checkpoint starting: time",
        "restartpoint complete: wrote 12 buffers (0.1%)",
        "recovery restart point at 0/3000060",
        "database system is ready to accept connections",
        "server process (PID 42) was terminated by signal 9: Killed",
        "temporary file: path \"base/pgsql_tmp/pgsql_tmp42.0\", size 8192",
        "process 42 still waiting for ShareLock on transaction 748 after 1000.123 ms",
    ] {
        message(&log(), text, text);
    }
    message(
        &log(),
        "parameter \"primary_conninfo\" changed to \"password=s3cret\"",
        "parameter \"primary_conninfo\" changed to \"…\"",
    );
    message(&log(), "received replication command: CREATE_REPLICATION_SLOT s3cret", "received replication command: …");
}

#[test]
fn logged_statements_lose_their_literals() {
    message(&log(), "statement: select 's3cret', 4711", "statement: select '…', ?");
    message(&log(), "execute a: select 's3cret' where b = $1", "execute a: select '…' where b = $1");
    message(&log(), "statement: set app.token = s3cret", "statement: set app.token = …");
    message(&log(), "fastpath function call: \"lo_open\" (OID 952)", "…");

    let failed = Entry {
        message: "division by zero",
        statement: Some("select 1/0 /* s3cret */, 's3cret'"),
        internal_query: Some("select $$s3cret$$ from t"),
        ..error()
    };
    let texts = redacted(&failed);
    assert_eq!(texts.statement.as_deref(), Some("select ?/?  , '…'"));
    assert_eq!(texts.internal_query.as_deref(), Some("select '…' from t"));
}

#[test]
fn slow_statements_have_a_column_of_their_own() {
    let slow = Entry {
        message: "duration: 12.500 ms  execute <unnamed>: select 's3cret' where a = $1",
        detail: Some("Parameters: $1 = 's3cret'"),
        ..log()
    };
    let texts = redacted(&slow);
    assert_eq!(texts.message.as_deref(), Some("duration: 12.500 ms  execute"));
    assert_eq!(texts.statement.as_deref(), Some("select '…' where a = $1"));
    assert_eq!(texts.detail.as_deref(), Some("Parameters: …"));
    message(&log(), "duration: 12.500 ms", "duration: 12.500 ms");
    // Behind a number anything could stand; then it is no slow statement.
    message(&log(), "duration: 12.500 ms s3cret", "…");
    message(&log(), "duration: s3cret ms", "…");
}

#[test]
fn details_keep_tables_and_lose_keys_and_rows() {
    detail("Key (email)=(s3cret) already exists.", "Key (…)=(…) already exists.");
    detail("Key (a, b)=(1, s) (cret) already exists.", "Key (…)=(…) already exists.");
    detail(
        "Key (a)=(s3cret) is not present in table \"customers\".",
        "Key (…)=(…) is not present in table \"customers\".",
    );
    detail(
        "Key (a)=(s3cret) is still referenced from table \"orders\".",
        "Key (…)=(…) is still referenced from table \"orders\".",
    );
    detail(
        "Key (a)=([1,5)) conflicts with existing key (a)=([2,6)).",
        "Key (…)=(…) conflicts with existing key (…)=(…).",
    );
    detail("Failing row contains (1, s3cret, null).", "Failing row contains (…).");
    detail(
        "Partition key of the failing row contains (a) = (s3cret).",
        "Partition key of the failing row contains (…) = (…).",
    );
    detail("parameters: $1 = 's3cret'", "Parameters: …");
    detail("Parameters: $1 = 's3cret'", "Parameters: …");
    detail("Failed process was running: select 's3cret'", "Failed process was running: select '…'");
    detail("The failed archive command was: curl -u s3cret", "The failed archive command was: …");
    detail(
        "Connection matched pg_hba.conf line 12: \"host all s3cret md5\"",
        "Connection matched pg_hba.conf line 12: \"…\"",
    );
    detail(
        "User query might have needed to see row versions that must be removed.",
        "User query might have needed to see row versions that must be removed.",
    );
    detail(
        "Failed on request of size 8192 in memory context \"ExecutorState\".",
        "Failed on request of size 8192 in memory context \"ExecutorState\".",
    );
    detail("s3cret", "…");
}

#[test]
fn details_of_deadlocks_keep_who_waits_for_whom() {
    let deadlock = Entry {
        message: "deadlock detected",
        sqlstate: SqlState::new(b"40P01"),
        detail: Some(
            "Process 1 waits for ShareLock on transaction 748; blocked by process 2.\n\
             Process 2 waits for ShareLock on transaction 747; blocked by process 1.\n\
             Process 1: update t set a = 's3cret'\n\
             Process 2: update t set a = 's3cret\nProcess 1: s3cret'",
        ),
        ..error()
    };
    assert_eq!(
        redacted(&deadlock).detail.as_deref(),
        Some(
            "Process 1 waits for ShareLock on transaction 748; blocked by process 2.\n\
             Process 2 waits for ShareLock on transaction 747; blocked by process 1.\n\
             Process 1: update t set a = '…'\n\
             Process 2: update t set a = '…'"
        )
    );
    let odd = Entry { detail: Some("s3cret"), ..deadlock };
    assert_eq!(redacted(&odd).detail.as_deref(), Some("…"));
}

#[test]
fn hints_of_known_wording_are_kept() {
    let hint = |text: &'static str| redacted(&Entry { message: "x", hint: Some(text), ..error() }).hint.unwrap();
    assert_eq!(hint("Check free disk space."), "Check free disk space.");
    assert_eq!(
        hint("Perhaps you meant to reference the column \"t.name\"."),
        "Perhaps you meant to reference the column \"t.name\"."
    );
    assert_eq!(hint("call s3cret"), "…");
}

#[test]
fn contexts_keep_places_and_lose_values() {
    context("COPY p, line 3, column b: \"s3cret\"", "COPY p, line 3, column b: \"…\"");
    context("COPY p, line 3: \"s3cret\ts3cret\"", "COPY p, line 3: \"…\"");
    context("COPY p, line 3, column b: null input", "COPY p, line 3, column b: null input");
    context("unnamed portal with parameters: $1 = 's3cret'", "unnamed portal with parameters: …");
    context("portal \"a\" parameter $2 = 's3cret'", "portal \"a\" parameter $2 = …");
    context("JSON data, line 1: {\"a\": s3cret...", "JSON data, line 1: …");
    context("PL/pgSQL function f(text) line 3 at RAISE", "PL/pgSQL function f(text) line 3 at RAISE");
    context("s3cret", "…");
    context("while scanning block 12 of relation \"public.t\"", "while scanning block 12 of relation \"public.t\"");
    // Statements may have lines of their own.
    context(
        "SQL statement \"select 's3cret'\nfrom t\"\nPL/pgSQL function g() line 1 at EXECUTE\nSQL function \"h\" statement 1",
        "SQL statement \"select '…'\nfrom t\"\nPL/pgSQL function g() line 1 at EXECUTE\nSQL function \"h\" statement 1",
    );
    context("PL/pgSQL assignment \"x := 's3cret'\"", "PL/pgSQL assignment \"x := '…'\"");
}

#[test]
fn plans_of_each_format_lose_their_values() {
    let plans = [
        (
            "Query Text: select * from t where a = 's3cret'\nSeq Scan on t  (cost=0.00..25.88 rows=6 width=36)\n  Filter: (a = 's3cret'::text)",
            "Seq Scan on t  (cost=0.00..25.88 rows=6 width=36)\n  Filter: (a = '…'::text)",
        ),
        (
            "{\n  \"Query Text\": \"select * from t where a = 's3cret'\",\n  \"Query Parameters\": \"$1 = s3cret\",\n  \"Plan\": {\n    \"Node Type\": \"Seq Scan\",\n    \"Filter\": \"(a = 's3cret'::text)\"\n  }\n}",
            "\"Node Type\":\"Seq Scan\"",
        ),
        (
            "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query-Text>select * from t where a = 's3cret'</Query-Text>\n  <Plan>\n    <Node-Type>Seq Scan</Node-Type>\n    <Filter>(a = 's3cret'::text)</Filter>\n  </Plan>\n</explain>",
            "<Node-Type>Seq Scan</Node-Type>",
        ),
        (
            "Query Text: \"select * from t where a = 's3cret'\"\nPlan: \n  Node Type: \"Seq Scan\"\n  Filter: \"(a = 's3cret'::text)\"",
            "Node Type: \"Seq Scan\"",
        ),
    ];
    for (plan, kept) in plans {
        let text = format!("duration: 12.500 ms  plan:\n{plan}");
        let entry = Entry { message: &text, ..log() };
        let texts = redacted(&entry);
        assert_eq!(texts.message.as_deref(), Some("duration: 12.500 ms  plan"));
        let redacted = texts.plan.as_deref().unwrap();
        assert!(redacted.contains(kept), "{redacted}");
        assert!(!format!("{texts:?}").contains("s3cret"), "{texts:?}");
    }
    // One that was cut, or that nobody knows.
    for plan in ["{\"Query Text\": \"select 's3cret", "s3cret", "Query Text: select 's3cret"] {
        let text = format!("duration: 12.500 ms  plan:\n{plan}");
        let texts = redacted(&Entry { message: &text, ..log() });
        assert_eq!(texts.plan.as_deref(), Some("…"), "{plan}");
        assert!(!format!("{texts:?}").contains("s3cret"), "{texts:?}");
    }
}

#[test]
fn the_other_levels_keep_all_or_nothing() {
    let entry = Entry { message: "duration: 12.500 ms  statement: select 's3cret'", detail: Some("s3cret"), ..log() };
    let (class, facts) = classify(&entry);
    assert_eq!(texts(&entry, class, &facts, Redaction::All), Texts::default());
    let texts = texts(&entry, class, &facts, Redaction::None);
    assert_eq!(texts.message.as_deref(), Some("duration: 12.500 ms  statement"));
    assert_eq!(texts.statement.as_deref(), Some("select 's3cret'"));
    assert_eq!(texts.detail.as_deref(), Some("s3cret"));
    assert_eq!(statement("select 's3cret'", Redaction::All), None);
    assert_eq!(statement("select 's3cret'", Redaction::None).as_deref(), Some("select 's3cret'"));
}
