//! Figures of the whole host, read from the kernel's files. Pure: text in,
//! figures out; what a kernel does not say is left out.

use std::collections::HashMap;

use super::seconds;

/// Figures of the host by the names of their columns in `sysstat`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kernel {
    ints: HashMap<&'static str, i64>,
    floats: HashMap<&'static str, f64>,
}

const MEMINFO: &[(&str, &str)] = &[
    ("MemTotal", "mem_total"),
    ("MemFree", "mem_free"),
    ("MemAvailable", "mem_available"),
    ("Buffers", "mem_buffers"),
    ("Cached", "mem_cached"),
    ("Dirty", "mem_dirty"),
    ("Writeback", "mem_writeback"),
    ("Shmem", "mem_shmem"),
    ("Slab", "mem_slab"),
    ("SReclaimable", "mem_slab_reclaimable"),
    ("PageTables", "mem_page_tables"),
    ("Committed_AS", "mem_committed"),
    ("CommitLimit", "mem_commit_limit"),
    ("HugePages_Total", "hugepages_total"),
    ("HugePages_Free", "hugepages_free"),
    ("Hugepagesize", "hugepage_size"),
    ("SwapTotal", "swap_total"),
    ("SwapFree", "swap_free"),
];

/// Name in `/proc/vmstat`, name of the column, what one counts.
const VMSTAT: &[(&str, &str, i64)] = &[
    ("pgpgin", "pgpgin", 1024),
    ("pgpgout", "pgpgout", 1024),
    ("pswpin", "pswpin", 1),
    ("pswpout", "pswpout", 1),
    ("pgfault", "pgfault", 1),
    ("pgmajfault", "pgmajfault", 1),
    ("oom_kill", "oom_kill", 1),
];

const STAT: &[(&str, &str)] = &[
    ("processes", "processes"),
    ("ctxt", "ctxt"),
    ("intr", "intr"),
    ("procs_running", "procs_running"),
    ("procs_blocked", "procs_blocked"),
];

impl Kernel {
    pub(super) fn int(&self, column: &str) -> Option<i64> {
        self.ints.get(column).copied()
    }

    pub(super) fn float(&self, column: &str) -> Option<f64> {
        self.floats.get(column).copied()
    }

    /// `/proc/stat`; `hertz` is the unit of its times.
    pub(super) fn read_stat(&mut self, text: &str, hertz: u64) {
        let mut cpus = 0;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else { continue };
            if name == "cpu" {
                let times: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
                self.read_cpu(&times, hertz);
            } else if name.starts_with("cpu") {
                cpus += 1;
            } else if let Some((_, column)) = STAT.iter().find(|(key, _)| *key == name)
                && let Some(value) = words.next().and_then(|word| word.parse().ok())
            {
                self.ints.insert(column, value);
            }
        }
        if cpus > 0 {
            self.ints.insert("cpus", cpus);
        }
    }

    fn read_cpu(&mut self, times: &[u64], hertz: u64) {
        let time = |at: usize| times.get(at).copied();
        // The kernel counts guests in user and nice time, too.
        let (guest, guest_nice) = (time(8).unwrap_or_default(), time(9).unwrap_or_default());
        let figures = [
            ("cpu_user", time(0).map(|user| user.saturating_sub(guest))),
            ("cpu_nice", time(1).map(|nice| nice.saturating_sub(guest_nice))),
            ("cpu_system", time(2)),
            ("cpu_idle", time(3)),
            ("cpu_iowait", time(4)),
            ("cpu_irq", time(5)),
            ("cpu_softirq", time(6)),
            ("cpu_steal", time(7)),
            ("cpu_guest", time(8).map(|guest| guest + guest_nice)),
        ];
        let figures = figures.into_iter().filter_map(|(column, time)| Some((column, seconds(time?, hertz))));
        self.floats.extend(figures);
    }

    /// `/proc/loadavg`.
    pub(super) fn read_loadavg(&mut self, text: &str) {
        let loads = text.split_whitespace().map_while(|word| word.parse().ok());
        self.floats.extend(["load1", "load5", "load15"].into_iter().zip(loads));
    }

    /// `/proc/meminfo`.
    pub(super) fn read_meminfo(&mut self, text: &str) {
        for line in text.lines() {
            let Some((name, rest)) = line.split_once(':') else { continue };
            let Some((_, column)) = MEMINFO.iter().find(|(key, _)| *key == name) else { continue };
            let mut words = rest.split_whitespace();
            let Some(value) = words.next().and_then(|word| word.parse::<i64>().ok()) else { continue };
            let unit = if words.next() == Some("kB") { 1024 } else { 1 };
            self.ints.insert(column, value.saturating_mul(unit));
        }
    }

    /// `/proc/vmstat`.
    pub(super) fn read_vmstat(&mut self, text: &str) {
        for line in text.lines() {
            let Some((name, value)) = line.split_once(' ') else { continue };
            if let Some((_, column, unit)) = VMSTAT.iter().find(|(key, ..)| *key == name)
                && let Ok(value) = value.trim().parse::<i64>()
            {
                self.ints.insert(column, value.saturating_mul(*unit));
            }
        }
    }

    /// One file of `/proc/pressure`; the columns are those for some and all
    /// tasks waiting.
    pub(super) fn read_pressure(&mut self, text: &str, some: &'static str, full: Option<&'static str>) {
        for line in text.lines() {
            let column = match line.split_once(' ') {
                Some(("some", _)) => Some(some),
                Some(("full", _)) => full,
                _ => None,
            };
            let total = line.rsplit_once("total=").and_then(|(_, micros)| micros.trim().parse().ok());
            if let (Some(column), Some(total)) = (column, total) {
                self.floats.insert(column, seconds(total, 1_000_000));
            }
        }
    }

    /// `/proc/uptime`.
    pub(super) fn read_uptime(&mut self, text: &str) {
        if let Some(uptime) = text.split_whitespace().next().and_then(|word| word.parse().ok()) {
            self.floats.insert("uptime", uptime);
        }
    }
}

/// When the host booted, in seconds since 1970, from `/proc/stat`.
pub(super) fn boot_time(stat: &str) -> Option<i64> {
    stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|time| time.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_host() {
        let mut kernel = Kernel::default();
        kernel.read_stat(
            "cpu  1000 20 300 40000 500 6 7 8 100 10\ncpu0 500 10 150 20000 250 3 3 4 50 5\n\
             cpu1 500 10 150 20000 250 3 4 4 50 5\nintr 12345 0 9\nctxt 777\nbtime 1769860800\n\
             processes 4242\nprocs_running 3\nprocs_blocked 1\nsoftirq 5 1 2\n",
            100,
        );
        kernel.read_loadavg("0.52 1.25 2.00 3/456 7890\n");
        kernel.read_meminfo(
            "MemTotal:       16384 kB\nMemFree: 1024 kB\nHugePages_Total:      12\nHugepagesize: 2048 kB\nOdd\n",
        );
        kernel.read_vmstat("nr_free_pages 99\npgpgin 10\npgpgout 20\npswpin 3\noom_kill 1\n");
        kernel.read_pressure(
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n",
            "psi_io_some",
            Some("psi_io_full"),
        );
        kernel.read_uptime("12345.67 99999.99\n");
        for (column, value) in [
            ("cpus", 2),
            ("intr", 12_345),
            ("ctxt", 777),
            ("processes", 4242),
            ("procs_running", 3),
            ("procs_blocked", 1),
            ("mem_total", 16_777_216),
            ("mem_free", 1_048_576),
            ("hugepages_total", 12),
            ("hugepage_size", 2_097_152),
            ("pgpgin", 10_240),
            ("pgpgout", 20_480),
            ("pswpin", 3),
            ("oom_kill", 1),
        ] {
            assert_eq!(kernel.int(column), Some(value), "{column}");
        }
        for (column, value) in [
            ("cpu_user", 9.0),
            ("cpu_nice", 0.1),
            ("cpu_system", 3.0),
            ("cpu_idle", 400.0),
            ("cpu_iowait", 5.0),
            ("cpu_irq", 0.06),
            ("cpu_softirq", 0.07),
            ("cpu_steal", 0.08),
            ("cpu_guest", 1.1),
            ("load1", 0.52),
            ("load15", 2.0),
            ("psi_io_some", 1.5),
            ("psi_io_full", 0.25),
            ("uptime", 12_345.67),
        ] {
            assert_eq!(kernel.float(column), Some(value), "{column}");
        }
        assert_eq!(kernel.int("mem_available"), None);
        assert_eq!(boot_time("ctxt 1\nbtime 1769860800\n"), Some(1_769_860_800));
    }

    #[test]
    fn nonsense_is_left_out() {
        let mut kernel = Kernel::default();
        for text in ["", "\n\n", "cpu x y\ncpu", "MemTotal:\n:\n", "pgpgin\npgpgin x", "some total=\nfull", "\u{0}"] {
            kernel.read_stat(text, 100);
            kernel.read_meminfo(text);
            kernel.read_vmstat(text);
            kernel.read_loadavg(text);
            kernel.read_uptime(text);
            kernel.read_pressure(text, "psi_cpu_some", None);
        }
        assert_eq!(kernel.int("mem_total"), None);
    }
}
