#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use pganalytics_core::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::logs::{Limits, Severity, Zone};

/// What of an entry the tests look at.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    offset: u64,
    bytes: u64,
    cut: bool,
    severity: Severity,
    pid: Option<i32>,
    text: String,
}

fn seen(entry: &Entry<'_>) -> Seen {
    let parts = [entry.detail, entry.hint, entry.context, entry.statement].map(Option::unwrap_or_default);
    Seen {
        offset: entry.offset,
        bytes: entry.bytes,
        cut: entry.cut,
        severity: entry.severity,
        pid: entry.pid,
        text: format!("{}|{}", entry.message, parts.join("|")),
    }
}

fn read(format: &Format, options: &Options, pieces: &[&[u8]]) -> (Vec<Seen>, Counts) {
    let mut parser = Parser::new(format.clone(), options.clone(), 0);
    let mut all = Vec::new();
    let mut resume = 0;
    for piece in pieces {
        parser.push(piece, &mut |entry| all.push(seen(entry)));
        assert!(parser.resume_offset() >= resume, "it never goes back");
        resume = parser.resume_offset();
        let behind = all.last().map_or(0, |last: &Seen| last.offset);
        assert!(all.is_empty() || resume > behind, "behind all that was handed over");
    }
    parser.finish(&mut |entry| all.push(seen(entry)));
    assert_eq!(parser.resume_offset(), pieces.iter().map(|piece| piece.len() as u64).sum::<u64>());
    assert_eq!(all.iter().map(|entry| entry.bytes).sum::<u64>(), parser.resume_offset(), "every byte counts once");
    let counts = parser.counts();
    assert_eq!(counts.entries + counts.unparsed, all.len() as u64);
    (all, counts)
}

fn texts(format: &Format, input: &str) -> Vec<(Severity, String)> {
    let (all, _) = read(format, &Options::default(), &[input.as_bytes()]);
    all.into_iter().map(|seen| (seen.severity, seen.text)).collect()
}

fn stderr() -> Format {
    Format::Stderr(Prefix::new("%m [%p] "))
}

const STDERR: &str = "\
2026-11-21 12:00:00.000 UTC [1] LOG:  first\n\
\tgoes on\n\
2026-11-21 12:00:00.001 UTC [2] ERROR:  relation \"x\" does not exist at character 15\n\
2026-11-21 12:00:00.001 UTC [3] LOG:  between\n\
2026-11-21 12:00:00.001 UTC [2] HINT:  none\n\
cp: cannot stat 'file'\n\
2026-11-21 12:00:00.001 UTC [2] STATEMENT:  select *\n\
\t\tfrom x\n\
\n\
2026-11-21 12:00:00.002 UTC [9] DETAIL:  of nobody\n\
2026-11-21 12:00:00.002 UTC [1] FATAL:  größe\n\
2026-11-21 12:00:00.002 UTC [1] LOG:  no newline";

#[test]
fn lines_of_a_process_belong_together() {
    use Severity::{Error, Fatal, Log, Unparsed};
    let expected = [
        (Log, "first\ngoes on||||"),
        (Error, "relation \"x\" does not exist||none||select *\n\tfrom x"),
        (Log, "between||||"),
        (Unparsed, "cp: cannot stat 'file'||||"),
        (Unparsed, "||||"),
        (Unparsed, "2026-11-21 12:00:00.002 UTC [9] DETAIL:  of nobody||||"),
        (Fatal, "größe||||"),
        (Log, "no newline||||"),
    ];
    assert_eq!(texts(&stderr(), STDERR), expected.map(|(severity, text)| (severity, text.to_owned())));
}

#[test]
fn a_reader_that_goes_on_where_it_stopped_misses_nothing() {
    let (whole, _) = read(&stderr(), &Options::default(), &[STDERR.as_bytes()]);
    for stop in 0..STDERR.len() {
        let mut all = Vec::new();
        let mut parser = Parser::new(stderr(), Options::default().limits(Limits::default().open_entries(1)), 0);
        parser.push(&STDERR.as_bytes()[..stop], &mut |entry| all.push(seen(entry)));
        let resume = parser.resume_offset();
        let mut parser = Parser::new(stderr(), Options::default(), resume);
        parser.push(&STDERR.as_bytes()[usize::try_from(resume).unwrap()..], &mut |entry| all.push(seen(entry)));
        parser.finish(&mut |entry| all.push(seen(entry)));
        let offsets: Vec<u64> = all.iter().map(|entry| entry.offset).collect();
        assert!(offsets.is_sorted(), "{stop}: {offsets:?}");
        for entry in &whole {
            assert!(offsets.contains(&entry.offset), "{stop}: {entry:?} is missing");
        }
    }
}

const CSV: &str = "\
2026-11-21 12:00:00.000 UTC,\"bob\",\"shop\",42,\"[local]\",6740c6f0.2a,1,\"SELECT\",2026-11-21 11:00:00 UTC,3/7,0,ERROR,42P01,\"relation \"\"x\"\" does not exist\",,,,,,\"select *\n\
2026-11-21 12:00:00.000 UTC,\"\"a\"\" from x\",15,,\"psql\",\"client backend\",,-77\n";

#[test]
fn csv_records_may_hold_anything() {
    let (all, _) = read(&Format::Csv, &Options::default(), &[CSV.as_bytes(), CSV.as_bytes()]);
    assert_eq!(all.len(), 2);
    let text = "relation \"x\" does not exist||||select *\n2026-11-21 12:00:00.000 UTC,\"a\" from x";
    assert_eq!((all[0].pid, all[1].text.as_str()), (Some(42), text));
}

#[test]
fn a_torn_csv_record_does_not_take_others_along() {
    for at in 1..CSV.len() {
        let torn = format!("{}\n{CSV}{CSV}", &CSV[..at]);
        let (all, _) = read(&Format::Csv, &Options::default(), &[torn.as_bytes()]);
        let good =
            all.iter().filter(|entry| entry.severity == Severity::Error && entry.bytes == CSV.len() as u64).count();
        assert!(good >= 2, "{at}: {all:#?}");
    }
}

#[test]
fn long_entries_are_cut_and_marked() {
    let long = "x".repeat(200_000);
    let options = Options::default().limits(Limits::default().entry_bytes(2_000));
    let inputs = [
        (
            stderr(),
            format!("2026-11-21 12:00:00.000 UTC [1] LOG:  {long}\n2026-11-21 12:00:00.000 UTC [1] LOG:  next\n"),
        ),
        (Format::Csv, CSV.replace("select *", &long) + CSV),
        (
            Format::Json,
            format!(
                "{{\"timestamp\":\"2026-11-21 12:00:00.000 UTC\",\"error_severity\":\"LOG\",\"message\":\"{long}\\u00e4\",\"pid\":7}}\n\
                 {{\"timestamp\":\"2026-11-21 12:00:00.000 UTC\",\"error_severity\":\"LOG\",\"message\":\"next\"}}\n"
            ),
        ),
    ];
    for (format, input) in inputs {
        let (whole, counts) = read(&format, &options, &[input.as_bytes()]);
        assert_eq!((whole.len(), counts.cut, counts.unparsed), (2, 1, 0), "{format:?}");
        assert!(whole[0].cut && whole[0].text.len() <= 2_010 && whole[0].text.contains("xxx"), "{format:?}");
        let pieces: Vec<&[u8]> = input.as_bytes().chunks(777).collect();
        assert_eq!(read(&format, &options, &pieces).0, whole, "{format:?}");
    }
}

#[test]
fn json_lines_are_read() {
    let input = "{\"timestamp\":\"2026-11-21 12:00:00.000 UTC\",\"pid\":7,\"error_severity\":\"LOG\",\"message\":\"a\\nb \\\"c\\\"\",\"other\":[{}]}\nnot json\n{\"a\":1}\n";
    let expected = [
        (Severity::Log, "a\nb \"c\"||||"),
        (Severity::Unparsed, "not json||||"),
        (Severity::Unparsed, "{\"a\":1}||||"),
    ];
    assert_eq!(texts(&Format::Json, input), expected.map(|(severity, text)| (severity, text.to_owned())));
}

const SYSLOG: &str = "\
Nov 21 12:00:01 db1 postgres[7]: [5-1] ERROR:  division by zero\n\
2026-11-21T12:00:01.5+00:00 db1 postgres[8]: [1-1] LOG:  long\n\
Nov 21 12:00:01 db1 postgres[7]: [5-2] STATEMENT:  select 1\n\
<134>Nov 21 12:00:01 db1 postgres[7]: [5-3] #011from\n\
Nov 21 12:00:01 db1 postgres[7]: [5-4]  t#1\n\
Nov 21 12:00:01 db1 postgres[8]: [1-2] er\n\
Nov 21 12:00:01 db1 cron[9]: hello\n\
rubbish\n";

#[test]
fn syslog_lines_are_put_together() {
    let expected = [
        (Severity::Error, "division by zero||||select 1\nfrom t#1"),
        (Severity::Log, "longer||||"),
        (Severity::Unparsed, "hello||||"),
        (Severity::Unparsed, "rubbish||||"),
    ];
    let format = Format::Syslog(Prefix::new(""));
    assert_eq!(texts(&format, SYSLOG), expected.map(|(severity, text)| (severity, text.to_owned())));

    let now = Timestamp::from_secs(1_800_000_000); // January 2027
    let mut times = Vec::new();
    for (zone, hour) in [(Zone::default(), 12), (Zone::named("Europe/Berlin"), 11)] {
        let options = Options::default().zone(zone).now(now);
        let mut parser = Parser::new(format.clone(), options, 0);
        parser.push(SYSLOG.as_bytes(), &mut |entry| times.push(entry.time.map(|time| time.to_string())));
        // The daemon's local time, and one that says its zone.
        assert_eq!(times[0], Some(format!("2026-11-21T{hour}:00:01Z")));
        assert_eq!(times[1].as_deref(), Some("2026-11-21T12:00:01.5Z"));
        times.clear();
    }
}

const JOURNAL: &str = r#"{"MESSAGE":"2026-11-21 12:00:01.000 UTC [7] ERROR:  no","_PID":"7","__REALTIME_TIMESTAMP":"1800000000000000"}
{"MESSAGE":"\tmore","_PID":"7"}
{"MESSAGE":[50,48,50,54,45,49,49,45,50,49,32,49,50,58,48,48,58,48,49,46,48,48,48,32,85,84,67,32,91,55,93,32,72,73,78,84,58,32,32,255],"_PID":"7"}
"#;

#[test]
fn journal_lines_are_put_together() {
    let format = Format::Journal(Prefix::new("%m [%p] "));
    assert_eq!(texts(&format, JOURNAL), [(Severity::Error, "no\nmore||\u{fffd}||".to_owned())]);
}

#[test]
fn bytes_that_are_not_text_are_replaced() {
    let mut parser = Parser::new(stderr(), Options::default(), 0);
    let mut all = Vec::new();
    parser.push(b"2026-11-21 12:00:00.000 UTC [1] LOG:  a\xffb\n\xfe\n", &mut |entry| all.push(seen(entry)));
    parser.finish(&mut |entry| all.push(seen(entry)));
    assert_eq!((all[0].text.as_str(), all[1].text.as_str()), ("a\u{fffd}b||||", "\u{fffd}||||"));
}

#[test]
fn open_entries_are_few() {
    let mut parser = Parser::new(stderr(), Options::default(), 0);
    let mut left = 0;
    for pid in 0..1_000 {
        let line = format!("2026-11-21 12:00:00.000 UTC [{pid}] LOG:  x\n");
        parser.push(line.as_bytes(), &mut |_| left += 1);
    }
    assert_eq!(left, 1_000 - Limits::default().open_entries);
    parser.flush(&mut |_| left += 1);
    assert_eq!(left, 1_000);
}

fn formats() -> Vec<(Format, Vec<u8>)> {
    let prefix = Prefix::new("%m [%p] ");
    let mut broken = CSV.repeat(2).into_bytes();
    broken.extend_from_slice(b"2026-11-21 12:00:00.000 UTC,\"torn\n");
    broken.extend_from_slice(CSV.as_bytes());
    vec![
        (stderr(), STDERR.as_bytes().to_vec()),
        (Format::Csv, broken),
        (Format::Syslog(Prefix::new("")), SYSLOG.as_bytes().to_vec()),
        (Format::Journal(prefix), JOURNAL.as_bytes().to_vec()),
    ]
}

proptest! {
    #[test]
    fn pieces_make_no_difference(cuts in prop::collection::vec(1..400_usize, 1..40), limit in 1_024..3_000_usize) {
        for (format, input) in formats() {
            let options = Options::default().limits(Limits::default().entry_bytes(limit));
            let whole = read(&format, &options, &[&input]);
            let mut pieces = Vec::new();
            let mut rest = &input[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            prop_assert_eq!(read(&format, &options, &pieces), whole);
        }
    }

    #[test]
    fn any_bytes_are_taken(input in prop::collection::vec(any::<u8>(), 0..500), setting in "[%a-zA-Z0-9@: -]{0,12}") {
        let prefix = Prefix::new(&setting);
        for format in [Format::Stderr(prefix.clone()), Format::Csv, Format::Json, Format::Syslog(prefix.clone()), Format::Journal(prefix)] {
            read(&format, &Options::default(), &[&input, b"\n", CSV.as_bytes()]);
        }
    }
}

#[test]
fn a_prefix_that_changes_in_the_log_is_followed_at_once() {
    let log = "2026-11-21 12:00:00.000 UTC [1] LOG:  received SIGHUP, reloading configuration files\n\
               2026-11-21 12:00:00.001 UTC [1] user=,db= LOG:  parameter \"log_line_prefix\" changed to \"%m [%p] user=%u,db=%d \"\n\
               2026-11-21 12:00:00.002 UTC [8] ERROR:  of a session that has not heard of it\n\
               2026-11-21 12:00:00.002 UTC [8] STATEMENT:  select 8\n\
               2026-11-21 12:00:00.003 UTC [9] user=bob,db=shop ERROR:  of one that has\n\
               2026-11-21 12:00:00.003 UTC [9] user=bob,db=shop STATEMENT:  select 9\n";
    let (all, counts) = read(&Format::Stderr(Prefix::new("%m [%p] ")), &Options::default(), &[log.as_bytes()]);
    assert_eq!(counts.unparsed, 0, "{all:?}");
    let texts: Vec<&str> = all.iter().skip(2).map(|seen| seen.text.as_str()).collect();
    assert_eq!(texts, ["of a session that has not heard of it||||select 8", "of one that has||||select 9"]);
}

#[test]
fn a_message_about_another_prefix_changes_nothing() {
    let log = "2026-11-21 12:00:00.001 UTC [1] LOG:  parameter \"log_line_prefix\" changed to \"%u \"\n\
               somebody's parameter \"log_line_prefix\" changed to \"%m \"\n\
               2026-11-21 12:00:00.002 UTC [8] ERROR:  x\n";
    let (all, counts) = read(&Format::Stderr(Prefix::new("%m [%p] ")), &Options::default(), &[log.as_bytes()]);
    assert_eq!((counts.entries, counts.unparsed), (2, 1), "{all:?}");
}

/// Postmaster's message of a change, then a session that has heard of it, and one that has not.
fn changed_zone(line: impl Fn(&str, &str, &str, &str) -> String) -> String {
    line("12:00:00.000 UTC", "", "LOG", "received SIGHUP, reloading configuration files")
        + &line("17:30:00.001 IST", "", "LOG", "parameter \"log_timezone\" changed to \"Asia/Kolkata\"")
        + &line("17:30:00.002 IST", "bob", "ERROR", "x")
        + &line("12:00:00.003 UTC", "bob", "ERROR", "x")
        // Sessions can raise what they like.
        + &line("17:30:00.004 IST", "bob", "LOG", "parameter \"log_timezone\" changed to \"Europe/Dublin\"")
        + &line("17:30:00.005 IST", "bob", "ERROR", "x")
}

#[test]
fn a_zone_that_changes_is_followed_at_once_in_every_format() {
    let stderr = changed_zone(|time, user, severity, message| {
        format!("2026-11-21 {time} [1] user={user} {severity}:  {message}\n")
    });
    let csv = changed_zone(|time, user, severity, message| {
        let message = message.replace('"', "\"\"");
        format!(
            "2026-11-21 {time},\"{user}\",,1,,1.1,1,,2026-11-21 {time},,0,{severity},00000,\"{message}\",,,,,,,,,\"\",\"\",,0\n"
        )
    });
    let json = changed_zone(|time, user, severity, message| {
        let message = message.replace('"', "\\\"");
        let user = if user.is_empty() { String::new() } else { format!("\"user\":\"{user}\",") };
        format!(
            "{{\"timestamp\":\"2026-11-21 {time}\",{user}\"error_severity\":\"{severity}\",\"message\":\"{message}\"}}\n"
        )
    });
    let prefix = Prefix::new("%m [%p] user=%u ");
    for (format, log) in [(Format::Stderr(prefix), stderr), (Format::Csv, csv), (Format::Json, json)] {
        let mut parser = Parser::new(format.clone(), Options::default().zone(Zone::named("UTC")), 0);
        let mut times = Vec::new();
        let mut each = |entry: &Entry<'_>| times.push(entry.time.map(|time| time.to_string()).unwrap_or_default());
        parser.push(log.as_bytes(), &mut each);
        parser.finish(&mut each);
        let wanted: Vec<String> = (0..6)
            .map(|ms| match ms {
                0 => "2026-11-21T12:00:00Z".to_owned(),
                ms => format!("2026-11-21T12:00:00.00{ms}Z"),
            })
            .collect();
        assert_eq!(times, wanted, "{format:?}");
        assert_eq!(parser.counts().guessed_zones, 0, "{format:?}");
    }
}

/// As a file system leaves them when the host goes down.
#[test]
fn a_hole_of_nuls_costs_the_record_that_it_tore() {
    let json = "{\"timestamp\":\"2026-11-21 12:00:00.000 UTC\",\"error_severity\":\"LOG\",\"message\":\"x\"}\n";
    let plain = "2026-11-21 12:00:00.000 UTC [1] LOG:  x\n";
    for (format, record) in [(stderr(), plain), (Format::Csv, CSV), (Format::Json, json)] {
        for at in 0..record.len() {
            let log =
                [record.as_bytes(), &record.as_bytes()[..at], &[0; 5_000], record.as_bytes(), &[0], record.as_bytes()]
                    .concat();
            let (all, _) = read(&format, &Options::default(), &[&log]);
            let good = all
                .iter()
                .filter(|entry| entry.severity != Severity::Unparsed && !entry.cut && entry.text == all[0].text)
                .count();
            assert!(good >= 3 && all.len() <= 5, "{format:?}, {at}: {all:#?}");
            assert!(!all.iter().any(|entry| entry.text.contains('\0')), "{format:?}, {at}: {all:#?}");
            let pieces: Vec<&[u8]> = log.chunks(97).collect();
            assert_eq!(read(&format, &Options::default(), &pieces).0, all);
        }
    }
}

#[test]
fn what_stands_right_behind_a_torn_record_is_read() {
    let json = "{\"timestamp\":\"2026-11-21 12:00:00.000 UTC\",\"error_severity\":\"ERROR\",\"message\":\"x \\\"y\"}\n";
    let line = &CSV.replace("*\n2026", "* 2026");
    for (format, record) in [(Format::Json, json), (Format::Csv, line.as_str())] {
        for at in 1..record.len() {
            let log = format!("{record}{}{record}{record}", &record[..at]);
            let (all, _) = read(&format, &Options::default(), &[log.as_bytes()]);
            let good =
                all.iter().filter(|entry| entry.bytes == record.len() as u64 && entry.severity == Severity::Error);
            assert!(good.count() >= 3, "{format:?}, {at}: {all:#?}");
        }
    }
}
