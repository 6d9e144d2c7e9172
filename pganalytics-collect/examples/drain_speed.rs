//! How fast a backlog of 64 MiB leaves the disk, to a receiver that stores at once.
//!
//! `cargo run --release -p pganalytics-collect --no-default-features --example drain_speed`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pganalytics_collect::{
    Delivery, FrameGroup, Outbox, Sink, SinkError,
    change_filter::ChangeFilter,
    delivery::{NewFrame, Sender, Spool},
    scrape::full_scrape,
};
use pganalytics_core::{Source, Timestamp, Value, catalog::Measurement, frame};
use tokio_util::sync::CancellationToken;

const TABLES: usize = 2_000;
const COUNTERS: usize = 24;
/// Of a hundred tables, those that are used between two scrapes.
const ACTIVE: u64 = 15;
const BACKLOG: usize = 64 << 20;

/// Stores at once, and counts bytes.
#[derive(Default)]
struct Counting(AtomicU64);

#[async_trait]
impl Sink for Counting {
    async fn deliver(&self, group: FrameGroup) -> Result<Delivery, SinkError> {
        self.0.fetch_add(group.bytes() as u64, Ordering::Relaxed);
        Ok(Delivery::all(&group))
    }
}

fn measurement() -> Measurement {
    let counters: String = (0..COUNTERS)
        .map(|number| format!("[[column]]\nname = \"c{number}\"\nkind = \"counter\"\ntype = \"int\"\n"))
        .collect();
    let key = "[[column]]\nname = \"relid\"\nkind = \"key\"\ntype = \"int\"\n";
    let text = format!("name = \"tables\"\nscope = \"agent\"\ninterval = \"60s\"\n{key}{counters}");
    Measurement::parse(&text, "tables").unwrap()
}

/// Fills a spool; how many values its frames have, and how many the scrapes had.
async fn fill(spool: &Spool) -> (u64, u64) {
    let (measurement, source) = (measurement(), Source::host("shop"));
    let (mut filter, began) = (ChangeFilter::new(), tokio::time::Instant::now());
    let mut tables = vec![vec![0_i64; COUNTERS]; TABLES];
    let mut random = 88_172_645_463_325_252_u64;
    let mut below = move |end: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % end
    };
    let (mut sent, mut scraped, mut minute) = (0, 0, 0);
    while spool.stats().queued_bytes < BACKLOG {
        let mut frames = Vec::new();
        for _ in 0..100 {
            minute += 1;
            for table in &mut tables {
                if below(100) < ACTIVE {
                    table.iter_mut().for_each(|counter| *counter += below(1000).cast_signed());
                }
            }
            let rows: Vec<_> = tables.iter().enumerate().collect();
            let time = Timestamp::from_secs(1_800_000_000 + 60 * i64::from(minute));
            let full = full_scrape(&measurement, source.clone(), time, &rows, |(table, counters), column| {
                let counter = column.strip_prefix('c').and_then(|number| number.parse::<usize>().ok());
                Some(Value::Int(counter.map_or(*table as i64, |number| counters[number])))
            });
            let now = began + Duration::from_secs(60) * minute;
            let batch = filter.apply(full.unwrap(), now).unwrap().batch;
            sent += (batch.rows.len() * (COUNTERS + 1)) as u64;
            scraped += (TABLES * (COUNTERS + 1)) as u64;
            let series = Some((batch.schema.measurement().clone(), source.clone()));
            frames.push(NewFrame { bytes: frame::encode(&batch).unwrap().into(), series });
        }
        spool.put(frames, None).await;
    }
    (sent, scraped)
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let (sent, scraped) = fill(&Spool::open(folder.path(), 2 * BACKLOG).unwrap()).await;
    // As after a restart: what is there is read anew.
    let began = Instant::now();
    let spool = Arc::new(Spool::open(folder.path(), 2 * BACKLOG).unwrap());
    let opened = began.elapsed();
    let bytes = spool.stats().queued_bytes;
    println!(
        "{} frames, {bytes} bytes, {sent} values, {scraped} before the change filter",
        spool.stats().queued_frames
    );
    let (sink, stop, began) = (Arc::new(Counting::default()), CancellationToken::new(), Instant::now());
    let sender = Sender::new(Arc::clone(&spool) as Arc<dyn Outbox>, Arc::clone(&sink) as Arc<dyn Sink>);
    let sending = tokio::spawn(sender.run(stop.clone(), Duration::from_secs(5)));
    while spool.stats().queued_frames > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    stop.cancel();
    sending.await.unwrap();
    assert_eq!(sink.0.load(Ordering::Relaxed), bytes as u64);
    let a_second = |count: u64| count as f64 / took.as_secs_f64() / 1e6;
    println!("opened in {opened:?}, drained in {took:?}");
    println!(
        "{:.0} MB/s, {:.1} M values/s, {:.0} M before the change filter",
        a_second(bytes as u64),
        a_second(sent),
        a_second(scraped)
    );
}
