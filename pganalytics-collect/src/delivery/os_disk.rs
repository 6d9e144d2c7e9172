//! A folder of the system, for this process alone.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    disk::{Disk, Space, UNFINISHED},
    spool::SpoolError,
};

const LOCK: &str = "lock";

/// A folder, which is this process's alone as long as this lives.
#[derive(Debug)]
pub(super) struct OsDisk {
    path: PathBuf,
    /// The kernel lets go of it when a process ends.
    lock: File,
    /// The file that was written last, by its name: a sync is of this very handle,
    /// which is the one that hears of errors.
    open: Mutex<Option<(String, File)>>,
}

impl OsDisk {
    /// Makes or takes the folder, for this user and process alone.
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        make_private(path, &fs::metadata(path).map_err(failed)?)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // What a link names is not ours to change.
            let found = fs::symlink_metadata(&path).map_err(failed)?;
            if found.is_file() && path.extension().is_some_and(|extension| extension == UNFINISHED) {
                // The process was killed before it had its name.
                let _ = fs::remove_file(&path);
                continue;
            }
            if found.is_file() || found.is_symlink() {
                make_private(&path, &found)?;
            }
        }
        Ok(Self { path: path.to_owned(), lock, open: Mutex::default() })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes bytes in the place of the first ones of a file, which is made if there is
    /// none, and makes them last. Where they are no more than before it takes no room.
    pub(super) fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(self.at(name))?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    }
}

/// Makes sure that a folder or file is for its owner alone, and that this is us.
/// Statements and log lines are in it.
fn make_private(path: &Path, found: &Metadata) -> Result<(), SpoolError> {
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(SpoolError::NotOurs { path: path.to_owned(), owner, user });
    }
    if found.is_symlink() {
        return Err(SpoolError::Foreign { path: path.to_owned() });
    }
    let private = if found.is_dir() { 0o700 } else { 0o600 };
    if found.mode() & 0o777 != private {
        fs::set_permissions(path, Permissions::from_mode(private))
            .map_err(|source| SpoolError::Io { path: path.to_owned(), source })?;
        if found.mode() & 0o077 != 0 {
            let mode = format!("{:o}", found.mode() & 0o777);
            tracing::warn!(path = %path.display(), mode, "it was open to others; now it is the agent's alone");
        }
    }
    Ok(())
}

impl Disk for OsDisk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.at(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_empty() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.at(name))
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        File::open(self.at(name))?.read_exact_at(buffer, offset)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.at(name);
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(true).write(true).mode(0o600);
        let mut file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && name.contains('/') => {
                DirBuilder::new().mode(0o700).create(path.parent().unwrap_or(&self.path))?;
                options.open(&path)?
            }
            opened => opened?,
        };
        file.write_all(bytes)?;
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((name.to_owned(), file));
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match open.take().filter(|(of, _)| of == name) {
            Some((_, file)) => file,
            None => OpenOptions::new().append(true).open(self.at(name))?,
        };
        file.write_all(bytes)?;
        *open = Some((name.to_owned(), file));
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.as_ref().filter(|(of, _)| of == name) {
            Some((_, file)) => file.sync_data(),
            None => File::open(self.at(name))?.sync_data(),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, _)) = open.as_mut().filter(|(name, _)| name == from) {
            to.clone_into(name);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.at(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let found = rustix::fs::statvfs(&self.path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Some(Space { free: bytes(found.f_bavail), total: bytes(found.f_blocks) }))
    }

    fn lasts(&self) -> bool {
        true
    }

    fn is_there(&self) -> bool {
        let (Ok(there), Ok(ours)) = (fs::metadata(self.at(LOCK)), self.lock.metadata()) else { return false };
        (there.dev(), there.ino()) == (ours.dev(), ours.ino())
    }
}
