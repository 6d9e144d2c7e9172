//! Which file systems hold data. Pure: text in, mounts out.

use std::{collections::HashMap, path::PathBuf};

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub path: PathBuf,
    pub device: String,
    pub fstype: String,
    pub read_only: bool,
}

/// Hold no data of their own, or (`autofs`) would be mounted by looking.
const PSEUDO: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// Single files that container engines mount.
const ENGINE_FILES: &[&str] = &["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// The real mounts of `/proc/self/mountinfo`: no pseudo file systems, each file
/// system once, where it is mounted whole or else at its shortest path. The
/// root of a container counts, although it is an overlay.
pub(super) fn real_mounts(mountinfo: &str) -> Vec<Mount> {
    // A later mount hides an earlier one at the same path.
    let mut at_path: HashMap<PathBuf, (usize, Entry)> = HashMap::new();
    for (order, entry) in mountinfo.lines().filter_map(entry).enumerate() {
        at_path.insert(entry.mount.path.clone(), (order, entry));
    }
    let mut of_device: HashMap<String, (usize, Entry)> = HashMap::new();
    for (order, entry) in at_path.into_values().filter(|(_, entry)| entry.is_real()) {
        let better = |other: &Entry| entry.rank() < other.rank();
        if of_device.get(&entry.device_number).is_none_or(|(_, other)| better(other)) {
            of_device.insert(entry.device_number.clone(), (order, entry));
        }
    }
    let mut mounts: Vec<(usize, Entry)> = of_device.into_values().collect();
    mounts.sort_by_key(|(order, _)| *order);
    mounts.into_iter().map(|(_, entry)| entry.mount).collect()
}

struct Entry {
    device_number: String,
    /// The part of the file system that is mounted; `/` for all of it.
    root: String,
    mount: Mount,
}

impl Entry {
    fn is_real(&self) -> bool {
        let path = self.mount.path.as_os_str();
        (!PSEUDO.contains(&self.mount.fstype.as_str()) || (self.mount.fstype == "overlay" && path == "/"))
            && !ENGINE_FILES.iter().any(|file| path == *file)
    }

    fn rank(&self) -> (bool, usize, &PathBuf) {
        (self.root != "/", self.mount.path.as_os_str().len(), &self.mount.path)
    }
}

/// `36 35 98:0 /root /path rw,noatime shared:1 - ext4 /dev/sda1 rw`
fn entry(line: &str) -> Option<Entry> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (device_number, root, path, options) = (left.next()?, left.next()?, left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (fstype, device, of_device) = (right.next()?, right.next()?, right.next().unwrap_or_default());
    let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Entry {
        device_number: device_number.to_owned(),
        root: unescape(root),
        mount: Mount {
            path: unescape(path).into(),
            device: unescape(device),
            fstype: fstype.to_owned(),
            read_only: is_read_only(options) || is_read_only(of_device),
        },
    })
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, part.get(3..)) {
            (Some(code), Some(rest)) => {
                bytes.push(code);
                bytes.extend_from_slice(rest.as_bytes());
            }
            _ => {
                bytes.push(b'\\');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(mountinfo: &str) -> Vec<String> {
        real_mounts(mountinfo).iter().map(|mount| mount.path.display().to_string()).collect()
    }

    #[test]
    fn a_host() {
        let text = "22 28 0:21 / /proc rw,nosuid - proc proc rw\n\
                    28 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n\
                    30 28 8:2 /srv/data /var/lib/data rw,relatime shared:1 - ext4 /dev/sda2 rw\n\
                    31 28 8:17 / /var/lib/postgresql rw,noatime shared:2 master:3 - xfs /dev/sdb1 rw\n\
                    32 28 0:50 / /mnt/back\\040up ro,relatime - nfs4 nas:/back\\040up rw,vers=4.2\n\
                    33 28 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro\n\
                    34 28 0:23 / /run rw - tmpfs tmpfs rw\n\
                    35 28 0:60 / /misc rw - autofs systemd-1 rw\n\
                    36 31 8:33 / /var/lib/postgresql/wal rw - ext4 /dev/sdc1 rw\n";
        assert_eq!(paths(text), ["/", "/var/lib/postgresql", "/mnt/back up", "/var/lib/postgresql/wal"]);
        let nfs = real_mounts(text).into_iter().find(|mount| mount.fstype == "nfs4");
        assert_eq!(nfs.map(|nfs| (nfs.device, nfs.read_only)), Some(("nas:/back up".to_owned(), true)));
    }

    #[test]
    fn a_container_and_a_mount_over_a_mount() {
        let text = "1 0 0:99 / / rw - overlay overlay rw,lowerdir=/x\n\
                    2 1 8:1 /docker/x/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n\
                    3 1 8:1 /volumes/pg /data rw - ext4 /dev/sda1 rw\n\
                    4 1 8:7 / /mnt rw - ext4 /dev/sdx rw\n\
                    5 1 8:8 / /mnt rw - ext4 /dev/sdy rw\n\
                    nonsense\n - \n";
        assert_eq!(paths(text), ["/", "/data", "/mnt"]);
        assert_eq!(real_mounts(text).last().map(|mount| mount.device.as_str()), Some("/dev/sdy"));
    }
}
