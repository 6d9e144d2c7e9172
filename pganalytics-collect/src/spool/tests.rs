#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, fs, sync::Arc};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn remember(state: u64) -> Option<Remembered> {
    Some(Remembered { collector: Arc::from("log"), state: Bytes::from(state.to_string()) })
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    all.sort();
    all
}

/// Everything that waits, by number.
async fn waiting(spool: &Spool) -> BTreeMap<u64, Bytes> {
    let group = spool.front(GroupLimits { frames: usize::MAX, bytes: usize::MAX }).await;
    group.map(|group| group.frames.into_iter().map(|(seq, frame)| (seq.0, frame)).collect()).unwrap_or_default()
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<usize>),
    Settle {
        frames: usize,
        of: usize,
    },
    Reject,
    Restart,
    /// Killed while a group was written: so much of it is there.
    Torn(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec(0_usize..40, 0..5).prop_map(Step::Put),
        3 => (1_usize..6, 0_usize..6).prop_map(|(frames, of)| Step::Settle { frames, of }),
        1 => Just(Step::Reject),
        2 => Just(Step::Restart),
        1 => (0_usize..200).prop_map(Step::Torn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// As an outbox in memory that nothing ends, as long as the quota is not met.
    #[test]
    fn it_is_an_outbox_that_outlives_its_process(steps in proptest::collection::vec(step(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let open = || Spool::open(folder.path(), 4 * 300).unwrap();
            // Quota of the model: none, for this test settles enough or drops with it.
            let model = MemoryOutbox::new(usize::MAX);
            let mut spool = open();
            let (stream, mut round) = (spool.stream(), 0_u64);
            for step in steps {
                let limits = |frames| GroupLimits { frames, bytes: 60 };
                match step {
                    Step::Put(sizes) => {
                        round += 1;
                        let byte = u8::try_from(round % 256).unwrap();
                        let frames: Vec<Bytes> = sizes.into_iter().map(|size| Bytes::from(vec![byte; size])).collect();
                        spool.put(frames.clone(), remember(round)).await;
                        model.put(frames, remember(round)).await;
                        // What the quota took, the model loses, too.
                        let kept = waiting(&spool).await;
                        lock(&spool.disk.index).out = 0;
                        let all = model.front(GroupLimits { frames: usize::MAX, bytes: usize::MAX }).await;
                        let gone: Vec<Seq> = all.into_iter().flat_map(|group| group.frames)
                            .map(|(seq, _)| seq).filter(|seq| !kept.contains_key(&seq.0)).collect();
                        prop_assert!(gone.is_empty() || lock(&spool.disk.index).stats.dropped > 0);
                        model.settle(&gone).await;
                    }
                    Step::Settle { frames, of } => {
                        let (ours, theirs) = (spool.front(limits(frames)).await, model.front(limits(frames)).await);
                        prop_assert_eq!(ours.as_ref().map(|group| &group.frames), theirs.as_ref().map(|group| &group.frames));
                        if let Some(group) = ours {
                            // From behind, so that holes come to be.
                            let seqs: Vec<Seq> = group.frames.iter().rev().map(|(seq, _)| *seq).take(of).collect();
                            spool.settle(&seqs).await;
                            model.settle(&seqs).await;
                        }
                    }
                    Step::Reject => {
                        if let Some(group) = spool.front(limits(1)).await {
                            spool.reject(group.frames[0].0, "bad", "bad").await;
                            model.reject(group.frames[0].0, "bad", "bad").await;
                        }
                    }
                    Step::Restart => {
                        drop(spool);
                        spool = open();
                    }
                    Step::Torn(length) => {
                        let next = lock(&spool.disk.writer).next;
                        drop(spool);
                        let states = States::from([(Arc::from("log"), Bytes::from_static(b"torn"))]);
                        let (group, _) = group::encode(next, 0, &states, &[Bytes::from_static(&[7; 100])]).unwrap();
                        let mut last = fs::OpenOptions::new().append(true).open(segments(folder.path()).last().unwrap()).unwrap();
                        last.write_all(&group[..length.min(group.len() - 1)]).unwrap();
                        spool = open();
                    }
                }
                let all = model.front(GroupLimits { frames: usize::MAX, bytes: usize::MAX }).await;
                let all: BTreeMap<u64, Bytes> =
                    all.into_iter().flat_map(|group| group.frames).map(|(seq, frame)| (seq.0, frame)).collect();
                prop_assert_eq!(waiting(&spool).await, all);
                lock(&spool.disk.index).out = 0;
                prop_assert_eq!(spool.stream(), stream);
                prop_assert_eq!(spool.state("log").await, model.state("log").await);
                let stats = spool.stats();
                let known = stats.delivered + stats.dropped + stats.rejected + stats.queued_frames as u64;
                prop_assert_eq!(stats.produced, known);
                prop_assert_eq!(stats.queued_bytes, model.stats().queued_bytes);
            }
            Ok(())
        })?;
    }
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
fn the_quota_drops_the_oldest_segments_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 4000).unwrap();
        for round in 0..100 {
            spool.put(vec![Bytes::from(vec![1; 200])], remember(round)).await;
        }
        let stats = spool.stats();
        assert!(stats.dropped > 70 && stats.losses > 0 && stats.queued_frames > 5, "{stats:?}");
        assert_eq!(stats.produced, stats.dropped + stats.queued_frames as u64);
        let bytes: u64 = segments(folder.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(bytes <= 5000, "{bytes}");
        assert_eq!(*waiting(&spool).await.keys().last().unwrap(), 100);
        assert_eq!(spool.state("log").await.unwrap(), "99");
    });
}

#[test]
fn a_flipped_bit_costs_its_segment_and_no_number_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        for round in 0..10 {
            spool.put(vec![Bytes::from(vec![1; 100])], remember(round)).await;
        }
        drop(spool);
        let path = segments(folder.path()).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let stats = spool.stats();
        assert!(stats.dropped > 0 && stats.losses == 1, "{stats:?}");
        assert!(matches!(stats.last_gap, Some(Gap { reason: GapReason::Damaged, .. })));
        spool.put(vec![Bytes::from_static(b"new")], None).await;
        let waiting = waiting(&spool).await;
        assert!(*waiting.keys().last().unwrap() > 10 && waiting.len() < 10, "{:?}", waiting.keys());
    });
}

#[test]
fn a_disk_that_refuses_is_said_and_frames_go_on_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path().join("spool"), 4000).unwrap();
        spool.put(vec![Bytes::from_static(b"one")], remember(1)).await;
        // As on a full disk nothing can be written: neither here nor in a new file.
        lock(&spool.disk.writer).file = File::open("/dev/null").unwrap();
        fs::rename(folder.path().join("spool"), folder.path().join("away")).unwrap();
        spool.put(vec![Bytes::from_static(b"two")], remember(2)).await;
        assert!(spool.stats().fault.is_some());
        assert_eq!(spool.stats().queued_frames, 2);
        fs::rename(folder.path().join("away"), folder.path().join("spool")).unwrap();
        let first = spool.front(GroupLimits::default()).await.unwrap();
        assert_eq!((first.stream, first.frames[0].1.as_ref()), (spool.stream(), b"one".as_slice()));
        spool.settle(&[first.frames[0].0]).await;
        let second = spool.front(GroupLimits::default()).await.unwrap();
        assert_eq!(second.frames[0].1.as_ref(), b"two");
        assert!(second.stream != spool.stream());
        spool.settle(&[second.frames[0].0]).await;
        // In memory there is nothing more: the disk is tried again after a pause.
        if let Some((_, since)) = &mut lock(&spool.disk.writer).fault {
            *since -= PAUSE;
        }
        spool.put(vec![Bytes::from_static(b"three")], None).await;
        assert_eq!(spool.stats().fault, None);
        drop(spool);
        let spool = Spool::open(folder.path().join("spool"), 4000).unwrap();
        assert_eq!(spool.state("log").await.unwrap(), "2");
        assert_eq!(waiting(&spool).await.into_values().collect::<Vec<_>>(), [Bytes::from_static(b"three")]);
    });
}

#[test]
fn visits_that_end_together_are_written_at_once_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let visit = |number: u64| {
            let state = Remembered { collector: format!("log {number}").into(), state: Bytes::from_static(b"read") };
            spool.put(vec![Bytes::from(number.to_string())], Some(state))
        };
        futures::future::join_all((1..=20).map(visit)).await;
        let bytes = fs::read(segments(folder.path()).pop().unwrap()).unwrap();
        // The first tells what was remembered before: nothing.
        let first = group::decode(&bytes, MAGIC.len()).unwrap();
        let group = group::decode(&bytes, first.end).unwrap();
        assert_eq!((group.frames.len(), group.states.len(), group.end), (20, 20, bytes.len()));
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

/// Puts a folder in the place of each segment, so that no file handle, permission
/// or mount makes them readable; `false` puts the segments back.
fn block(folder: &Path, blocked: bool) {
    for segment in segments(folder) {
        let aside = segment.with_extension("aside");
        if blocked {
            fs::rename(&segment, &aside).unwrap();
            fs::create_dir(&segment).unwrap();
        } else {
            fs::remove_dir(&segment).unwrap();
            fs::rename(&aside, &segment).unwrap();
        }
    }
}

#[test]
fn what_can_not_be_read_for_a_while_is_kept_and_delivered_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    runtime().block_on(async {
        let spool = Spool::open(&path, 4000).unwrap();
        for _ in 0..15 {
            spool.put(vec![Bytes::from(vec![1; 200])], None).await;
        }
        // The folder is gone, as when its file system is not mounted any more.
        fs::rename(&path, folder.path().join("away")).unwrap();
        assert!(spool.front(GroupLimits::default()).await.is_none());
        fs::rename(folder.path().join("away"), &path).unwrap();
        // The system refuses to read.
        block(&path, true);
        assert!(spool.front(GroupLimits::default()).await.is_none());
        assert!(spool.stats().fault.is_some_and(|fault| fault.contains("directory")));
        block(&path, false);
        let stats = spool.stats();
        assert_eq!((stats.dropped, stats.losses, stats.queued_frames), (0, 0, 15), "{stats:?}");
        assert_eq!(waiting(&spool).await.len(), 15);
        assert_eq!(spool.stats().fault, None);
    });
}

#[test]
fn a_spool_that_can_not_be_read_at_the_start_is_not_opened_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let spool = Spool::open(folder.path(), 4000).unwrap();
        for _ in 0..15 {
            spool.put(vec![Bytes::from(vec![1; 200])], None).await;
        }
        drop(spool);
        block(folder.path(), true);
        assert!(matches!(Spool::open(folder.path(), 4000), Err(SpoolError::Io { .. })));
        block(folder.path(), false);
        let spool = Spool::open(folder.path(), 4000).unwrap();
        assert_eq!((waiting(&spool).await.len(), spool.stats().dropped), (15, 0));
    });
}

#[test]
fn nobody_else_reads_the_spool() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/spool");
    let check = |spool: Spool| {
        runtime().block_on(async {
            spool.put(vec![Bytes::from_static(b"secret")], None).await;
            let group = spool.front(GroupLimits::default()).await.unwrap();
            spool.settle(&[group.frames[0].0]).await;
        });
        assert_eq!(mode(&path), 0o700);
        let files: Vec<PathBuf> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4 && files.iter().all(|file| mode(file) == 0o600), "{files:?}");
        files
    };
    let files = check(Spool::open(&path, 4000).unwrap());
    // As an older version left it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    files.iter().for_each(|file| fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap());
    check(Spool::open(&path, 4000).unwrap());
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
    let error = Spool::open(&theirs, 4000).unwrap_err();
    assert!(matches!(error, SpoolError::NotOurs { .. }) && error.to_string().contains("chown"), "{error}");
}
