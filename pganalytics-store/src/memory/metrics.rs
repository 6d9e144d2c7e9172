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
    CollectorId, InstanceId, MeasurementName, Ranges, Schema, Seq, ServerId, Source, StreamId, TenantId, Timestamp,
    frame::{Frame, VerifiedFrame},
};

use super::{MemoryStore, append::Keyed};
use crate::{
    chunk::{Chunk, ChunkSelect, ChunkSource, MISSED, Pick, StoredMeasurement},
    compaction::{self, Piece},
    error::StoreError,
    fork::StoredFork,
    ledger::Ledger,
    metric_store::{AppendOutcome, FrameOutcome, Job, JobReport, MetricStore, Origin, Owned, SeenSource, StoredGap},
    quota::{Held, Owner, Quotas},
    retention::{Retention, SCHEMA_MICROS},
    sql::{RecordStream, SqlQuery},
    stored_schema,
    stream_account::StreamAccount,
    unnumbered::{MakeReply, PushKey, Unnumbered},
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
    /// Of each schema.
    used: Vec<Used>,
    values: u64,
    rows: u64,
    scrapes: u64,
}

/// Who sent a schema first, and when it came last.
#[derive(Debug)]
struct Used {
    by: CollectorId,
    at: Timestamp,
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
    pub(super) ledgers: HashMap<(TenantId, CollectorId, StreamId), Ledger>,
    /// Of the last frames of each stream.
    pub(super) digests: HashMap<(TenantId, CollectorId, StreamId), BTreeMap<Seq, u64>>,
    pub(super) forks: Vec<(TenantId, StoredFork)>,
    pub(super) keyed: HashMap<(TenantId, CollectorId, [u8; 32]), Keyed>,
    chunks: BTreeMap<Series, BTreeMap<Place, Stored>>,
    measured: BTreeMap<(TenantId, MeasurementName), Measured>,
    sources: BTreeMap<(TenantId, Source), Seen>,
    pub(super) gaps: Vec<(TenantId, StoredGap)>,
    /// What was ever declared lost.
    pub(super) declared: HashMap<(TenantId, CollectorId, StreamId), Ranges>,
    owners: HashMap<(TenantId, ServerId, InstanceId), Owner>,
    /// What collectors have, counted when it is asked for.
    held: HashMap<(TenantId, CollectorId), Held>,
}

fn chunk(series: &Series, ((.., id), stored): (&Place, &Stored)) -> Chunk {
    Chunk { collector: series.collector, id: Some(*id), frame: stored.frame.clone() }
}

impl Metrics {
    /// Stores a frame, or says why it is not taken; then nothing was changed.
    pub(super) fn store(&mut self, origin: &Origin, frame: &Frame, more: Held, streams: u64) -> Option<FrameOutcome> {
        let (from, to) = frame.time_range();
        let (schema, source) = (frame.schema(), frame.source());
        let measurement = schema.measurement().clone();
        let series = Series {
            tenant: origin.tenant,
            measurement: measurement.clone(),
            server: source.server_id,
            instance: source.instance_id,
            database: source.database.clone(),
            collector: origin.collector,
        };
        let place = (origin.tenant, source.server_id, source.instance_id);
        let owner = self.owners.get(&place);
        if let Some(owner) = owner.filter(|owner| !owner.lets(origin.collector, &origin.quotas, origin.received_at)) {
            return Some(owner.refusal(source));
        }
        let measured = self.measured.get(&(origin.tenant, measurement.clone()));
        let known = measured.is_some_and(|measured| measured.schemas.contains(schema));
        let new_series = !self.chunks.contains_key(&series);
        let measures = |other: &Series| {
            (other.tenant, other.collector) == (origin.tenant, origin.collector) && other.measurement == measurement
        };
        let more = Held {
            sources: u64::from(!self.sources.contains_key(&(origin.tenant, source.clone()))),
            schemas: u64::from(!known),
            series: u64::from(new_series),
            measurements: u64::from(new_series && !self.chunks.keys().any(measures)),
            ..more
        };
        if let Some(refused) = self.take(origin, more, streams) {
            return Some(refused);
        }
        if origin.quotas.owns_for.is_some() {
            self.owners.insert(place, Owner { collector: origin.collector, heard_at: origin.received_at });
        }
        let measured = self.measured.entry((origin.tenant, measurement)).or_default();
        measured.values += frame.value_count();
        measured.rows += frame.rows() as u64;
        measured.scrapes += frame.scrapes().len() as u64;
        let now = origin.received_at.max(to);
        match measured.schemas.iter().zip(&mut measured.used).find(|(known, _)| *known == schema) {
            Some((_, used)) => used.at = used.at.max(now),
            None => {
                measured.schemas.push(Arc::clone(schema));
                measured.used.push(Used { by: origin.collector, at: now });
            }
        }
        let seen = self.sources.entry((origin.tenant, source.clone())).or_insert(Seen {
            collector: origin.collector,
            first: from,
            last: to,
        });
        *seen = Seen { collector: origin.collector, first: seen.first.min(from), last: seen.last.max(to) };
        self.insert(series, Stored { frame: frame.clone(), block: false });
        None
    }

    /// Counts `more` for the collector, or says why it may not have it.
    /// `streams` are those of the ledger in hand.
    pub(super) fn take(&mut self, origin: &Origin, more: Held, streams: u64) -> Option<FrameOutcome> {
        if more == Held::default() || (Quotas { owns_for: None, ..origin.quotas }) == Quotas::NONE {
            return None;
        }
        let key = (origin.tenant, origin.collector);
        let mut held = self.held.remove(&key).unwrap_or_else(|| self.count(key));
        let others = self.ledgers.iter().filter(|((tenant, collector, _), _)| (*tenant, *collector) == key);
        held.streams = streams + others.map(|(_, ledger)| ledger.ranges().range_count() as u64).sum::<u64>();
        let refused = held.refusal(&more, &origin.quotas);
        if refused.is_none() {
            held.add(&more);
        }
        self.held.insert(key, held);
        refused
    }

    fn count(&self, key: (TenantId, CollectorId)) -> Held {
        let series = || self.chunks.keys().filter(|series| (series.tenant, series.collector) == key);
        let schemas = self.measured.iter().filter(|((tenant, _), _)| *tenant == key.0);
        let schemas = schemas.flat_map(|(_, measured)| &measured.used);
        Held {
            sources: self.sources.iter().filter(|((tenant, _), seen)| (*tenant, seen.collector) == key).count() as u64,
            series: series().count() as u64,
            measurements: series().map(|series| &series.measurement).collect::<BTreeSet<_>>().len() as u64,
            schemas: schemas.filter(|used| used.by == key.1).count() as u64,
            gaps: self.gaps.iter().filter(|(tenant, gap)| (*tenant, gap.collector) == key).count() as u64,
            streams: 0,
        }
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
        let in_range = |(from, to, _): &Place| *from <= select.to && *to >= select.from;
        let chunks = self.series_of(select).flat_map(|(series, chunks)| {
            chunks.iter().filter(|(place, _)| in_range(place)).map(|stored| chunk(series, stored))
        });
        chunks.collect()
    }

    /// What the rows that are live at present are made of.
    fn present(&self, select: &ChunkSelect) -> Vec<Chunk> {
        let mut all = Vec::new();
        for (series, chunks) in self.series_of(select) {
            let Some(((_, newest, _), last)) = chunks.iter().max_by_key(|((_, to, _), _)| *to) else { continue };
            let interval = last.frame.scrapes().last().map_or(0, |scrape| scrape.interval_micros);
            let own = i64::try_from(interval).unwrap_or(i64::MAX).saturating_mul(MISSED);
            if newest.as_micros().saturating_add(own) < select.from.as_micros() {
                continue;
            }
            let keyframe = chunks.values().filter_map(|stored| stored.frame.last_keyframe()).max();
            let from = keyframe.unwrap_or_else(|| select.from.min(newest.plus_micros(-own)));
            all.extend(chunks.iter().filter(|((_, to, _), _)| *to >= from).map(|stored| chunk(series, stored)));
        }
        all
    }

    fn series_of(&self, select: &ChunkSelect) -> impl Iterator<Item = (&Series, &BTreeMap<Place, Stored>)> {
        let named = move |server: ServerId, wanted: &[String]| {
            wanted.contains(&server.to_string())
                || self.sources.keys().any(|(tenant, source)| {
                    *tenant == select.tenant
                        && source.server_id == server
                        && wanted.iter().any(|name| **name == *source.server)
                })
        };
        self.chunks.iter().filter(move |(series, _)| {
            series.tenant == select.tenant
                && series.measurement == select.measurement
                && select.servers.as_ref().is_none_or(|wanted| named(series.server, wanted))
                && select.databases.as_ref().is_none_or(|wanted| {
                    series.database.as_ref().is_some_and(|database| wanted.iter().any(|name| **name == **database))
                })
        })
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
        self.owners.retain(|(tenant, server, instance), _| {
            let place = (*tenant, *server, *instance);
            spoken_of.iter().any(|(tenant, source)| (*tenant, source.server_id, source.instance_id) == place)
        });
        self.measured.retain(|(_, name), measured| {
            let Some(cutoff) = policy.cutoff(name, measured.schemas.last().map(AsRef::as_ref)) else { return true };
            let cutoff = cutoff.plus_micros(-SCHEMA_MICROS);
            let mut used = measured.used.iter();
            measured.schemas.retain(|_| used.next().is_none_or(|used| used.at >= cutoff));
            measured.used.retain(|used| used.at >= cutoff);
            !measured.schemas.is_empty()
        });
        self.held.clear();
        report
    }
}

fn piece(stored: &Stored) -> Piece<(u64, &Source)> {
    let frame = &stored.frame;
    Piece { kind: (frame.schema().fingerprint(), frame.source()), block: stored.block, decoded: frame.decoded_bytes() }
}

#[async_trait]
impl MetricStore for MemoryStore {
    async fn append(
        &self,
        origin: &Origin,
        stream: StreamId,
        frames: Vec<VerifiedFrame>,
    ) -> Result<AppendOutcome, StoreError> {
        Ok(self.metrics().append(origin, stream, &frames))
    }

    async fn append_unnumbered(
        &self,
        origin: &Origin,
        key: Option<PushKey>,
        frames: Vec<VerifiedFrame>,
        reply: MakeReply,
    ) -> Result<Unnumbered, StoreError> {
        Ok(self.metrics().append_unnumbered(origin, key, &frames, reply))
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

    async fn stream_accounts(&self, tenant: TenantId) -> Result<Vec<StreamAccount>, StoreError> {
        let metrics = self.metrics();
        let own =
            metrics.ledgers.iter().filter(|((owner, ..), ledger)| *owner == tenant && !ledger.ranges().is_empty());
        let account = own.map(|(key @ (tenant, collector, stream), ledger)| {
            let declared = metrics.declared.get(key).cloned().unwrap_or_default();
            StreamAccount::new(*tenant, *collector, *stream, ledger.ranges().clone(), declared)
        });
        let mut accounts: Vec<StreamAccount> = account.collect();
        accounts.sort_by_key(|account| (account.collector, account.stream));
        Ok(accounts)
    }

    async fn forks(&self, tenant: TenantId) -> Result<Vec<StoredFork>, StoreError> {
        let metrics = self.metrics();
        Ok(metrics.forks.iter().filter(|(owner, _)| *owner == tenant).map(|(_, fork)| fork.clone()).collect())
    }

    async fn hand_over(
        &self,
        tenant: TenantId,
        what: Owned,
        to: Option<CollectorId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        self.metrics().owners.retain(|(of, server, _), owner| {
            let is_meant = *of == tenant
                && match what {
                    Owned::By(collector) => owner.collector == collector,
                    Owned::Server(other) => *server == other,
                };
            if !is_meant {
                return true;
            }
            changed += 1;
            if let Some(collector) = to {
                *owner = Owner { collector, heard_at: now };
            }
            to.is_some()
        });
        Ok(changed)
    }

    async fn maintain(&self, job: Job) -> Result<JobReport, StoreError> {
        let alone = Arc::clone(&self.inner.jobs).lock_owned().await;
        match job {
            Job::Compact { before } => {
                let store = self.clone();
                let compact = move || {
                    // It goes on when nobody waits for it any more.
                    let _alone = alone;
                    store.compact(before)
                };
                tokio::task::spawn_blocking(compact)
                    .await
                    .map_err(|error| StoreError::Unavailable(format!("compaction was interrupted: {error}")))?
            }
            Job::Heads => Ok(JobReport::default()),
            Job::Retain { now, default, retention } => {
                let report = self.metrics().retain(&Retention::new(now, default, retention));
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

    async fn losses(&self, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError> {
        self.gaps(tenant).await
    }

    async fn streams(&self, tenant: TenantId) -> Result<(Vec<StreamAccount>, Vec<StoredFork>), StoreError> {
        Ok((self.stream_accounts(tenant).await?, self.forks(tenant).await?))
    }

    async fn chunks(&self, select: ChunkSelect) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        let chunks = self.metrics().select(&select);
        Ok(stream::iter(chunks.into_iter().map(Ok)).boxed())
    }

    async fn present(
        &self,
        select: ChunkSelect,
        _: Arc<dyn Pick>,
    ) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        let chunks = self.metrics().present(&select);
        Ok(stream::iter(chunks.into_iter().map(Ok)).boxed())
    }
}
