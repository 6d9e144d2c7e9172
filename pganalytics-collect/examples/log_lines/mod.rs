//! A log like a busy server's: connections, slow statements with parameters,
//! errors, temporary files, lock waits, checkpoints, autovacuums.

use std::fmt::Write as _;

/// The prefix of the stderr log.
pub(crate) const PREFIX: &str = "%m [%p] %q%u@%d ";

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// stderr
    Stderr,
    /// csvlog
    Csv,
    /// jsonlog
    Json,
}

/// One entry.
struct Entry<'a> {
    number: usize,
    severity: &'a str,
    state: &'a str,
    session: bool,
    message: &'a str,
    detail: &'a str,
    statement: &'a str,
}

/// About so many bytes of log; the same on every run.
#[must_use]
pub(crate) fn log(written: Written, bytes: usize) -> Vec<u8> {
    let mut out = String::with_capacity(bytes + 4_096);
    let mut number = 0;
    while out.len() < bytes {
        number += 1;
        each_entry(number, &mut |entry| write(written, entry, &mut out));
    }
    out.into_bytes()
}

fn each_entry(number: usize, each: &mut dyn FnMut(&Entry<'_>)) {
    let id = number.wrapping_mul(2_654_435_761) % 1_000_003;
    let quiet =
        Entry { number, severity: "LOG", state: "00000", session: true, message: "", detail: "", statement: "" };
    match number % 20 {
        0 => each(&Entry {
            message: &format!("connection received: host=10.0.{}.{} port={}", id % 256, id % 199, 1_024 + id % 60_000),
            session: false,
            ..quiet
        }),
        1 => each(&Entry {
            message: "connection authorized: user=shop database=shop application_name=web SSL enabled (protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)",
            ..quiet
        }),
        2 => each(&Entry {
            message: &format!(
                "disconnection: session time: 0:00:{:02}.{:03} user=shop database=shop host=10.0.0.1 port=4000",
                id % 60,
                id % 1_000
            ),
            ..quiet
        }),
        3 => each(&Entry {
            severity: "ERROR",
            state: "23505",
            message: "duplicate key value violates unique constraint \"customers_email_key\"",
            detail: &format!("Key (email)=(customer{id}@example.com) already exists."),
            statement: &format!(
                "INSERT INTO customers (id, email, name) VALUES ({id}, 'customer{id}@example.com', 'Name of {id}')"
            ),
            ..quiet
        }),
        4 => each(&Entry {
            message: &format!("temporary file: path \"base/pgsql_tmp/pgsql_tmp{id}.0\", size {}", id * 8_192),
            statement: "SELECT * FROM orders ORDER BY total DESC",
            ..quiet
        }),
        5 if number % 400 == 5 => {
            each(&Entry {
                session: false,
                message: "checkpoint complete: wrote 12345 buffers (9.4%), wrote 3 SLRU buffers; 0 WAL file(s) added, 2 removed, 31 recycled; write=269.551 s, sync=0.021 s, total=269.622 s; sync files=412, longest=0.004 s, average=0.001 s; distance=540480 kB, estimate=541377 kB; lsn=2F/A8001F60, redo lsn=2F/85A2F0C8",
                ..quiet
            });
        }
        6 if number % 200 == 6 => {
            each(&Entry {
                session: false,
                message: "automatic vacuum of table \"shop.public.orders\": index scans: 1\npages: 0 removed, 43211 remain, 12345 scanned (28.57% of total), 0 eagerly scanned\ntuples: 21345 removed, 1234567 remain, 12 are dead but not yet removable\nremovable cutoff: 123456789, which was 42 XIDs old when operation ended\nfrozen: 0 pages from table (0.00% of total) had 0 tuples frozen\nindex scan needed: 5432 pages from table (12.57% of total) had 21345 dead item identifiers removed\nindex \"orders_pkey\": pages: 3402 in total, 0 newly deleted, 0 currently deleted, 0 reusable\navg read rate: 12.345 MB/s, avg write rate: 6.789 MB/s\nbuffer usage: 65432 hits, 4321 reads, 2345 dirtied\nWAL usage: 12345 records, 321 full page images, 4567890 bytes, 0 buffers full\nsystem usage: CPU: user: 0.43 s, system: 0.12 s, elapsed: 4.21 s",
                ..quiet
            });
        }
        7 if number % 60 == 7 => each(&Entry {
            message: &format!(
                "process 4{} still waiting for ShareLock on transaction {id} after 1000.{:03} ms",
                id % 1_000,
                id % 1_000
            ),
            detail: &format!("Process holding the lock: 5{}. Wait queue: 4{}.", id % 1_000, id % 1_000),
            statement: &format!("UPDATE stock SET amount = amount - {} WHERE product = {id}", id % 9),
            ..quiet
        }),
        8..14 => each(&Entry {
            message: &format!(
                "duration: {}.{:03} ms  execute <unnamed>: SELECT o.id, o.total, c.name, c.email FROM orders o JOIN customers c ON c.id = o.customer WHERE o.customer = $1 AND o.created > $2 ORDER BY o.created DESC LIMIT 50",
                id % 3_000,
                id % 1_000
            ),
            detail: &format!("Parameters: $1 = '{id}', $2 = '2026-01-01 00:00:00+00'"),
            ..quiet
        }),
        _ => each(&Entry {
            message: &format!(
                "duration: {}.{:03} ms  statement: UPDATE sessions SET last_seen = now(), data = '{{\"cart\": [{id}, 2, 3], \"note\": \"it''s {id}\"}}'\n  WHERE id = {id}\n    AND token = '{id:032x}'",
                id % 500,
                id % 1_000
            ),
            ..quiet
        }),
    }
}

fn write(written: Written, entry: &Entry<'_>, out: &mut String) {
    match written {
        Written::Stderr => stderr(entry, out),
        Written::Csv => csv(entry, out),
        Written::Json => json(entry, out),
    }
    .unwrap_or_default();
}

fn time(number: usize) -> String {
    let millis = number / 2;
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    format!("2026-11-21 {:02}:{:02}:{:02}.{millis:03} UTC", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

fn pid(number: usize) -> usize {
    10_000 + number * 7 % 300
}

fn stderr(entry: &Entry<'_>, out: &mut String) -> std::fmt::Result {
    let user = if entry.session { "shop@shop " } else { "" };
    let start = format!("{} [{}] {user}", time(entry.number), pid(entry.number));
    for (word, text) in [(entry.severity, entry.message), ("DETAIL", entry.detail), ("STATEMENT", entry.statement)] {
        if !text.is_empty() {
            writeln!(out, "{start}{word}:  {}", text.replace('\n', "\n\t"))?;
        }
    }
    Ok(())
}

fn csv(entry: &Entry<'_>, out: &mut String) -> std::fmt::Result {
    let quoted =
        |text: &str| if text.is_empty() { String::new() } else { format!("\"{}\"", text.replace('"', "\"\"")) };
    let (user, from, application, backend) = match entry.session {
        true => ("\"shop\",\"shop\"", "\"10.0.0.1:4000\"", "\"web\"", "\"client backend\""),
        false => (",", "", "\"\"", "\"checkpointer\""),
    };
    let (time, pid) = (time(entry.number), pid(entry.number));
    write!(
        out,
        "{time},{user},{pid},{from},6740c6f0.{pid:x},{},\"SELECT\",2026-11-21 00:00:00 UTC,3/7,0,",
        entry.number
    )?;
    write!(out, "{},{},{},{},,,,,", entry.severity, entry.state, quoted(entry.message), quoted(entry.detail))?;
    writeln!(out, "{},,,{application},{backend},,-7712345678901234567", quoted(entry.statement))
}

fn json(entry: &Entry<'_>, out: &mut String) -> std::fmt::Result {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let (time, pid) = (time(entry.number), pid(entry.number));
    write!(out, "{{\"timestamp\":\"{time}\",")?;
    if entry.session {
        write!(out, "\"user\":\"shop\",\"dbname\":\"shop\",")?;
    }
    write!(out, "\"pid\":{pid},")?;
    if entry.session {
        write!(out, "\"remote_host\":\"10.0.0.1\",\"remote_port\":4000,")?;
    }
    write!(out, "\"session_id\":\"6740c6f0.{pid:x}\",\"line_num\":{},\"ps\":\"SELECT\",", entry.number)?;
    write!(out, "\"session_start\":\"2026-11-21 00:00:00 UTC\",\"vxid\":\"3/7\",\"txid\":0,")?;
    write!(
        out,
        "\"error_severity\":\"{}\",\"state_code\":\"{}\",\"message\":\"{}\"",
        entry.severity,
        entry.state,
        quoted(entry.message)
    )?;
    for (key, text) in [("detail", entry.detail), ("statement", entry.statement)] {
        if !text.is_empty() {
            write!(out, ",\"{key}\":\"{}\"", quoted(text))?;
        }
    }
    writeln!(
        out,
        ",\"application_name\":\"web\",\"backend_type\":\"client backend\",\"query_id\":-7712345678901234567}}"
    )
}
