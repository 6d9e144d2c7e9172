//! Schedules of trouble, each decided by a seed, over the code that ships.
//!
//! A schedule puts frames in and pushes them, while the disk fails, fills, flips
//! bits and forgets, the process is killed between any two calls of the disk, the
//! clock jumps, replies are lost, late, cut or nonsense, and the folder comes back
//! from a snapshot. Then all is healed, what waits is delivered, and the checker
//! looks: whatever a call of `put` had confirmed is stored once or declared lost.
//!
//! `PGANALYTICS_SIM=SCHEDULES` runs more of them, `PGANALYTICS_SIM_SEED=SEED` one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

/// Tells what happens, where one seed is looked at.
macro_rules! trace {
    ($($part:tt)*) => {
        if std::env::var_os("PGANALYTICS_SIM_SEED").is_some() {
            eprintln!($($part)*);
        }
    };
}

mod dice;
mod disk;
mod server;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use pganalytics_core::Timestamp;

use self::{disk::SimDisk, server::row, world::World};
use super::{
    record::States,
    stream::{Moment, NewFrame, Room, Stream},
};

/// Schedules of a normal test run.
const SCHEDULES: u64 = 3000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn whatever_happens_each_frame_is_stored_once_or_declared_lost() {
    let (first, count) = match setting("PGANALYTICS_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (0, setting("PGANALYTICS_SIM").unwrap_or(SCHEDULES)),
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let bad: Vec<u64> = std::thread::scope(|scope| {
        let run = |thread: u64| {
            scope.spawn(move || {
                let seeds = (first..first + count).filter(|seed| seed % threads == thread);
                let is_bad = |seed: &u64| catch_unwind(AssertUnwindSafe(|| World::run(*seed))).is_err();
                seeds.filter(is_bad).take(5).collect::<Vec<_>>()
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(bad.is_empty(), "seeds that break the promise: {bad:?}; run each with PGANALYTICS_SIM_SEED");
}

/// What others need of a small disk is left to them, however much the quota would allow.
#[test]
fn the_last_of_a_disk_is_left_to_others() {
    const DISK: u64 = 20_000;
    const SEGMENT: u64 = 1_000;
    let disk = Arc::new(SimDisk::new(1, DISK));
    let now = Moment { wall: Timestamp::from_secs(1_800_000_000), steady: Duration::ZERO };
    let mut stream = Stream::open(disk.clone(), Room { quota: 50 * DISK, segment: SEGMENT }, now).unwrap();
    for id in 0..500 {
        stream.put(&[NewFrame::from(row(id, 90))], &States::new(), now).unwrap();
        let used = disk.state().used();
        assert!(used <= DISK - DISK / 20 + SEGMENT, "{used} bytes after {id} frames");
    }
    assert!(stream.stats.dropped > 100 && stream.stats.queued_frames > 50, "{:?}", stream.stats);
}

/// Seeds that once showed a bug.
#[test]
fn schedules_that_showed_bugs_show_them_no_more() {
    for seed in [52, 146, 158, 389, 920, 7124, 11337, 18896, 39457, 58564] {
        World::run(seed);
    }
}
