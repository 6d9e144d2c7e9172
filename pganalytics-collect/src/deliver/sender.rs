//! Brings frames from the outbox to the sink.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use pganalytics_core::Seq;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    outbox::{GroupLimits, Outbox},
    retry::Backoff,
};
use crate::panics::words_of;
use crate::sink::{Delivery, FrameGroup, Sink, SinkError};

/// What the sender has done so far.
#[derive(Debug, Default)]
pub struct SenderStats {
    pushes: AtomicU64,
    failures: AtomicU64,
    duplicates: AtomicU64,
    failing: AtomicUsize,
    panics: AtomicU64,
}

impl SenderStats {
    /// Groups given to the sink.
    #[must_use]
    pub fn pushes(&self) -> u64 {
        self.pushes.load(Ordering::Relaxed)
    }

    /// Groups that the sink did not take.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Frames that had been stored before: a reply was lost.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// How often the sink or the outbox panicked.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Groups that failed since the last one that was taken.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.failing.load(Ordering::Relaxed)
    }
}

/// Takes groups from an outbox, gives them to a sink, one at a time, and decides
/// what an error means.
///
/// | error | what follows |
/// |---|---|
/// | [`SinkError::Unavailable`] | a pause that grows, or as long as was asked |
/// | [`SinkError::Refused`], [`SinkError::BadReply`], [`SinkError::Panicked`] | the same; an error in the log |
/// | [`SinkError::TooLarge`] | half the group at once; a single frame is declared lost |
/// | [`SinkError::Unreadable`] | half the group at once, down to the bad frame, which is declared lost |
pub struct Sender {
    outbox: Arc<dyn Outbox>,
    sink: Arc<dyn Sink>,
    backoff: Backoff,
    limits: GroupLimits,
    linger: Duration,
    /// Frames in the next group; small while a bad frame is looked for.
    window: usize,
    stats: Arc<SenderStats>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("limits", &self.limits).field("stats", &self.stats).finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender with the default pauses and limits.
    #[must_use]
    pub fn new(outbox: Arc<dyn Outbox>, sink: Arc<dyn Sink>) -> Self {
        let limits = GroupLimits::default();
        let window = limits.frames;
        let stats = Arc::default();
        Self { outbox, sink, backoff: Backoff::default(), limits, linger: Duration::ZERO, window, stats }
    }

    /// Other pauses after failures.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Other limits of a group.
    #[must_use]
    pub fn with_limits(mut self, limits: GroupLimits) -> Self {
        self.window = limits.frames;
        self.limits = limits;
        self
    }

    /// How long a frame may wait for others to travel with it.
    #[must_use]
    pub fn with_linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// What it has done so far; goes on counting while it runs.
    #[must_use]
    pub fn stats(&self) -> Arc<SenderStats> {
        Arc::clone(&self.stats)
    }

    /// Delivers until `stop`, then what is queued for at most `flush`.
    ///
    /// It does not end before: a panic of the outbox is caught, logged, counted,
    /// and followed by a pause that grows.
    pub async fn run(mut self, stop: CancellationToken, flush: Duration) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.deliver_guarded() => {}
            }
        }
        if AssertUnwindSafe(self.flush(flush)).catch_unwind().await.is_err() {
            error!("the outbox panicked while the last frames were delivered; what it holds stays there");
        }
    }

    /// Delivers one group, and survives a panic.
    async fn deliver_guarded(&mut self) {
        let Err(panic) = AssertUnwindSafe(self.deliver_next()).catch_unwind().await else { return };
        self.stats.panics.fetch_add(1, Ordering::Relaxed);
        self.stats.failing.fetch_add(1, Ordering::Relaxed);
        let pause = self.backoff.next_pause(None);
        let (panic, pause_ms) = (words_of(panic.as_ref()), pause.as_millis());
        error!(panic, pause_ms, "the outbox panicked; delivery is tried again");
        sleep(pause).await;
    }

    /// Delivers what is queued.
    async fn flush(&mut self, flush: Duration) {
        let end = Instant::now() + flush;
        while let Some(group) = self.outbox.front(self.group_limits()).await {
            let Ok(pause) = timeout_at(end, self.deliver(group)).await else { break };
            let Some(pause) = pause else { continue };
            if Instant::now() + pause >= end {
                break;
            }
            sleep(pause).await;
        }
    }

    /// Waits for frames and delivers one group, or pauses after a failure.
    async fn deliver_next(&mut self) {
        self.outbox.ready().await;
        if self.stats.failing() == 0 && self.window == self.limits.frames {
            let waiting = self.outbox.stats();
            let waited = waiting.oldest.unwrap_or_default();
            if waited < self.linger && waiting.queued_bytes < self.limits.bytes {
                sleep(self.linger - waited).await;
            }
        }
        let Some(group) = self.outbox.front(self.group_limits()).await else { return };
        if let Some(pause) = self.deliver(group).await {
            sleep(pause).await;
        }
    }

    fn group_limits(&self) -> GroupLimits {
        GroupLimits { frames: self.window, ..self.limits }
    }

    /// Delivers one group; a pause is due when it returns one.
    async fn deliver(&mut self, group: FrameGroup) -> Option<Duration> {
        let seqs: Vec<Seq> = group.frames.iter().map(|(seq, _)| *seq).collect();
        let bytes = group.bytes();
        self.stats.pushes.fetch_add(1, Ordering::Relaxed);
        // A sink may be anybody's: its panic is a failure like any other.
        let delivering = AssertUnwindSafe(self.sink.deliver(group)).catch_unwind().await;
        let delivered = delivering.unwrap_or_else(|panic| {
            self.stats.panics.fetch_add(1, Ordering::Relaxed);
            Err(SinkError::Panicked { message: words_of(panic.as_ref()) })
        });
        match delivered.and_then(|delivery| delivery.check(&seqs).map(|()| delivery)) {
            Ok(delivery) => {
                debug!(frames = seqs.len(), bytes, duplicates = delivery.duplicates, "delivered");
                self.delivered(&seqs, delivery).await;
                None
            }
            Err(error) => self.failed(&seqs, error).await,
        }
    }

    async fn delivered(&mut self, seqs: &[Seq], delivery: Delivery) {
        for rejected in &delivery.rejected {
            self.declare_lost(rejected.seq, &rejected.code, &rejected.message).await;
        }
        let is_rejected = |seq: &Seq| delivery.rejected.iter().any(|rejected| rejected.seq == *seq);
        let stored: Vec<Seq> = seqs.iter().filter(|seq| !is_rejected(seq)).copied().collect();
        self.outbox.settle(&stored).await;
        self.stats.duplicates.fetch_add(delivery.duplicates as u64, Ordering::Relaxed);
        let failed = self.stats.failing.swap(0, Ordering::Relaxed);
        if failed > 0 {
            info!(failed, "delivery works again");
        }
        self.backoff.reset();
        self.window = self.window.saturating_mul(2).min(self.limits.frames);
    }

    async fn failed(&mut self, seqs: &[Seq], error: SinkError) -> Option<Duration> {
        self.stats.failures.fetch_add(1, Ordering::Relaxed);
        let (code, retry_after) = match &error {
            SinkError::TooLarge { .. } => ("too_large", None),
            SinkError::Unreadable { .. } => ("unreadable", None),
            SinkError::Unavailable { retry_after, .. } => ("", *retry_after),
            SinkError::Refused { .. } | SinkError::BadReply { .. } | SinkError::Panicked { .. } => ("", None),
        };
        if !code.is_empty() {
            match seqs {
                [one] => self.declare_lost(*one, code, &error.to_string()).await,
                many => {
                    debug!(frames = many.len(), code, "halving the group");
                    self.window = many.len() / 2;
                }
            }
            return None;
        }
        let failing = self.stats.failing.fetch_add(1, Ordering::Relaxed) + 1;
        let pause = self.backoff.next_pause(retry_after);
        let (pause_ms, waiting) = (pause.as_millis(), self.outbox.stats());
        // Once in the log when it begins, then at every tenth try.
        if failing % 10 == 1 {
            if !matches!(error, SinkError::Unavailable { .. }) {
                error!(%error, pause_ms, queued_bytes = waiting.queued_bytes, "not delivered; will try again");
            } else {
                warn!(%error, pause_ms, queued_bytes = waiting.queued_bytes, "not delivered; will try again");
            }
        }
        Some(pause)
    }

    async fn declare_lost(&self, seq: Seq, code: &str, message: &str) {
        let stream = self.outbox.stream();
        error!(%stream, seq = seq.0, code, message, "frame lost: the receiver refuses it for good");
        self.outbox.reject(seq, code, message).await;
    }
}
