//! What this process costs.

/// Resources of a process; `None` where the system does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor time in seconds, all threads.
    pub cpu: Option<f64>,
    /// Memory held, in bytes.
    pub rss: Option<u64>,
}

/// Of this process, now.
pub(crate) fn usage() -> Usage {
    let read = |file| std::fs::read_to_string(file).ok();
    let hertz = rustix::param::clock_ticks_per_second();
    let page = rustix::param::page_size() as u64;
    Usage {
        cpu: read("/proc/self/stat").and_then(|stat| cpu_seconds(&stat, hertz)),
        rss: read("/proc/self/statm").and_then(|statm| Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * page)),
    }
}

/// User and system time from `/proc/<pid>/stat`.
fn cpu_seconds(stat: &str, hertz: u64) -> Option<f64> {
    // The name of the program stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(super::seconds(user + system, hertz))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_program_name_is_read_over() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 5 0 0 0 250 50 3 4 20 0 1 0 9 1 1 18446744073709551615";
        assert_eq!(cpu_seconds(stat, 100), Some(3.0));
        assert_eq!(cpu_seconds("nonsense", 100), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.rss.is_some_and(|rss| rss > 1 << 20) && usage.cpu.is_some(), "{usage:?}");
    }
}
