//! Backups of the embedded store, while a server writes it.
//!
//! # Invariants
//! * A backup has its name only when it is whole and on the disk; with `verify` only when it
//!   was unpacked, and every value in it was read.
//! * It holds what was acknowledged before it was begun.
//! * Older ones are removed only after the new one has its name; the new one never is.
//! * [`restore()`] looks at all of a backup before it touches anything, and keeps what was there.

mod archive;
mod restore;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use pganalytics_store::{
    StoreError,
    sqlite::backup::{self as store, Checked},
};

pub use self::{
    archive::{Entry, Manifest},
    restore::{Restored, check, is_unfinished, restore},
};
use crate::auth::random;

/// How names of backups begin and end in a folder of them.
const NAME: (&str, &str) = ("pganalytics-", ".backup");
const STAMP: &str = "%Y%m%dT%H%M%SZ";
/// Behind the name of one that was verified.
const VERIFIED: &str = ".verified";
/// How folders begin in which work is done.
const WORK: &str = ".pganalytics-";
/// After which time such a folder is nobody's any more.
const STALE: Duration = Duration::from_hours(24);

/// What goes wrong with backups.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The store could not be read, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The backup is damaged, cut, or none.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// It was not done, and why.
    #[error("{0}")]
    Refused(String),
}

impl BackupError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// What a backup is made of, and where.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// A folder, where it gets a name by its time; or a file, which must not be there.
    pub output: PathBuf,
    /// How many are kept in that folder; the newest.
    pub keep: Option<usize>,
    /// Whether it is unpacked and read, all of it, before it gets its name.
    pub verify: bool,
}

impl Request {
    /// Into this folder or file; nothing is removed, nothing is read again.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self { output: output.into(), keep: None, verify: false }
    }
}

/// A backup that was made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Made {
    /// Where it is.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What it holds.
    pub manifest: Manifest,
    /// What was read of it, where it was verified.
    pub checked: Option<Checked>,
    /// Older ones that were removed.
    pub removed: Vec<PathBuf>,
}

/// Makes a backup of the store in this folder. Blocks.
///
/// # Errors
/// [`BackupError`]; then there is none, and what was there is as it was.
pub fn make(store_folder: &Path, request: &Request, now: Timestamp) -> Result<Made, BackupError> {
    let in_folder = request.output.is_dir() || request.output.as_os_str().as_encoded_bytes().ends_with(b"/");
    if request.keep.is_some() && !in_folder {
        return Err(BackupError::Refused("older backups are removed in a folder only; name one".to_owned()));
    }
    let (folder, file) = if in_folder {
        let name = format!("{}{}{}", NAME.0, now.strftime(STAMP), NAME.1);
        (request.output.clone(), request.output.join(name))
    } else {
        let folder = request.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        (folder.unwrap_or(Path::new(".")).to_owned(), request.output.clone())
    };
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Refused(format!("{} is there already; it is not overwritten", file.display())));
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| BackupError::io(&folder, error))?;
    // The copy and the archive, and what is unpacked.
    let size: u64 = store::files(store_folder).iter().map(|file| size_with_log(file)).sum();
    need_room(&folder, size.saturating_mul(if request.verify { 3 } else { 2 }))?;
    let work = Work::begin(&folder)?;
    let copy = work.folder("copy")?;
    let files = whole(store::copy(store_folder, &copy)?)?;
    let part = work.path.join("archive");
    let failed = |error| BackupError::io(&part, error);
    let manifest = private(&part).and_then(|out| archive::write(out, &files, now)).map_err(failed)?;
    fs::remove_dir_all(&copy).map_err(|error| BackupError::io(&copy, error))?;
    let checked = request.verify.then(|| read_all(&part, &work.folder("verify")?).map(|(_, seen)| seen)).transpose()?;
    let bytes = fs::metadata(&part).map_err(failed)?.len();
    fs::rename(&part, &file).map_err(|error| BackupError::io(&file, error))?;
    if checked.is_some() {
        let note = beside(&file, VERIFIED);
        fs::write(&note, format!("{now}\n")).map_err(|error| BackupError::io(&note, error))?;
    }
    sync(&folder)?;
    drop(work);
    let removed = match request.keep {
        Some(keep) => rotate(&folder, &file, keep)?,
        None => Vec::new(),
    };
    Ok(Made { file, bytes, manifest, checked, removed })
}

/// The files of a server's store, if none is missing.
fn whole(files: Vec<PathBuf>) -> Result<Vec<PathBuf>, BackupError> {
    let names: Vec<_> = files.iter().map(|file| file.file_name()).collect();
    let missing = store::files(Path::new("")).into_iter().find(|file| !names.contains(&file.file_name()));
    match missing {
        None => Ok(files),
        Some(file) => Err(BackupError::Refused(format!("the store has no {}", file.display()))),
    }
}

/// Unpacks a backup, and reads every value of it.
fn read_all(archive: &Path, to: &Path) -> Result<(Manifest, Checked), BackupError> {
    let manifest = archive::unpack(archive, to)?;
    let expected = store::files(Path::new(""));
    if !manifest.files.iter().map(|file| Path::new(&file.name)).eq(expected.iter().map(PathBuf::as_path)) {
        return Err(BackupError::Refused("it is a backup of another kind of store".to_owned()));
    }
    Ok((manifest, store::check(to)?))
}

/// Backups of a folder by their names, oldest first.
///
/// # Errors
/// When the folder can't be read.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let time = name.to_str().and_then(|name| name.strip_prefix(NAME.0)?.strip_suffix(NAME.1));
        // Whatever somebody else has put there is not ours to remove.
        if time.is_some_and(|time| jiff::civil::DateTime::strptime(STAMP, time).is_ok()) {
            names.push(folder.join(name));
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a backup was verified when it was made.
#[must_use]
pub fn is_verified(backup: &Path) -> bool {
    beside(backup, VERIFIED).is_file()
}

/// Removes the oldest but `keep`, and never the one that was just made: a clock that was put
/// back gives the newest the oldest name.
fn rotate(folder: &Path, made: &Path, keep: usize) -> Result<Vec<PathBuf>, BackupError> {
    let failed = |error| BackupError::io(folder, error);
    let mut all = list(folder).map_err(failed)?;
    all.retain(|path| path != made);
    let surplus = (all.len() + 1).saturating_sub(keep.max(1));
    all.truncate(surplus);
    for path in &all {
        fs::remove_file(path).map_err(|error| BackupError::io(path, error))?;
        let _ = fs::remove_file(beside(path, VERIFIED));
    }
    remove_stale(folder);
    Ok(all)
}

/// What a backup left behind that was killed.
fn remove_stale(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(WORK));
        let changed = entry.metadata().and_then(|about| about.modified()).ok();
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if ours && age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A name beside a file: its own, and what comes behind it.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn size_with_log(file: &Path) -> u64 {
    let log = beside(file, "-wal");
    [file, &log].iter().filter_map(|path| fs::metadata(path).ok()).map(|about| about.len()).sum()
}

/// Refuses what the disk has no room for, before it is full.
fn need_room(folder: &Path, bytes: u64) -> Result<(), BackupError> {
    let about = rustix::fs::statvfs(folder).map_err(|error| BackupError::io(folder, error.into()))?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    if free < bytes {
        let mega = |bytes: u64| bytes.div_ceil(1_000_000);
        return Err(BackupError::Refused(format!(
            "{} has {} MB free, and {} MB are needed; nothing was changed",
            folder.display(),
            mega(free),
            mega(bytes)
        )));
    }
    Ok(())
}

/// Makes a file that only its owner reads.
fn private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> Result<(), BackupError> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| BackupError::io(folder, error))
}

/// A folder beside what is to be made, on the same file system; it goes when this is dropped.
struct Work {
    path: PathBuf,
}

impl Work {
    fn begin(beside: &Path) -> Result<Self, BackupError> {
        let failed = |error| BackupError::io(beside, error);
        let random = random::bytes::<6>().map_err(|error| failed(io::Error::other(error)))?;
        let path = beside.join(format!("{WORK}{}", random::hex(&random)));
        make_private(&path)?;
        Ok(Self { path })
    }

    fn folder(&self, name: &str) -> Result<PathBuf, BackupError> {
        let path = self.path.join(name);
        make_private(&path)?;
        Ok(path)
    }
}

fn make_private(path: &Path) -> Result<(), BackupError> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(|error| BackupError::io(path, error))
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
