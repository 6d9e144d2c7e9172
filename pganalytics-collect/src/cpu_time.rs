//! Processor time of single futures.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Processor time used so far by the futures that it measures. A future runs on
/// whichever thread polls it, so each poll is measured by its thread's clock.
#[derive(Debug, Default)]
pub(crate) struct CpuTime {
    nanos: AtomicU64,
}

impl CpuTime {
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// Runs a future and counts what it uses.
    pub(crate) async fn measure<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let before = thread_nanos();
            let poll = future.as_mut().poll(cx);
            self.nanos.fetch_add(thread_nanos().saturating_sub(before), Ordering::Relaxed);
            poll
        })
        .await
    }
}

fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or_default();
    part(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(time.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_counts_and_waiting_does_not() {
        let cpu = Arc::new(CpuTime::default());
        let work = async {
            for _ in 0..20 {
                // Between two polls the runtime works for itself.
                let began = thread_nanos();
                while thread_nanos() < began + 1_000_000 {}
                tokio::task::yield_now().await;
            }
        };
        Arc::clone(&cpu).measure(work).await;
        let worked = cpu.total();
        assert!(worked > Duration::from_millis(10), "{worked:?}");
        Arc::clone(&cpu).measure(tokio::time::sleep(Duration::from_millis(200))).await;
        assert!(cpu.total() - worked < Duration::from_millis(150), "{:?}", cpu.total());
    }
}
