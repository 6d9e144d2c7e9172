//! Frames, ledger and summaries in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use pganalytics_core::{
    CollectorId, InstanceId, Link, MeasurementName, Schema, ServerId, Source, StreamId, TenantId, Timestamp,
    frame::{Content, Frame, VerifiedFrame},
};

use super::MemoryStore;
use crate::{
    chunk::{Chunk, ChunkSelect, ChunkSource, StoredMeasurement},
    compaction::{self, Piece},
    error::StoreError,
    ledger::{self, Ledger},
    metric_store::{AppendOutcome, FrameOutcome, Job, JobReport, MetricStore, Origin, SeenSource, StoredGap},
    retention::Retention,
    sql::{RecordStream, SqlQuery},
    stored_schema,
};

/// What readers follow through time, in the order in which they are given it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Series {
    tenant: TenantId,
    measurement: MeasurementName,
    server: ServerId,
    instance: InstanceId,
    database: Option<Arc<str>>,
    collector: CollectorId,
}

/// First scrape, last scrape, number of arrival.
type Place = (Timestamp, Timestamp, u64);

#[derive(Debug, Clone)]
struct Stored {
    frame: Frame,
    block: bool,
}

#[derive(Debug, Default)]
struct Measured {
    /// Oldest first.
    schemas: Vec<Arc<Schema>>,
    values: u64,
    rows: u64,
    scrapes: u64,
}

#[derive(Debug)]
struct Seen {
    collector: CollectorId,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Metrics {
    next: u64,
    ledgers: HashMap<(TenantId, CollectorId, StreamId), Ledger>,
    chunks: BTreeMap<Series, BTreeMap<Place, Stored>>,
    measured: BTreeMap<(TenantId, MeasurementName), Measured>,
    sources: BTreeMap<(TenantId, Source), Seen>,
    gaps: Vec<(TenantId, StoredGap)>,
}

impl Metrics {
    fn append(&mut self, origin: &Origin, stream: StreamId, frames: Vec<VerifiedFrame>) -> AppendOutcome {
        let mut ledger = self.ledgers.remove(&(origin.tenant, origin.collector, stream)).unwrap_or_default();
        let mut outcome = AppendOutcome::default();
        for verified in frames {
            let seq = verified.seq();
            let what = match ledger::refusal(seq) {
                Some(refused) => refused,
                None if !ledger.insert(seq) => FrameOutcome::Duplicate,
                None => {
                    match verified.content() {
                        Content::Rows(frame) => {
                            let link = Link { stream, seq, base: verified.position().base };
                            self.store(origin, frame.clone().with_link(link));
                        }
                        Content::Gap(gap) => self.gaps.push((
                            origin.tenant,
                            StoredGap { collector: origin.collector, stream, seq, gap: gap.clone() },
                        )),
                    }
                    FrameOutcome::Accepted
                }
            };
            outcome.frames.push((seq, what));
        }
        self.ledgers.insert((origin.tenant, origin.collector, stream), ledger);
        outcome
    }

    fn store(&mut self, origin: &Origin, frame: Frame) {
        let (from, to) = frame.time_range();
        let (schema, source) = (frame.schema(), frame.source());
        let measurement = schema.measurement().clone();
        let measured = self.measured.entry((origin.tenant, measurement.clone())).or_default();
        measured.values += frame.value_count();
        measured.rows += frame.rows() as u64;
        measured.scrapes += frame.scrapes().len() as u64;
        if !measured.schemas.contains(schema) {
            measured.schemas.push(Arc::clone(schema));
        }
        let seen = self.sources.entry((origin.tenant, source.clone())).or_insert(Seen {
            collector: origin.collector,
            first: from,
            last: to,
        });
        *seen = Seen { collector: origin.collector, first: seen.first.min(from), last: seen.last.max(to) };
        let series = Series {
            tenant: origin.tenant,
            measurement,
            server: source.server_id,
            instance: source.instance_id,
            database: source.database.clone(),
            collector: origin.collector,
        };
        self.insert(series, Stored { frame, block: false });
    }

    fn insert(&mut self, series: Series, stored: Stored) {
        let (from, to) = stored.frame.time_range();
        self.next += 1;
        self.chunks.entry(series).or_default().insert((from, to, self.next), stored);
    }

    fn stored(&self, tenant: TenantId) -> Vec<StoredMeasurement> {
        let mut all = Vec::new();
        for ((owner, name), measured) in &self.measured {
            let Some(schema) = stored_schema::merged(&measured.schemas).filter(|_| *owner == tenant) else { continue };
            let times = self.chunks.iter().filter(|(series, _)| series.tenant == tenant && series.measurement == *name);
            let times = times.flat_map(|(_, chunks)| chunks.keys());
            let range = times.fold(None, |range: Option<(Timestamp, Timestamp)>, &(from, to, _)| {
                Some(range.map_or((from, to), |(first, last)| (first.min(from), last.max(to))))
            });
            let Measured { values, rows, scrapes, .. } = *measured;
            all.push(StoredMeasurement { schema, values, rows, scrapes, range });
        }
        all
    }

    fn select(&self, select: &ChunkSelect) -> Vec<Chunk> {
        let named = |server: ServerId, wanted: &[String]| {
            wanted.contains(&server.to_string())
                || self.sources.keys().any(|(tenant, source)| {
                    *tenant == select.tenant
                        && source.server_id == server
                        && wanted.iter().any(|name| **name == *source.server)
                })
        };
        let series = self.chunks.iter().filter(|(series, _)| {
            series.tenant == select.tenant
                && series.measurement == select.measurement
                && select.servers.as_ref().is_none_or(|wanted| named(series.server, wanted))
                && select.databases.as_ref().is_none_or(|wanted| {
                    series.database.as_ref().is_some_and(|database| wanted.iter().any(|name| **name == **database))
                })
        });
        series
            .flat_map(|(series, chunks)| {
                let wanted = chunks.iter().filter(|((from, to, _), _)| *from <= select.to && *to >= select.from);
                wanted.map(|((.., id), stored)| Chunk {
                    collector: series.collector,
                    id: Some(*id),
                    frame: stored.frame.clone(),
                })
            })
            .collect()
    }

    /// The runs of finished hours that are to become blocks.
    fn runs(&self, end: i64) -> Vec<(Series, Vec<(Place, Frame)>)> {
        let mut runs = Vec::new();
        for (series, chunks) in &self.chunks {
            let mut hours: BTreeMap<i64, Vec<(&Place, &Stored)>> = BTreeMap::new();
            for (place, stored) in chunks {
                let hour = compaction::hour_of(place.0);
                if hour < end {
                    hours.entry(hour).or_default().push((place, stored));
                }
            }
            for hour in hours.values() {
                let pieces: Vec<_> = hour.iter().map(|(_, stored)| piece(stored)).collect();
                runs.extend(compaction::plan(&pieces).into_iter().filter_map(|run: Range<usize>| {
                    let chunks = hour.get(run)?.iter().map(|(place, stored)| (**place, stored.frame.clone()));
                    Some((series.clone(), chunks.collect()))
                }));
            }
        }
        runs
    }

    fn swap(&mut self, series: Series, old: &[(Place, Frame)], new: Frame, report: &mut JobReport) {
        let chunks = self.chunks.entry(series.clone()).or_default();
        for (place, frame) in old {
            chunks.remove(place);
            report.chunks_in += 1;
            report.bytes_in += frame.bytes().len() as u64;
        }
        report.chunks_out += 1;
        report.bytes_out += new.bytes().len() as u64;
        self.insert(series, Stored { frame: new, block: true });
    }

    fn retain(&mut self, policy: &Retention) -> JobReport {
        let mut report = JobReport::default();
        for (series, chunks) in &mut self.chunks {
            let measured = self.measured.get(&(series.tenant, series.measurement.clone()));
            let schema = measured.and_then(|all| all.schemas.last());
            let Some(cutoff) = policy.cutoff(&series.measurement, schema.map(AsRef::as_ref)) else { continue };
            chunks.retain(|(_, to, _), stored| {
                let due = *to < cutoff;
                report.dropped += u64::from(due);
                report.bytes_in += if due { stored.frame.bytes().len() as u64 } else { 0 };
                !due
            });
        }
        self.chunks.retain(|_, chunks| !chunks.is_empty());
        let spoken_of: BTreeSet<_> = self
            .chunks
            .iter()
            .flat_map(|(series, chunks)| chunks.values().map(|stored| (series.tenant, stored.frame.source().clone())))
            .collect();
        self.sources.retain(|source, _| spoken_of.contains(source));
        report
    }
}

fn piece(stored: &Stored) -> Piece<(u64, &Source)> {
    let frame = &stored.frame;
    Piece { kind: (frame.schema().fingerprint(), frame.source()), block: stored.block, values: frame.value_count() }
}

#[async_trait]
impl MetricStore for MemoryStore {
    async fn append(
        &self,
        origin: &Origin,
        stream: StreamId,
        frames: Vec<VerifiedFrame>,
    ) -> Result<AppendOutcome, StoreError> {
        Ok(self.metrics().append(origin, stream, frames))
    }

    async fn query(&self, query: SqlQuery) -> Result<RecordStream, StoreError> {
        self.inner.engine.execute(Arc::new(self.clone()), query).await
    }

    async fn measurements(&self, tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError> {
        Ok(self.metrics().stored(tenant))
    }

    async fn sources(&self, tenant: TenantId) -> Result<Vec<SeenSource>, StoreError> {
        let metrics = self.metrics();
        let all = metrics.sources.iter().filter(|((owner, _), _)| *owner == tenant);
        let mut all: Vec<_> = all
            .map(|((_, source), seen)| SeenSource {
                source: source.clone(),
                collector: seen.collector,
                first_seen: seen.first,
                last_seen: seen.last,
            })
            .collect();
        all.sort_by(|a, b| (&a.source.server, &a.source).cmp(&(&b.source.server, &b.source)));
        Ok(all)
    }

    async fn gaps(&self, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError> {
        let metrics = self.metrics();
        let own = metrics.gaps.iter().filter(|(owner, _)| *owner == tenant);
        let mut gaps: Vec<StoredGap> = own.map(|(_, gap)| gap.clone()).collect();
        gaps.sort_by_key(|stored| (stored.gap.from, stored.collector, stored.stream, stored.seq));
        Ok(gaps)
    }

    async fn maintain(&self, job: Job) -> Result<JobReport, StoreError> {
        let _alone = self.inner.jobs.lock().await;
        match job {
            Job::Compact { before } => {
                let store = self.clone();
                tokio::task::spawn_blocking(move || store.compact(before))
                    .await
                    .map_err(|error| StoreError::Unavailable(format!("compaction was interrupted: {error}")))?
            }
            Job::Retain { now, default, retention } => {
                let report = self.metrics().retain(&Retention::new(now, default, retention));
                self.meta().drop_ended(now);
                Ok(report)
            }
        }
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.engine.check()
    }
}

impl MemoryStore {
    fn compact(&self, before: Timestamp) -> Result<JobReport, StoreError> {
        let runs = self.metrics().runs(compaction::first_open_hour(before));
        let (mut report, mut first_error) = (JobReport::default(), None);
        for (series, old) in runs {
            let frames: Vec<_> = old.iter().map(|(_, frame)| frame.clone()).collect();
            match compaction::join(&frames) {
                Ok(new) => self.metrics().swap(series, &old, new, &mut report),
                Err(error) => {
                    first_error.get_or_insert(StoreError::Corrupt(format!("joining frames: {error}")));
                }
            }
        }
        first_error.map_or(Ok(report), Err)
    }
}

#[async_trait]
impl ChunkSource for MemoryStore {
    async fn stored(&self, tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError> {
        Ok(self.metrics().stored(tenant))
    }

    async fn chunks(&self, select: ChunkSelect) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        let chunks = self.metrics().select(&select);
        Ok(stream::iter(chunks.into_iter().map(Ok)).boxed())
    }
}
