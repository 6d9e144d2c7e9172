//! Which frames go next.

use pganalytics_core::{Ranges, Seq};

/// What the rest of a push is filled with when the newest frames are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backlog {
    /// The oldest of what waits: history becomes whole from its begin.
    #[default]
    OldestFirst,
    /// The newest of what waits: the last hours are there first.
    NewestFirst,
}

/// Numbers in the order in which they go: those from `live` on first, oldest
/// first, then the backlog. So what is collected now arrives now, however much
/// there is from an outage.
pub(super) fn order(waiting: &Ranges, live: u64, backlog: Backlog) -> impl Iterator<Item = u64> + '_ {
    let fresh = waiting.iter().rev().take_while(move |range| range.end().0 >= live);
    let mut fresh: Vec<(u64, u64)> = fresh.map(|range| (range.start().0.max(live), range.end().0)).collect();
    fresh.reverse();
    let fresh = fresh.into_iter().flat_map(|(first, last)| first..=last);
    let (oldest, newest) = match backlog {
        Backlog::OldestFirst => (Some(waiting.seqs()), None),
        Backlog::NewestFirst => {
            let all = waiting.iter().rev().flat_map(|range| (range.start().0..=range.end().0).rev().map(Seq));
            (None, Some(all))
        }
    };
    let rest = oldest.into_iter().flatten().chain(newest.into_iter().flatten());
    fresh.chain(rest.map(|seq| seq.0).filter(move |&seq| seq < live))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_frames_go_first_then_the_backlog_from_either_end() {
        let waiting: Ranges = [Seq(1)..=Seq(3), Seq(6)..=Seq(9)].into_iter().collect();
        let order = |live, backlog| order(&waiting, live, backlog).collect::<Vec<_>>();
        assert_eq!(order(8, Backlog::OldestFirst), [8, 9, 1, 2, 3, 6, 7]);
        assert_eq!(order(8, Backlog::NewestFirst), [8, 9, 7, 6, 3, 2, 1]);
        assert_eq!(order(1, Backlog::OldestFirst), [1, 2, 3, 6, 7, 8, 9]);
        assert_eq!(order(99, Backlog::NewestFirst), [9, 8, 7, 6, 3, 2, 1]);
    }
}
