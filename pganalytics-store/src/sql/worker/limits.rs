//! What the system allows a worker.

use std::{fs, io, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

/// Address space beyond memory that is in use: reserves of the allocator, stacks of
/// threads that are not there yet.
const RESERVES: u64 = 768 << 20;

/// Processor time that a query may use over its own for noticing that it should end.
const SLACK: u64 = 2;

/// By so much a worker is nicer than its server: who pushes or asks for its health is
/// answered first, however many queries compute.
const NICER: i32 = 5;

/// Limits this process for as long as it lives: memory beyond what it has now; no
/// core files, which would hold other people's data; no writing of files; the last in
/// line for a processor, and the system's first choice when memory runs out.
pub(super) fn limit(memory_bytes: usize) -> io::Result<()> {
    // A help for the server's sake; where it is not allowed, nothing is lost.
    let _ = fs::write("/proc/self/oom_score_adj", "800");
    let _ = nice(NICER);
    let (mapped, data) = in_use()?;
    let memory = memory_bytes as u64;
    both(Resource::Data, data + memory)?;
    both(Resource::As, mapped + memory + RESERVES)?;
    both(Resource::Core, 0)?;
    both(Resource::Fsize, 0)?;
    both(Resource::Nofile, 1024)
}

/// Soft and hard limit; never above the hard limit that there is.
fn both(resource: Resource, limit: u64) -> io::Result<()> {
    let limit = getrlimit(resource).maximum.map_or(limit, |hard| hard.min(limit));
    Ok(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}

/// Limits the processor time from now on.
pub(super) fn limit_cpu(more: Duration) -> io::Result<()> {
    let maximum = getrlimit(Resource::Cpu).maximum;
    let seconds = cpu_used()?.as_secs() + more.as_secs().max(1) + SLACK;
    let seconds = maximum.map_or(seconds, |hard| hard.min(seconds));
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum })?)
}

/// Processor time of all threads so far.
fn cpu_used() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may hold anything.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).ok_or(io::ErrorKind::InvalidData)?;
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux counts a hundred of them a second for programs, on every machine.
    Ok(Duration::from_millis(ticks * 10))
}

/// Address space and private memory, in bytes.
fn in_use() -> io::Result<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status")?;
    Ok((field(&status, "VmSize:"), field(&status, "VmData:")))
}

/// A line of `/proc/<pid>/status` in kilobytes, as bytes.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or_default() << 10
}

/// Memory of its own that another process holds.
pub(super) fn held_by(pid: u32) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/status")).map_or(0, |status| field(&status, "RssAnon:"))
}
