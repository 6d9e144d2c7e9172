//! Files that hold a secret: never readable by others, not even for a moment,
//! and there whole or not at all.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    path::Path,
};

use crate::auth::random;

/// Who a file is given to: user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl std::str::FromStr for Owner {
    type Err = String;

    /// `UID` or `UID:GID`, numbers.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        match (uid.parse(), gid.parse()) {
            (Ok(uid), Ok(gid)) => Ok(Self { uid, gid }),
            _ => Err(format!("{text:?} is no owner; write numbers, as 999:999 (`id -u postgres` tells them)")),
        }
    }
}

/// Writes a file beside, makes it durable, and renames it into place.
///
/// # Errors
/// When it can't be written or given away; then the former file is untouched.
pub fn write(path: &Path, text: &str, mode: u32, owner: Option<Owner>) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    let suffix = random::bytes::<6>().map_err(io::Error::other)?;
    let part = path.with_file_name(format!(".{name}.{}", random::hex(&suffix)));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(text.as_bytes())?;
        if let Some(Owner { uid, gid }) = owner {
            chown(&part, Some(uid), Some(gid))?;
        }
        fs::set_permissions(&part, fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&part, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_private_and_replaces_the_former_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, "a", 0o400, None).unwrap();
        write(&path, "b", 0o640, None).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "b");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("none/key"), "a", 0o400, None).is_err());
    }

    #[test]
    fn owners_are_numbers() {
        assert_eq!("999:70".parse(), Ok(Owner { uid: 999, gid: 70 }));
        assert_eq!("999".parse(), Ok(Owner { uid: 999, gid: 999 }));
        assert!("postgres".parse::<Owner>().unwrap_err().contains("id -u"));
    }
}
