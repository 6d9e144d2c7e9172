//! Block devices and network interfaces. Pure: text in, figures out.

/// A line of `/proc/diskstats`, its counters in the file's order.
#[derive(Debug, PartialEq)]
pub(super) struct Disk<'a> {
    pub name: &'a str,
    fields: Vec<u64>,
}

impl Disk<'_> {
    /// Counter number `at`, from 0; older kernels have fewer.
    pub(super) fn field(&self, at: usize) -> Option<u64> {
        self.fields.get(at).copied()
    }
}

/// Whole devices; partitions, loop devices and memory are left out.
pub(super) fn disks(text: &str) -> Vec<Disk<'_>> {
    text.lines().filter_map(disk).collect()
}

fn disk(line: &str) -> Option<Disk<'_>> {
    let mut words = line.split_whitespace().skip(2);
    let name = words.next()?;
    let fields: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    (fields.len() >= 11 && !is_left_out(name)).then_some(Disk { name, fields })
}

fn is_left_out(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = stem.len() < name.len();
    let is_partition = numbered
        && match stem {
            // sda1, vdb2, xvda1, hda1
            _ if ["hd", "sd", "vd", "xvd"]
                .iter()
                .any(|kind| stem.strip_prefix(kind).is_some_and(|rest| !rest.is_empty())) =>
            {
                true
            }
            // nvme0n1p1, mmcblk0p1, md0p1
            _ => stem.strip_suffix('p').is_some_and(|device| device.ends_with(|c: char| c.is_ascii_digit())),
        };
    is_partition || (numbered && matches!(stem, "loop" | "ram" | "zram" | "fd" | "sr"))
}

/// A line of `/proc/net/dev`.
#[derive(Debug, PartialEq)]
pub(super) struct Interface<'a> {
    pub name: &'a str,
    fields: Vec<u64>,
}

impl Interface<'_> {
    /// Counter number `at`, from 0: eight of reception, then of sending.
    pub(super) fn field(&self, at: usize) -> Option<u64> {
        self.fields.get(at).copied()
    }
}

/// All interfaces.
pub(super) fn interfaces(text: &str) -> Vec<Interface<'_>> {
    text.lines().filter_map(interface).collect()
}

fn interface(line: &str) -> Option<Interface<'_>> {
    let (name, rest) = line.rsplit_once(':')?;
    let fields: Vec<u64> = rest.split_whitespace().map_while(|word| word.parse().ok()).collect();
    (fields.len() >= 16).then_some(Interface { name: name.trim(), fields })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn whole_devices_of_old_and_new_kernels() {
        let text = "   8       0 sda 100 5 2048 30 200 6 4096 40 1 50 70 7 0 64 2 9 3\n   \
                    8       1 sda1 1 1 1 1 1 1 1 1 0 1 1\n 259       0 nvme0n1 9 9 9 9 9 9 9 9 0 9 9\n \
                    259       1 nvme0n1p1 9 9 9 9 9 9 9 9 0 9 9\n   7       0 loop0 1 1 1 1 1 1 1 1 0 1 1\n \
                    253       0 dm-0 1 1 1 1 1 1 1 1 0 1 1\n   9       0 md0 1 1 1 1 1 1 1 1 0 1 1\n cut 0 sdb 1 2\n";
        let disks = disks(text);
        assert_eq!(disks.iter().map(|disk| disk.name).collect::<Vec<_>>(), ["sda", "nvme0n1", "dm-0", "md0"]);
        assert_eq!((disks[0].field(2), disks[0].field(13), disks[0].field(16)), (Some(2048), Some(64), Some(3)));
        assert_eq!(disks[1].field(11), None);
    }

    #[test]
    fn interfaces_with_and_without_space_after_the_colon() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
                    lo: 100 2 0 0 0 0 0 0 100 2 0 0 0 0 0 0\n  eth0:12345 67 1 2 0 0 0 0 890 12 3 4 0 0 0 0\n";
        let interfaces = interfaces(text);
        assert_eq!(interfaces.iter().map(|interface| interface.name).collect::<Vec<_>>(), ["lo", "eth0"]);
        assert_eq!(
            (interfaces[1].field(0), interfaces[1].field(3), interfaces[1].field(11)),
            (Some(12_345), Some(2), Some(4))
        );
    }
}
