#![allow(clippy::unwrap_used)]

use std::{fs::OpenOptions, process::Command};

use pganalytics_core::MeasurementName;

use super::*;

fn context(due: &[&str], deadline: Instant) -> CollectContext {
    let due = due.iter().map(|name| MeasurementName::new(name).unwrap()).collect();
    CollectContext { due, now: Timestamp::from_secs(1_800_000_000), deadline, only_visit: false }
}

fn outcome(collected: &Collected, measurement: &str) -> Outcome {
    let of = |report: &&crate::collector::Report| report.measurement.as_str() == measurement;
    collected.reports.iter().find(of).unwrap().outcome.clone()
}

/// Whoever opens a pipe that nobody writes hangs, as whoever reads the command line of a
/// process that is stuck in the kernel.
#[tokio::test]
async fn a_process_that_hangs_costs_what_asks_for_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let process = folder.path().join("proc/4242");
    std::fs::create_dir_all(&process).unwrap();
    std::fs::copy("/proc/stat", folder.path().join("proc/stat")).unwrap();
    std::fs::copy("/proc/meminfo", folder.path().join("proc/meminfo")).unwrap();
    let files = ["stat", "cmdline", "comm", "status", "cgroup", "io"].map(|name| process.join(name));
    assert!(Command::new("mkfifo").args(&files).status().unwrap().success());

    let mut host = HostCollector::new(folder.path());
    let began = Instant::now();
    for _ in 0..2 {
        let cx = context(&["sysstat", "pg_processes"], began + Duration::from_secs(60));
        let collected = host.collect(&cx).await.unwrap();
        let Outcome::Failed { message } = outcome(&collected, "pg_processes") else { panic!("{collected:?}") };
        assert!(message.contains("no answer within 5 s"), "{message}");
        assert!(matches!(outcome(&collected, "sysstat"), Outcome::Collected { .. }), "{collected:?}");
    }
    assert!(began.elapsed() < 2 * READING, "the second visit waited again");
    // The process goes on, and so does the collector.
    let answered = std::thread::spawn(move || {
        for file in &files {
            drop(OpenOptions::new().read(true).write(true).open(file).unwrap());
            std::fs::remove_file(file).unwrap();
        }
    });
    for _ in 0..100 {
        let cx = context(&["pg_processes"], Instant::now() + Duration::from_secs(60));
        let collected = host.collect(&cx).await.unwrap();
        if !matches!(outcome(&collected, "pg_processes"), Outcome::Failed { .. }) {
            answered.join().unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not go on");
}
