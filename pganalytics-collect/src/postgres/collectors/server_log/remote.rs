//! Reads the files of a log through the server, where they are on another host.
//!
//! `pg_ls_logdir()` says which files there are and `pg_read_binary_file()` brings
//! their bytes. There is no inode over SQL, so a file is known by its name and a
//! hash of its first bytes, and nothing stays open: what is removed before a visit
//! is gone.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::BUDGET;
use crate::{
    logs::{
        Entry, Parser,
        progress::{Progress, Visit},
        tail::{HEAD, LogLocation, MOST_FILES, new_name},
    },
    postgres::{
        query::{
            fault::QueryFault,
            requirement::{self, MissingRequirement, literal},
        },
        session::Session,
        settings::PostgresConfig,
    },
};

/// What one visit reads at most.
const BYTES: u64 = 8 << 20;
/// Bytes of one statement.
const PIECE: u64 = 1 << 20;
/// Files of the folder that are looked at.
const MOST_LISTED: usize = 20_000;
/// Files that the first visit goes on with at their end.
const FIRST: usize = 8;
/// Files that are looked at for one that has a new name.
const RENAME_CANDIDATES: usize = 8;

const LIST_FUNCTION: &str = "pg_catalog.pg_ls_logdir()";
const READ_FUNCTION: &str = "pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean)";
const LIST: &str = "
select name, size, (extract(epoch from modification) * 1000000)::int8
from pg_catalog.pg_ls_logdir()";

/// How far all files were read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RemoteState {
    /// As [`TailState`](crate::logs::tail::TailState) has it.
    old: Option<i64>,
    files: Vec<FileState>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FileState {
    /// In the folder, now.
    path: String,
    /// What it is called in the rows, for ever.
    name: String,
    head: u64,
    hash: u64,
    /// Behind the last entry that was brought.
    offset: u64,
    written: i64,
}

/// Reads the files of one log over SQL.
#[derive(Debug, Default)]
pub(super) struct RemoteTail {
    state: RemoteState,
    /// By their names in the rows.
    open: HashMap<String, Progress>,
}

#[derive(Debug)]
struct Listed {
    path: String,
    size: u64,
    written: i64,
}

/// What a visit has left.
struct Remaining {
    bytes: u64,
    until: Instant,
}

/// Takes entries, with the name of their file.
pub(super) type Each<'a> = dyn FnMut(&str, &Entry<'_>) + Send + 'a;

impl RemoteTail {
    pub(super) fn new(state: RemoteState) -> Self {
        Self { state, open: HashMap::new() }
    }

    pub(super) fn state(&self) -> &RemoteState {
        &self.state
    }

    pub(super) fn reopen(&mut self) {
        self.open.clear();
    }

    /// Reads what is new. Whether there is any file, or was. When it fails midway,
    /// what came before counts.
    pub(super) async fn visit(
        &mut self,
        session: &mut Session,
        location: &LogLocation,
        deadline: Instant,
        each: &mut Each<'_>,
    ) -> Result<bool, QueryFault> {
        let mut left = Remaining { bytes: BYTES, until: deadline.min(Instant::now() + BUDGET.time) };
        let listed = list(session).await?;
        self.read_files(session, location, &listed, 0, &mut left, each).await?;
        let known = self.state.files.len();
        self.add_new_files(location, &listed);
        self.read_files(session, location, &listed, known, &mut left, each).await?;
        self.forget(&listed);
        Ok(!self.state.files.is_empty())
    }

    /// Begins with the files that are new.
    fn add_new_files(&mut self, location: &LogLocation, listed: &[Listed]) {
        let first = self.state.old.is_none();
        let old = *self.state.old.get_or_insert(i64::MIN);
        let at_end = first && !location.from_start;
        let known = |path: &str| self.state.files.iter().any(|file| file.path == path);
        let new = listed.iter().filter(|file| is_log(location, &file.path) && !known(&file.path));
        let mut new: Vec<&Listed> = new.filter(|file| first || file.written > old).collect();
        if at_end && new.len() > FIRST {
            let skipped = new.len() - FIRST;
            self.state.old = new.drain(..skipped).next_back().map(|file| file.written);
        }
        self.state.files.extend(new.into_iter().map(|file| FileState {
            path: file.path.clone(),
            name: new_name(&file.path),
            head: 0,
            hash: xxh3_64(&[]),
            offset: if at_end { file.size } else { 0 },
            written: file.written,
        }));
    }

    /// Reads the files from this one on.
    async fn read_files(
        &mut self,
        session: &mut Session,
        location: &LogLocation,
        listed: &[Listed],
        from: usize,
        left: &mut Remaining,
        each: &mut Each<'_>,
    ) -> Result<(), QueryFault> {
        let mut gone = Vec::new();
        let mut result = Ok(());
        for at in from..self.state.files.len() {
            match self.read_file(session, location, listed, at, left, each).await {
                Ok(true) => {}
                Ok(false) => gone.push(at),
                Err(fault) => {
                    result = Err(fault);
                    break;
                }
            }
        }
        for at in gone.into_iter().rev() {
            self.state.files.remove(at);
        }
        result
    }

    /// Reads one file; whether it is still there.
    async fn read_file(
        &mut self,
        session: &mut Session,
        location: &LogLocation,
        listed: &[Listed],
        at: usize,
        left: &mut Remaining,
        each: &mut Each<'_>,
    ) -> Result<bool, QueryFault> {
        let newest = at + 1 == self.state.files.len();
        let known: Vec<String> = self.state.files.iter().map(|file| file.path.clone()).collect();
        let Some(file) = self.state.files.get_mut(at) else { return Ok(true) };
        let mut there = listed.iter().find(|listed| listed.path == file.path);
        if there.is_none() {
            there = renamed(session, location, file, listed, &known).await?;
            let Some(renamed) = there else {
                if let Some(mut open) = self.open.remove(&file.name) {
                    let name = file.name.clone();
                    open.parser.finish(&mut |entry| each(&name, entry));
                }
                return Ok(false);
            };
            file.path.clone_from(&renamed.path);
        }
        let Some(mut there) = there else { return Ok(true) };
        let unseen = |file: &FileState, there: &Listed, read: u64| {
            there.size != read || there.written != file.written || file.head < HEAD.min(read)
        };
        if !self.open.contains_key(&file.name) && !unseen(file, there, file.offset) {
            return Ok(true);
        }
        let from =
            |offset| Progress::new(Parser::new(location.format.clone(), location.options.clone(), offset), offset);
        let mut open = self.open.remove(&file.name).unwrap_or_else(|| from(file.offset));
        let before = open.read;
        let mut name = file.name.clone();
        // Only now: it may have grown beyond the listing when it has been read.
        let mut shrunk = there.size < open.read;
        while unseen(file, there, open.read) && left.bytes > 0 && Instant::now() < left.until {
            let head = HEAD.min(open.read);
            let length = PIECE.min(left.bytes);
            let read = read(session, &path(location, &file.path), head, open.read, length).await;
            let (head, piece) = match read {
                Ok(Some(read)) => read,
                // It was removed just now; the next visit does not find it.
                Ok(None) => break,
                Err(fault) => {
                    self.open.insert(name, open);
                    return Err(fault);
                }
            };
            let begin = usize::try_from(file.head).ok().and_then(|bytes| head.get(..bytes));
            if shrunk || begin.is_none_or(|begin| xxh3_64(begin) != file.hash) {
                if let Some(renamed) = renamed(session, location, file, listed, &known).await? {
                    // It has a new name; what has the old one is another file.
                    file.path.clone_from(&renamed.path);
                    (there, shrunk) = (renamed, false);
                    continue;
                }
                // It was cut and is written anew.
                open.parser.finish(&mut |entry| each(&name, entry));
                name = new_name(&file.path);
                (file.name, file.head, file.hash, file.offset) = (name.clone(), 0, xxh3_64(&[]), 0);
                open = from(0);
                shrunk = false;
                // From here on its size is that of the listing or more.
                if there.size == 0 {
                    break;
                }
                continue;
            }
            (file.head, file.hash) = (head.len() as u64, xxh3_64(&head));
            file.written = there.written;
            if piece.is_empty() {
                break;
            }
            open.parser.push(&piece, &mut |entry| each(&name, entry));
            open.read += piece.len() as u64;
            left.bytes = left.bytes.saturating_sub(piece.len() as u64);
            file.offset = open.parser.resume_offset();
        }
        let cut_short = left.bytes == 0 || Instant::now() >= left.until;
        let visit = Visit { before, only_visit: location.only_visit, cut_short, newest };
        if open.end_visit(&visit, &mut |entry| each(&name, entry)) {
            file.offset = open.read;
            return Ok(true);
        }
        file.offset = open.parser.resume_offset();
        self.open.insert(name, open);
        Ok(true)
    }

    /// Of the oldest files that are read it stays known only that they are old.
    fn forget(&mut self, listed: &[Listed]) {
        while self.state.files.len() > MOST_FILES {
            let is_read = |file: &FileState| {
                let same = |listed: &&Listed| listed.path == file.path && listed.size > file.offset;
                !self.open.contains_key(&file.name) && !listed.iter().any(|listed| same(&listed))
            };
            let Some(at) = self.state.files.iter().position(is_read) else { return };
            let file = self.state.files.remove(at);
            self.state.old = self.state.old.max(Some(file.written));
        }
    }
}

/// The statements that give the role what it lacks here; none when it has all.
pub(super) async fn missing_grants(session: &mut Session, config: &PostgresConfig) -> Result<Vec<String>, QueryFault> {
    let database = session.database.to_string();
    let location = requirement::FixTarget { database: &database, user: &config.user, in_recovery: false };
    let mut statements = Vec::new();
    for function in [LIST_FUNCTION, READ_FUNCTION] {
        if !session.may_execute(function).await? {
            statements.push(MissingRequirement::NoRight(function.to_owned()).statement(&location));
        }
    }
    Ok(statements)
}

/// The statements that grant it, in a line.
pub(super) fn advice(config: &PostgresConfig, missing: &[String]) -> String {
    format!(
        "the role may not read the log over SQL: run in database {}: {}; or run an agent on the server's host",
        config.database,
        missing.join("; ")
    )
}

/// Nothing is there that a log could be.
pub(super) fn no_file(location: &LogLocation) -> String {
    let names: Vec<_> = location.patterns.iter().map(|pattern| path(location, pattern.name())).collect();
    format!("{}: the server has no such file yet", names.join(", "))
}

/// Reads nothing, and says which file would be read.
pub(super) async fn probe(session: &mut Session, location: &LogLocation) -> Result<Option<String>, QueryFault> {
    let listed = list(session).await?;
    let Some(newest) = listed.iter().rfind(|file| is_log(location, &file.path)) else { return Ok(None) };
    let path = path(location, &newest.path);
    read(session, &path, 1, 0, 0).await?;
    Ok(Some(path))
}

fn is_log(location: &LogLocation, path: &str) -> bool {
    // Where standard_conforming_strings is off, it would not mean itself.
    !path.contains('\\') && location.patterns.iter().any(|pattern| pattern.matches(&pattern.folder().join(path)))
}

/// How the server calls a file of the folder.
fn path(location: &LogLocation, path: &str) -> String {
    let folder = location.patterns.first().map(|pattern| pattern.folder().display().to_string());
    format!("{}/{path}", folder.unwrap_or_default())
}

/// The file that this one is now, under another name.
async fn renamed<'l>(
    session: &mut Session,
    location: &LogLocation,
    file: &FileState,
    listed: &'l [Listed],
    known: &[String],
) -> Result<Option<&'l Listed>, QueryFault> {
    let fits = |other: &&Listed| {
        other.size >= file.offset
            && other.written >= file.written
            && !other.path.contains('\\')
            && !known.contains(&other.path)
    };
    for other in listed.iter().rev().filter(fits).take(RENAME_CANDIDATES) {
        let read = read(session, &path(location, &other.path), file.head, 0, 0).await?;
        if file.head > 0 && read.is_some_and(|(head, _)| head.len() as u64 == file.head && xxh3_64(&head) == file.hash)
        {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// The files of the folder, those last written last.
async fn list(session: &mut Session) -> Result<Vec<Listed>, QueryFault> {
    let mut listed: Vec<Listed> = Vec::new();
    session
        .read(LIST, None, |row| {
            if let (Ok(path), Ok(size), Ok(written)) = (row.try_get(0), row.try_get::<_, i64>(1), row.try_get(2))
                && listed.len() < MOST_LISTED
            {
                listed.push(Listed { path, size: u64::try_from(size).unwrap_or_default(), written });
            }
            Ok(())
        })
        .await?;
    listed.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
    Ok(listed)
}

/// So many bytes of a file's begin, and a piece of it. `None`: it is not there.
async fn read(
    session: &mut Session,
    path: &str,
    head: u64,
    from: u64,
    length: u64,
) -> Result<Option<(Vec<u8>, Vec<u8>)>, QueryFault> {
    let path = literal(path);
    // Numbers are parameters, so that a statement is prepared once for each file.
    let sql = format!(
        "select pg_catalog.pg_read_binary_file({path}, 0, ($1::int8[])[1], true), \
         pg_catalog.pg_read_binary_file({path}, ($1::int8[])[2], ($1::int8[])[3], true)"
    );
    let numbers = [head, from, length].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let mut found = None;
    session
        .read(&sql, Some(&numbers), |row| {
            if let (Ok(Some(head)), Ok(Some(piece))) = (row.try_get(0), row.try_get(1)) {
                found = Some((head, piece));
            }
            Ok(())
        })
        .await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::logs::{Format, Options, pattern::Pattern};

    #[test]
    fn the_first_visit_goes_on_at_the_end_of_the_newest_files() {
        let patterns = vec![Pattern::of_settings("log".into(), "pg-%d.log", None)];
        let location = LogLocation {
            patterns,
            format: Format::Csv,
            options: Options::default(),
            from_start: false,
            only_visit: false,
        };
        let listed: Vec<_> =
            (0..20).map(|n| Listed { path: format!("pg-{n}.log"), size: 7, written: i64::from(n) }).collect();
        let mut tail = RemoteTail::default();
        tail.add_new_files(&location, &listed);
        assert_eq!((tail.state.files.len(), tail.state.old), (FIRST, Some(11)));
        assert!(tail.state.files.iter().all(|file| file.offset == 7));
        tail.add_new_files(&location, &listed);
        assert_eq!(tail.state.files.len(), FIRST);
        assert!(!is_log(&location, "pg-1\\.log") && !is_log(&location, "other.csv") && is_log(&location, "pg-1.log"));
        assert_eq!(path(&location, "pg-1.log"), "log/pg-1.log");
    }
}
