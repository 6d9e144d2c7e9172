//! File trees as machines and containers have them.
#![allow(clippy::unwrap_used)]

use super::*;

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const MEMINFO: &str = "MemTotal:        8388608 kB\nMemFree: 1 kB\n";

/// A machine of 8 GB and four processors, with these files too.
fn machine(files: &[(&str, &str)]) -> Resources {
    let root = tempfile::tempdir().unwrap();
    let always = [("proc/meminfo", MEMINFO), ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-2,5\n")];
    for (path, text) in always.iter().chain(files) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    detect(root.path())
}

fn memory(found: Resources) -> (u64, MemorySource) {
    (found.memory_mb, found.memory_source)
}

fn cpus(found: Resources) -> (u64, CpuSource) {
    (found.cpus, found.cpu_source)
}

#[test]
fn without_groups_the_machine_counts() {
    let found = machine(&[]);
    assert_eq!(memory(found), (8192, MemorySource::Meminfo));
    assert_eq!(cpus(found), (4, CpuSource::Nproc));
}

#[test]
fn a_container_sees_its_own_limits() {
    let found = machine(&[
        ("proc/self/mountinfo", V2),
        ("proc/self/cgroup", "0::/\n"),
        ("sys/fs/cgroup/memory.max", "536870912\n"),
        ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
    ]);
    assert_eq!(memory(found), (512, MemorySource::CgroupV2));
    assert_eq!(cpus(found), (1, CpuSource::CgroupV2));
}

#[test]
fn the_lowest_limit_on_the_way_up_counts() {
    let found = machine(&[
        ("proc/self/mountinfo", V2),
        ("proc/self/cgroup", "0::/machine/db.service\n"),
        ("sys/fs/cgroup/machine/db.service/memory.max", "max\n"),
        ("sys/fs/cgroup/machine/memory.max", "1073741824\n"),
        ("sys/fs/cgroup/memory.max", "2147483648\n"),
        ("sys/fs/cgroup/machine/db.service/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/machine/cpu.max", "250000 100000\n"),
    ]);
    assert_eq!(memory(found), (1024, MemorySource::CgroupV2));
    assert_eq!(cpus(found), (3, CpuSource::CgroupV2));
}

#[test]
fn version_1_and_a_hybrid_use_the_hierarchy_that_has_the_controller() {
    let mounts = "30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                  31 23 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                  32 23 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n";
    let groups = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n";
    let files = |limit: &'static str, quota: &'static str| {
        [
            ("proc/self/mountinfo", mounts),
            ("proc/self/cgroup", groups),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", limit),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", quota),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]
    };
    let found = machine(&files("1610612736\n", "150000\n"));
    assert_eq!(memory(found), (1536, MemorySource::CgroupV1));
    assert_eq!(cpus(found), (2, CpuSource::CgroupV1));
    let found = machine(&files("9223372036854771712\n", "-1\n"));
    assert_eq!(memory(found), (8192, MemorySource::Meminfo));
    assert_eq!(cpus(found), (4, CpuSource::Nproc));
}

#[test]
fn a_limit_above_the_machine_is_no_limit() {
    let found = machine(&[
        ("proc/self/mountinfo", V2),
        ("proc/self/cgroup", "0::/\n"),
        ("sys/fs/cgroup/memory.max", "17179869184\n"),
        ("sys/fs/cgroup/cpu.max", "6400000 100000\n"),
    ]);
    assert_eq!(memory(found), (8192, MemorySource::Meminfo));
    assert_eq!(cpus(found), (4, CpuSource::Nproc));
}

#[test]
fn broken_files_are_passed_over() {
    let found = machine(&[
        ("proc/self/mountinfo", "nonsense\n30 23\n - \n"),
        ("proc/self/cgroup", "0\n::\n0::/../../etc\n"),
        ("proc/self/status", "Cpus_allowed_list:\t7-3,x\n"),
        ("proc/meminfo", "MemTotal: many kB\n"),
    ]);
    assert_eq!(memory(found), (1024, MemorySource::Default));
    assert!(found.cpus >= 1);
    let found = machine(&[
        ("proc/self/mountinfo", V2),
        ("proc/self/cgroup", "0::/../outside\n"),
        ("sys/fs/cgroup/memory.max", "0\n"),
        ("sys/fs/cgroup/cpu.max", "100000 0\n"),
    ]);
    assert_eq!(memory(found), (8192, MemorySource::Meminfo));
    assert_eq!(cpus(found), (4, CpuSource::Nproc));
}
