//! The threads that expand, parse and decode what is pushed.
//!
//! Whatever is more than [`INLINE_BYTES`] is done here, and only so many at
//! once as there are processors: the async threads stay free, and what is
//! decoded at one time is bounded however many push.

use std::{num::NonZero, sync::Arc, thread::available_parallelism, time::Duration};

use tokio::sync::Semaphore;

use crate::error::{ApiResult, Problem};

/// Most bytes that are expanded, parsed or decoded on an async thread for one
/// push.
pub(crate) const INLINE_BYTES: usize = 1 << 20;

/// Who waited this long is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST: usize = 16;

/// Places on the threads for what would block.
pub(crate) struct Decoders {
    places: Arc<Semaphore>,
}

impl Default for Decoders {
    fn default() -> Self {
        let places = available_parallelism().map_or(1, NonZero::get).min(MOST);
        Self { places: Arc::new(Semaphore::new(places)) }
    }
}

impl Decoders {
    /// Runs `work` when there is a place. Once it runs it keeps its place to its
    /// end, even when nobody waits for it any more: what it holds belongs into
    /// the closure.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
        let busy = || Problem::unavailable("overloaded", "the server has as much to decode as it can; come back");
        let place = tokio::time::timeout(PATIENCE, Arc::clone(&self.places).acquire_owned());
        let place = place.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let work = move || {
            let _place = place;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_run_than_there_are_places_even_when_nobody_waits() {
        let decoders = Arc::new(Decoders { places: Arc::new(Semaphore::new(2)) });
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (go, gone) = mpsc::channel::<()>();
        let gone = Arc::new(std::sync::Mutex::new(gone));
        let start = || {
            let (decoders, running, most, gone) =
                (Arc::clone(&decoders), Arc::clone(&running), Arc::clone(&most), Arc::clone(&gone));
            tokio::spawn(async move {
                let work = move || {
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    let _ = gone.lock().unwrap().recv();
                    running.fetch_sub(1, SeqCst);
                };
                decoders.run(work).await
            })
        };
        let given_up: Vec<_> = (0..2).map(|_| start()).collect();
        while running.load(SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // Who does not wait any more leaves work that still has its place.
        given_up.iter().for_each(tokio::task::JoinHandle::abort);
        let others: Vec<_> = (0..4).map(|_| start()).collect();
        (0..6).for_each(|_| go.send(()).unwrap());
        for other in others {
            other.await.unwrap().unwrap();
        }
        assert_eq!(most.load(SeqCst), 2);
    }
}
