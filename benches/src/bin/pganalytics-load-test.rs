//! Pushes real frames at a server over HTTP and says how it went.
//!
//! ```text
//! # throughput: 50,000 values in each push, one push after the other
//! pganalytics-load-test --collectors 4 --duration 20
//! # latency: a hundred agents, each pushing every ten seconds
//! pganalytics-load-test --collectors 100 --interval 10 --duration 60 --changes-only
//! ```
//!
//! Without `--backend` it starts a server with the embedded store in this
//! process, synced commits and all, so that client and server share the machine.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use pganalytics_benches::{COUNTERS, TABLES, Tables};
use pganalytics_core::{
    Batch, CollectorId, InstanceId, ScrapeKind, Secret, Seq, ServerId, StreamId, Timestamp,
    frame::{CONTENT_TYPE, encode, encode_push},
    json::push_document,
};
use pganalytics_server::{Admin, Class, FirstAdmin, Server, Settings, auth::scope::Scope};
use pganalytics_store::{
    meta_store::Role,
    sqlite::{SqliteMetaStore, SqliteOptions, SqliteStore},
};
use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet, time::sleep_until};

/// Scrapes that each collector has ready; then they are sent again under new
/// numbers, so that making frames takes nothing from the server.
const READY: usize = 8;

/// Pushes metrics at a pgAnalytics server and reports throughput and latency.
#[derive(Debug, Parser)]
#[command(name = "pganalytics-load-test", version, max_term_width = 100)]
struct Args {
    /// Server to push at, as http://127.0.0.1:8080; default: one started here, with the embedded store
    #[arg(long, value_name = "URL", requires = "token")]
    backend: Option<String>,
    /// A token with the scope push (pganalytics-server token add …); for --backend
    #[arg(long, env = "PGANALYTICS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Collectors that push at the same time
    #[arg(long, default_value_t = 4)]
    collectors: usize,
    /// Seconds to push for
    #[arg(long, default_value_t = 10, value_name = "S")]
    duration: u64,
    /// Seconds between two pushes of a collector; 0: one right after the other
    #[arg(long, default_value_t = 0.0, value_name = "S")]
    interval: f64,
    /// Counter values in a push, rounded to whole rows of 25; at most 50,000 in one frame
    #[arg(long, default_value_t = TABLES * COUNTERS, value_name = "N")]
    metrics: usize,
    /// After its first push a collector sends only rows that have changed, as agents do
    #[arg(long)]
    changes_only: bool,
    /// How metrics are written
    #[arg(long, value_enum, default_value_t = Format::Frame)]
    format: Format,
    /// Folder of the server started here; default: a temporary one
    #[arg(long, value_name = "DIR", conflicts_with = "backend")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Frame,
    Json,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!(args.collectors > 0 && args.duration > 0, "--collectors and --duration must be at least 1");
    ensure!(args.interval >= 0.0 && args.interval.is_finite(), "--interval must be 0 or more seconds");
    ensure!(
        (COUNTERS..=TABLES * COUNTERS).contains(&args.metrics),
        "--metrics must be between {COUNTERS} and {}",
        TABLES * COUNTERS
    );
    let temporary = tempfile::tempdir().context("making a temporary folder")?;
    let folder = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let (target, _server) = match (&args.backend, &args.token) {
        (Some(backend), Some(token)) => {
            (Target { url: backend.trim_end_matches('/').to_owned(), token: Secret::new(token.clone()) }, None)
        }
        (Some(_), None) => bail!("--backend needs --token"),
        (None, _) => {
            let (target, runtime) = start_server(&folder)?;
            (target, Some(runtime))
        }
    };
    eprintln!("making frames of {} collectors …", args.collectors);
    let senders: Vec<Sender> =
        (0..args.collectors).map(|number| Sender::new(&args, number)).collect::<Result<_, _>>()?;
    let client = Runtime::new()?;
    eprintln!("pushing at {} for {} s …", target.url, args.duration);
    let (pushes, elapsed) = client.block_on(push_all(&args, Arc::new(target), senders))?;
    report(&pushes, elapsed);
    ensure!(pushes.iter().all(|push| push.problem.is_none()), "some pushes failed");
    Ok(())
}

/// Where to push.
struct Target {
    url: String,
    token: Secret<String>,
}

/// A server with the embedded store, on threads of its own.
fn start_server(folder: &std::path::Path) -> anyhow::Result<(Target, Runtime)> {
    let runtime = Runtime::new()?;
    let metrics = Arc::new(SqliteStore::open(folder, SqliteOptions::default())?);
    let meta = Arc::new(SqliteMetaStore::open(folder)?);
    let (token, address) = runtime.block_on(async {
        let admin = Admin::new(meta.clone());
        // A folder of an earlier run has the user already.
        let _ = admin.add_user("load-test", Role::User).await;
        let token = admin.add_token("load-test", "load test", [Scope::Push]).await?;
        let mut settings = Settings::default();
        settings.first_admin = FirstAdmin::Setup;
        // All collectors share one token here.
        settings.rate_limits.set(Class::Push, 0);
        settings.ingest.bytes_per_collector = settings.ingest.bytes_in_flight;
        let builder = Server::builder().metric_store(metrics).meta_store(meta);
        let server = builder.settings(settings).build().await?;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        tokio::spawn(server.serve(listener, std::future::pending()));
        anyhow::Ok((token, address))
    })?;
    Ok((Target { url: format!("http://{address}"), token }, runtime))
}

/// A scrape, ready to be sent.
#[derive(Clone)]
struct Ready {
    frame: Bytes,
    values: u64,
}

/// One collector.
struct Sender {
    id: CollectorId,
    stream: StreamId,
    format: Format,
    ready: Vec<Ready>,
    /// How much later each collector begins than the one before: agents do not
    /// push in step.
    phase: f64,
}

impl Sender {
    fn new(args: &Args, number: usize) -> anyhow::Result<Self> {
        let id = CollectorId::from_human(&format!("load-test-{number}"))?;
        let mut tables = Tables::default();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let now = Timestamp::from_micros(i64::try_from(now.as_micros())?);
        let ready = (0..READY).map(|at| {
            let delta = args.changes_only && at > 0;
            let mut batch = tables.scrape(if delta { ScrapeKind::Delta } else { ScrapeKind::Keyframe });
            // Of today, and of a server of its own.
            let server = format!("load-test-{number}");
            batch.source.server_id = ServerId::of_host(&server);
            batch.source.instance_id = InstanceId::of_address(batch.source.server_id, &server);
            batch.source.server = server.as_str().into();
            let age = i64::try_from(READY - at)? * 60_000_000;
            batch.scrape.collected_at = now.plus_micros(-age);
            cut(&mut batch, args.metrics / COUNTERS)?;
            let values = (batch.rows.len() * COUNTERS) as u64;
            let frame = match args.format {
                Format::Frame => encode(&batch)?.into(),
                Format::Json => push_document(&id.to_string(), &[batch]).into(),
            };
            anyhow::Ok(Ready { frame, values })
        });
        #[expect(clippy::cast_precision_loss, reason = "a share of the interval")]
        let phase = args.interval * number as f64 / args.collectors as f64;
        Ok(Self { id, stream: StreamId::random(), format: args.format, ready: ready.collect::<Result<_, _>>()?, phase })
    }

    /// The body of the push of this number, and its counter values.
    fn body(&self, number: u64) -> (Bytes, u64) {
        // The keyframe is sent once where only changes follow; all others come round again.
        let first = self.ready.first().map_or(0, |ready| ready.values);
        let same = self.ready.iter().all(|ready| ready.values == first);
        let at = match usize::try_from(number).unwrap_or_default() {
            number if same || number == 0 => number % self.ready.len().max(1),
            number => 1 + (number - 1) % (self.ready.len() - 1).max(1),
        };
        let Some(ready) = self.ready.get(at) else { return (Bytes::new(), 0) };
        match self.format {
            Format::Frame => {
                (encode_push(self.stream, &[], &[(Seq(number + 1).into(), ready.frame.clone())]).into(), ready.values)
            }
            Format::Json => (ready.frame.clone(), ready.values),
        }
    }
}

/// Leaves the first rows of a batch.
fn cut(batch: &mut Batch, rows: usize) -> anyhow::Result<()> {
    if batch.rows.len() <= rows {
        return Ok(());
    }
    let mut kept = pganalytics_core::RowsBuilder::new(&batch.schema);
    let columns = batch.schema.columns().len();
    for row in 0..rows {
        let values: Vec<_> = (0..columns).map(|column| batch.rows.get(row, column)).collect();
        kept.push(&values)?;
    }
    batch.rows = kept.finish();
    Ok(())
}

/// How one push went.
struct Push {
    took: Duration,
    values: u64,
    bytes: usize,
    problem: Option<String>,
}

async fn push_all(args: &Args, target: Arc<Target>, senders: Vec<Sender>) -> anyhow::Result<(Vec<Push>, Duration)> {
    let http =
        reqwest::Client::builder().timeout(Duration::from_secs(60)).pool_max_idle_per_host(senders.len()).build()?;
    let started = Instant::now();
    let until = started + Duration::from_secs(args.duration);
    let interval = Duration::from_secs_f64(args.interval);
    let mut tasks = JoinSet::new();
    for sender in senders {
        let (http, target) = (http.clone(), Arc::clone(&target));
        tasks.spawn(async move {
            let mut pushes = Vec::new();
            let mut due = started + Duration::from_secs_f64(sender.phase);
            for number in 0.. {
                if due.max(Instant::now()) >= until {
                    break;
                }
                sleep_until(due.into()).await;
                let push = push(&http, &target, &sender, number).await;
                let failed = push.problem.is_some();
                pushes.push(push);
                due += interval;
                if failed {
                    due = due.max(Instant::now() + Duration::from_millis(100));
                }
            }
            pushes
        });
    }
    let mut all = Vec::new();
    while let Some(pushes) = tasks.join_next().await {
        all.extend(pushes?);
    }
    Ok((all, started.elapsed()))
}

async fn push(http: &reqwest::Client, target: &Target, sender: &Sender, number: u64) -> Push {
    let (body, values) = sender.body(number);
    let bytes = body.len();
    let kind = if sender.format == Format::Frame { CONTENT_TYPE } else { "application/json" };
    let request = http.post(format!("{}/api/v1/metrics/push", target.url)).bearer_auth(target.token.expose());
    let request = request.header("Content-Type", kind).header("X-Collector-ID", sender.id.to_string()).body(body);
    let started = Instant::now();
    let problem = match request.send().await {
        Err(error) => Some(error.to_string()),
        Ok(answer) => {
            let status = answer.status();
            match answer.text().await {
                Ok(text) if status.is_success() && text.contains("\"accepted\":1,") => None,
                Ok(text) => Some(format!("{status}: {text}")),
                Err(error) => Some(error.to_string()),
            }
        }
    };
    Push { took: started.elapsed(), values, bytes, problem }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(pushes: &[Push], elapsed: Duration) {
    let good: Vec<&Push> = pushes.iter().filter(|push| push.problem.is_none()).collect();
    let mut times: Vec<Duration> = good.iter().map(|push| push.took).collect();
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
        let place = (share * times.len() as f64).ceil() as usize;
        millis(times.get(place.saturating_sub(1)).copied().unwrap_or_default())
    };
    let average = times.iter().sum::<Duration>() / u32::try_from(times.len().max(1)).unwrap_or(u32::MAX);
    let values: u64 = good.iter().map(|push| push.values).sum();
    let bytes: usize = good.iter().map(|push| push.bytes).sum();
    let seconds = elapsed.as_secs_f64();
    println!("pushes      {} in {seconds:.1} s, {:.1}/s", pushes.len(), pushes.len() as f64 / seconds);
    println!("success     {:.2} %", 100.0 * good.len() as f64 / pushes.len().max(1) as f64);
    println!(
        "latency ms  avg {} min {} p50 {} p95 {} p99 {} max {}",
        millis(average),
        at(0.0),
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    println!("values      {values}, {:.2} M/s (counters; keys are not counted)", values as f64 / seconds / 1e6);
    println!(
        "bytes       {bytes}, {:.1} MB/s, {:.2} a value",
        bytes as f64 / seconds / 1e6,
        bytes as f64 / values.max(1) as f64
    );
    if let Some(problem) = pushes.iter().find_map(|push| push.problem.as_ref()) {
        println!("first problem: {problem}");
    }
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}
