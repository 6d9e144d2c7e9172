//! Runs the program: bounded in time and in what it may say.

use std::{io, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};

use super::settings::PgBackRestConfig;
use crate::postgres::one_line;

/// Bytes that an answer may have: some ten thousand backups.
const MOST_BYTES: u64 = 32 << 20;
/// Bytes of complaints that are read; the rest would say the same.
const MOST_COMPLAINTS: u64 = 16 << 10;
/// How long a program may take to stop when it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such program here.
    Missing(String),
    /// It failed.
    Failed(String),
}

/// What the program wrote to its standard output.
pub(super) async fn run(config: &PgBackRestConfig) -> Result<Vec<u8>, Fault> {
    let mut words = config.command.iter();
    let program = words.next().map(String::as_str).unwrap_or_default();
    let mut command = Command::new(program);
    // Neither passwords nor tokens of the agent are its business.
    command.args(words).env_clear().envs(std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| matches!(name, "PATH" | "HOME" | "USER") || name.starts_with("PGBACKREST_"))
    }));
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| unstartable(program, &error))?;
    let (out, complaints) = (child.stdout.take(), child.stderr.take());
    let ending = async {
        let (out, complaints) = tokio::join!(read(out, MOST_BYTES), read(complaints, MOST_COMPLAINTS));
        if out.len() as u64 >= MOST_BYTES {
            return Err(format!("it wrote more than {MOST_BYTES} bytes; name one in the setting stanza"));
        }
        let status = child.wait().await.map_err(|error| format!("it can't be waited for: {error}"))?;
        if status.success() {
            return Ok(out);
        }
        let complaints = String::from_utf8_lossy(&complaints).into_owned();
        Err(format!("it ended with {status}: {}", reason(&complaints)))
    };
    let ended = timeout(config.timeout, ending).await;
    let failed = |why: String| Fault::Failed(format!("{program}: {why}"));
    match ended {
        Ok(Ok(out)) => Ok(out),
        Ok(Err(why)) => {
            stop(&mut child).await;
            Err(failed(why))
        }
        Err(_) => {
            stop(&mut child).await;
            let limit = config.timeout;
            Err(failed(format!(
                "no answer within {limit:?}; is the repository reachable? Or raise the setting timeout"
            )))
        }
    }
}

fn unstartable(program: &str, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing(format!(
            "there is no program {program} on this host; install pgBackRest here, or name it in the setting command"
        )),
        _ => Fault::Failed(format!("{program} can't be started: {error}")),
    }
}

/// All that comes, up to a limit.
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What was read before an error is still worth something.
        let _ = from.take(most).read_to_end(&mut bytes).await;
    }
    bytes
}

/// Tells it to stop, which `sudo` passes on, and makes it if it does not.
async fn stop(child: &mut Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && kill_process(pid, Signal::TERM).is_ok()
        && timeout(STOP_TIMEOUT, child.wait()).await.is_ok()
    {
        return;
    }
    let _ = child.kill().await;
}

/// The line that says why, and what to do where that is known.
fn reason(complaints: &str) -> String {
    let lines = || complaints.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(|line| line.contains("ERROR")).or_else(|| lines().next());
    let line = one_line(line.unwrap_or("it did not say why"));
    let advice = if line.contains("password is required") || line.contains("a terminal is required") {
        "; let the agent's user run it: a line in /etc/sudoers.d as pganalytics ALL=(postgres) NOPASSWD: /usr/bin/pgbackrest"
    } else if line.contains("ermission denied") || line.contains("[041]") {
        "; pgBackRest's files are for another user: set command = [\"sudo\", \"-n\", \"-u\", \"postgres\", \"pgbackrest\"]"
    } else {
        ""
    };
    format!("{line}{advice}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use super::*;

    fn shell(script: &str, limit: Duration) -> PgBackRestConfig {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        PgBackRestConfig { name: None, command, timeout: limit }
    }

    const LONG: Duration = Duration::from_secs(60);

    fn message(fault: Fault) -> String {
        match fault {
            Fault::Missing(message) | Fault::Failed(message) => message,
        }
    }

    #[tokio::test]
    async fn what_it_says_comes_back() {
        assert_eq!(run(&shell("printf '[]'; echo noise >&2", LONG)).await.unwrap(), b"[]");
        // No secret of the agent's, nothing to read from.
        let told = run(&shell("env | cut -d= -f1 | sort | tr '\\n' ' '; cat", LONG)).await.unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("PATH") && !told.contains("CARGO"), "{told}");
    }

    #[tokio::test]
    async fn failures_say_why() {
        let script = "echo 'P00   INFO: begin' >&2; echo 'P00  ERROR: [055]: unable to load info file' >&2; exit 55";
        let why = message(run(&shell(script, LONG)).await.unwrap_err());
        assert!(why.contains("exit status: 55") && why.contains("unable to load info file"), "{why}");
        let why = message(run(&shell("echo 'sudo: a password is required' >&2; exit 1", LONG)).await.unwrap_err());
        assert!(why.contains("/etc/sudoers.d"), "{why}");
        let why = message(
            run(&shell("echo 'ERROR: [041]: unable to open: [13] Permission denied' >&2; exit 41", LONG))
                .await
                .unwrap_err(),
        );
        assert!(why.contains("\"sudo\""), "{why}");
        let missing =
            PgBackRestConfig { name: None, command: vec![String::from("/no/such/pgbackrest")], timeout: LONG };
        assert!(matches!(run(&missing).await, Err(Fault::Missing(why)) if why.contains("install")));
    }

    #[tokio::test]
    async fn one_that_hangs_is_stopped_and_one_that_floods_too() {
        let began = Instant::now();
        // Deaf to the polite way.
        let script = "trap '' TERM; while true; do sleep 0.05; done";
        let why = message(run(&shell(script, Duration::from_millis(300))).await.unwrap_err());
        assert!(why.contains("no answer within 300ms"), "{why}");
        assert!(began.elapsed() < LONG);
        let why = message(run(&shell("yes", LONG)).await.unwrap_err());
        assert!(why.contains("more than 33554432 bytes"), "{why}");
    }
}
