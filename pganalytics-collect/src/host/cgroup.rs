//! Control groups of version 2: what a container or a service may use and uses.
//!
//! `/proc/<pid>/cgroup` names the group of a process below the place where the
//! hierarchy is mounted. In a container both are seen from inside: its own group
//! is `/`, its files are at the top of the mount, and groups outside can't be
//! reached (their paths begin with `/..`). Limits of groups above hold too, so
//! the lowest of those that can be seen is shown.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
};

use pganalytics_core::Value;

use super::{foreign, int, seconds, servers::Postmaster};

/// Levels of groups that are looked at.
const MOST_LEVELS: usize = 64;

/// Where the hierarchy of version 2 is mounted, and that it has controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    top: PathBuf,
}

/// The figures of a group, by the names of their columns.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Group {
    path: String,
    owner: String,
    ints: HashMap<&'static str, u64>,
    floats: HashMap<&'static str, f64>,
}

/// Key in the file and column; in microseconds there, in seconds here.
const CPU_TIMES: &[(&str, &str)] = &[
    ("usage_usec", "cpu_usage"),
    ("user_usec", "cpu_user"),
    ("system_usec", "cpu_system"),
    ("throttled_usec", "throttled_time"),
];
const CPU_COUNTS: &[(&str, &str)] = &[("nr_periods", "nr_periods"), ("nr_throttled", "nr_throttled")];
const MEMORY_STAT: &[(&str, &str)] = &[
    ("anon", "memory_anon"),
    ("file", "memory_file"),
    ("shmem", "memory_shmem"),
    ("slab", "memory_slab"),
    ("file_dirty", "memory_dirty"),
    ("pgmajfault", "pgmajfault"),
];
const MEMORY_EVENTS: &[(&str, &str)] =
    &[("high", "memory_high_events"), ("max", "memory_max_events"), ("oom", "oom"), ("oom_kill", "oom_kill")];
/// Files of one number, or `max` for no limit.
const NUMBERS: &[(&str, &str)] = &[
    ("memory.current", "memory_current"),
    ("memory.high", "memory_high"),
    ("memory.peak", "memory_peak"),
    ("memory.swap.current", "swap_current"),
    ("pids.current", "pids_current"),
    ("pids.max", "pids_limit"),
];
const IO: &[(&str, &str)] =
    &[("rbytes", "read_bytes"), ("wbytes", "written_bytes"), ("rios", "reads"), ("wios", "writes")];
const PRESSURE: &[(&str, &str, &str)] = &[
    ("cpu.pressure", "psi_cpu_some", "psi_cpu_full"),
    ("memory.pressure", "psi_memory_some", "psi_memory_full"),
    ("io.pressure", "psi_io_some", "psi_io_full"),
];

/// The control groups of this process and of the postmasters, each once; or why
/// there are none.
pub(super) fn groups(root: &Path, heads: &[Postmaster]) -> Result<Vec<Group>, String> {
    let hierarchy = Hierarchy::find(root)?;
    let mut owners: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let processes = std::iter::once((String::from("self"), "agent"));
    for (process, owner) in processes.chain(heads.iter().map(|head| (head.pid.to_string(), "postgres"))) {
        if let Ok(path) = path_of(root, &process) {
            let owners = owners.entry(path).or_default();
            if owners.last() != Some(&owner) {
                owners.push(owner);
            }
        }
    }
    let of = |(path, owners): (String, Vec<&str>)| {
        let mut group = hierarchy.group(&path)?;
        group.owner = owners.join(",");
        Some(group)
    };
    Ok(owners.into_iter().filter_map(of).collect())
}

impl Hierarchy {
    /// Finds it in `/proc/self/mountinfo` of the host below `root`.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn find(root: &Path) -> Result<Self, String> {
        let mountinfo = foreign::read_text(root.join("proc/self/mountinfo")).unwrap_or_default();
        let Some(mount) = mountinfo.lines().find_map(mount_point) else {
            return Err(String::from(
                "control groups of version 2 are not mounted here; this kernel or engine uses version 1",
            ));
        };
        let top = root.join(mount.strip_prefix('/').unwrap_or(mount));
        match foreign::read_text(top.join("cgroup.controllers")) {
            Ok(controllers) if controllers.split_whitespace().next().is_some() => Ok(Self { top }),
            Ok(_) => Err(String::from(
                "the controllers are those of version 1 (hybrid mode); boot with systemd.unified_cgroup_hierarchy=1 for version 2",
            )),
            Err(error) => Err(format!("{}: {error}", top.display())),
        }
    }

    /// The figures of a group; `None` when it is outside of what can be seen, or
    /// has gone.
    fn group(&self, path: &str) -> Option<Group> {
        let inner = path.strip_prefix('/')?;
        if inner.split('/').any(|part| part == "..") {
            return None;
        }
        let folder = if inner.is_empty() { self.top.clone() } else { self.top.join(inner) };
        if !folder.is_dir() {
            return None;
        }
        let mut group = Group { path: path.to_owned(), ..Group::default() };
        group.read(&folder);
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.top)).take(MOST_LEVELS) {
            group.limit(folder);
        }
        Some(group)
    }
}

/// `… /sys/fs/cgroup rw,… - cgroup2 cgroup2 rw`
fn mount_point(line: &str) -> Option<&str> {
    let (left, right) = line.split_once(" - ")?;
    if right.split(' ').next() != Some("cgroup2") {
        return None;
    }
    left.split(' ').nth(4)
}

/// The group of a process in the hierarchy of version 2, from
/// `/proc/<pid>/cgroup`.
fn path_of(root: &Path, process: &str) -> io::Result<String> {
    let text = foreign::read_text(root.join("proc").join(process).join("cgroup"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"));
    // The kernel marks a group that was removed.
    let path = path.map(|path| path.strip_suffix(" (deleted)").unwrap_or(path));
    path.map(str::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Group {
    pub(super) fn value(&self, column: &str) -> Option<Value<'_>> {
        match column {
            "path" => Some(Value::Text(&self.path)),
            "owner" => Some(Value::Text(&self.owner)),
            column => {
                let float = || self.floats.get(column).copied().map(Value::Float);
                self.ints.get(column).copied().map(int).or_else(float)
            }
        }
    }

    fn read(&mut self, folder: &Path) {
        let file = |name: &str| foreign::read_text(folder.join(name)).unwrap_or_default();
        let cpu = file("cpu.stat");
        self.floats.extend(pairs(&cpu, CPU_TIMES).map(|(column, micros)| (column, seconds(micros, 1_000_000))));
        let memory = file("memory.stat");
        let events = file("memory.events");
        let found = pairs(&cpu, CPU_COUNTS).chain(pairs(&memory, MEMORY_STAT)).chain(pairs(&events, MEMORY_EVENTS));
        self.ints.extend(found);
        for (name, column) in NUMBERS {
            if let Ok(value) = file(name).trim().parse() {
                self.ints.insert(column, value);
            }
        }
        self.read_io(&file("io.stat"));
        for (name, some, full) in PRESSURE {
            self.read_pressure(&file(name), some, full);
        }
    }

    /// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`, a line a device.
    fn read_io(&mut self, text: &str) {
        for figure in text.split_whitespace() {
            let Some((key, value)) = figure.split_once('=') else { continue };
            if let Some((_, column)) = IO.iter().find(|(name, _)| *name == key)
                && let Ok(value) = value.parse::<u64>()
            {
                let sum = self.ints.entry(column).or_default();
                *sum = sum.saturating_add(value);
            }
        }
    }

    fn read_pressure(&mut self, text: &str, some: &'static str, full: &'static str) {
        for line in text.lines() {
            let column = if line.starts_with("some ") { some } else { full };
            if let Some(total) = line.rsplit_once("total=").and_then(|(_, micros)| micros.trim().parse().ok()) {
                self.floats.insert(column, seconds(total, 1_000_000));
            }
        }
    }

    /// Takes note of the limits of a group at or above this one.
    fn limit(&mut self, folder: &Path) {
        let file = |name: &str| foreign::read_text(folder.join(name)).unwrap_or_default();
        if let Some(cpus) = cpu_limit(&file("cpu.max")) {
            let lowest = self.floats.entry("cpu_limit").or_insert(cpus);
            *lowest = lowest.min(cpus);
        }
        if let Ok(bytes) = file("memory.max").trim().parse::<u64>() {
            let lowest = self.ints.entry("memory_limit").or_insert(bytes);
            *lowest = (*lowest).min(bytes);
        }
    }
}

/// Lines of a name and a number.
fn pairs(text: &str, wanted: &'static [(&'static str, &'static str)]) -> impl Iterator<Item = (&'static str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        let (_, column) = wanted.iter().find(|(name, _)| *name == key)?;
        Some((*column, value.trim().parse().ok()?))
    })
}

/// `quota period`, in microseconds; `max` for no limit.
fn cpu_limit(text: &str) -> Option<f64> {
    let mut words = text.split_whitespace();
    let (quota, period): (u64, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (period > 0).then(|| seconds(quota, period))
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
