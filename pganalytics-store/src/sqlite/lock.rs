//! Who may have a file of a store open to write.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::open;
use crate::error::StoreError;

/// A lock on the file `<file>.lock`. The system takes it back when the process ends,
/// however it ends.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes it for this process alone, or says who has it.
    pub(super) fn alone(file: &Path) -> Result<Self, StoreError> {
        let (path, mut lock) = lock_of(file)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = lock.read_to_string(&mut owner);
                let owner = owner.trim();
                let who = if owner.is_empty() { String::new() } else { format!(" (process {owner})") };
                return Err(StoreError::Unavailable(format!(
                    "{} is open for writing already{who}; stop that process first, or choose another data folder",
                    file.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path, error)),
        }
        // Who has it is a help for people, no more: failing to write it is no failure.
        let _ = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
        Ok(Self { _file: lock })
    }

    /// Takes it together with others who share it.
    pub(super) fn shared(file: &Path) -> Result<Self, StoreError> {
        let (path, lock) = lock_of(file)?;
        match lock.try_lock_shared() {
            Ok(()) => Ok(Self { _file: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
                "{} is being put in the place of another one; try again when that is done",
                file.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed(&path, error)),
        }
    }
}

fn lock_of(file: &Path) -> Result<(PathBuf, File), StoreError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let lock = open::make(&path).map_err(|error| failed(&path, error))?;
    Ok((path, lock))
}

fn failed(path: &Path, error: io::Error) -> StoreError {
    StoreError::backend(format!("locking {}", path.display()), error)
}
