//! Brings frames from the outbox to the sink.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    outbox::{GroupLimits, Outbox},
    reply::{Decision, ReplyPolicy},
    retry::Backoff,
};
use crate::{
    panics::words_of,
    sink::{FrameGroup, Sink, SinkError},
};

/// What the sender has done so far.
#[derive(Debug, Default)]
pub struct SenderStats {
    pushes: AtomicU64,
    failures: AtomicU64,
    duplicates: AtomicU64,
    failing: AtomicUsize,
    panics: AtomicU64,
    fault: Mutex<Option<String>>,
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

    /// Why the last group was not taken; `None` when it was.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_fault(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Groups that failed since the last one that was taken.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.failing.load(Ordering::Relaxed)
    }
}

/// Takes groups from an outbox, gives them to a sink, one at a time, and believes
/// what the answer names.
///
/// | answer | what follows |
/// |---|---|
/// | all frames are named | the next group |
/// | some are not | those are sent again, after a pause |
/// | [`SinkError::Unavailable`] | a pause that grows, or as long as was asked, then a small group |
/// | [`SinkError::Refused`], [`SinkError::BadReply`], [`SinkError::Panicked`] | the same; an error in the log |
/// | [`SinkError::TooLarge`] | both halves by themselves; a single frame is declared lost |
/// | [`SinkError::Unreadable`] | the same, down to the bad frame, which is declared lost |
/// | [`SinkError::Forked`] | a new stream begins with what waits |
pub struct Sender {
    outbox: Arc<dyn Outbox>,
    sink: Arc<dyn Sink>,
    backoff: Backoff,
    limits: GroupLimits,
    linger: Duration,
    stats: Arc<SenderStats>,
    hurry: Arc<Notify>,
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
        Self {
            outbox,
            sink,
            backoff: Backoff::default(),
            limits: GroupLimits::default(),
            linger: Duration::ZERO,
            stats: Arc::default(),
            hurry: Arc::default(),
        }
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

    /// Whoever notifies it ends the pause that the sender is in.
    pub(crate) fn hurry(&self) -> Arc<Notify> {
        Arc::clone(&self.hurry)
    }

    /// Delivers until `stop`, then what is queued for at most `flush`.
    ///
    /// It does not end before: a panic of the outbox is caught, logged, counted,
    /// and followed by a pause that grows.
    pub async fn run(self, stop: CancellationToken, flush: Duration) {
        let mut policy = ReplyPolicy::new(self.backoff.clone(), self.limits);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.deliver_guarded(&mut policy) => {}
            }
        }
        // Somebody may have stopped it between a push and its answer.
        let flushing = AssertUnwindSafe(self.flush(&mut policy, Instant::now() + flush)).catch_unwind();
        if flushing.await.is_err() {
            error!("the outbox panicked while the last frames were delivered; what it holds stays there");
        }
    }

    /// Delivers one group, and survives a panic.
    async fn deliver_guarded(&self, policy: &mut ReplyPolicy) {
        let Err(panic) = AssertUnwindSafe(self.deliver_next(policy)).catch_unwind().await else { return };
        let message = words_of(panic.as_ref());
        self.stats.panics.fetch_add(1, Ordering::Relaxed);
        let decision = policy.wait(crate::sink::Delivery::default(), SinkError::Panicked { message }, None);
        self.stats.failing.store(policy.failing, Ordering::Relaxed);
        if let Some((error, pause)) = decision.pause {
            self.stats.note_fault(Some(error.to_string()));
            error!(%error, pause_ms = pause.as_millis(), "the outbox panicked; delivery is tried again");
            self.pause(pause).await;
        }
    }

    /// Delivers what is queued.
    async fn flush(&self, policy: &mut ReplyPolicy, end: Instant) {
        policy.abandon();
        self.outbox.release().await;
        while let Some(group) = self.next_group(policy).await {
            let Ok(pause) = timeout_at(end, self.deliver(policy, group)).await else { break };
            let Some(pause) = pause else { continue };
            if Instant::now() + pause >= end {
                break;
            }
            sleep(pause).await;
        }
    }

    /// Waits for frames and delivers one group, or pauses after a failure.
    async fn deliver_next(&self, policy: &mut ReplyPolicy) {
        if policy.is_done() {
            self.outbox.ready().await;
            if policy.is_at_full_size() {
                let waiting = self.outbox.stats();
                let waited = waiting.oldest.unwrap_or_default();
                if waited < self.linger && waiting.queued_bytes < self.limits.bytes {
                    self.pause(self.linger - waited).await;
                }
            }
        }
        let Some(group) = self.next_group(policy).await else { return };
        if let Some(pause) = self.deliver(policy, group).await {
            self.pause(pause).await;
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.hurry.notified() => {}
        }
    }

    async fn next_group(&self, policy: &mut ReplyPolicy) -> Option<FrameGroup> {
        match policy.next_part() {
            Some(part) => Some(part),
            None => self.outbox.lease(policy.limits()).await,
        }
    }

    /// Delivers one group; a pause is due when it returns one.
    async fn deliver(&self, policy: &mut ReplyPolicy, group: FrameGroup) -> Option<Duration> {
        let (stream, frames, bytes) = (group.stream, group.frames.len(), group.bytes());
        self.stats.pushes.fetch_add(1, Ordering::Relaxed);
        // A sink may be anybody's: its panic is a failure like any other.
        let delivering = AssertUnwindSafe(self.sink.deliver(group.clone())).catch_unwind().await;
        let answer = delivering.unwrap_or_else(|panic| {
            self.stats.panics.fetch_add(1, Ordering::Relaxed);
            Err(SinkError::Panicked { message: words_of(panic.as_ref()) })
        });
        let was_failing = policy.failing;
        let failed = answer.is_err();
        let decision = policy.decide(group, answer);
        self.stats.failures.fetch_add(u64::from(failed || decision.pause.is_some()), Ordering::Relaxed);
        self.stats.failing.store(policy.failing, Ordering::Relaxed);
        self.stats.duplicates.fetch_add(decision.settle.duplicate.len(), Ordering::Relaxed);
        if decision.settles() {
            debug!(frames, bytes, duplicates = decision.settle.duplicate.len(), refused = %decision.refused(), "delivered");
            self.outbox.settle(stream, &decision.settle).await;
        }
        if policy.failing == 0 && was_failing > 0 {
            info!(failed = was_failing, "delivery works again");
        }
        let Decision { fork, pause, .. } = decision;
        if policy.is_done() || fork {
            self.outbox.release().await;
        }
        let pause = if fork { self.fork(policy, stream).await } else { pause };
        self.stats.note_fault(pause.as_ref().map(|(error, _)| error.to_string()));
        let (error, pause) = pause?;
        self.tell(policy.failing, &error, pause);
        Some(pause)
    }

    /// Begins a new stream; a failure, and how long to wait after it.
    async fn fork(
        &self,
        policy: &mut ReplyPolicy,
        stream: pganalytics_core::StreamId,
    ) -> Option<(SinkError, Duration)> {
        let error = self.outbox.fork(stream).await.err()?;
        policy.wait(crate::sink::Delivery::default(), error, None).pause
    }

    fn tell(&self, failing: usize, error: &SinkError, pause: Duration) {
        // Once in the log when it begins, then at every tenth try.
        if failing % 10 != 1 {
            return;
        }
        let (pause_ms, queued_bytes) = (pause.as_millis(), self.outbox.stats().queued_bytes);
        if matches!(error, SinkError::Unavailable { .. }) {
            warn!(%error, pause_ms, queued_bytes, "not delivered; will try again");
        } else {
            error!(%error, pause_ms, queued_bytes, "not delivered; will try again");
        }
    }
}
