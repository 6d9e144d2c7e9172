//! How much memory and how many processors this process may use.
//!
//! [`detect`] reads below a root folder, so that tests give it files of their own.
//! It never fails: what cannot be read is passed over, and the answer says where its
//! figures come from.
//!
//! * Memory: the lowest limit from the process's own control group up to the top, of
//!   whichever hierarchy has one, but no more than the machine has. Without a limit, all
//!   of the machine's; where not even that can be read, 1 GB.
//! * Processors: the quota of the control groups, rounded up, but no more than the
//!   process may run on; without a quota, those.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use pganalytics_core::autoconfig::{CpuSource, MemorySource};

/// Bytes of a limit from which on version 1 means that there is none.
const NO_LIMIT: u64 = 1 << 62;
const MB: u64 = 1 << 20;
/// Where nothing can be read.
const DEFAULT_MB: u64 = 1024;
/// Longest path that is followed up.
const MOST_LEVELS: usize = 64;

/// What [`detect`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Memory, MB.
    pub memory_mb: u64,
    /// Where that comes from.
    pub memory_source: MemorySource,
    /// Processors, at least 1.
    pub cpus: u64,
    /// Where that comes from.
    pub cpu_source: CpuSource,
}

/// Looks at `/proc` and at the control groups below `root`, which is `/` outside of tests.
#[must_use]
pub fn detect(root: &Path) -> Resources {
    let version2 = folders(root, None);
    let total = total_memory(root).filter(|total| *total > 0);
    let limit = lowest(&version2, |folder| number(&folder.join("memory.max")))
        .map(|limit| (limit, MemorySource::CgroupV2))
        .or_else(|| {
            let limit = |folder: &Path| number(&folder.join("memory.limit_in_bytes")).filter(|limit| *limit < NO_LIMIT);
            Some((lowest(&folders(root, Some("memory")), limit)?, MemorySource::CgroupV1))
        })
        .filter(|(limit, _)| *limit >= MB)
        .filter(|(limit, _)| total.is_none_or(|total| *limit <= total));
    let (memory_mb, memory_source) = match (limit, total) {
        (Some((limit, source)), _) => (limit / MB, source),
        (None, Some(total)) => ((total / MB).max(1), MemorySource::Meminfo),
        (None, None) => (DEFAULT_MB, MemorySource::Default),
    };
    let allowed = allowed_cpus(root);
    let quota = lowest(&version2, quota_of_version2)
        .map(|cpus| (cpus, CpuSource::CgroupV2))
        .or_else(|| Some((lowest(&folders(root, Some("cpu")), quota_of_version1)?, CpuSource::CgroupV1)))
        .filter(|(cpus, _)| *cpus < allowed);
    let (cpus, cpu_source) = quota.unwrap_or((allowed, CpuSource::Nproc));
    Resources { memory_mb, memory_source, cpus, cpu_source }
}

fn lowest(folders: &[PathBuf], limit: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
    folders.iter().filter_map(|folder| limit(folder)).min()
}

/// Text of a file, also where it is not UTF-8.
fn text(path: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
}

/// `max` and everything else that is no number is no limit.
fn number(path: &Path) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

fn total_memory(root: &Path) -> Option<u64> {
    let text = text(&root.join("proc/meminfo"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn allowed_cpus(root: &Path) -> u64 {
    let counted = || {
        let text = text(&root.join("proc/self/status"))?;
        let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        list.trim().split(',').map(length_of_range).sum::<Option<u64>>().filter(|cpus| *cpus > 0)
    };
    counted().unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64))
}

/// Of `4` or `0-3`.
fn length_of_range(range: &str) -> Option<u64> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    last.trim().parse::<u64>().ok()?.checked_sub(first.trim().parse().ok()?)?.checked_add(1)
}

fn quota_of_version2(folder: &Path) -> Option<u64> {
    let text = text(&folder.join("cpu.max"))?;
    let mut words = text.split_whitespace();
    whole_cpus(words.next()?.parse().ok()?, words.next()?.parse().ok()?)
}

fn quota_of_version1(folder: &Path) -> Option<u64> {
    // -1 is no quota, and no number of this type.
    whole_cpus(number(&folder.join("cpu.cfs_quota_us"))?, number(&folder.join("cpu.cfs_period_us"))?)
}

fn whole_cpus(quota: u64, period: u64) -> Option<u64> {
    (quota > 0 && period > 0).then(|| quota.div_ceil(period))
}

/// Folders of the process's group and those above it, of a controller of version 1 or of
/// version 2.
fn folders(root: &Path, controller: Option<&str>) -> Vec<PathBuf> {
    let Some((mount, seen_as)) = mount_of(root, controller) else { return Vec::new() };
    let group = group_of(root, controller).unwrap_or_else(|| PathBuf::from("/"));
    // A mount may begin in the middle of the hierarchy; then groups are named from the top.
    let below = group.strip_prefix(&seen_as).or_else(|_| group.strip_prefix("/")).unwrap_or(Path::new(""));
    let below: PathBuf = below.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    below.ancestors().take(MOST_LEVELS).map(|part| mount.join(part)).collect()
}

/// Path of the process's group, as `/proc/self/cgroup` names it.
fn group_of(root: &Path, controller: Option<&str>) -> Option<PathBuf> {
    let text = text(&root.join("proc/self/cgroup"))?;
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        let fits = match controller {
            None => names.is_empty(),
            Some(controller) => names.split(',').any(|name| name == controller),
        };
        fits.then(|| PathBuf::from(path))
    })
}

/// Where a hierarchy is mounted, and which of its groups the mount begins with.
fn mount_of(root: &Path, controller: Option<&str>) -> Option<(PathBuf, PathBuf)> {
    let text = text(&root.join("proc/self/mountinfo"))?;
    text.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (seen_as, place) = (mount.next()?, mount.next()?);
        let mut kind = kind.split(' ');
        let (fs_type, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
        let fits = match controller {
            None => fs_type == "cgroup2",
            Some(controller) => fs_type == "cgroup" && options.split(',').any(|name| name == controller),
        };
        fits.then(|| (root.join(place.trim_start_matches('/')), PathBuf::from(seen_as)))
    })
}

#[cfg(test)]
mod tests;
