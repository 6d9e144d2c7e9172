//! A disk in memory, for outboxes that end with their process.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::disk::{Disk, Space};

/// Files in memory; nothing of it lasts.
#[derive(Debug, Default)]
pub(super) struct MemoryDisk(Mutex<BTreeMap<String, Vec<u8>>>);

impl MemoryDisk {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} is not there"))
}

impl Disk for MemoryDisk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let files = self.files();
        let names = files.keys().filter_map(|name| match name.split_once('/') {
            Some((parent, name)) => (parent == folder).then_some(name),
            None => folder.is_empty().then_some(name.as_str()),
        });
        Ok(names.map(str::to_owned).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.files().get(name).cloned().ok_or_else(|| missing(name))
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let files = self.files();
        let file = files.get(name).ok_or_else(|| missing(name))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = start.checked_add(buffer.len()).and_then(|end| file.get(start..end));
        buffer.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().get_mut(name).ok_or_else(|| missing(name))?.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or_else(|| missing(from))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name).map(|_| ()).ok_or_else(|| missing(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(())
    }

    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }

    fn lasts(&self) -> bool {
        false
    }

    fn is_there(&self) -> bool {
        true
    }
}
