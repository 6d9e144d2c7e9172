//! A disk that forgets what was not synced, and fails as it is told.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::random::SimRng;
use crate::delivery::disk::{Disk, Space};

/// How often things go wrong, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) write: u64,
    pub(super) sync: u64,
    pub(super) read: u64,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// What is safe.
    durable: Vec<u8>,
    /// A sync has failed: what was not synced then never will be.
    broken: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Link(String, usize),
    Unlink(String),
}

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Changes of names that are not synced.
    pending: Vec<Change>,
    pub(super) faults: Faults,
    /// The folder can't be reached.
    pub(super) is_away: bool,
    /// Calls until the process is killed.
    pub(super) dies_in: Option<u64>,
    pub(super) capacity: u64,
    rng: SimRng,
}

#[derive(Debug)]
pub(super) struct SimDisk(Mutex<State>);

fn error(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

impl State {
    /// Counts a call; an error when the process was killed, just now or before.
    fn call(&mut self) -> io::Result<bool> {
        if self.is_away {
            return Err(io::ErrorKind::NotFound.into());
        }
        match &mut self.dies_in {
            Some(0) => Err(error("killed")),
            Some(left) => {
                *left -= 1;
                Ok(*left == 0)
            }
            None => Ok(false),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|&inode| self.inodes[inode].bytes.len() as u64).sum()
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        match &change {
            Change::Link(name, inode) => self.names.insert(name.clone(), *inode),
            Change::Unlink(name) => self.names.remove(name),
        };
        self.pending.push(change);
    }

    /// Adds bytes, all of them or some with an error.
    fn write(&mut self, inode: usize, bytes: &[u8], dies: bool) -> io::Result<()> {
        let fails = self.rng.chance(self.faults.write);
        let is_full = self.used() + bytes.len() as u64 > self.capacity;
        let part = if fails || is_full || dies { self.rng.below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
        self.inodes[inode].bytes.extend_from_slice(&bytes[..part]);
        match () {
            () if dies => Err(error("killed")),
            () if is_full => Err(io::ErrorKind::StorageFull.into()),
            () if fails => Err(error("EIO")),
            () => Ok(()),
        }
    }

    fn reads(&mut self) -> io::Result<()> {
        self.call()?;
        if self.rng.chance(self.faults.read) { Err(error("EMFILE")) } else { Ok(()) }
    }
}

impl SimDisk {
    pub(super) fn new(seed: u64, capacity: u64) -> Self {
        Self(Mutex::new(State { capacity, rng: SimRng::new(seed), ..State::default() }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine loses its power: of what was not synced some is there, in pieces.
    pub(super) fn power_cut(&self) {
        let mut state = self.state();
        let state = &mut *state;
        let kept = state.rng.below(state.pending.len() as u64 + 1) as usize;
        for change in state.pending.drain(..).take(kept) {
            match change {
                Change::Link(name, inode) => state.durable.insert(name, inode),
                Change::Unlink(name) => state.durable.remove(&name),
            };
        }
        state.names = state.durable.clone();
        for inode in &mut state.inodes {
            let synced = inode.durable.len();
            if inode.bytes.len() > synced {
                let kept = synced + state.rng.below((inode.bytes.len() - synced) as u64 + 1) as usize;
                inode.bytes.truncate(kept);
                // A block that was not written reads as zeros.
                if kept > synced && state.rng.chance(300) {
                    let from = synced + state.rng.below((kept - synced) as u64) as usize;
                    inode.bytes[from..].fill(0);
                }
            }
            inode.durable = inode.bytes.clone();
            inode.broken = false;
        }
    }

    /// A process that is killed leaves all that it wrote.
    pub(super) fn revive(&self) {
        self.state().dies_in = None;
    }

    /// Turns a bit of a segment over.
    pub(super) fn flip(&self) {
        let mut state = self.state();
        let segments: Vec<usize> =
            state.names.iter().filter(|(name, _)| name.ends_with(".segment")).map(|(_, &inode)| inode).collect();
        let Some(&inode) = segments.get(state.rng.below(segments.len().max(1) as u64) as usize) else { return };
        let length = state.inodes[inode].bytes.len() as u64;
        if length > 0 {
            let (at, bit) = (state.rng.below(length) as usize, state.rng.below(8));
            let inode = &mut state.inodes[inode];
            inode.bytes[at] ^= 1 << bit;
            if let Some(byte) = inode.durable.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
    }

    pub(super) fn snapshot(&self) -> State {
        self.state().clone()
    }

    /// Back to a snapshot, as it was written then.
    pub(super) fn restore(&self, snapshot: &State) {
        let mut state = self.state();
        let rng = state.rng.clone();
        *state = State { rng, dies_in: None, ..snapshot.clone() };
    }
}

impl Disk for SimDisk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.reads()?;
        let names = state.names.keys().filter_map(|name| match name.split_once('/') {
            Some((parent, name)) => (parent == folder).then(|| name.to_owned()),
            None => folder.is_empty().then(|| name.clone()),
        });
        Ok(names.collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.reads()?;
        let inode = state.inode(name)?;
        Ok(state.inodes[inode].bytes.clone())
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        state.reads()?;
        let inode = state.inode(name)?;
        let start = offset as usize;
        let there = state.inodes[inode].bytes.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(there);
        Ok(())
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let dies = state.call()?;
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change(Change::Link(name.to_owned(), inode));
        state.write(inode, bytes, dies)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let dies = state.call()?;
        let inode = state.inode(name)?;
        state.write(inode, bytes, dies)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let inode = state.inode(name)?;
        let fails = {
            let rate = state.faults.sync;
            state.rng.chance(rate)
        };
        let inode = &mut state.inodes[inode];
        if fails {
            inode.broken = true;
            return Err(error("EIO"));
        }
        if !inode.broken {
            inode.durable = inode.bytes.clone();
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let inode = state.inode(from)?;
        // Both or neither, as a journal has it.
        state.change(Change::Link(to.to_owned(), inode));
        state.names.remove(from);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.inode(name)?;
        state.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let fails = {
            let rate = state.faults.sync;
            state.rng.chance(rate)
        };
        if fails {
            return Err(error("EIO"));
        }
        state.durable = state.names.clone();
        state.pending.clear();
        Ok(())
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let state = self.state();
        Ok(Some(Space { free: state.capacity.saturating_sub(state.used()), total: state.capacity }))
    }

    fn lasts(&self) -> bool {
        true
    }

    fn is_there(&self) -> bool {
        !self.state().is_away
    }
}
