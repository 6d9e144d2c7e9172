//! Opening the file: where it is, who may read it, who may write it, which
//! version it has.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::error::Doing;
use crate::error::StoreError;

/// Name of the store's file in its folder.
const FILE: &str = "pganalytics.db";

/// Says whose file this is (`PRAGMA application_id`).
const APPLICATION: i64 = 0x7067_414e;

/// How long a connection waits for another one's lock.
pub(super) const BUSY_MILLIS: u64 = 10_000;

/// All changes of the tables, oldest first; the version of a store is how many
/// of them it has seen, and [`FORGOTTEN`] more.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../migrations/sqlite/0002_documents.sql"),
];

/// Versions from before the first release, whose frames or tables nobody reads any more.
const FORGOTTEN: usize = 3;

/// The file of a store that is given as a folder or as a file: what exists is
/// taken as what it is, else a name that ends in `.db` or `.sqlite` is a file.
pub(super) fn file_of(path: &Path) -> PathBuf {
    let named_as_file = path.extension().is_some_and(|end| end == "db" || end == "sqlite" || end == "sqlite3");
    if path.is_file() || (named_as_file && !path.is_dir()) { path.to_owned() } else { path.join(FILE) }
}

/// Makes the folder (0700) and the file (0600) where they are missing. SQLite
/// gives its side files the mode of the file.
pub(super) fn prepare(file: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::backend(format!("making {}", file.display()), error);
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(failed)?;
    }
    let opened = owner_only().create(true).truncate(false).open(file).map_err(failed)?;
    opened.sync_all().map_err(failed)?;
    // The name of the new file must survive a power failure too.
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Opens for reading and writing; what it makes is its owner's alone.
pub(super) fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Holds the right to write a store. The system takes it back when the process
/// ends, however it ends.
#[derive(Debug)]
pub(super) struct WriteLock {
    _file: File,
}

impl WriteLock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(store: &Path) -> Result<Self, StoreError> {
        let mut name = store.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let failed = |error: io::Error| StoreError::backend(format!("locking {}", path.display()), error);
        let mut file = owner_only().create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                let owner = owner.trim();
                let who = if owner.is_empty() { String::new() } else { format!(" (process {owner})") };
                return Err(StoreError::Unavailable(format!(
                    "{} is open for writing already{who}; stop that process first, or choose another data folder",
                    store.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Who has it is a help for people, no more: failing to write it is no failure.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// Opens the connection that writes, and brings the tables up to date.
pub(super) fn writer(file: &Path) -> Result<Connection, StoreError> {
    let what = format!("opening {}", file.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).doing(&what)?;
    let found = version(&connection, &what)?;
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(|error| StoreError::backend(format!("{what}: keeping it from others"), error))?;
    connection.set_prepared_statement_cache_capacity(64);
    // Page size and vacuum mode count only before the first table is made.
    //
    // synchronous=FULL: a commit is synced before it returns, because "accepted"
    // is a promise that the sender throws its own copy away for. NORMAL would
    // sync at checkpoints only and lose the last commits with the power.
    // Checkpoints are made beside the writer, see `checkpoint`.
    connection
        .execute_batch(
            "PRAGMA page_size = 16384;
             PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -32768;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA busy_timeout = 10000;",
        )
        .doing(&what)?;
    migrate(&mut connection, found, &what)?;
    Ok(connection)
}

/// Opens the connection that moves what was written from the log to the file.
pub(super) fn checkpointer(file: &Path) -> Result<Connection, StoreError> {
    let what = format!("opening {}", file.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).doing(&what)?;
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA busy_timeout = 0; PRAGMA wal_autocheckpoint = 0;")
        .doing(&what)?;
    Ok(connection)
}

/// Opens a connection that can only read.
pub(super) fn reader(file: &Path) -> Result<Connection, StoreError> {
    let what = format!("opening {} to read", file.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).doing(&what)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 10000; PRAGMA cache_size = -8192;")
        .doing(&what)?;
    Ok(connection)
}

/// Refuses a store that this program can't read as it is.
pub(super) fn check_version(connection: &Connection) -> Result<(), StoreError> {
    let what = "opening the store to read";
    match version(connection, what)? {
        seen if seen == MIGRATIONS.len() => Ok(()),
        seen => Err(StoreError::Unavailable(format!(
            "{what}: its tables have version {seen}, this program reads {}; open it for writing first",
            MIGRATIONS.len()
        ))),
    }
}

/// How many migrations the tables have seen; 0 for a new file. Changes nothing, so that what
/// is not ours, or is too new, stays as it is.
pub(super) fn version(connection: &Connection, what: &str) -> Result<usize, StoreError> {
    let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).doing(what);
    let application = read("PRAGMA application_id")?;
    let found = read("PRAGMA user_version")?;
    let tables = read("SELECT count(*) FROM sqlite_schema")?;
    if application != APPLICATION && (application != 0 || found != 0 || tables != 0) {
        return Err(StoreError::Corrupt(format!("{what}: it is a database of another program; choose another file")));
    }
    let known = FORGOTTEN + MIGRATIONS.len();
    match usize::try_from(found) {
        Ok(0) => Ok(0),
        Ok(seen) if seen <= FORGOTTEN => Err(StoreError::Corrupt(format!(
            "{what}: it was made before the first release (version {seen}), in a format that is read no more; \
             move it away and begin with an empty folder"
        ))),
        Ok(seen) if seen <= known => Ok(seen - FORGOTTEN),
        _ => Err(StoreError::TooNew { found, known: i64::try_from(known).unwrap_or(i64::MAX) }),
    }
}

/// Runs the migrations that the tables have not seen, each in a transaction.
fn migrate(connection: &mut Connection, seen: usize, what: &str) -> Result<(), StoreError> {
    for (version, sql) in (FORGOTTEN + 1..).zip(MIGRATIONS).skip(seen) {
        let doing = format!("{what}: migration {version}");
        let transaction = connection.transaction().doing(&doing)?;
        let stamp = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version};");
        transaction
            .execute_batch(sql)
            .and_then(|()| transaction.execute_batch(&stamp))
            .and_then(|()| transaction.commit())
            .doing(&doing)?;
    }
    Ok(())
}
