//! Runs the demo cluster: `pganalytics-demo-cluster [major version]`.
//!
//! Prints `REPLICA_PG_URL=postgres://…` and then `PG_URL=postgres://…` when it is ready, and runs until SIGINT or SIGTERM, or until
//! its standard input closes, so that a script which holds the other end can't leave it behind.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::FileTypeExt;

use anyhow::{Context, bail};
use pganalytics_testkit::{VERSIONS, demo::Demo};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let version = match std::env::args().nth(1) {
        Some(word) => parse(&word)?,
        None => Demo::default_version()?,
    };
    // Before the cluster exists: a signal while it is made must not leave half of it.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut closed = watch_input();
    let work = async {
        let demo = Demo::start(version).await?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "REPLICA_PG_URL={}", demo.replica().monitor_url("postgres"))?;
        writeln!(out, "PG_URL={}", demo.monitor_url())?;
        out.flush()?;
        drop(out);
        std::future::pending::<anyhow::Result<()>>().await?;
        drop(demo);
        anyhow::Ok(())
    };
    tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = &mut closed => Ok(()),
    }
}

fn parse(word: &str) -> anyhow::Result<u16> {
    let version =
        word.parse().with_context(|| format!("usage: pganalytics-demo-cluster [major version]; {word:?} is none"))?;
    if !VERSIONS.contains(&version) {
        bail!("PostgreSQL {version} is not supported; choose from {VERSIONS:?}");
    }
    Ok(version)
}

/// Tells when standard input closes. Only a pipe or a terminal can: `/dev/null`, which daemons and
/// `make` jobs get, is at its end from the start and means nothing.
fn watch_input() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    let kind = std::fs::metadata("/dev/stdin").map(|file| file.file_type());
    let is_pipe = kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket());
    if !is_pipe && !std::io::stdin().is_terminal() {
        // Never closes: the sender lives on.
        std::mem::forget(sender);
        return receiver;
    }
    // A thread, since a read of a terminal can't be cancelled and would hold up the runtime's end.
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        let mut input = std::io::stdin().lock();
        while input.read(&mut bytes).is_ok_and(|count| count > 0) {}
        let _ = sender.send(());
    });
    receiver
}
