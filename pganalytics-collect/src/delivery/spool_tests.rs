#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use pganalytics_core::{
    GapReason, Seq,
    frame::{Content, Limits},
};

use super::{record, segment, *};
use crate::{
    FrameGroup,
    sink::{Delivery, Refused},
};

const ALL: GroupLimits = GroupLimits { frames: usize::MAX, bytes: usize::MAX };

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn remember(state: u64) -> Option<Remembered> {
    Some(Remembered { collector: Arc::from("log"), state: Bytes::from(state.to_string()) })
}

fn frame(byte: u8, length: usize) -> Vec<NewFrame> {
    vec![Bytes::from(vec![byte; length]).into()]
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    all.sort();
    all
}

/// Everything that waits and can be read, by number.
async fn waiting(spool: &Spool) -> BTreeMap<u64, Bytes> {
    let group = spool.lease(ALL).await;
    spool.release().await;
    group.map(|group| group.frames.into_iter().map(|(place, frame)| (place.seq.0, frame)).collect()).unwrap_or_default()
}

/// Gaps among frames.
fn gaps<'a>(frames: impl IntoIterator<Item = &'a Bytes>) -> Vec<(u64, u64, GapReason)> {
    let parsed =
        frames.into_iter().filter_map(|frame| Content::parse(frame.clone(), &Limits::default(), &|_| None).ok());
    let gaps = parsed.filter_map(|content| content.gap().cloned());
    gaps.map(|gap| (gap.first.0, gap.last.0, gap.reason)).collect()
}

async fn settle(spool: &Spool, group: &FrameGroup) {
    spool.settle(group.stream, &Delivery::all(group)).await;
    spool.release().await;
}

#[test]
fn two_never_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = Spool::open(folder.path(), 1000).unwrap();
    let error = Spool::open(folder.path(), 1000).unwrap_err();
    assert!(matches!(error, SpoolError::InUse { .. }) && error.to_string().contains("another agent"), "{error}");
    drop(first);
    Spool::open(folder.path(), 1000).unwrap();
}

#[test]
fn a_restart_goes_on_where_it_was_with_another_incarnation() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let stream = spool.stream();
        spool.put(frame(1, 100), remember(1)).await;
        spool.put(frame(2, 100), remember(2)).await;
        let one = spool.lease(GroupLimits { frames: 1, bytes: 1000 }).await.unwrap();
        settle(&spool, &one).await;
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert_eq!((spool.stream(), spool.state("log").await.unwrap().as_ref()), (stream, b"2".as_slice()));
        spool.put(frame(3, 100), None).await;
        let group = spool.lease(ALL).await.unwrap();
        let places: Vec<_> = group.frames.iter().map(|(place, frame)| (place.seq.0, frame[0])).collect();
        assert_eq!(places, [(2, 2), (3, 3)]);
        assert_ne!(group.frames[0].0.incarnation, group.frames[1].0.incarnation);
        settle(&spool, &group).await;
        drop(spool);
        // All is known of what became of it, and the folder does not grow.
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert!(waiting(&spool).await.is_empty() && segments(folder.path()).len() == 1);
    });
}

#[test]
fn the_quota_drops_the_oldest_segments_and_a_gap_says_so() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 4000).unwrap();
        let mut losses = spool.losses();
        for round in 0..100 {
            spool.put(frame(1, 200), remember(round)).await;
        }
        let stats = spool.stats();
        assert!(stats.dropped > 70 && stats.losses > 0 && stats.queued_frames > 5, "{stats:?}");
        assert_eq!(stats.produced, stats.dropped + stats.queued_frames as u64);
        let bytes: u64 = segments(folder.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(bytes <= 5000, "{bytes}");
        let frames = waiting(&spool).await;
        let (declared, first) = (gaps(frames.values()), *frames.keys().next().unwrap());
        // The last one tells all of it.
        assert!(declared.len() < 8, "{declared:?}");
        assert_eq!(declared.last(), Some(&(1, first - 1, GapReason::Quota)));
        let loss = losses.recv().await.unwrap();
        assert!(loss.reason == GapReason::Quota && loss.stream == spool.stream() && loss.numbers.contains(Seq(1)));
        assert_eq!(spool.state("log").await.unwrap(), "99");
    });
}

#[test]
fn a_flipped_bit_costs_one_frame_which_a_gap_declares() {
    for offset in [0, 3, 5, 23, 24, 100] {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let spool = Spool::open(folder.path(), 1 << 20).unwrap();
            let frames = (1..=10).flat_map(|byte| frame(byte, 100)).collect();
            spool.put(frames, remember(1)).await;
            spool.put(frame(11, 100), remember(2)).await;
            drop(spool);
            let path = segments(folder.path()).pop().unwrap();
            let mut bytes = fs::read(&path).unwrap();
            let (_, place) =
                record::start(&bytes, record::next_start(&bytes, segment::MAGIC.len() + 1).unwrap()).unwrap();
            // In the fifth frame: its length, its number, its checksum, its bytes.
            bytes[place.start + 4 * (record::FRAME_HEAD + 100) + offset] ^= 1;
            fs::write(&path, bytes).unwrap();
            let spool = Spool::open(folder.path(), 1 << 20).unwrap();
            let frames = waiting(&spool).await;
            assert_eq!(gaps(frames.values()), [(5, 5, GapReason::Damaged)], "{offset}");
            let rows: Vec<u64> = frames.keys().copied().filter(|&seq| seq <= 11).collect();
            assert_eq!(rows, [1, 2, 3, 4, 6, 7, 8, 9, 10, 11], "{offset}");
            assert_eq!(spool.state("log").await.unwrap(), "2");
        });
    }
}

#[test]
fn what_is_refused_is_kept_with_the_receivers_words_and_declared() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        spool.put([frame(1, 50), frame(2, 50), frame(3, 50)].concat(), None).await;
        let group = spool.lease(ALL).await.unwrap();
        let stored = [Seq(1), Seq(3)].into_iter().collect();
        let refused = vec![Refused::one(Seq(2), "too_old", "older than retention")];
        spool.settle(group.stream, &Delivery { stored, refused, ..Delivery::default() }).await;
        spool.release().await;
        let stats = spool.stats();
        assert_eq!((stats.delivered, stats.rejected, stats.queued_frames), (2, 1, 1));
        let frames = waiting(&spool).await;
        assert_eq!(gaps(frames.values()), [(2, 2, GapReason::Refused)]);
        let quarantine = folder.path().join("quarantine");
        let words = fs::read_to_string(quarantine.join("00000000000000000002.why")).unwrap();
        assert!(words.contains("older than retention"), "{words}");
        assert_eq!(fs::read(quarantine.join("00000000000000000002.frame")).unwrap(), [2; 50]);
        // A gap that is refused does not make another one.
        let gap = spool.lease(ALL).await.unwrap();
        let refused = vec![Refused::one(gap.frames[0].0.seq, "too_many_gaps", "no")];
        spool.settle(gap.stream, &Delivery { refused, ..Delivery::default() }).await;
        spool.release().await;
        assert_eq!(spool.stats().queued_frames, 0);
    });
}

#[test]
fn a_fork_becomes_a_new_stream_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        spool.put([frame(1, 50), frame(2, 50), frame(3, 50)].concat(), None).await;
        let one = spool.lease(GroupLimits { frames: 1, bytes: 1000 }).await.unwrap();
        settle(&spool, &one).await;
        let old = spool.stream();
        spool.fork(old).await.unwrap();
        spool.fork(old).await.unwrap();
        assert_ne!(spool.stream(), old);
        spool.put(frame(4, 50), None).await;
        let stream = spool.stream();
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert_eq!(spool.stream(), stream, "once is enough");
        let frames: Vec<_> = waiting(&spool).await.into_iter().map(|(seq, frame)| (seq, frame[0])).collect();
        assert_eq!(frames, [(1, 2), (2, 3), (3, 4)]);
        // An answer to the old one is none.
        let group = spool.lease(ALL).await.unwrap();
        spool.settle(old, &Delivery::all(&group)).await;
        assert_eq!(spool.stats().queued_frames, 3);
        settle(&spool, &group).await;
        assert_eq!(spool.stats().queued_frames, 0);
    });
}

#[test]
fn live_frames_go_before_the_backlog() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        for _ in 0..50 {
            spool.put(frame(1, 100), None).await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        spool.put(frame(2, 100), None).await;
        let group = spool.lease(GroupLimits { frames: 3, bytes: 1000 }).await.unwrap();
        let seqs: Vec<u64> = group.frames.iter().map(|(place, _)| place.seq.0).collect();
        assert_eq!(seqs, [1, 2, 51]);
    });
}

#[test]
fn a_disk_that_refuses_is_said_and_frames_go_on_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (path, away) = (folder.path().join("spool"), folder.path().join("away"));
    runtime().block_on(async {
        let spool = Spool::open(&path, 4000).unwrap();
        spool.put(frame(1, 10), remember(1)).await;
        fs::rename(&path, &away).unwrap();
        // A new file can't be made, and the one that is written is full.
        spool.put(frame(2, 3000), remember(2)).await;
        assert!(spool.stats().fault.is_some());
        assert_eq!(spool.stats().queued_frames, 2);
        fs::rename(&away, &path).unwrap();
        let first = spool.lease(GroupLimits::default()).await.unwrap();
        assert_eq!((first.stream, first.frames[0].1[0]), (spool.stream(), 1));
        settle(&spool, &first).await;
        let second = spool.lease(GroupLimits::default()).await.unwrap();
        assert!(second.frames[0].1[0] == 2 && second.stream != spool.stream());
        settle(&spool, &second).await;
        // In memory there is nothing more: the disk is tried again after a pause.
        tokio::time::sleep(Duration::from_secs(31)).await;
        spool.put(frame(3, 10), None).await;
        assert_eq!(spool.stats().fault, None);
        drop(spool);
        let spool = Spool::open(&path, 4000).unwrap();
        assert_eq!(spool.state("log").await.unwrap(), "2");
        assert_eq!(waiting(&spool).await.into_values().collect::<Vec<_>>(), [vec![3; 10]]);
    });
}

const QUOTA: usize = 40_000;
/// A segment of that quota has no room for another frame behind it.
const NEARLY_A_SEGMENT: usize = 9_700;

/// Copies a spool's files, as `kill -9` leaves them.
fn as_killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// The disk refuses a new segment, as a full one does.
fn refuse_segment(folder: &Path, first: u64) {
    fs::create_dir(folder.join(format!("{}.new", segment::name(first)))).unwrap();
}

#[test]
fn what_was_in_memory_when_the_process_was_killed_is_declared_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), QUOTA).unwrap();
        spool.put(frame(1, NEARLY_A_SEGMENT), None).await;
        refuse_segment(folder.path(), 2);
        for byte in [2, 3, 4] {
            spool.put(frame(byte, 300), None).await;
        }
        assert!(spool.stats().fault.is_some() && spool.stats().queued_frames == 4);
        let killed = as_killed(folder.path());
        let next = Spool::open(killed.path(), QUOTA).unwrap();
        let frames = waiting(&next).await;
        assert_eq!(gaps(frames.values()), [(2, 4, GapReason::Unsaved)], "three frames are lost");
        assert_eq!(frames.keys().copied().collect::<Vec<_>>(), [1, 5]);
        drop(next);
        let again = Spool::open(killed.path(), QUOTA).unwrap();
        assert_eq!(gaps(waiting(&again).await.values()), [(2, 4, GapReason::Unsaved)], "declared once");

        // What was delivered from memory is not lost.
        for _ in 0..2 {
            let group = spool.lease(ALL).await.unwrap();
            settle(&spool, &group).await;
        }
        assert_eq!(spool.stats().queued_frames, 0);
        let killed = as_killed(folder.path());
        assert!(waiting(&Spool::open(killed.path(), QUOTA).unwrap()).await.is_empty());
        // A process that ends in order loses what is in memory, too.
        spool.put(frame(5, 300), None).await;
        drop(spool);
        fs::remove_dir(folder.path().join(format!("{}.new", segment::name(2)))).unwrap();
        let next = Spool::open(folder.path(), QUOTA).unwrap();
        assert_eq!(gaps(waiting(&next).await.values()), [(2, 2, GapReason::Unsaved)]);
    });
}

#[test]
fn files_that_were_not_finished_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    drop(Spool::open(folder.path(), 4000).unwrap());
    let unfinished = folder.path().join(format!("{}.new", segment::name(9)));
    fs::write(&unfinished, [0; 1000]).unwrap();
    runtime().block_on(async { assert!(waiting(&Spool::open(folder.path(), 4000).unwrap()).await.is_empty()) });
    assert!(!unfinished.exists());
}

#[test]
fn a_torn_tail_is_no_dropped_frame() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        spool.put(frame(1, 100), None).await;
        let killed = as_killed(folder.path());
        let file = segments(killed.path()).pop().unwrap();
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, [bytes, b"PGRP of which nothing more came".repeat(100)].concat()).unwrap();
        let next = Spool::open(killed.path(), 1 << 20).unwrap();
        assert_eq!((next.stats().dropped, gaps(waiting(&next).await.values()).len()), (0, 1));
    });
}

/// A pipe without a reader takes the place of the next segment: whoever writes it waits.
#[test]
fn on_a_disk_that_hangs_one_thread_waits_for_many_visits() {
    const NAME: &str = "hanging-disk";
    let runtime = tokio::runtime::Builder::new_current_thread().thread_name(NAME).enable_time().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join(format!("{}.new", segment::name(2)));
    let threads = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        tasks.filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == NAME)).count()
    };
    runtime.block_on(async {
        let spool = Arc::new(Spool::open(folder.path(), QUOTA).unwrap());
        spool.put(frame(1, NEARLY_A_SEGMENT), None).await;
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let visits: Vec<_> = (0..20)
            .map(|byte| {
                let spool = Arc::clone(&spool);
                tokio::spawn(async move { spool.put(frame(byte, 150), None).await })
            })
            .collect();
        let mut most = 0;
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            most = most.max(threads());
        }
        assert!(visits.iter().all(|visit| !visit.is_finished()), "the disk does not hang");
        assert_eq!(most, 1);
        // Whoever waits goes on, in memory: a pipe is no file that can be synced.
        let reader = std::thread::spawn(move || fs::read(pipe));
        for visit in visits {
            visit.await.unwrap();
        }
        assert_eq!(spool.stats().queued_frames, 21);
        // It holds the pipe open.
        drop(spool);
        reader.join().unwrap().unwrap();
    });
}

#[test]
fn visits_that_end_together_are_written_at_once_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let visit = |number: u64| {
            let state = Remembered { collector: format!("log {number}").into(), state: Bytes::from_static(b"read") };
            spool.put(vec![Bytes::from(number.to_string()).into()], Some(state))
        };
        futures::future::join_all((1..=20).map(visit)).await;
        let bytes = fs::read(segments(folder.path()).pop().unwrap()).unwrap();
        // The first group tells what was remembered before: nothing.
        let (_, empty) = record::start(&bytes, segment::MAGIC.len()).unwrap();
        let (start, place) = record::start(&bytes, empty.end).unwrap();
        assert_eq!((start.frames, start.states.len(), place.end), (20, 20, bytes.len()));
        // A visit that is broken off has put in what it had.
        drop(visit(21));
        assert_eq!(waiting(&spool).await.len(), 21);
        drop(visit(22));
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let frames = waiting(&spool).await;
        assert!(frames.iter().all(|(seq, frame)| *frame == seq.to_string()), "{frames:?}");
        assert_eq!(frames.len(), 22);
        assert_eq!(spool.state("log 22").await.unwrap(), "read");
    });
}

/// Puts a folder in the place of a segment, so that no file handle, permission or
/// mount makes it readable; `false` puts it back.
fn block(segment: &Path, blocked: bool) {
    let aside = segment.with_extension("aside");
    if blocked {
        fs::rename(segment, &aside).unwrap();
        fs::create_dir(segment).unwrap();
    } else {
        fs::remove_dir(segment).unwrap();
        fs::rename(&aside, segment).unwrap();
    }
}

#[test]
fn what_can_not_be_read_for_a_while_is_kept_and_delivered_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    runtime().block_on(async {
        let spool = Spool::open(&path, 8000).unwrap();
        for _ in 0..15 {
            spool.put(frame(1, 200), None).await;
        }
        // The folder is gone, as when its file system is not mounted any more.
        fs::rename(&path, folder.path().join("away")).unwrap();
        assert!(spool.lease(ALL).await.is_none());
        fs::rename(folder.path().join("away"), &path).unwrap();
        // The system refuses to read the first segment: the others go on.
        let first = segments(&path).remove(0);
        block(&first, true);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let some = waiting(&spool).await.len();
        assert!((1..15).contains(&some) && spool.stats().fault.is_some_and(|fault| fault.contains("directory")));
        block(&first, false);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let stats = spool.stats();
        assert_eq!((stats.dropped, stats.losses, stats.queued_frames), (0, 0, 15), "{stats:?}");
        assert_eq!(waiting(&spool).await.len(), 15);
        assert_eq!(spool.stats().fault, None);
    });
}

#[test]
fn a_segment_that_can_not_be_read_at_the_start_is_read_later() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 8000).unwrap();
        for _ in 0..15 {
            spool.put(frame(1, 200), None).await;
        }
        drop(spool);
        let first = segments(folder.path()).remove(0);
        block(&first, true);
        let spool = Spool::open(folder.path(), 8000).unwrap();
        let some = waiting(&spool).await.len();
        assert!((1..15).contains(&some), "{some}");
        block(&first, false);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((waiting(&spool).await.len(), spool.stats().dropped), (15, 0));
    });
}

#[test]
fn nobody_else_reads_the_spool() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/spool");
    let check = |spool: Spool| {
        runtime().block_on(async {
            spool.put(frame(7, 10), None).await;
            let group = spool.lease(GroupLimits::default()).await.unwrap();
            settle(&spool, &group).await;
        });
        assert_eq!(mode(&path), 0o700);
        let files: Vec<PathBuf> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4 && files.iter().all(|file| mode(file) == 0o600), "{files:?}");
        files
    };
    let files = check(Spool::open(&path, 8000).unwrap());
    // As an older version left it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    files.iter().for_each(|file| fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap());
    check(Spool::open(&path, 8000).unwrap());
}

#[test]
fn a_spool_of_another_user_is_refused_and_says_what_to_do() {
    // Only root can make one, and not everybody is.
    let theirs = if rustix::process::geteuid().is_root() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
        folder.keep()
    } else {
        PathBuf::from("/")
    };
    let error = Spool::open(&theirs, 8000).unwrap_err();
    assert!(matches!(error, SpoolError::NotOurs { .. }) && error.to_string().contains("chown"), "{error}");
}
