//! Copies of a store that a server may be writing, and whether a store is whole.
//!
//! # Invariants
//! * A copy has of each file one moment: what was acknowledged before [`copy`] began is in
//!   it, whole.
//! * The moment of the metadata is the later one: whatever the copied metrics came from, a
//!   collector that has just registered, is known in the copied metadata, and a token that
//!   was revoked before is not good again. The other way round metadata speaks of samples
//!   that did not come yet, as it does of every collector that is new.
//! * The writers wait on nothing. They can't shorten their logs while a copy is made, so the
//!   logs grow by what is written meanwhile.
//! * The store is only read, by connections that can't write.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{
    error::Doing,
    lock::FileLock,
    open::{self, Kind, META, METRICS},
    pool::Readers,
    read::{self, Place, SchemaCache},
};
use crate::error::StoreError;

/// Pages that are copied at a time: 16 MiB.
const PAGES: i32 = 1024;

/// What a look at a whole store has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Checked {
    /// Frames and blocks, each of which was decoded.
    pub chunks: u64,
    /// Their values.
    pub values: u64,
}

/// In the order in which they are copied.
const KINDS: [&Kind; 2] = [METRICS, META];

/// The right to write a store, all of it, without opening it: whoever puts other files in
/// its place keeps servers and commands away by it.
#[derive(Debug)]
pub struct StoreLock {
    _locks: [FileLock; 2],
}

impl StoreLock {
    /// Takes it, for the store in this folder, which need not be there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a process has the store open; it says which.
    pub fn take(store: &Path) -> Result<Self, StoreError> {
        let [metrics, meta] = KINDS.map(|kind| FileLock::alone(&kind.path(store)));
        Ok(Self { _locks: [metrics?, meta?] })
    }
}

/// The files of the store in this folder, whether they are there or not: metrics, metadata.
#[must_use]
pub fn files(store: &Path) -> Vec<PathBuf> {
    KINDS.map(|kind| kind.path(store)).to_vec()
}

/// The files that are there. One that has only metrics, or only metadata, is a store, too.
fn present(store: &Path) -> Result<Vec<(&'static Kind, PathBuf)>, StoreError> {
    let mut files = Vec::with_capacity(KINDS.len());
    for kind in KINDS {
        let file = kind.file_in(store)?;
        if file.is_file() {
            files.push((kind, file));
        }
    }
    if files.is_empty() {
        return Err(StoreError::NotFound { what: "store", name: store.display().to_string() });
    }
    Ok(files)
}

/// Copies the store in this folder into another one, which is there and has none. Blocks.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no store; others when it can't be read, is none of
/// ours, or the copy can't be written. What was copied is left to the caller.
pub fn copy(store: &Path, to: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let files = present(store)?;
    let mut snapshots = Vec::with_capacity(files.len());
    // The moments are those of the snapshots, which are all taken before anything is copied.
    for (kind, file) in &files {
        let snapshot = Arc::new(Readers::new(file.clone(), 0)).snapshot()?;
        kind.check_ours(&snapshot, "reading the store")?;
        snapshots.push(snapshot);
    }
    let mut made = Vec::with_capacity(files.len());
    for ((_, file), snapshot) in files.iter().zip(&snapshots) {
        let name = file.file_name().ok_or_else(|| StoreError::Unavailable(format!("{} is no file", file.display())))?;
        let target = to.join(name);
        copy_file(snapshot, &target)?;
        made.push(target);
    }
    Ok(made)
}

/// By pages, in the snapshot's moment, into one file without a log beside it.
fn copy_file(snapshot: &Connection, target: &Path) -> Result<(), StoreError> {
    let what = format!("copying into {}", target.display());
    let failed = |error: io::Error| StoreError::backend(what.clone(), error);
    open::owner_only().create_new(true).open(target).map_err(failed)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copied = Connection::open_with_flags(target, flags).doing(&what)?;
    copied.execute_batch("PRAGMA synchronous = FULL;").doing(&what)?;
    let backup = Backup::new(snapshot, &mut copied).doing(&what)?;
    while backup.step(PAGES).doing(&what)? != StepResult::Done {}
    drop(backup);
    let mode: String = copied.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).doing(&what)?;
    if mode != "delete" {
        return Err(StoreError::Unavailable(format!("{what}: it keeps a log of mode {mode} beside it")));
    }
    copied.close().map_err(|(_, error)| error).doing(&what)?;
    fs::File::open(target).and_then(|file| file.sync_all()).map_err(failed)
}

/// Reads all of the store in this folder: SQLite's own check of its files, and every frame
/// and block with its checksums, down to the values. Changes nothing. Blocks, for long.
///
/// # Errors
/// [`StoreError::Corrupt`] says what is damaged; others when it can't be read or is none of
/// ours.
pub fn check(store: &Path) -> Result<Checked, StoreError> {
    let doing = "checking the store";
    let mut checked = Checked::default();
    for (kind, file) in present(store)? {
        let connection = open::reader(&file)?;
        kind.check_ours(&connection, doing)?;
        let said: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).doing(doing)?;
        if said != "ok" {
            return Err(StoreError::Corrupt(format!("{}: {said}", file.display())));
        }
        if std::ptr::eq(kind, METRICS) {
            checked = check_chunks(&connection)?;
        }
    }
    Ok(checked)
}

fn check_chunks(connection: &Connection) -> Result<Checked, StoreError> {
    let doing = "reading all frames";
    let cache = SchemaCache::default();
    let sql = format!("SELECT {} FROM chunks ORDER BY id", Place::COLUMNS);
    let mut statement = connection.prepare(&sql).doing(doing)?;
    let mut rows = statement.query([]).doing(doing)?;
    let mut checked = Checked::default();
    while let Some(row) = rows.next().doing(doing)? {
        let place = Place::of(row).doing(doing)?;
        let id = place.id;
        let frame = read::frame(connection, &cache, &place)?;
        for column in 0..frame.schema().columns().len() {
            frame.column(column).map_err(|error| StoreError::Corrupt(format!("chunk {id}: {error}")))?;
        }
        checked.chunks += 1;
        checked.values += frame.value_count();
    }
    Ok(checked)
}
