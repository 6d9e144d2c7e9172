//! How fast logs are read, on one core, beside pgbadger on the same file.
//!
//! ```sh
//! cargo run --release -p pganalytics-collect --example log_speed [MiB]
//! ```
//!
//! Writes a log that is like a busy server's, in each format, and prints the
//! megabytes a second (of processor time) of reading it, of reading and telling
//! apart, of doing that with redaction, and of making rows of it all.

mod log_lines;

use std::{
    hint::black_box,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use log_lines::Written;
use pganalytics_collect::logs::{
    Entry, Format, LogTables, Options, Parser, Prefix, Redaction, Zone, classify, redact_texts,
};
use pganalytics_core::{InstanceId, ServerId, Source, Timestamp};

fn main() -> anyhow::Result<()> {
    let mebibytes: usize = std::env::args().nth(1).map_or(Ok(100), |text| text.parse()).context("MiB")?;
    let folder = tempfile::tempdir()?;
    for written in [Written::Stderr, Written::Csv, Written::Json] {
        let log = log_lines::log(written, mebibytes << 20);
        let format = match written {
            Written::Stderr => Format::Stderr(Prefix::new(log_lines::PREFIX)),
            Written::Csv => Format::Csv,
            Written::Json => Format::Json,
        };
        let megabytes = log.len() as f64 / 1e6;
        println!("{written:?}: {megabytes:.0} MB, {} entries", entries(&log, &format));
        let show = |what: &str, work: &mut dyn FnMut()| {
            let (wall, cpu) = took(work);
            println!("  {what:<28} {:6.0} MB/s ({wall:.2} s, {cpu:.2} s of one core)", megabytes / cpu);
        };
        show("read", &mut || each(&log, &format, &mut |entry| _ = black_box(entry.clone())));
        show("read, told apart", &mut || {
            each(&log, &format, &mut |entry| drop(black_box(classify(entry))));
        });
        for level in [Redaction::Literals, Redaction::None, Redaction::All] {
            show(&format!("and redacted ({level:?})"), &mut || {
                each(&log, &format, &mut |entry| {
                    let (class, facts) = classify(entry);
                    drop(black_box(redact_texts(entry, class, &facts, level)));
                });
            });
        }
        show("and made into rows", &mut || rows(&log, &format));
        if let Some(name) = file_name(written) {
            let path = folder.path().join(name);
            std::fs::write(&path, &log)?;
            pgbadger(&path, written, megabytes)?;
        }
    }
    Ok(())
}

fn each(log: &[u8], format: &Format, each: &mut dyn FnMut(&Entry<'_>)) {
    let mut parser = Parser::new(format.clone(), Options::default().zone(Zone::named("UTC")), 0);
    for piece in log.chunks(256 * 1024) {
        parser.push(piece, each);
    }
    parser.finish(each);
    assert_eq!(parser.counts().unparsed, 0, "a log without foreign lines");
}

fn entries(log: &[u8], format: &Format) -> usize {
    let mut count = 0;
    each(log, format, &mut |_| count += 1);
    count
}

fn rows(log: &[u8], format: &Format) {
    let server_id = ServerId::of_host("db1");
    let instance_id = InstanceId::of_address(server_id, "db1");
    let source = Source { server_id, instance_id, server: "db1".into(), database: None };
    let at = Timestamp::from_secs(1_800_000_000);
    let mut tables = LogTables::new(Redaction::Literals, at);
    each(log, format, &mut |entry| {
        let added = tables.add("postgresql.log", entry);
        debug_assert!(added.is_ok(), "{added:?}");
        if tables.len() == 10_000 {
            drop(black_box(tables.take(&source, at)));
        }
    });
}

/// Seconds: by the clock, and of the processor. The best of three.
fn took(work: &mut dyn FnMut()) -> (f64, f64) {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        let (began, used) = (Instant::now(), cpu());
        work();
        let cpu = (cpu() - used).as_secs_f64();
        if cpu < best.1 {
            best = (began.elapsed().as_secs_f64(), cpu);
        }
    }
    best
}

/// Processor time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// Names and formats that pgbadger knows.
fn file_name(written: Written) -> Option<&'static str> {
    match written {
        Written::Stderr => Some("postgresql.log"),
        Written::Csv => Some("postgresql.csv"),
        Written::Json => None,
    }
}

fn badger_format(written: Written) -> &'static str {
    match written {
        Written::Csv => "csv",
        Written::Stderr | Written::Json => "stderr",
    }
}

fn pgbadger(path: &std::path::Path, written: Written, megabytes: f64) -> anyhow::Result<()> {
    let mut command = Command::new("bash");
    let prefix = match written {
        Written::Stderr => format!("-p '{}'", log_lines::PREFIX),
        _ => String::new(),
    };
    // `times` prints the processor time of what ran.
    let script = format!(
        "pgbadger -q -j 1 -f {} {prefix} -o /dev/null -x json {} >/dev/null; times",
        badger_format(written),
        path.display()
    );
    let began = Instant::now();
    let output = command.arg("-c").arg(script).stderr(Stdio::inherit()).output();
    let Ok(output) = output else {
        eprintln!("  pgbadger is not installed: no comparison");
        return Ok(());
    };
    let wall = began.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let cpu: f64 = text.lines().last().unwrap_or_default().split_whitespace().filter_map(minutes).sum();
    anyhow::ensure!(cpu > 0.0, "pgbadger did not run: {text}");
    println!("  {:<28} {:6.1} MB/s ({wall:.2} s, {cpu:.2} s of one core)", "pgbadger -j 1", megabytes / cpu);
    Ok(())
}

/// `1m2.345s`
fn minutes(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}
