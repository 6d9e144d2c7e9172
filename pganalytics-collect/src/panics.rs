//! Tasks that panic: what they said, and that they begin anew.

use std::any::Any;
#[cfg(feature = "exporter")]
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

#[cfg(feature = "exporter")]
use futures::FutureExt as _;

#[cfg(feature = "exporter")]
use crate::scheduler::SchedulerStats;

/// Its words, in one line and not long; a panic may carry anything.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let words = words.unwrap_or("it said nothing");
    words.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Longest pause before a task that panicked begins anew.
#[cfg(feature = "exporter")]
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Does work until it is done. A panic is told and counted, and after a pause, which grows from
/// a second, the work begins anew.
#[cfg(feature = "exporter")]
pub(crate) async fn supervise<W: Future<Output = ()>>(
    what: &'static str,
    stats: Arc<SchedulerStats>,
    mut begin: impl FnMut() -> W,
) {
    let mut pause = Duration::from_secs(1);
    while let Err(panic) = AssertUnwindSafe(async { begin().await }).catch_unwind().await {
        stats.note_panic();
        let panic = words_of(panic.as_ref());
        tracing::error!(panic, pause_s = pause.as_secs(), "{what} panicked, a bug; it begins anew after a pause");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(all(test, feature = "exporter"))]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_is_begun_anew_after_pauses_that_grow() {
        let stats = Arc::new(SchedulerStats::default());
        let (mut begun, began) = (Vec::new(), tokio::time::Instant::now());
        supervise("a test", Arc::clone(&stats), || {
            begun.push(began.elapsed().as_secs());
            let round = begun.len();
            async move {
                if round == 1 {
                    tokio::task::yield_now().await;
                }
                assert!(round > 8, "for the test");
            }
        })
        .await;
        assert_eq!(begun, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
        assert_eq!(stats.panics(), 8);
    }

    #[test]
    fn words_are_one_short_line() {
        assert_eq!(words_of(&"a\nb\u{7}"), "a b");
        assert_eq!(words_of(&"x".repeat(999)).len(), 200);
        assert_eq!(words_of(&7), "it said nothing");
    }
}
