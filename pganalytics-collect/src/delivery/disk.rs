//! What delivery needs of a disk: small enough for a simulator to be one.

use std::{fmt, io};

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    /// What may still be written.
    pub(super) free: u64,
    /// Its size.
    pub(super) total: u64,
}

/// A folder of files. Names may have one folder in front (`quarantine/7.frame`).
///
/// Nothing lasts before it is synced: bytes by [`Disk::sync`], names (of new,
/// renamed and removed files) by [`Disk::sync_folder`].
pub(super) trait Disk: Send + Sync + fmt::Debug {
    /// Names of the files in the folder, `""` for the top.
    ///
    /// # Errors
    /// Those of the system.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// A whole file.
    ///
    /// # Errors
    /// Those of the system.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Fills `buffer` from a place in a file.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is shorter, otherwise those of the system.
    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Makes a file, or makes it anew, with these bytes.
    ///
    /// # Errors
    /// Those of the system; part of it may be there.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Adds bytes to the end of a file.
    ///
    /// # Errors
    /// Those of the system; part of it may be there.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes of a file last.
    ///
    /// # Errors
    /// Those of the system; then what was not synced before may be lost, whatever
    /// a later call says.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in the place of what had it.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file away.
    ///
    /// # Errors
    /// Those of the system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names last.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_folder(&self) -> io::Result<()>;

    /// How much room there is; `None` where there is no such bound.
    ///
    /// # Errors
    /// Those of the system.
    fn space(&self) -> io::Result<Option<Space>>;

    /// Whether what is on it outlives the process.
    fn lasts(&self) -> bool;

    /// Whether the folder is the one that was opened: a file that is not there is
    /// gone then, and not only out of reach.
    fn is_there(&self) -> bool;
}

/// Extension of a file that is not whole yet, and does not count.
pub(super) const UNFINISHED: &str = "new";

/// Puts a file there as a whole or not at all, and makes it last.
///
/// # Errors
/// Those of the system; the file is as it was, or new.
pub(super) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.{UNFINISHED}");
    let written = disk.create(&temporary, bytes).and_then(|()| disk.sync(&temporary));
    if let Err(error) = written.and_then(|()| disk.rename(&temporary, name)) {
        // It would take room that is needed.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.sync_folder()
}
