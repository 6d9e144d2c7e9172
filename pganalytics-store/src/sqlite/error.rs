//! What SQLite's errors mean to callers.

use rusqlite::ErrorCode;

use crate::error::StoreError;

/// A driver's error as what the caller can do about it.
pub(super) fn meaning(doing: &str, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            StoreError::DiskFull(format!("{doing}: {error}; make room, writes go on by themselves then"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory) => {
            StoreError::Unavailable(format!("{doing}: {error}"))
        }
        // A disk that fails to write or sync: nothing was acknowledged, so the
        // sender keeps its frames and comes again.
        Some(ErrorCode::SystemIoFailure) => {
            StoreError::Unavailable(format!("{doing}: {error}; look at the disk and the system's log"))
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(format!("{doing}: {error}; restore a backup"))
        }
        _ => StoreError::backend(doing, error),
    }
}

/// The same error once more, for each of those that it struck.
pub(super) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        StoreError::DiskFull(why) => StoreError::DiskFull(why.clone()),
        StoreError::Corrupt(why) => StoreError::Corrupt(why.clone()),
        StoreError::Damaged { chunk, why } => StoreError::Damaged { chunk: *chunk, why: why.clone() },
        other => StoreError::Backend { context: other.to_string(), source: other.to_string().into() },
    }
}

/// Adds what was being done to a driver's error.
pub(super) trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, what: &str) -> Result<T, StoreError> {
        self.map_err(|error| meaning(what, error))
    }
}
