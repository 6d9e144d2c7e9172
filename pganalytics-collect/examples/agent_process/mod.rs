//! The agent's program as a process of its own that is measured, and a receiver
//! that takes everything it sends.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use pganalytics_core::{
    PushReply, StreamRange,
    frame::{PushBody, PushLimits},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A running agent. It is stopped when this is dropped.
pub(crate) struct AgentProcess {
    child: Child,
}

impl AgentProcess {
    /// Starts the program that was built beside this example. What it says goes
    /// to `agent.log` in the folder.
    pub(crate) fn start(folder: &Path, settings: &str) -> anyhow::Result<Self> {
        let here = std::env::current_exe()?;
        let program = here.ancestors().nth(2).context("no folder above the example")?.join("pganalytics-agent");
        if !program.is_file() {
            bail!("{} is not there: build it first, in the same profile as this example", program.display());
        }
        let file = folder.join("agent.toml");
        std::fs::write(&file, settings)?;
        let log = File::create(folder.join("agent.log"))?;
        let child = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(file)
            .env_clear()
            .env("LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// User and system time in seconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        cpu_of(self.child.id())
    }

    /// `None` for an id that no process can have.
    pub(crate) fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Memory in KiB: held now, and at most so far.
    pub(crate) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| -> anyhow::Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            Ok(line.split_whitespace().next().context("no number")?.parse()?)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
            let _ = kill_process(pid, Signal::CONT);
        }
        let _ = self.child.wait();
    }
}

/// User and system time of a process, in seconds.
pub(crate) fn cpu_of(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("the program's name has no end")?;
    let ticks = |at: usize| -> anyhow::Result<f64> {
        Ok(fields.split_whitespace().nth(at).context("the line is short")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64)
}

/// Takes pushes and counts them.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) frames: Arc<AtomicU64>,
    pub(crate) bytes: Arc<AtomicU64>,
}

impl Receiver {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let receiver = Self { url, frames: Arc::default(), bytes: Arc::default() };
        let taking = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = taking.clone();
                tokio::spawn(async move {
                    if let Err(error) = receiver.take(stream).await {
                        eprintln!("receiver: {error:#}");
                    }
                });
            }
        });
        Ok(receiver)
    }

    async fn take(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        let mut buffer = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            };
            let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).context("no length")?;
            let length: usize = length.trim().parse()?;
            while buffer.len() < end + length {
                if stream.read_buf(&mut buffer).await? == 0 {
                    bail!("the body is short");
                }
            }
            let body = Bytes::copy_from_slice(buffer.get(end..end + length).unwrap_or_default());
            buffer.drain(..end + length);
            let push = PushBody::parse(body, &PushLimits::default())?;
            let frames = push.frames.len();
            self.frames.fetch_add(frames as u64, Ordering::Relaxed);
            self.bytes.fetch_add(length as u64, Ordering::Relaxed);
            let stored = push.frames.iter().map(|(position, _)| position.seq).collect();
            let stored = StreamRange::list(push.stream, &stored);
            let reply = serde_json::to_string(&PushReply { stored, accepted: frames as u64, ..PushReply::default() })?;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", reply.len());
            stream.write_all((head + &reply).as_bytes()).await?;
        }
    }

    /// Waits for the first push.
    #[allow(dead_code, reason = "not every example waits")]
    pub(crate) async fn until_first(&self) {
        while self.frames.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The number that stands at this place of the command line.
pub(crate) fn argument(at: usize, default: u64) -> anyhow::Result<u64> {
    match std::env::args().nth(at) {
        Some(text) => text.parse().with_context(|| format!("{text} is no number")),
        None => Ok(default),
    }
}
