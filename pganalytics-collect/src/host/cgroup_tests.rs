//! File trees as a host, a container and a hybrid machine have them.
#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

/// A folder with these files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

const MOUNT: (&str, &str) = (
    "proc/self/mountinfo",
    "24 1 0:21 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
);
const CONTROLLERS: (&str, &str) = ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");

/// What a service of systemd has on Linux 6.8, shortened.
const SERVICE: &[(&str, &str)] = &[
    (
        "sys/fs/cgroup/system.slice/pg.service/cpu.stat",
        "usage_usec 7500000\nuser_usec 5000000\nsystem_usec 2500000\ncore_sched.force_idle_usec 0\nnr_periods 40\nnr_throttled 3\nthrottled_usec 120000\nnr_bursts 0\nburst_usec 0\n",
    ),
    ("sys/fs/cgroup/system.slice/pg.service/cpu.max", "150000 100000\n"),
    ("sys/fs/cgroup/system.slice/cpu.max", "max 100000\n"),
    ("sys/fs/cgroup/system.slice/pg.service/memory.current", "4096000\n"),
    ("sys/fs/cgroup/system.slice/pg.service/memory.max", "max\n"),
    ("sys/fs/cgroup/system.slice/memory.max", "8589934592\n"),
    ("sys/fs/cgroup/system.slice/pg.service/memory.high", "max\n"),
    ("sys/fs/cgroup/system.slice/pg.service/memory.peak", "5000000\n"),
    (
        "sys/fs/cgroup/system.slice/pg.service/memory.stat",
        "anon 1000\nfile 2000\nkernel 300\nshmem 500\nfile_dirty 10\nslab 40\npgfault 99\npgmajfault 7\n",
    ),
    (
        "sys/fs/cgroup/system.slice/pg.service/memory.events",
        "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n",
    ),
    (
        "sys/fs/cgroup/system.slice/pg.service/io.stat",
        "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n253:1 \n",
    ),
    ("sys/fs/cgroup/system.slice/pg.service/pids.current", "12\n"),
    ("sys/fs/cgroup/system.slice/pg.service/pids.max", "4915\n"),
    (
        "sys/fs/cgroup/system.slice/pg.service/io.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
    ),
    ("proc/77/cgroup", "0::/system.slice/pg.service\n"),
];

#[test]
fn a_service_of_a_host() {
    let files: Vec<_> = [MOUNT, CONTROLLERS].iter().chain(SERVICE).copied().collect();
    let root = tree(&files);
    let hierarchy = Hierarchy::find(root.path()).unwrap();
    let path = path_of(root.path(), "77").unwrap();
    let group = hierarchy.group(&path).unwrap();
    assert_eq!(group.value("path"), Some(Value::Text("/system.slice/pg.service")));
    for (column, value) in [
        ("cpu_usage", 7.5),
        ("cpu_user", 5.0),
        ("cpu_system", 2.5),
        ("throttled_time", 0.12),
        ("cpu_limit", 1.5),
        ("psi_io_some", 2.0),
        ("psi_io_full", 0.5),
    ] {
        assert_eq!(group.value(column), Some(Value::Float(value)), "{column}");
    }
    for (column, value) in [
        ("nr_throttled", 3),
        ("memory_current", 4_096_000),
        // The limit of the slice holds for the service.
        ("memory_limit", 8_589_934_592),
        ("memory_peak", 5_000_000),
        ("memory_anon", 1000),
        ("memory_dirty", 10),
        ("pgmajfault", 7),
        ("memory_high_events", 1),
        ("oom", 3),
        ("oom_kill", 4),
        ("read_bytes", 101),
        ("writes", 6),
        ("pids_current", 12),
        ("pids_limit", 4915),
    ] {
        assert_eq!(group.value(column), Some(Value::Int(value)), "{column}");
    }
    assert_eq!(
        (group.value("memory_high"), group.value("swap_current"), group.value("psi_cpu_some")),
        (None, None, None)
    );
}

#[test]
fn a_container_sees_itself_at_the_top_and_nothing_outside() {
    let root = tree(&[
        MOUNT,
        CONTROLLERS,
        ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
        ("sys/fs/cgroup/memory.max", "1073741824\n"),
        ("sys/fs/cgroup/memory.current", "1000\n"),
        ("proc/self/cgroup", "0::/\n"),
        ("proc/9/cgroup", "0::/../other\n"),
        ("proc/10/cgroup", "0::/gone (deleted)\n"),
        ("etc/secret/memory.current", "1\n"),
    ]);
    let hierarchy = Hierarchy::find(root.path()).unwrap();
    let group = hierarchy.group(&path_of(root.path(), "self").unwrap()).unwrap();
    assert_eq!(group.value("cpu_limit"), Some(Value::Float(0.5)));
    assert_eq!(group.value("memory_limit"), Some(Value::Int(1 << 30)));
    assert_eq!(hierarchy.group(&path_of(root.path(), "9").unwrap()), None);
    assert_eq!(hierarchy.group(&path_of(root.path(), "10").unwrap()), None);
    assert_eq!(hierarchy.group("/../../../etc/secret"), None);
}

#[test]
fn where_there_is_no_version_2_the_reason_is_told() {
    let old = tree(&[("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")]);
    assert!(Hierarchy::find(old.path()).unwrap_err().contains("version 1"));
    let hybrid = tree(&[MOUNT, ("sys/fs/cgroup/cgroup.controllers", "\n")]);
    assert!(Hierarchy::find(hybrid.path()).unwrap_err().contains("hybrid"));
    assert!(Hierarchy::find(Path::new("/no/such/root")).is_err());
    let v1 = tree(&[("proc/7/cgroup", "4:memory:/x\n1:cpu:/y\n")]);
    assert!(path_of(v1.path(), "7").is_err());
}

#[test]
fn nonsense_is_left_out() {
    let root = tree(&[
        MOUNT,
        CONTROLLERS,
        ("sys/fs/cgroup/cpu.max", "-1 0\n"),
        ("sys/fs/cgroup/cpu.stat", "usage_usec\nusage_usec x\n\u{0}"),
        ("sys/fs/cgroup/io.stat", "= rbytes=x rbytes=18446744073709551615 rbytes=18446744073709551615"),
        ("sys/fs/cgroup/memory.current", "99999999999999999999999"),
    ]);
    let group = Hierarchy::find(root.path()).unwrap().group("/").unwrap();
    assert_eq!((group.value("cpu_limit"), group.value("cpu_usage"), group.value("memory_current")), (None, None, None));
    assert_eq!(group.value("read_bytes"), Some(Value::Int(i64::MAX)));
}

/// Whatever this machine has: figures, or the reason why there are none.
#[test]
#[cfg(target_os = "linux")]
fn this_machine() {
    match Hierarchy::find(Path::new("/")) {
        Ok(hierarchy) => {
            let path = path_of(Path::new("/"), "self").unwrap();
            eprintln!("this process is in {path}: {:?}", hierarchy.group(&path));
        }
        Err(reason) => {
            eprintln!("no figures of control groups here: {reason}");
            assert!(reason.len() > 10);
        }
    }
}
