//! What processes cost: this one, and any other by its id.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::foreign;

/// Resources of this process; `None` where the system does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor time in seconds, all threads.
    pub cpu: Option<f64>,
    /// Memory held, in bytes.
    pub rss: Option<u64>,
}

/// Of this process, now.
pub(crate) fn usage() -> Usage {
    let status = Status::of(PathBuf::from("/proc/self"));
    Usage {
        cpu: status.as_ref().map(|status| status.cpu_user + status.cpu_system),
        rss: status.as_ref().map(|status| status.rss),
    }
}

/// What the kernel says of a process in `/proc/<pid>/stat`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Status {
    folder: PathBuf,
    /// Name of the program, at most 15 bytes.
    pub name: String,
    /// `R`, `S`, `D`, `Z`…
    pub state: u8,
    pub parent: u32,
    /// Processor time in seconds.
    pub cpu_user: f64,
    pub cpu_system: f64,
    /// Processor time of children that ended, and of theirs.
    pub ended_user: f64,
    pub ended_system: f64,
    /// Ticks from boot to its start; with the id it names a process for ever.
    pub start: u64,
    /// Bytes.
    pub virtual_memory: u64,
    pub rss: u64,
}

/// Bytes that a process moved from and to storage, with those of its children
/// that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moved {
    pub read: u64,
    pub written: u64,
}

impl Status {
    /// Of a process of the host whose files are below `root`; `None` when there
    /// is none.
    pub(crate) fn read(root: &Path, pid: u32) -> Option<Self> {
        Self::of(root.join("proc").join(pid.to_string()))
    }

    fn of(folder: PathBuf) -> Option<Self> {
        // The name of the program may be any bytes.
        let stat = read_text(&folder.join("stat")).ok()?;
        Self::parse(folder, &stat, rustix::param::clock_ticks_per_second())
    }

    fn parse(folder: PathBuf, stat: &str, hertz: u64) -> Option<Self> {
        // The name stands in brackets and may hold anything.
        let (name, fields) = stat.rsplit_once(')')?;
        let (_, name) = name.split_once('(')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let time = |at: usize| Some(super::seconds(number(at)?, hertz));
        // These two are signed and can be less than nothing for a moment.
        let ended = |at: usize| {
            fields.get(at)?.parse::<i64>().ok().map(|ticks| super::seconds(ticks.max(0).unsigned_abs(), hertz))
        };
        Some(Self {
            folder,
            name: name.to_owned(),
            state: *fields.first()?.as_bytes().first()?,
            parent: u32::try_from(number(1)?).ok()?,
            cpu_user: time(11)?,
            cpu_system: time(12)?,
            ended_user: ended(13)?,
            ended_system: ended(14)?,
            start: number(19)?,
            virtual_memory: number(20)?,
            rss: number(21)?.saturating_mul(rustix::param::page_size() as u64),
        })
    }

    /// Memory that it shares with others, or with files, in bytes.
    pub(crate) fn shared(&self) -> Option<u64> {
        let statm = read_text(&self.folder.join("statm")).ok()?;
        Some(statm.split(' ').nth(2)?.parse::<u64>().ok()?.saturating_mul(rustix::param::page_size() as u64))
    }

    /// Its memory with shared memory counted in parts. The kernel walks all its
    /// pages for that: seldom and few.
    pub(crate) fn pss(&self) -> io::Result<u64> {
        let rollup = read_text(&self.folder.join("smaps_rollup"))?;
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let pss = pss.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        pss.map(|kilobytes| kilobytes.saturating_mul(1024)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// What it moved from and to storage; `None` without permission.
    pub(crate) fn moved(&self) -> Option<Moved> {
        let text = read_text(&self.folder.join("io")).ok()?;
        let figure = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some(Moved { read: figure("read_bytes:")?, written: figure("write_bytes:")? })
    }

    /// Files that it holds open; `None` without permission.
    #[cfg(any(feature = "postgres", test))]
    pub(crate) fn open_files(&self) -> Option<u64> {
        fs::read_dir(self.folder.join("fd")).ok().map(|files| files.count() as u64)
    }

    /// Files that it may hold open; `None` for no limit.
    #[cfg(any(feature = "postgres", test))]
    pub(crate) fn most_files(&self) -> Option<u64> {
        let limits = read_text(&self.folder.join("limits")).ok()?;
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
    }

    /// Its start in seconds since 1970, by the clock as it is set now.
    #[cfg(any(feature = "postgres", test))]
    pub(crate) fn start_time(&self) -> Option<f64> {
        let stat = foreign::read_text(self.folder.parent()?.join("stat")).ok()?;
        let booted = super::kernel::boot_time(&stat).and_then(|booted| u64::try_from(booted).ok())?;
        Some(super::seconds(booted, 1) + super::seconds(self.start, rustix::param::clock_ticks_per_second()))
    }

    /// Its command line, arguments apart; empty for one that has ended.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let bytes = read(&self.folder.join("cmdline")).unwrap_or_default();
        bytes.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
    }

    /// Its working folder; `None` without permission.
    pub(crate) fn working_folder(&self) -> Option<PathBuf> {
        fs::read_link(self.folder.join("cwd")).ok()
    }
}

/// A small file of `/proc`. The kernel gives it whole when there is room for it,
/// while [`fs::read`] asks four times: how long it is (0), whether it is short,
/// for the rest, and whether that is all. There are thousands of these files.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let (mut whole, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let length = file.read(&mut some)?;
        whole.extend_from_slice(some.get(..length).unwrap_or_default());
        if length < some.len() {
            return Ok(whole);
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    read(path).map(foreign::text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn any_program_name_is_read_over() {
        let stat = "7 (a) b) (c) D 1 7 7 0 -1 4194560 5 0 0 0 250 50 3 -4 20 0 1 0 9 4096 2 18446744073709551615";
        let status = Status::parse(PathBuf::new(), stat, 100).unwrap();
        assert_eq!(status.name, "a) b) (c");
        assert_eq!((status.state, status.parent, status.start, status.virtual_memory), (b'D', 1, 9, 4096));
        assert_eq!((status.cpu_user, status.cpu_system, status.ended_user, status.ended_system), (2.5, 0.5, 0.03, 0.0));
        assert_eq!(status.rss, 2 * rustix::param::page_size() as u64);
        assert_eq!(Status::parse(PathBuf::new(), "nonsense", 100), None);
        assert_eq!(Status::parse(PathBuf::new(), "1 (a) S 1", 100), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.rss.is_some_and(|rss| rss > 1 << 20) && usage.cpu.is_some(), "{usage:?}");
        let status = Status::read(Path::new("/"), std::process::id()).unwrap();
        assert!(status.pss().is_ok_and(|pss| pss > 0 && pss <= 2 * status.rss), "{status:?}");
        assert!(status.shared().is_some_and(|shared| shared <= status.virtual_memory));
        assert!(status.moved().is_some());
        assert!(status.open_files() > Some(2) && status.most_files() > status.open_files());
        assert!(status.start_time() > Some(1e9));
        assert_eq!(status.working_folder(), std::env::current_dir().ok());
        assert!(status.arguments().len() > 1);
    }
}
