//! Made-up hosts, on which processes come, work and go.
#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

/// The files of a host, in which processes are put.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(host.0.path().join("proc")).unwrap();
        host
    }

    /// Seconds of user time, by itself and by children that ended; bytes read.
    fn put(&self, pid: u32, parent: u32, title: &str, own: u64, ended: u64, read: u64) {
        let folder = self.0.path().join("proc").join(pid.to_string());
        fs::create_dir_all(&folder).unwrap();
        let hertz = rustix::param::clock_ticks_per_second();
        let (own, ended) = (own * hertz, ended * hertz);
        let stat = format!("{pid} (postgres) S {parent} 1 1 0 -1 0 0 0 0 0 {own} 0 {ended} 0 20 0 1 0 {pid} 4096 2 0");
        fs::write(folder.join("stat"), stat).unwrap();
        fs::write(folder.join("statm"), "4 2 1 0 0 0 0").unwrap();
        fs::write(folder.join("io"), format!("rchar: 1\nread_bytes: {read}\nwrite_bytes: 0\n")).unwrap();
        let arguments =
            if parent == 1 { "/usr/bin/postgres\0-D\0/data/main\0".to_owned() } else { format!("{title}\0") };
        fs::write(folder.join("cmdline"), arguments).unwrap();
    }

    fn end(&self, pid: u32) {
        fs::remove_dir_all(self.0.path().join("proc").join(pid.to_string())).unwrap();
    }

    fn look(&self, accounts: &mut ProcessAccounts) -> BTreeMap<&'static str, Row> {
        accounts
            .look(&accounts.scan(self.0.path()), Timestamp::from_secs(1))
            .into_iter()
            .map(|row| (row.kind, row))
            .collect()
    }
}

const BACKEND: &str = "postgres: app shop [local] idle";

fn cpu(rows: &BTreeMap<&str, Row>, kind: &str) -> f64 {
    rows.get(kind).map_or(f64::NAN, |row| row.used.cpu_user)
}

#[test]
fn sums_begin_at_the_first_look_and_never_fall() {
    let (host, mut accounts) = (Host::new(), ProcessAccounts::default());
    host.put(100, 1, "", 9, 50, 1000);
    host.put(101, 100, "postgres: checkpointer ", 30, 0, 0);
    host.put(102, 100, BACKEND, 5, 0, 700);
    let rows = host.look(&mut accounts);
    for kind in ["postmaster", "checkpointer", "client backend", "ended"] {
        assert_eq!(rows.get(kind).map(|row| row.used), Some(Sums::default()), "{kind}");
    }
    assert_eq!(
        rows.get("client backend").map(|row| (row.data_directory.as_str(), row.postmaster_pid)),
        Some(("/data/main", 100))
    );

    // One works on, one comes.
    host.put(102, 100, BACKEND, 7, 0, 1000);
    host.put(103, 100, BACKEND, 4, 0, 10);
    let rows = host.look(&mut accounts);
    assert_eq!((cpu(&rows, "client backend"), cpu(&rows, "checkpointer")), (6.0, 0.0));
    assert_eq!(rows.get("client backend").map(|row| (row.processes, row.used.read)), Some((2, 310.0)));

    // It ends after a second more that nobody saw; another came and went unseen
    // and took 3 seconds.
    host.end(103);
    host.put(100, 1, "", 9, 50 + 5 + 3, 1000 + 10 + 8);
    let rows = host.look(&mut accounts);
    assert_eq!((cpu(&rows, "client backend"), cpu(&rows, "ended")), (6.0, 4.0));
    assert_eq!(rows.get("ended").map(|row| (row.processes, row.used.read)), Some((0, 8.0)));

    // A type without a process keeps its sum.
    host.end(102);
    host.put(100, 1, "", 9, 58 + 7, 1018 + 1000);
    let rows = host.look(&mut accounts);
    assert_eq!((cpu(&rows, "client backend"), cpu(&rows, "ended")), (6.0, 4.0));
    assert_eq!(rows.get("client backend").map(|row| (row.processes, row.knows_moved)), Some((0, true)));
    // The same id, another process: it counts from its start.
    host.put(102, 100, BACKEND, 1, 0, 0);
    let stat = host.0.path().join("proc/102/stat");
    let later = fs::read_to_string(&stat).unwrap().replace(" 102 4096", " 999 4096");
    fs::write(&stat, later).unwrap();
    assert_eq!(cpu(&host.look(&mut accounts), "client backend"), 7.0);
}

#[test]
fn an_end_that_is_counted_later_is_not_counted_twice() {
    let (host, mut accounts) = (Host::new(), ProcessAccounts::default());
    host.put(100, 1, "", 0, 0, 0);
    host.put(102, 100, BACKEND, 5, 0, 0);
    host.look(&mut accounts);
    // Gone from the list, and the postmaster has not noticed yet.
    host.end(102);
    assert_eq!(cpu(&host.look(&mut accounts), "ended"), 0.0);
    host.put(100, 1, "", 0, 6, 0);
    assert_eq!(cpu(&host.look(&mut accounts), "ended"), 1.0);
    assert_eq!(cpu(&host.look(&mut accounts), "ended"), 1.0);
}

#[test]
fn a_process_without_a_title_yet_is_charged_when_it_has_one() {
    let (host, mut accounts) = (Host::new(), ProcessAccounts::default());
    host.put(100, 1, "", 0, 0, 0);
    host.look(&mut accounts);
    host.put(102, 100, "/usr/bin/postgres", 2, 0, 0);
    assert!(!host.look(&mut accounts).contains_key("client backend"));
    host.put(102, 100, BACKEND, 3, 0, 0);
    assert_eq!(cpu(&host.look(&mut accounts), "client backend"), 3.0);
}

#[test]
fn two_servers_of_one_folder_are_told_apart_and_a_restart_goes_on() {
    let (host, mut accounts) = (Host::new(), ProcessAccounts::default());
    host.put(100, 1, "", 0, 0, 0);
    host.put(200, 1, "", 0, 0, 0);
    host.put(101, 100, "postgres: one: checkpointer ", 0, 0, 0);
    host.put(201, 200, "postgres: two: checkpointer ", 0, 0, 0);
    host.put(202, 200, "postgres: two: walwriter ", 0, 0, 0);
    let rows = accounts.look(&accounts.scan(host.0.path()), Timestamp::from_secs(1));
    let mut folders: Vec<_> = rows.iter().map(|row| (row.data_directory.as_str(), row.kind)).collect();
    folders.retain(|(_, kind)| !matches!(*kind, "ended" | "postmaster"));
    let second = "/data/main (process 200)";
    assert_eq!(folders, [("/data/main", "checkpointer"), (second, "checkpointer"), (second, "walwriter")]);

    host.put(101, 100, "postgres: one: checkpointer ", 8, 0, 0);
    host.end(200);
    host.look(&mut accounts);
    for pid in [100, 101, 201, 202] {
        host.end(pid);
    }
    assert!(host.look(&mut accounts).is_empty());
    host.put(300, 1, "", 0, 0, 0);
    host.put(301, 300, "postgres: one: checkpointer ", 1, 0, 0);
    assert_eq!(cpu(&host.look(&mut accounts), "checkpointer"), 9.0);
}

#[test]
fn without_permission_what_was_moved_is_not_known() {
    let (host, mut accounts) = (Host::new(), ProcessAccounts::default());
    host.put(100, 1, "", 0, 0, 0);
    host.put(101, 100, BACKEND, 0, 0, 0);
    fs::remove_file(host.0.path().join("proc/100/io")).unwrap();
    fs::remove_file(host.0.path().join("proc/101/io")).unwrap();
    let rows = host.look(&mut accounts);
    assert!(rows.values().all(|row| !row.knows_moved && row.pss_processes == 0), "{rows:?}");
}

/// What a look costs on this host; run with `--ignored`.
#[test]
#[ignore = "it measures"]
#[cfg(target_os = "linux")]
fn cost_of_a_look() {
    let mut accounts = ProcessAccounts::default();
    let own = || crate::host::process::usage().cpu.unwrap_or_default();
    for look in 0..4 {
        let (began, before) = (std::time::Instant::now(), own());
        let rows = accounts.look(&accounts.scan(Path::new("/")), Timestamp::from_secs(1));
        let processes: u32 = rows.iter().map(|row| row.processes).sum();
        eprintln!("look {look}: {processes} processes, {:?}, {:.2} s of processor", began.elapsed(), own() - before);
    }
}
