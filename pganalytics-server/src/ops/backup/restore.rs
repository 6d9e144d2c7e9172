//! Puts a backup in the place of a store.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use pganalytics_store::sqlite::backup::{self as store, Checked, StoreLock};

use super::{BackupError, Manifest, STAMP, Work, beside, make_private, private, read_all, sync};

/// There while files are put in place: a server that found half of them would begin anew.
const MARKER: &str = "restore.unfinished";
/// What SQLite may keep beside each file of a store.
const BESIDE: &[&str] = &["", "-wal", "-shm", "-journal"];

/// A store that was restored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
    /// What was read of it.
    pub checked: Checked,
    /// Where what was there before is kept.
    pub before: Option<PathBuf>,
}

/// Whether a restore was begun in this folder and did not end: then no server may start on it.
#[must_use]
pub fn is_unfinished(store_folder: &Path) -> bool {
    store_folder.join(MARKER).exists()
}

/// Reads all of a backup, in a folder beside it, and changes nothing. Blocks.
///
/// # Errors
/// [`BackupError::Damaged`] or [`BackupError::Store`] say what is wrong with it.
pub fn check(backup: &Path) -> Result<(Manifest, Checked), BackupError> {
    let parent = backup.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let work = Work::begin(parent)?;
    read_all(backup, &work.path)
}

/// Puts a backup in the place of the store in this folder; what was there is kept beside.
/// No server may run on it. Blocks.
///
/// # Errors
/// [`BackupError`]. Nothing was changed, unless it tells that the restore is unfinished: no
/// server starts then, and the same command does it anew.
pub fn restore(backup: &Path, folder: &Path, replace: bool, now: Timestamp) -> Result<Restored, BackupError> {
    if !folder.is_dir() {
        if folder.symlink_metadata().is_ok() {
            return Err(BackupError::Refused(format!("{} is no folder", folder.display())));
        }
        fs::create_dir_all(folder.parent().unwrap_or(Path::new(".")))
            .map_err(|error| BackupError::io(folder, error))?;
        make_private(folder)?;
    }
    let lock = StoreLock::take(folder)?;
    let occupied: Vec<PathBuf> = with_what_lies_beside(&store::files(folder)).filter(|path| path.exists()).collect();
    if !occupied.is_empty() && !replace && !is_unfinished(folder) {
        return Err(BackupError::Refused(format!(
            "{} has a store already; with --replace it is kept beside, and the backup takes its place",
            folder.display()
        )));
    }
    let work = Work::begin(folder)?;
    let unpacked = work.folder("restore")?;
    // Everything that can be wrong with it is found here.
    let (manifest, checked) = read_all(backup, &unpacked)?;
    let names = store::files(&unpacked).into_iter().filter_map(|file| file.file_name().map(ToOwned::to_owned));
    let names: Vec<OsString> = names.collect();
    give_to_owner_of(folder, &[&unpacked, folder]).map_err(|error| BackupError::io(folder, error))?;
    let marker = folder.join(MARKER);
    if !is_unfinished(folder) {
        private(&marker).and_then(|file| file.sync_all()).map_err(|error| BackupError::io(&marker, error))?;
        sync(folder)?;
    }
    let unfinished = |path: &Path, error: io::Error| {
        BackupError::Refused(format!(
            "the restore is unfinished: {}: {error}; no server starts in {} until the same command has ended well",
            path.display(),
            folder.display()
        ))
    };
    let before = keep_beside(folder, &occupied, now).map_err(|error| unfinished(folder, error))?;
    for name in &names {
        let target = folder.join(name);
        fs::rename(unpacked.join(name), &target).map_err(|error| unfinished(&target, error))?;
    }
    sync(folder)?;
    fs::remove_file(&marker).map_err(|error| unfinished(&marker, error))?;
    sync(folder)?;
    drop(lock);
    Ok(Restored { manifest, checked, before })
}

fn with_what_lies_beside(files: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    files.iter().flat_map(|file| BESIDE.iter().map(|suffix| beside(file, suffix)))
}

/// Moves what is there into a folder of its own.
fn keep_beside(folder: &Path, occupied: &[PathBuf], now: Timestamp) -> io::Result<Option<PathBuf>> {
    if occupied.is_empty() {
        return Ok(None);
    }
    let base = format!("before-restore-{}", now.strftime(STAMP));
    let names = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base}-{number}")));
    let Some(kept) = names.map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_err()) else {
        return Err(io::ErrorKind::AlreadyExists.into());
    };
    make_private(&kept).map_err(io::Error::other)?;
    for path in occupied {
        fs::rename(path, kept.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(Some(kept))
}

/// Root restores for the server's user: the files, and the lock, are to be that user's.
fn give_to_owner_of(folder: &Path, within: &[&Path]) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let about = fs::metadata(folder)?;
    for place in within {
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.metadata()?.uid() == 0 {
                chown(entry.path(), Some(about.uid()), Some(about.gid()))?;
            }
        }
    }
    Ok(())
}
