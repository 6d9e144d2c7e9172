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

mod disk;
mod random;
mod server;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use pganalytics_core::{Seq, Timestamp};

use self::{
    disk::SimDisk,
    server::{Server, id_of, is_poison, is_unreadable, row},
    world::World,
};
use super::{
    lane::Backlog,
    outbox::GroupLimits,
    record::States,
    stream::{Lease, Moment, NewFrame, Room, Stream},
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

/// Three days without a server, on a small spool: what is kept and what is known of it
/// stay within their bounds, and when the server is back, what is new goes before what
/// is old.
#[test]
fn three_days_without_a_server_stay_within_bounds_and_drain_behind_what_is_new() {
    const QUOTA: u64 = 64 << 20;
    const VISIT: u64 = 20;
    let disk = Arc::new(SimDisk::new(1, 1 << 40));
    let mut now = Moment { wall: Timestamp::from_secs(1_800_000_000), steady: Duration::ZERO };
    let mut stream = Stream::open(disk.clone(), Room::new(QUOTA), now).unwrap();
    let mut id = 0;
    let mut put = |stream: &mut Stream, now: &mut Moment, seconds: u64| {
        now.steady += Duration::from_secs(seconds);
        now.wall = now.wall.plus_micros(i64::try_from(seconds * 1_000_000).unwrap());
        // Ids whose frames the server takes.
        let ids = (id..).filter(|&id| !is_poison(id) && !is_unreadable(id)).take(VISIT as usize);
        let ids: Vec<u64> = ids.collect();
        id = ids.last().unwrap() + 1;
        let frames: Vec<NewFrame> = ids.iter().map(|&id| NewFrame::from(row(id, 2000))).collect();
        stream.put(&frames, &States::new(), *now).unwrap();
        ids
    };
    let mut most = 0;
    for minute in 0..72 * 60 {
        put(&mut stream, &mut now, 60);
        let known: usize = stream.segments.values().map(|segment| segment.entries.as_ref().unwrap().len()).sum();
        assert!(disk.state().used() <= QUOTA + (8 << 20), "{} bytes at minute {minute}", disk.state().used());
        // What the process holds of each frame is here; nothing is held of what was dropped.
        if minute < 36 * 60 {
            most = most.max(known);
        } else {
            assert!(known <= most + most / 100, "{known} frames are known at minute {minute}, {most} before");
        }
        assert!(stream.account.lost.range_count() < 100 && stream.gaps.ranges().len() < 100);
    }
    assert!(stream.stats.dropped > 40_000, "{:?}", stream.stats);
    let mut server = Server { most_frames: usize::MAX, ..Server::default() };
    let mut groups = 0;
    while stream.stats.queued_frames > 0 {
        let ids = put(&mut stream, &mut now, 1);
        let Lease::Group(group) = stream.lease(GroupLimits::default(), Backlog::OldestFirst, now) else { panic!() };
        let sent: Vec<u64> = group.frames.iter().filter_map(|(_, frame)| id_of(frame)).collect();
        assert!(ids.iter().all(|id| sent.contains(id)), "what is new waits for what is old, in group {groups}");
        let delivery = server.take(&group).unwrap();
        stream.settle(group.stream, &delivery.named_stored(), &delivery.refused, now);
        groups += 1;
    }
    assert!(groups > 10 && stream.account.untold().is_empty(), "{groups} groups, {:?}", stream.account.untold());
    let stored: u64 = server.stored.values().map(|frames| frames.len() as u64).sum();
    let lost = (1..stream.next).filter(|&seq| !server.has(stream.id(), Seq(seq))).count() as u64;
    let declared = (1..stream.next).filter(|&seq| server.declares(stream.id(), Seq(seq))).count() as u64;
    assert_eq!((stored + lost, declared), (stream.next - 1, lost), "all is stored or declared lost");
}

/// Seeds that once showed a bug.
#[test]
fn schedules_that_showed_bugs_show_them_no_more() {
    for seed in [52, 146, 158, 389, 920, 7124, 11337, 18896, 39457, 58564, 71936, 325_932, 400_888, 497_068, 794_662] {
        World::run(seed);
    }
}
