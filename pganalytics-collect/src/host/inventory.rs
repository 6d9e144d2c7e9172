//! What a host is and how it is set up.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use pganalytics_core::Value;

use super::{foreign, kernel::Kernel, mounts::Mount};

/// Facts by the names of their columns.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    texts: HashMap<&'static str, String>,
    ints: HashMap<&'static str, i64>,
    synchronized: Option<bool>,
}

/// Settings of the kernel in `/proc/sys/vm`, and their columns.
const VM: &[(&str, &str)] = &[
    ("nr_hugepages", "huge_pages"),
    ("overcommit_memory", "overcommit_memory"),
    ("overcommit_ratio", "overcommit_ratio"),
    ("overcommit_kbytes", "overcommit_kbytes"),
    ("swappiness", "swappiness"),
    ("dirty_ratio", "dirty_ratio"),
    ("dirty_background_ratio", "dirty_background_ratio"),
    ("dirty_bytes", "dirty_bytes"),
    ("dirty_background_bytes", "dirty_background_bytes"),
    ("zone_reclaim_mode", "zone_reclaim_mode"),
];

impl Inventory {
    /// Reads the files below `root`; what is not there is left out.
    pub(super) fn read(root: &Path, data: &[&Mount]) -> Self {
        let mut found = Self::default();
        let read = |file: &str| {
            Some(foreign::read_text(root.join(file)).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
        };
        found.text("os", read("etc/os-release").as_deref().and_then(os_name));
        found.text("kernel", read("proc/sys/kernel/osrelease"));
        found.text("architecture", Some(std::env::consts::ARCH.to_owned()));
        let cpuinfo = read("proc/cpuinfo").unwrap_or_default();
        found.cpus(&cpuinfo);
        found.text("virtualization", Some(virtualization(root, &cpuinfo, &read)));
        found.memory(&read("proc/meminfo").unwrap_or_default());
        for (file, column) in VM {
            let value = read(&format!("proc/sys/vm/{file}")).and_then(|text| text.parse().ok());
            found.ints.extend(value.map(|value| (*column, value)));
        }
        let huge = read("sys/kernel/mm/transparent_hugepage/enabled");
        found.text("transparent_huge_pages", huge.as_deref().and_then(chosen));
        found.text("clock_source", read("sys/devices/system/clocksource/clocksource0/current_clocksource"));
        found.synchronized = synchronized(root);
        found.text("timezone", read("etc/timezone").or_else(|| zone(root)));
        let nodes = numbered(&root.join("sys/devices/system/node"), "node");
        found.ints.extend((nodes > 0).then_some(("numa_nodes", nodes)));
        let filesystems: BTreeSet<&str> = data.iter().map(|mount| mount.fstype.as_str()).collect();
        let filesystems: Vec<_> = filesystems.into_iter().collect();
        found.text("data_filesystem", Some(filesystems.join(",")).filter(|text| !text.is_empty()));
        found
    }

    pub(super) fn value(&self, column: &str) -> Option<Value<'_>> {
        if column == "clock_synchronized" {
            return self.synchronized.map(Value::Bool);
        }
        let text = || self.texts.get(column).map(|text| Value::Text(text));
        self.ints.get(column).copied().map(Value::Int).or_else(text)
    }

    fn text(&mut self, column: &'static str, text: Option<String>) {
        self.texts.extend(text.map(|text| (column, text)));
    }

    fn cpus(&mut self, cpuinfo: &str) {
        let values = |key: &'static str| {
            cpuinfo.lines().filter_map(move |line| {
                let (name, value) = line.split_once(':')?;
                (name.trim() == key).then(|| value.trim())
            })
        };
        let model = values("model name").next().or_else(|| values("Model").next());
        self.text("cpu_model", model.map(str::to_owned));
        let count = |number: usize| i64::try_from(number).ok().filter(|number| *number > 0);
        let sockets: BTreeSet<&str> = values("physical id").collect();
        // Both stand in the paragraph of each logical processor.
        let cores: BTreeSet<(&str, &str)> = values("physical id").zip(values("core id")).collect();
        let figures = [("cpus", values("processor").count()), ("sockets", sockets.len()), ("cores", cores.len())];
        self.ints.extend(figures.into_iter().filter_map(|(column, number)| Some((column, count(number)?))));
    }

    fn memory(&mut self, meminfo: &str) {
        let mut kernel = Kernel::default();
        kernel.read_meminfo(meminfo);
        for (from, column) in
            [("mem_total", "memory_total"), ("swap_total", "swap_total"), ("hugepage_size", "huge_page_size")]
        {
            self.ints.extend(kernel.int(from).map(|value| (column, value)));
        }
    }
}

/// `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"`
fn os_name(release: &str) -> Option<String> {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

/// The word in brackets of `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// The container engine and the machine's maker, as far as they show.
fn virtualization(root: &Path, cpuinfo: &str, read: &impl Fn(&str) -> Option<String>) -> String {
    let mut found = Vec::new();
    if root.join(".dockerenv").exists() {
        found.push(String::from("docker"));
    } else if root.join("run/.containerenv").exists() {
        found.push(String::from("podman"));
    } else {
        found.extend(read("run/systemd/container"));
    }
    let is_guest =
        cpuinfo.lines().any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor"));
    let kind = read("sys/hypervisor/type");
    if is_guest || kind.is_some() {
        let maker = [read("sys/class/dmi/id/sys_vendor"), read("sys/class/dmi/id/product_name")];
        let maker: Vec<_> = maker.into_iter().flatten().collect();
        let unnamed = || kind.unwrap_or_else(|| String::from("hypervisor"));
        found.push(if maker.is_empty() { unnamed() } else { maker.join(" ") });
    }
    if found.is_empty() { String::from("none") } else { found.join(", ") }
}

/// What systemd's service for time says; other services keep it to themselves.
fn synchronized(root: &Path) -> Option<bool> {
    let folder = root.join("run/systemd/timesync");
    folder.is_dir().then(|| folder.join("synchronized").exists())
}

/// The zone that `/etc/localtime` leads to.
fn zone(root: &Path) -> Option<String> {
    let link = fs::read_link(root.join("etc/localtime")).ok()?;
    Some(link.to_str()?.split_once("zoneinfo/")?.1.to_owned())
}

/// Entries of a folder that are this name and a number.
fn numbered(folder: &Path, name: &str) -> i64 {
    let is_one = |entry: &fs::DirEntry| {
        let entry = entry.file_name();
        let number = entry.to_str().and_then(|entry| entry.strip_prefix(name));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    i64::try_from(entries.filter(is_one).count()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_virtual_machine() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-25-amd64\n"),
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Xeon\nphysical id\t: 0\ncore id\t: 0\nflags\t: fpu hypervisor\n\n\
                 processor\t: 1\nmodel name\t: Xeon\nphysical id\t: 0\ncore id\t: 0\n\n\
                 processor\t: 2\nmodel name\t: Xeon\nphysical id\t: 1\ncore id\t: 0\n",
            ),
            ("proc/meminfo", "MemTotal: 16 kB\nSwapTotal: 0 kB\nHugepagesize: 2048 kB\n"),
            ("proc/sys/vm/overcommit_memory", "2\n"),
            ("proc/sys/vm/swappiness", "10\n"),
            ("proc/sys/vm/nr_hugepages", "128\n"),
            ("proc/sys/vm/dirty_bytes", "nonsense\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
            ("sys/devices/system/node/node0/x", ""),
            ("sys/devices/system/node/online", "0"),
            ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
            ("sys/class/dmi/id/product_name", "Standard PC\n"),
            ("run/systemd/timesync/synchronized", ""),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("/usr/share/zoneinfo/Europe/Berlin", root.path().join("etc/localtime")).unwrap();
        let mount = Mount { path: "/data".into(), device: "/dev/sdb".into(), fstype: "xfs".into(), read_only: false };
        let found = Inventory::read(root.path(), &[&mount, &mount]);
        for (column, value) in [
            ("os", Value::Text("Debian GNU/Linux 12 (bookworm)")),
            ("kernel", Value::Text("6.1.0-25-amd64")),
            ("cpu_model", Value::Text("Xeon")),
            ("virtualization", Value::Text("QEMU Standard PC")),
            ("transparent_huge_pages", Value::Text("madvise")),
            ("clock_source", Value::Text("tsc")),
            ("timezone", Value::Text("Europe/Berlin")),
            ("data_filesystem", Value::Text("xfs")),
            ("clock_synchronized", Value::Bool(true)),
            ("cpus", Value::Int(3)),
            ("cores", Value::Int(2)),
            ("sockets", Value::Int(2)),
            ("numa_nodes", Value::Int(1)),
            ("memory_total", Value::Int(16_384)),
            ("huge_pages", Value::Int(128)),
            ("huge_page_size", Value::Int(2_097_152)),
            ("overcommit_memory", Value::Int(2)),
            ("swappiness", Value::Int(10)),
        ] {
            assert_eq!(found.value(column), Some(value), "{column}");
        }
        assert_eq!((found.value("dirty_bytes"), found.value("dirty_ratio")), (None, None));
    }

    #[test]
    fn nothing_at_all() {
        let found = Inventory::read(Path::new("/no/such/root"), &[]);
        assert_eq!(found.value("virtualization"), Some(Value::Text("none")));
        assert!(found.value("architecture").is_some());
        for column in ["os", "cpus", "clock_synchronized", "timezone", "numa_nodes", "data_filesystem"] {
            assert_eq!(found.value(column), None, "{column}");
        }
    }
}
