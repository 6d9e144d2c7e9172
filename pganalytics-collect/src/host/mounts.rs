//! Which file systems hold data. Pure: bytes in, mounts out.

use std::{
    collections::HashMap,
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::foreign::text;

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
pub(super) fn real_mounts(mountinfo: &[u8]) -> Vec<Mount> {
    // A later mount hides an earlier one at the same path.
    let mut at_path: HashMap<PathBuf, (usize, Entry)> = HashMap::new();
    for (order, entry) in mountinfo.split(|byte| *byte == b'\n').filter_map(entry).enumerate() {
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
    root: PathBuf,
    mount: Mount,
}

impl Entry {
    fn is_real(&self) -> bool {
        let path = self.mount.path.as_os_str();
        (!PSEUDO.contains(&self.mount.fstype.as_str()) || (self.mount.fstype == "overlay" && path == "/"))
            && !ENGINE_FILES.iter().any(|file| path == *file)
    }

    fn rank(&self) -> (bool, usize, &PathBuf) {
        (self.root != Path::new("/"), self.mount.path.as_os_str().len(), &self.mount.path)
    }
}

/// `36 35 98:0 /root /path rw,noatime shared:1 - ext4 /dev/sda1 rw`
fn entry(line: &[u8]) -> Option<Entry> {
    let middle = memchr::memmem::find(line, b" - ")?;
    let (left, right) = (line.get(..middle)?, line.get(middle + 3..)?);
    let mut left = left.split(|byte| *byte == b' ').skip(2);
    let (device_number, root, path, options) = (left.next()?, left.next()?, left.next()?, left.next()?);
    let mut right = right.split(|byte| *byte == b' ');
    let (fstype, device, of_device) = (right.next()?, right.next()?, right.next().unwrap_or_default());
    let is_read_only = |options: &[u8]| options.split(|byte| *byte == b',').any(|option| option == b"ro");
    Some(Entry {
        device_number: text(device_number.to_vec()),
        root: OsString::from_vec(unescape(root)).into(),
        mount: Mount {
            path: OsString::from_vec(unescape(path)).into(),
            device: text(unescape(device)),
            fstype: text(fstype.to_vec()),
            read_only: is_read_only(options) || is_read_only(of_device),
        },
    })
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut parts = text.split(|byte| *byte == b'\\');
    let mut bytes = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let digits = part.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()), part.get(3..)) {
            (Some(code), Some(rest)) => {
                bytes.push(code);
                bytes.extend_from_slice(rest);
            }
            _ => {
                bytes.push(b'\\');
                bytes.extend_from_slice(part);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(mountinfo: &str) -> Vec<String> {
        real_mounts(mountinfo.as_bytes()).iter().map(|mount| mount.path.display().to_string()).collect()
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
        let nfs = real_mounts(text.as_bytes()).into_iter().find(|mount| mount.fstype == "nfs4");
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
        assert_eq!(real_mounts(text.as_bytes()).last().map(|mount| mount.device.as_str()), Some("/dev/sdy"));
    }

    #[test]
    fn odd_names_cost_themselves_only() {
        let text = b"22 21 8:2 / /data/My\\040Drive rw shared:1 - xfs /dev/mapper/vg-my\\040lv rw\n\
                     23 21 8:3 / /data/b\\134ack rw - ext4 /dev/cciss/c0d0p1 rw\n\
                     24 21 8:4 / /data/caf\xe9 rw - ext4 /dev/sdd rw\n\
                     25 21 8:5 / /data/t\\011ab rw - ext4 /dev/s\xffe rw\n";
        let mounts = real_mounts(text);
        let path = |at: usize| mounts.get(at).map(|mount| mount.path.clone().into_os_string().into_vec());
        assert_eq!(path(0).as_deref(), Some(b"/data/My Drive".as_slice()));
        assert_eq!(path(1).as_deref(), Some(b"/data/b\\ack".as_slice()));
        assert_eq!(path(2).as_deref(), Some(b"/data/caf\xe9".as_slice()), "the path that the system knows");
        assert_eq!(path(3).as_deref(), Some(b"/data/t\tab".as_slice()));
        assert_eq!(mounts.get(3).map(|mount| mount.device.as_str()), Some("/dev/s\u{fffd}e"));
    }
}
