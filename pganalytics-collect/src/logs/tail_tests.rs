#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{fs, io::Write, path::PathBuf};

use super::*;

const BUDGET: Budget = Budget { bytes: 1 << 20, time: Duration::from_secs(10) };

/// A folder with a log in it, and an agent that reads it.
struct Log {
    folder: tempfile::TempDir,
    location: LogLocation,
    state: TailState,
    tail: Tail,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pattern = Pattern::new(folder.path().join("*.log").to_str().unwrap()).unwrap();
        let prefix = crate::logs::Prefix::new("%m [%p] ");
        let (patterns, options) = (vec![pattern], Options::default());
        let location =
            LogLocation { patterns, format: Format::Stderr(prefix), options, from_start: true, only_visit: true };
        Self { folder, location, state: TailState::default(), tail: Tail::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, numbers: std::ops::Range<u32>) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        for number in numbers {
            writeln!(file, "2026-01-01 00:00:{:02}.000 UTC [7] LOG:  entry {number} of {name}", number % 60).unwrap();
        }
    }

    /// What a visit brings.
    fn read(&mut self) -> Vec<String> {
        let mut read = Vec::new();
        self.tail.visit(&self.location, BUDGET, &mut |_, entry| read.push(entry.message.to_string())).unwrap();
        self.state = self.tail.state().clone();
        read
    }

    /// The agent is started again.
    fn restart(&mut self) {
        self.tail = Tail::new(self.state.clone());
    }

    /// The same content under another inode.
    fn copy_over_itself(&self, name: &str) {
        fs::copy(self.path(name), self.path("copy")).unwrap();
        fs::rename(self.path("copy"), self.path(name)).unwrap();
    }
}

fn entries(name: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("entry {number} of {name}")).collect()
}

#[test]
fn a_log_that_was_copied_over_itself_goes_on_where_it_was_left() {
    for restarted in [true, false] {
        let mut log = Log::new();
        log.write("a.log", 0..20);
        assert_eq!(log.read(), entries("a.log", 0..20));
        if restarted {
            log.restart();
        }
        log.copy_over_itself("a.log");
        assert_eq!(log.read(), Vec::<String>::new(), "restarted: {restarted}");
        log.write("a.log", 20..25);
        assert_eq!(log.read(), entries("a.log", 20..25), "restarted: {restarted}");
    }
}

#[test]
fn what_was_written_while_nobody_read_is_read_from_a_restored_copy() {
    let mut log = Log::new();
    log.write("a.log", 0..20);
    log.read();
    log.restart();
    log.write("a.log", 20..30);
    log.copy_over_itself("a.log");
    assert_eq!(log.read(), entries("a.log", 20..30));
}

#[test]
fn another_device_number_is_no_other_file() {
    let mut log = Log::new();
    log.write("a.log", 0..20);
    log.read();
    for file in &mut log.state.files {
        file.device += 1;
    }
    log.restart();
    log.write("a.log", 20..21);
    assert_eq!(log.read(), entries("a.log", 20..21));
    assert_eq!(log.state.files.len(), 1, "{:?}", log.state);
}

#[test]
fn a_file_that_was_brought_from_elsewhere_is_not_news() {
    let mut log = Log::new();
    log.write("b.log", 0..5);
    log.read();
    log.write("old.log", 0..5);
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    fs::File::options().write(true).open(log.path("old.log")).unwrap().set_times(old).unwrap();
    assert_eq!(log.read(), Vec::<String>::new());
    // From then on it is a log like any other, and the newest stays the newest.
    log.write("old.log", 5..6);
    log.write("b.log", 5..6);
    let mut read = log.read();
    read.sort();
    assert_eq!(read, ["entry 5 of b.log", "entry 5 of old.log"]);
}

#[test]
fn copied_and_cut_as_logrotate_does_nothing_comes_twice() {
    let mut log = Log::new();
    log.write("a.log", 0..20);
    log.read();
    log.write("a.log", 20..25);
    fs::copy(log.path("a.log"), log.path("a.1.log")).unwrap();
    fs::File::options().write(true).open(log.path("a.log")).unwrap().set_len(0).unwrap();
    log.write("a.log", 25..27);
    let mut read = log.read();
    read.sort();
    assert_eq!(read, entries("a.log", 20..27));
}

#[test]
fn a_copy_beside_the_log_is_not_read_again() {
    let mut log = Log::new();
    log.write("a.log", 0..20);
    log.read();
    log.write("a.log", 20..25);
    fs::copy(log.path("a.log"), log.path("saved.log")).unwrap();
    assert_eq!(log.read(), entries("a.log", 20..25));
    log.restart();
    assert_eq!(log.read(), Vec::<String>::new());
}

#[test]
fn the_newest_entries_of_a_server_that_logs_all_the_time_wait_for_one_visit() {
    let mut log = Log::new();
    log.location.only_visit = false;
    let line = |number: u32, pid: u32| {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(log.path("a.log")).unwrap();
        writeln!(file, "2026-01-01 00:00:00.000 UTC [{pid}] LOG:  entry {number} of a.log").unwrap();
    };
    line(0, 100);
    line(1, 101);
    let mut tail = Tail::default();
    let mut visit = || {
        let mut read = Vec::new();
        tail.visit(&log.location, BUDGET, &mut |_, entry| read.push(entry.message.to_string())).unwrap();
        read
    };
    assert_eq!(visit(), Vec::<String>::new(), "a DETAIL may come");
    // Each visit finds news of other processes.
    line(2, 102);
    assert_eq!(visit(), entries("a.log", 0..2));
    line(3, 103);
    assert_eq!(visit(), entries("a.log", 2..3));
}

#[test]
fn a_new_log_is_read_from_its_begin() {
    let mut log = Log::new();
    log.write("a.log", 0..3);
    log.read();
    log.write("b.log", 0..3);
    log.write("a.log", 3..4);
    let mut read = log.read();
    read.sort();
    let mut all = [entries("b.log", 0..3), entries("a.log", 3..4)].concat();
    all.sort();
    assert_eq!(read, all);
}
