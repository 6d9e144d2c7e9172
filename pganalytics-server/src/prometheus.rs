//! What the server counts of itself, in Prometheus' text form.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{serve::limit::Limit, state::App};

/// Upper ends of the duration histogram, in microseconds.
const BUCKETS: [u64; 10] = [1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];

/// Most codes of rejections that are counted apart.
const MOST_REASONS: usize = 100;

/// Counts of this process.
#[derive(Default)]
pub(crate) struct Counters {
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 6],
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
    accepted: AtomicU64,
    duplicates: AtomicU64,
    rejected: AtomicU64,
    /// Rejected frames by the code of the reason.
    reasons: Mutex<BTreeMap<String, u64>>,
    expired: AtomicU64,
    forks: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_open: AtomicU64,
    /// Connections that a limit has ended.
    ended: [AtomicU64; Limit::EACH.len()],
    pub(crate) jobs_failed: AtomicU64,
    pub(crate) jobs_done: AtomicU64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Relaxed);
}

impl Counters {
    pub(crate) fn request(&self, status: StatusCode, elapsed: Duration) {
        if let Some(counter) = self.answers.get(usize::from(status.as_u16() / 100)) {
            add(counter, 1);
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
        if let Some((_, counter)) = BUCKETS.iter().zip(&self.buckets).find(|(end, _)| micros <= **end) {
            add(counter, 1);
        }
    }

    pub(crate) fn pushed(&self, accepted: usize, duplicates: usize, rejected: usize) {
        add(&self.accepted, accepted);
        add(&self.duplicates, duplicates);
        add(&self.rejected, rejected);
    }

    /// Frames that will never be taken, by the codes of the reasons.
    pub(crate) fn rejected<'a>(&self, codes: impl Iterator<Item = &'a str>) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        for code in codes {
            if let Some(count) = reasons.get_mut(code) {
                *count += 1;
            // They come from a fixed set of names; a store of somebody else's may have others.
            } else if reasons.len() < MOST_REASONS {
                reasons.insert(code.to_owned(), 1);
            }
        }
    }

    pub(crate) fn forked(&self) {
        add(&self.forks, 1);
    }

    pub(crate) fn expired(&self, frames: usize) {
        add(&self.expired, frames);
    }

    pub(crate) fn ingested(&self, bytes: usize) {
        add(&self.bytes, bytes);
    }

    pub(crate) fn ended_by(&self, limit: Limit) {
        if let Some(counter) = self.ended.get(limit as usize) {
            add(counter, 1);
        }
    }

    pub(crate) fn refused(&self) {
        add(&self.refused, 1);
    }
}

/// What this process takes of the machine.
struct OwnProcess {
    resident_bytes: u64,
    cpu_seconds: f64,
}

/// `None` where there is no `/proc`.
fn own_process() -> Option<OwnProcess> {
    /// Linux tells times to programs in hundredths of a second, whatever its own clock is.
    const TICKS: f64 = 100.0;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything, user and system time are the 12th and 13th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok().map(f64::from);
    Some(OwnProcess { resident_bytes: kibibytes * 1024, cpu_seconds: (ticks()? + ticks()?) / TICKS })
}

/// Writes one metric with its help and type.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a histogram's sum")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// `GET /metrics`: the server's own counters.
pub(crate) async fn exposition(State(app): State<App>) -> Response {
    let counters = &app.counters;
    let mut page = Page(String::with_capacity(4096));
    page.head("pganalytics_build_info", "gauge", "Version of the server.");
    let _ = writeln!(page.0, "pganalytics_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    let uptime = app.started.elapsed().as_secs();
    page.single("pganalytics_uptime_seconds", "gauge", "Time since the server was started.", uptime);

    if let Some(process) = own_process() {
        let (bytes, seconds) = (process.resident_bytes, process.cpu_seconds);
        page.single("process_resident_memory_bytes", "gauge", "Memory of the server, without its SQL workers.", bytes);
        page.single("process_cpu_seconds_total", "counter", "Processor time of the server.", seconds);
    }

    page.head("pganalytics_http_requests_total", "counter", "Requests answered, by class of status.");
    for (class, counter) in counters.answers.iter().enumerate().skip(1) {
        let _ = writeln!(page.0, "pganalytics_http_requests_total{{status=\"{class}xx\"}} {}", counter.load(Relaxed));
    }
    let name = "pganalytics_http_request_duration_seconds";
    page.head(name, "histogram", "Time from a request's headers to its answer's.");
    let mut sum = 0;
    for (end, counter) in BUCKETS.iter().zip(&counters.buckets) {
        sum += counter.load(Relaxed);
        let _ = writeln!(page.0, "{name}_bucket{{le=\"{}\"}} {sum}", seconds(*end));
    }
    let all: u64 = counters.answers.iter().map(|counter| counter.load(Relaxed)).sum();
    let _ = writeln!(page.0, "{name}_bucket{{le=\"+Inf\"}} {}", all.max(sum));
    let _ = writeln!(page.0, "{name}_sum {}\n{name}_count {}", seconds(counters.micros.load(Relaxed)), all.max(sum));

    page.head("pganalytics_ingest_frames_total", "counter", "Frames pushed, by what became of them.");
    for (outcome, counter) in
        [("accepted", &counters.accepted), ("duplicate", &counters.duplicates), ("rejected", &counters.rejected)]
    {
        let _ = writeln!(page.0, "pganalytics_ingest_frames_total{{outcome=\"{outcome}\"}} {}", counter.load(Relaxed));
    }
    let name = "pganalytics_ingest_rejected_frames_total";
    page.head(name, "counter", "Frames rejected, by the code of the reason.");
    for (code, count) in counters.reasons.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = writeln!(page.0, "{name}{{code=\"{code}\"}} {count}");
    }
    for (name, help, counter) in [
        ("pganalytics_ingest_expired_frames_total", "Frames older than they are kept.", &counters.expired),
        ("pganalytics_ingest_forks_total", "Pushes refused because their stream has two senders.", &counters.forks),
        ("pganalytics_ingest_bytes_total", "Bytes of bodies taken in, decompressed.", &counters.bytes),
        ("pganalytics_ingest_refused_total", "Pushes refused for what they would take of memory.", &counters.refused),
        ("pganalytics_connections_total", "Connections accepted.", &counters.connections),
        ("pganalytics_jobs_done_total", "Background jobs that ended well.", &counters.jobs_done),
        ("pganalytics_jobs_failed_total", "Background jobs that failed.", &counters.jobs_failed),
    ] {
        page.single(name, "counter", help, counter.load(Relaxed));
    }
    let name = "pganalytics_connections_ended_total";
    page.head(name, "counter", "Connections refused or cut off, by the limit that they ran into.");
    for (limit, counter) in Limit::EACH.iter().zip(&counters.ended) {
        let _ = writeln!(page.0, "{name}{{limit=\"{}\"}} {}", limit.as_str(), counter.load(Relaxed));
    }
    let open = counters.connections_open.load(Relaxed);
    page.single("pganalytics_connections_open", "gauge", "Connections open now.", open);
    let in_flight = app.admission.in_flight();
    page.single(
        "pganalytics_ingest_bytes_in_flight",
        "gauge",
        "Bytes of pushes in memory now, decoded ones included.",
        in_flight,
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.0).into_response()
}
