//! How full file systems are, without waiting for dead ones.
//!
//! Asking a network file system whose server is gone blocks the asking thread,
//! maybe for ever. So a thread of its own asks, one mount after the other; when
//! one does not answer in time the thread is left to it and another goes on with
//! the rest. A mount that still holds a thread is not asked again, so a dead
//! mount costs one thread, however long it stays dead.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// Longest time that one mount may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Space {
    pub size: u64,
    pub free: u64,
    pub available: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

/// What became of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Space(Space),
    Failed(String),
    Silent,
}

type StatFn = Arc<dyn Fn(&Path) -> io::Result<Space> + Send + Sync>;

/// Asks file systems how full they are.
pub(super) struct Prober {
    ask: StatFn,
    /// Mounts that hold a thread, and whether it came back.
    silent: HashMap<PathBuf, Arc<AtomicBool>>,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self::with(Arc::new(|path| {
            let stat = rustix::fs::statvfs(path)?;
            Ok(Space {
                size: stat.f_blocks.saturating_mul(stat.f_frsize),
                free: stat.f_bfree.saturating_mul(stat.f_frsize),
                available: stat.f_bavail.saturating_mul(stat.f_frsize),
                inodes: stat.f_files,
                inodes_free: stat.f_ffree,
            })
        }))
    }

    fn with(ask: StatFn) -> Self {
        Self { ask, silent: HashMap::new() }
    }

    /// Asks all; answers in the order of the paths.
    pub(super) async fn ask(&mut self, paths: &[PathBuf], deadline: Instant) -> Vec<Answer> {
        self.silent.retain(|_, came_back| !came_back.load(Ordering::Acquire));
        let mut answers = vec![Answer::Silent; paths.len()];
        let mut open: Vec<usize> =
            (0..paths.len()).filter(|&at| paths.get(at).is_some_and(|path| !self.silent.contains_key(path))).collect();
        while !open.is_empty() && Instant::now() < deadline {
            let Some(mut worker) = self.start(paths, &open) else { break };
            let mut answered = 0;
            for &at in &open {
                let patience = deadline.min(Instant::now() + PATIENCE);
                let Ok(Some(answer)) = timeout_at(patience, worker.answers.recv()).await else {
                    worker.abandoned.store(true, Ordering::Release);
                    if let Some(path) = paths.get(at) {
                        self.silent.insert(path.clone(), Arc::clone(&worker.came_back));
                    }
                    answered += 1;
                    break;
                };
                if let Some(place) = answers.get_mut(at) {
                    *place = answer;
                }
                answered += 1;
            }
            open.drain(..answered);
        }
        answers
    }

    fn start(&self, paths: &[PathBuf], open: &[usize]) -> Option<Worker> {
        let (sender, answers) = mpsc::unbounded_channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let came_back = Arc::new(AtomicBool::new(false));
        let worker = Worker { answers, abandoned: Arc::clone(&abandoned), came_back: Arc::clone(&came_back) };
        let ask = Arc::clone(&self.ask);
        let paths: Vec<PathBuf> = open.iter().filter_map(|&at| paths.get(at)).cloned().collect();
        // Not a thread of the runtime's pool: that would keep it from shutting down.
        let thread = std::thread::Builder::new().name("statvfs".to_owned()).spawn(move || {
            for path in paths {
                let answer = ask(&path).map_or_else(|error| Answer::Failed(error.to_string()), Answer::Space);
                if abandoned.load(Ordering::Acquire) || sender.send(answer).is_err() {
                    break;
                }
            }
            came_back.store(true, Ordering::Release);
        });
        thread.ok().map(|_| worker)
    }
}

struct Worker {
    answers: mpsc::UnboundedReceiver<Answer>,
    abandoned: Arc<AtomicBool>,
    came_back: Arc<AtomicBool>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::{Condvar, Mutex, atomic::AtomicUsize};

    use super::*;

    #[tokio::test]
    async fn a_real_file_system_answers() {
        let mut prober = Prober::new();
        let answers = prober.ask(&["/".into(), "/no/such/place".into()], Instant::now() + PATIENCE).await;
        assert!(matches!(answers[0], Answer::Space(space) if space.size > 0 && space.free <= space.size));
        assert!(matches!(answers[1], Answer::Failed(_)));
    }

    #[tokio::test]
    async fn a_dead_mount_costs_one_thread_until_it_lives_again() {
        let dead = Arc::new((Mutex::new(true), Condvar::new()));
        let asked = Arc::new(AtomicUsize::new(0));
        let (of_thread, counter) = (Arc::clone(&dead), Arc::clone(&asked));
        let mut prober = Prober::with(Arc::new(move |path| {
            if path == Path::new("/nfs") {
                counter.fetch_add(1, Ordering::SeqCst);
                let guard = of_thread.0.lock().unwrap();
                drop(of_thread.1.wait_while(guard, |dead| *dead).unwrap());
            }
            Ok(Space::default())
        }));
        let paths: Vec<PathBuf> = ["/", "/nfs", "/data"].map(PathBuf::from).to_vec();
        let fine = Answer::Space(Space::default());
        for _ in 0..3 {
            let answers = prober.ask(&paths, Instant::now() + Duration::from_secs(1)).await;
            assert_eq!((&answers[0], &answers[1]), (&fine, &Answer::Silent));
            assert_eq!(asked.load(Ordering::SeqCst), 1, "a dead mount is not asked again");
        }
        // The others are asked as long as there is time.
        assert_eq!(prober.ask(&paths, Instant::now() + PATIENCE).await[2], fine);

        *dead.0.lock().unwrap() = false;
        dead.1.notify_all();
        while !prober.silent.values().all(|came_back| came_back.load(Ordering::Acquire)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(prober.ask(&paths, Instant::now() + PATIENCE).await, vec![fine; 3]);
    }
}
