//! Opening the files: where they are, who may read them, which version they have.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::Doing;
use crate::error::StoreError;

/// What a store was before it became two files.
const ONE_FILE: &str = "pganalytics.db";

/// How long a connection waits for another one's lock.
pub(super) const BUSY_MILLIS: u64 = 10_000;

/// A kind of file.
#[derive(Debug)]
pub(super) struct Kind {
    /// Its name in the folder of a store.
    name: &'static str,
    /// Says whose file this is (`PRAGMA application_id`).
    application: i64,
    /// All changes of its tables, oldest first; the version of a file is how many
    /// of them it has seen, and `forgotten` more.
    migrations: &'static [&'static str],
    /// Versions from before the first release, whose frames or tables nobody reads any more.
    forgotten: usize,
}

/// Frames, blocks, and what belongs to them. One process writes it.
pub(super) const METRICS: &Kind = &Kind {
    name: "metrics.db",
    application: 0x7067_414e,
    migrations: &[include_str!("../../migrations/sqlite/metrics/0001_initial.sql")],
    forgotten: 6,
};

/// Users, tokens, collectors, settings, documents. Several processes write it.
pub(super) const META: &Kind = &Kind {
    name: "meta.db",
    application: 0x7067_4d45,
    migrations: &[include_str!("../../migrations/sqlite/meta/0001_initial.sql")],
    forgotten: 0,
};

impl Kind {
    /// The file of this kind in the folder of a store, whether it is there or not.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.name)
    }

    /// The same, unless the folder holds a store that is read no more, or is none.
    pub(super) fn file_in(&self, folder: &Path) -> Result<PathBuf, StoreError> {
        if folder.join(ONE_FILE).exists() {
            return Err(StoreError::TooOld(folder.join(ONE_FILE).display().to_string()));
        }
        if folder.is_file() {
            let what = format!("opening {}; name the folder of the store", folder.display());
            return Err(StoreError::backend(what, io::Error::from(io::ErrorKind::NotADirectory)));
        }
        Ok(self.path(folder))
    }

    /// How many migrations the tables have seen; 0 for a new file. Changes nothing, so that
    /// what is not ours, or is too new, stays as it is.
    fn version(&self, connection: &Connection, what: &str) -> Result<usize, StoreError> {
        let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).doing(what);
        let application = read("PRAGMA application_id")?;
        let found = read("PRAGMA user_version")?;
        let tables = read("SELECT count(*) FROM sqlite_schema")?;
        if application != self.application && (application != 0 || found != 0 || tables != 0) {
            return Err(StoreError::Corrupt(format!(
                "{what}: it is a database of another program, or of another purpose; choose another folder"
            )));
        }
        let known = self.forgotten + self.migrations.len();
        match usize::try_from(found) {
            Ok(0) => Ok(0),
            Ok(seen) if seen <= self.forgotten => Err(StoreError::TooOld(format!("{what}: version {seen}"))),
            Ok(seen) if seen <= known => Ok(seen - self.forgotten),
            _ => Err(StoreError::TooNew { found, known: i64::try_from(known).unwrap_or(i64::MAX) }),
        }
    }

    /// Refuses a file that this program can't read as it is.
    pub(super) fn check_version(&self, connection: &Connection, what: &str) -> Result<(), StoreError> {
        match self.version(connection, what)? {
            seen if seen == self.migrations.len() => Ok(()),
            seen => Err(StoreError::Unavailable(format!(
                "{what}: its tables have version {}, this program reads {}; open it for writing first",
                seen + self.forgotten,
                self.migrations.len() + self.forgotten
            ))),
        }
    }

    /// Refuses a file that is not ours, or is too new or too old.
    pub(super) fn check_ours(&self, connection: &Connection, what: &str) -> Result<(), StoreError> {
        self.version(connection, what).map(|_| ())
    }

    /// Runs the migrations that the tables have not seen, all in one transaction: of
    /// several processes that open a new file at once one makes its tables.
    fn migrate(&self, connection: &mut Connection, what: &str) -> Result<(), StoreError> {
        let doing = format!("{what}: bringing its tables up to date");
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(&doing)?;
        let seen = self.version(&transaction, what)?;
        if seen < self.migrations.len() {
            for sql in self.migrations.iter().skip(seen) {
                transaction.execute_batch(sql).doing(&doing)?;
            }
            let version = self.forgotten + self.migrations.len();
            let stamp = format!("PRAGMA application_id = {}; PRAGMA user_version = {version};", self.application);
            transaction.execute_batch(&stamp).doing(&doing)?;
        }
        transaction.commit().doing(&doing)
    }

    /// Makes the folder (0700) and the file (0600) where they are missing. SQLite
    /// gives its side files the mode and the owner of the file.
    pub(super) fn prepare(&self, folder: &Path) -> Result<PathBuf, StoreError> {
        let file = self.file_in(folder)?;
        let failed = |error: io::Error| StoreError::backend(format!("making {}", file.display()), error);
        if !folder.as_os_str().is_empty() && !folder.exists() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder).map_err(failed)?;
        }
        let opened = make(&file).map_err(failed)?;
        opened.sync_all().map_err(failed)?;
        #[cfg(unix)]
        opened
            .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(|error| StoreError::backend(format!("keeping {} from others", file.display()), error))?;
        // The name of the new file must survive a power failure too.
        if !folder.as_os_str().is_empty() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(file)
    }

    /// Opens the connection that writes, set up by `pragmas`, and brings the tables up to
    /// date. What counts only before the first table is made stands in `new`.
    fn writer(&self, file: &Path, new: &str, pragmas: &str) -> Result<Connection, StoreError> {
        let what = format!("opening {}", file.display());
        let mut connection = read_write(file, &what)?;
        connection.busy_timeout(Duration::from_millis(BUSY_MILLIS)).doing(&what)?;
        self.version(&connection, &what)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(new).doing(&what)?;
        keep_log(&connection, &what)?;
        connection.execute_batch(pragmas).doing(&what)?;
        self.migrate(&mut connection, &what)?;
        Ok(connection)
    }
}

/// Writes go to a log beside the file, so that readers and the writer wait on nobody.
/// SQLite does not wait for others who are about to do the same.
fn keep_log(connection: &Connection, what: &str) -> Result<(), StoreError> {
    let begun = Instant::now();
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(StoreError::Unavailable(format!(
                    "{what}: its file system can't hold the log of a store (journal mode {mode}); use a local disk"
                )));
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begun.elapsed() < Duration::from_millis(BUSY_MILLIS) =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error).doing(what),
        }
    }
}

/// Opens the connection that writes metrics.
pub(super) fn metrics_writer(file: &Path) -> Result<Connection, StoreError> {
    // synchronous=FULL: a commit is synced before it returns, because "accepted"
    // is a promise that the sender throws its own copy away for. NORMAL would
    // sync at checkpoints only and lose the last commits with the power.
    // Checkpoints are made beside the writer, see `checkpoint`.
    METRICS.writer(
        file,
        "PRAGMA page_size = 16384;
         PRAGMA auto_vacuum = INCREMENTAL;",
        "PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -32768;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;",
    )
}

/// Opens the connection that writes metadata. SQLite makes the checkpoints: the file is small.
pub(super) fn meta_writer(file: &Path) -> Result<Connection, StoreError> {
    META.writer(
        file,
        "",
        "PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -4096;
         PRAGMA wal_autocheckpoint = 500;
         PRAGMA journal_size_limit = 4194304;",
    )
}

/// Opens the connection that moves what was written from the log to the file.
pub(super) fn checkpointer(file: &Path) -> Result<Connection, StoreError> {
    let what = format!("opening {}", file.display());
    let connection = read_write(file, &what)?;
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA busy_timeout = 0; PRAGMA wal_autocheckpoint = 0;")
        .doing(&what)?;
    Ok(connection)
}

fn read_write(file: &Path, what: &str) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(file, flags).doing(what)
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

/// Opens for reading and writing; what it makes is its owner's alone.
pub(super) fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens a file of the store; makes it where it is missing. What root makes, by a command
/// beside the server, belongs to the owner of the folder, as whom the server runs.
pub(super) fn make(file: &Path) -> io::Result<File> {
    let opened = owner_only().create(true).truncate(false).open(file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (owner, about) = (fs::metadata(folder)?, opened.metadata()?);
        // Only root can give away what is its own.
        if about.uid() == 0 && owner.uid() != 0 {
            std::os::unix::fs::fchown(&opened, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(opened)
}
