//! Reads the files of one log as they grow, are rotated, cut and removed.
//!
//! A file is known by a hash of its first bytes, and by device and inode, whatever its
//! name is at the time: a copy, a restored one or one on a volume that has another number
//! since a reboot is not read again. It stays open while it is written, so what is written
//! late, or before it is removed, is read. [`TailState`] is how far all files were
//! read: kept together with the entries, each entry is brought once.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Entry, Format, Options, Parser,
    pattern::Pattern,
    progress::{Progress, Visit},
};

/// Bytes at the begin of a file that tell it from another one.
pub(crate) const HEAD: u64 = 1024;
/// Bytes of one read.
const PIECE: usize = 256 * 1024;
/// Files whose place is remembered; of older ones only that they were there.
pub(crate) const MOST_FILES: usize = 64;
/// Files of a folder that are looked at.
const MOST_LISTED: usize = 20_000;
/// Fewer bytes at the begin of a file may be those of another one too.
const LEAST_HEAD: u64 = 64;

/// How much one visit reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// Where the files are and how they are written.
#[derive(Debug, Clone)]
pub(crate) struct LogLocation {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) format: Format,
    pub(crate) options: Options,
    /// Begin with what is there already, where nothing was read yet.
    pub(crate) from_start: bool,
    /// No other visit will follow: entries that might get a `DETAIL` are handed over without.
    pub(crate) only_visit: bool,
}

/// How far all files were read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TailState {
    /// A file that is not known and was last written before this was brought here from
    /// elsewhere: what was written since is newer. Microseconds; `None` before the first visit.
    old: Option<i64>,
    files: Vec<FileState>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FileState {
    device: u64,
    inode: u64,
    /// How many bytes of its begin the hash is of.
    head: u64,
    hash: u64,
    /// Behind the last entry that was brought.
    offset: u64,
    /// What it is called in the rows, for ever.
    name: String,
    /// When it was last written, as far as was seen.
    written: i64,
}

/// What a visit found.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    /// Not one file is there, nor was.
    pub(crate) nothing: bool,
    /// Files that can't be read, and why.
    pub(crate) faults: Vec<(PathBuf, io::Error)>,
}

/// Reads the files of one log.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    state: TailState,
    open: HashMap<(u64, u64), Open>,
}

/// A file that is being read.
#[derive(Debug)]
struct Open {
    file: File,
    progress: Progress,
}

struct Found {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    written: i64,
    matches: bool,
}

impl Tail {
    pub(crate) fn new(state: TailState) -> Self {
        Self { state, open: HashMap::new() }
    }

    /// How far it is.
    pub(crate) fn state(&self) -> &TailState {
        &self.state
    }

    /// Forgets how far an entry has begun: the files are written in another way
    /// from now on.
    pub(crate) fn reopen(&mut self) {
        self.open.clear();
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// When a folder can't be listed; nothing was read then.
    pub(crate) fn visit(
        &mut self,
        location: &LogLocation,
        budget: Budget,
        each: &mut dyn FnMut(&str, &Entry<'_>),
    ) -> Result<Visited, (PathBuf, io::Error)> {
        let began = Instant::now();
        let found = list(&location.patterns)?;
        let mut visited = Visited::default();
        self.add_new_files(location, &found, &mut visited);
        visited.nothing = self.state.files.is_empty() && !found.iter().any(|file| file.matches);
        let mut left = budget.bytes;
        let newest = self.state.files.last().map(|file| (file.device, file.inode));
        let mut gone = Vec::new();
        for at in 0..self.state.files.len() {
            let Some(file) = self.state.files.get_mut(at) else { break };
            let id = (file.device, file.inode);
            let there = found.iter().find(|found| (found.device, found.inode) == id);
            if let Some(there) = there {
                file.written = there.written;
                // Closed, and nothing new. The newest is held open even while it is
                // empty: what is written after it is removed could not be read else.
                if !self.open.contains_key(&id) && there.size == file.offset && Some(id) != newest {
                    continue;
                }
            }
            let open = match self.open.entry(id) {
                std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    let Some(there) = there else {
                        gone.push(at);
                        continue;
                    };
                    match open(&there.path, file, location) {
                        Ok(open) => vacant.insert(open),
                        Err(error) => {
                            visited.faults.push((there.path.clone(), error));
                            continue;
                        }
                    }
                }
            };
            let size = match open.file.metadata() {
                Ok(data) => data.len(),
                Err(error) => {
                    visited.faults.push((there.map(|there| there.path.clone()).unwrap_or_default(), error));
                    continue;
                }
            };
            if size < open.progress.read || !is_same(&open.file, file) {
                // It was cut and is written anew: what came in between is gone.
                let name = file.name.clone();
                open.progress.parser.finish(&mut |entry| each(&name, entry));
                *file =
                    FileState { head: 0, hash: xxh3_64(&[]), offset: 0, name: new_name(&file.name), ..file.clone() };
                open.progress = progress(0, location);
            }
            let before = open.progress.read;
            let name = file.name.clone();
            let result = read_on(open, &name, began + budget.time, &mut left, each);
            let read = open.progress.read;
            // Only bytes that were there can tell it from others.
            if file.head < HEAD && read > file.head {
                (file.head, file.hash) = head(&open.file, HEAD.min(read)).unwrap_or((file.head, file.hash));
            }
            if let Err(error) = result {
                visited.faults.push((there.map(|there| there.path.clone()).unwrap_or_default(), error));
            } else {
                let cut_short = left == 0 || began.elapsed() >= budget.time;
                let visit = Visit { before, only_visit: location.only_visit, cut_short, newest: Some(id) == newest };
                if open.progress.end_visit(&visit, &mut |entry| each(&name, entry)) {
                    file.offset = read;
                    self.open.remove(&id);
                    if there.is_none() {
                        gone.push(at);
                    }
                    continue;
                }
            }
            file.offset = open.progress.parser.resume_offset();
        }
        for at in gone.into_iter().rev() {
            self.state.files.remove(at);
        }
        self.forget();
        Ok(visited)
    }

    /// Begins with the files that are new.
    fn add_new_files(&mut self, location: &LogLocation, all: &[Found], visited: &mut Visited) {
        let first = self.state.old.is_none();
        let old = *self.state.old.get_or_insert(i64::MIN);
        for found in all.iter().filter(|found| found.matches) {
            let known = |file: &FileState| (file.device, file.inode) == (found.device, found.inode);
            if let Some(at) = self.state.files.iter().position(known) {
                // While it is open nobody else can have its inode.
                let open = self.open.contains_key(&(found.device, found.inode));
                let same = |file: &FileState| File::open(&found.path).map(|opened| is_same(&opened, file));
                match self.state.files.get(at).map(same) {
                    _ if open => continue,
                    Some(Ok(false)) => drop(self.state.files.remove(at)),
                    // It can't be opened: said where it is read.
                    _ => continue,
                }
            }
            let brought = !first && found.written < old;
            if self.is_known_elsewhere(found, all) || (brought && self.state.files.len() >= MOST_FILES) {
                continue;
            }
            let name = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut file = FileState {
                device: found.device,
                inode: found.inode,
                head: 0,
                hash: xxh3_64(&[]),
                offset: 0,
                name: new_name(&name),
                written: found.written,
            };
            // What was there before is not news: the first time, and of files from elsewhere.
            if brought || (first && !location.from_start) {
                file.offset = found.size;
                match File::open(&found.path).and_then(|opened| head(&opened, HEAD.min(found.size))) {
                    Ok((bytes, hash)) => (file.head, file.hash) = (bytes, hash),
                    Err(error) => visited.faults.push((found.path.clone(), error)),
                }
            }
            // The last one is the newest.
            let at = if brought { 0 } else { self.state.files.len() };
            self.state.files.insert(at, file);
        }
        let newest = all.iter().filter(|found| found.matches).map(|found| found.written).max();
        self.state.old = self.state.old.max(newest);
    }

    /// Whether a file is known under another device or inode, and goes on from there: it was
    /// copied over itself, moved or restored, or its volume has another number now.
    fn is_known_elsewhere(&mut self, found: &Found, all: &[Found]) -> bool {
        let likely = |file: &FileState| file.head >= LEAST_HEAD && found.size >= file.offset.max(file.head);
        if !self.state.files.iter().any(likely) {
            return false;
        }
        let Ok(opened) = File::open(&found.path) else { return false };
        let same = |file: &FileState| likely(file) && is_same(&opened, file);
        let Some(at) = self.state.files.iter().position(same) else { return false };
        let Some(file) = self.state.files.get_mut(at) else { return false };
        let id = (file.device, file.inode);
        let here = FileState { device: found.device, inode: found.inode, written: found.written, ..file.clone() };
        let (open, there) = (self.open.get(&id), all.iter().find(|other| (other.device, other.inode) == id));
        if open.is_none() && there.is_none() {
            *file = here;
            return true;
        }
        // Both are there. What the copy holds is read from where it was copied from, unless
        // that was cut since.
        let size = |open: &Open| open.file.metadata().map(|data| data.len()).ok();
        let size = open.and_then(size).or(there.map(|there| there.size)).unwrap_or_default();
        let offset = if size < file.offset { here.offset } else { found.size };
        self.state.files.insert(at, FileState { offset, ..here });
        true
    }

    /// Of the oldest files it stays known only that they are old.
    fn forget(&mut self) {
        while self.state.files.len() > MOST_FILES {
            let Some(at) = self.state.files.iter().position(|file| !self.open.contains_key(&(file.device, file.inode)))
            else {
                return;
            };
            self.state.files.remove(at);
        }
    }
}

/// Opens a file where it was left.
fn open(path: &Path, state: &FileState, location: &LogLocation) -> io::Result<Open> {
    let file = File::open(path)?;
    Ok(Open { file, progress: progress(state.offset, location) })
}

/// Reads on from an offset.
fn progress(offset: u64, location: &LogLocation) -> Progress {
    Progress::new(Parser::new(location.format.clone(), location.options.clone(), offset), offset)
}

/// Reads on from where it is, as far as there is budget.
fn read_on(
    open: &mut Open,
    name: &str,
    until: Instant,
    left: &mut u64,
    each: &mut dyn FnMut(&str, &Entry<'_>),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while *left > 0 && Instant::now() < until {
        let wanted = usize::try_from(*left).unwrap_or(PIECE).min(PIECE);
        let progress = &mut open.progress;
        let read = match open.file.read_at(piece.get_mut(..wanted).unwrap_or_default(), progress.read) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        progress.parser.push(piece.get(..read).unwrap_or_default(), &mut |entry| each(name, entry));
        progress.read += read as u64;
        *left -= read as u64;
    }
    Ok(())
}

/// How many bytes a file begins with, at most so many, and their hash.
fn head(file: &File, bytes: u64) -> io::Result<(u64, u64)> {
    let mut head = vec![0; usize::try_from(bytes).unwrap_or_default()];
    file.read_exact_at(&mut head, 0)?;
    Ok((bytes, xxh3_64(&head)))
}

/// Whether it begins as it did when it was last read, and goes at least as far.
fn is_same(file: &File, state: &FileState) -> bool {
    let long_enough = file.metadata().is_ok_and(|data| data.len() >= state.offset);
    long_enough && head(file, state.head).is_ok_and(|(_, hash)| hash == state.hash)
}

/// A name that no other file ever has.
pub(crate) fn new_name(name: &str) -> String {
    let plain = name.rsplit_once(' ').map_or(name, |(plain, _)| plain);
    let id = Uuid::new_v4().simple().to_string();
    format!("{plain} {}", id.get(..16).unwrap_or_default())
}

/// The file that was written last, of those that are meant.
///
/// # Errors
/// When a folder can't be listed.
pub(crate) fn newest(patterns: &[Pattern]) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
    Ok(list(patterns)?.into_iter().rfind(|found| found.matches).map(|found| found.path))
}

/// The files of all folders that are looked into, those last written last.
fn list(patterns: &[Pattern]) -> Result<Vec<Found>, (PathBuf, io::Error)> {
    let mut folders: Vec<&Path> = patterns.iter().map(Pattern::folder).collect();
    folders.sort_unstable();
    folders.dedup();
    let mut all = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(folder).map_err(|error| (folder.to_owned(), error))?;
        for entry in entries.take(MOST_LISTED).flatten() {
            let path = entry.path();
            // A link is not followed to the same file a second time.
            let Ok(data) = entry.metadata() else { continue };
            if !data.is_file() {
                continue;
            }
            let matches = patterns.iter().any(|pattern| pattern.matches(&path));
            let written = data.mtime().saturating_mul(1_000_000).saturating_add(data.mtime_nsec() / 1000);
            all.push(Found { path, device: data.dev(), inode: data.ino(), size: data.len(), written, matches });
        }
    }
    all.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
    Ok(all)
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
