//! Figures of the exporter itself, under the names that its users know.

use super::{
    drop_in::FamilyWriter,
    page::Kind,
    page_contents::{PageContents, PageKind},
    server_view::ServerView,
};

/// How the scrape went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scrape {
    pub(super) seconds: f64,
    pub(super) failed: bool,
    pub(super) count: u64,
    /// When the exporter started, in seconds since 1970.
    pub(super) started: f64,
}

/// Whether a server is up, and how its collectors did.
pub(super) fn server(view: &ServerView<'_>, contents: &PageContents, writer: &mut FamilyWriter<'_>) {
    let help =
        "Whether the last scrape of metrics from PostgreSQL was able to connect to the server (1 for yes, 0 for no).";
    writer.put(view, ("pg_up", Kind::Gauge, help), &[], f64::from(u8::from(view.up)));
    for (collector, measurements) in &contents.collectors {
        let accounts = measurements.iter().filter_map(|name| view.accounts.get(name.as_str())).flatten();
        let (seconds, failed) = accounts.fold((0.0, false), |(seconds, failed), account| {
            (seconds + account.elapsed.as_secs_f64(), failed || account.failed)
        });
        let labels = [("collector", collector.as_str())];
        let head =
            ("pg_scrape_collector_duration_seconds", Kind::Gauge, "postgres_exporter: Duration of a collector scrape.");
        writer.put(view, head, &labels, seconds);
        let head = ("pg_scrape_collector_success", Kind::Gauge, "postgres_exporter: Whether a collector succeeded.");
        writer.put(view, head, &labels, f64::from(u8::from(view.up && !failed)));
    }
}

/// The scrape and the process. Last of all: it tells what was left out.
pub(super) fn exporter(topic: PageKind, drop_in: bool, scrape: &Scrape, writer: &mut FamilyWriter<'_>) {
    let nobody = ServerView::default();
    for (family, over) in writer.page.overflows() {
        let help = "Series of a family beyond max_series_per_family; they are summed up in one, labelled other";
        #[allow(clippy::cast_precision_loss)]
        writer.put(&nobody, ("pg_exporter_series_overflow", Kind::Gauge, help), &[("family", &family)], over as f64);
    }
    let version = env!("CARGO_PKG_VERSION");
    let build = [
        ("branch", ""),
        ("goarch", std::env::consts::ARCH),
        ("goos", std::env::consts::OS),
        ("goversion", ""),
        ("revision", ""),
        ("tags", "pganalytics"),
        ("version", version),
    ];
    let (name, help) = match topic {
        PageKind::Postgres => (
            "postgres_exporter_build_info",
            "A metric with a constant '1' value labeled by the version of pganalytics-agent, which answers for it.",
        ),
        PageKind::Pgbouncer => ("pgbouncer_exporter_build_info", "build info"),
    };
    if drop_in {
        writer.put(&nobody, (name, Kind::Gauge, help), &build, 1.0);
    }
    #[allow(clippy::cast_precision_loss)]
    let count = scrape.count as f64;
    for (name, kind, help, value) in [
        (
            "pg_exporter_last_scrape_duration_seconds",
            Kind::Gauge,
            "Duration of the last scrape of metrics from PostgreSQL.",
            scrape.seconds,
        ),
        (
            "pg_exporter_last_scrape_error",
            Kind::Gauge,
            "Whether the last scrape of metrics from PostgreSQL resulted in an error (1 for error, 0 for success).",
            f64::from(u8::from(scrape.failed)),
        ),
        (
            "pg_exporter_scrapes_total",
            Kind::Counter,
            "Total number of times PostgreSQL was scraped for metrics.",
            count,
        ),
    ] {
        if topic == PageKind::Postgres {
            writer.put(&nobody, (name, kind, help), &[], value);
        }
    }
    if drop_in && topic == PageKind::Postgres {
        let help = "Postgres exporter config loaded successfully.";
        writer.put(&nobody, ("postgres_exporter_config_last_reload_successful", Kind::Gauge, help), &[], 1.0);
        let help = "Timestamp of the last successful configuration reload.";
        let name = "postgres_exporter_config_last_reload_success_timestamp_seconds";
        writer.put(&nobody, (name, Kind::Gauge, help), &[], scrape.started);
    }
    process(writer);
}

/// What this process costs, as client libraries tell it.
fn process(writer: &mut FamilyWriter<'_>) {
    let nobody = ServerView::default();
    let mut put = |name: &str, kind: Kind, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            writer.put(&nobody, (name, kind, help), &[], value);
        }
    };
    let usage = crate::host::process::usage();
    #[allow(clippy::cast_precision_loss)]
    let rss = usage.rss.map(|bytes| bytes as f64);
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let limits = read("/proc/self/limits");
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        match line.split_whitespace().next()? {
            // As client libraries write no limit.
            "unlimited" => Some(18_446_744_073_709_551_615.0),
            number => number.parse::<f64>().ok(),
        }
    };
    let stat = read("/proc/self/stat");
    let field = |at: usize| stat.rsplit_once(')')?.1.split_whitespace().nth(at)?.parse::<f64>().ok();
    #[allow(clippy::cast_precision_loss)]
    let hertz = rustix::param::clock_ticks_per_second() as f64;
    let boot = read("/proc/stat").lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    #[allow(clippy::cast_precision_loss)]
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    let start = field(19).zip(boot).map(|(ticks, boot)| boot + ticks / hertz);
    put("process_cpu_seconds_total", Kind::Counter, "Total user and system CPU time spent in seconds.", usage.cpu);
    put("process_max_fds", Kind::Gauge, "Maximum number of open file descriptors.", limit("Max open files"));
    put("process_open_fds", Kind::Gauge, "Number of open file descriptors.", open);
    put("process_resident_memory_bytes", Kind::Gauge, "Resident memory size in bytes.", rss);
    let help = "Start time of the process since unix epoch in seconds.";
    put("process_start_time_seconds", Kind::Gauge, help, start);
    put("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory size in bytes.", field(20));
    let help = "Maximum amount of virtual memory available in bytes.";
    put("process_virtual_memory_max_bytes", Kind::Gauge, help, limit("Max address space"));
    let dev = read("/proc/self/net/dev");
    // All interfaces but the loopback: receive bytes first, transmit bytes ninth.
    let bytes = |at: usize| {
        let lines = dev.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo");
        let numbers = lines.filter_map(|(_, figures)| figures.split_whitespace().nth(at)?.parse::<f64>().ok());
        (!dev.is_empty()).then(|| numbers.sum::<f64>())
    };
    let help = "Number of bytes received by the process over the network.";
    put("process_network_receive_bytes_total", Kind::Counter, help, bytes(0));
    let help = "Number of bytes sent by the process over the network.";
    put("process_network_transmit_bytes_total", Kind::Counter, help, bytes(8));
}
