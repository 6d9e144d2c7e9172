//! Any bytes are entries or unparsed lines; how they are cut into pieces makes
//! no difference; they become rows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pganalytics_collect::logs::{Entry, Format, Limits, LogTables, Options, Parser, Prefix, Redaction};
use pganalytics_core::Timestamp;

const PREFIXES: &[&str] = &["%m [%p] ", "%t:%r:%u@%d:[%p]: ", "%a%u %-10d|%c %q%i", ""];

fn read(format: &Format, pieces: &[&[u8]], each: &mut dyn FnMut(&Entry<'_>)) -> u64 {
    let limits = Limits::default().entry_bytes(2_048).open_entries(4);
    let mut parser = Parser::new(format.clone(), Options::default().limits(limits), 0);
    for piece in pieces {
        parser.push(piece, each);
    }
    parser.finish(each);
    parser.resume_offset()
}

fuzz_target!(|data: &[u8]| {
    let Some(([kind, cut], log)) = data.split_first_chunk() else { return };
    let prefix = Prefix::new(PREFIXES[usize::from(*kind / 5) % PREFIXES.len()]);
    let format = match kind % 5 {
        0 => Format::Stderr(prefix),
        1 => Format::Csv,
        2 => Format::Json,
        3 => Format::Syslog(prefix),
        _ => Format::Journal(prefix),
    };
    let mut tables = LogTables::new(Redaction::Literals, Timestamp::from_secs(1));
    let mut whole = Vec::new();
    let end = read(&format, &[log], &mut |entry| {
        tables.add("f", entry).expect("a row");
        whole.push((entry.offset, entry.bytes, entry.severity, entry.message.to_owned()));
    });
    assert_eq!(end, log.len() as u64);
    let pieces: Vec<&[u8]> = log.chunks(usize::from(*cut) + 1).collect();
    let mut parts = Vec::new();
    read(&format, &pieces, &mut |entry| {
        parts.push((entry.offset, entry.bytes, entry.severity, entry.message.to_owned()));
    });
    assert_eq!(parts, whole);
});
