//! Entries that are no errors.

use super::{checkpoint, errors, locks, statements, vacuum};
use crate::logs::{
    class::Class,
    entry::Entry,
    facts::Facts,
    scan::{Scan, number_after},
};

/// How messages begin. One begin may be the begin of another: the longer one is
/// first.
pub(super) const BEGINS: &[(&str, Class)] = &[
    ("connection received: ", Class::Connection),
    ("connection authenticated: ", Class::Connection),
    ("connection authorized: ", Class::Connection),
    ("connection ready: ", Class::Connection),
    ("replication connection authorized: ", Class::Connection),
    ("checkpoints are occurring too frequently", Class::CheckpointsTooFrequent),
    ("could not receive data from client", Class::ConnectionLost),
    ("could not send data to client", Class::ConnectionLost),
    ("could not accept SSL connection", Class::ConnectionLost),
    ("unexpected EOF on", Class::ConnectionLost),
    ("incomplete startup packet", Class::ConnectionLost),
    ("invalid length of startup packet", Class::ConnectionLost),
    ("connection to client lost", Class::ConnectionLost),
    ("SSL error", Class::ConnectionLost),
    ("statement: ", Class::Statement),
    ("execute ", Class::Statement),
    ("fastpath function call: ", Class::Statement),
    ("autovacuum", Class::AutovacuumOther),
    ("sending cancel to blocking autovacuum", Class::AutovacuumOther),
    ("skipping vacuum of", Class::AutovacuumOther),
    ("skipping analyze of", Class::AutovacuumOther),
    ("archive command ", Class::ArchiveFailure),
    ("received SIGHUP", Class::Config),
    ("parameter \"", Class::Config),
    ("configuration file ", Class::Config),
    ("starting PostgreSQL", Class::ServerStart),
    ("listening on ", Class::ServerStart),
    ("database system is ready", Class::ServerStart),
    ("database system was not properly shut down", Class::Crash),
    ("database system was interrupted", Class::Recovery),
    ("database system was shut down", Class::ServerStart),
    ("database system is shut down", Class::ServerStop),
    ("shutting down", Class::ServerStop),
    ("aborting any active transactions", Class::ServerStop),
    ("received fast shutdown", Class::ServerStop),
    ("received smart shutdown", Class::ServerStop),
    ("received immediate shutdown", Class::ServerStop),
    ("terminating any other active server processes", Class::Crash),
    ("all server processes terminated", Class::Crash),
    ("received promote request", Class::Recovery),
    ("redo ", Class::Recovery),
    ("recovery ", Class::Recovery),
    ("consistent recovery state reached", Class::Recovery),
    ("archive recovery complete", Class::Recovery),
    ("entering standby mode", Class::Recovery),
    ("selected new timeline ID", Class::Recovery),
    ("new target timeline is", Class::Recovery),
    ("last completed transaction", Class::Recovery),
    ("restored log file", Class::Recovery),
    ("starting point-in-time recovery", Class::Recovery),
    ("starting archive recovery", Class::Recovery),
    ("starting backup recovery", Class::Recovery),
    ("completed backup recovery", Class::Recovery),
    ("invalid record length", Class::Recovery),
    ("invalid resource manager", Class::Recovery),
    ("record with incorrect prev-link", Class::Recovery),
    ("unexpected pageaddr", Class::Recovery),
    ("invalid magic number", Class::Recovery),
    ("pausing at the end of recovery", Class::Recovery),
    ("waiting for WAL to become available", Class::Recovery),
    ("started streaming WAL", Class::Replication),
    ("restarted WAL streaming", Class::Replication),
    ("replication terminated by primary", Class::Replication),
    ("received replication command: ", Class::Replication),
    ("fetching timeline history file", Class::Replication),
    ("primary server contains no more WAL", Class::Replication),
    ("standby \"", Class::Replication),
    ("invalidating ", Class::Replication),
    ("terminating process ", Class::Replication),
    ("terminating walsender", Class::Replication),
    ("starting logical decoding", Class::Replication),
    ("logical decoding", Class::Replication),
    ("logical replication", Class::Replication),
    ("subscription \"", Class::Replication),
    ("conflict detected on relation", Class::Replication),
    ("page verification failed", Class::Corruption),
    ("invalid page in block", Class::Corruption),
];

pub(super) fn classify<'a>(entry: &Entry<'a>) -> (Class, Facts<'a>) {
    let message = entry.message;
    // Most entries are one of these; none of their begins is another's.
    match message.as_bytes().first() {
        Some(b'd') if message.starts_with("duration: ") => {
            if let Some(found) = statements::duration(entry) {
                return found;
            }
        }
        Some(b'd') if message.starts_with("disconnection: ") => return (Class::Disconnection, disconnection(message)),
        Some(b'c' | b'r') if message.starts_with("checkpoint ") || message.starts_with("restartpoint ") => {
            if let Some(found) = checkpoint::checkpoint(message) {
                return found;
            }
        }
        Some(b'a') if message.starts_with("automatic ") => {
            if let Some(found) = vacuum::automatic(message) {
                return found;
            }
        }
        Some(b't') if message.starts_with("temporary file: ") => {
            let size = message.rsplit_once(", size ").and_then(|(_, size)| size.parse().ok());
            return (Class::TemporaryFile, size.map_or(Facts::None, |size_bytes| Facts::TemporaryFile { size_bytes }));
        }
        Some(b'p') if message.starts_with("process ") => {
            if let Some(wait) = locks::wait(entry) {
                return (Class::LockWait, Facts::LockWait(wait));
            }
        }
        _ => {}
    }
    if let Some((_, class)) = BEGINS.iter().find(|(begin, _)| message.starts_with(begin)) {
        return (*class, Facts::None);
    }
    // `/path/to/pg_hba.conf was not reloaded`
    if message.ends_with(" was not reloaded") {
        return (Class::Config, Facts::None);
    }
    (process(message).unwrap_or_else(|| with_state(entry)), Facts::None)
}

/// `server process (PID 42) was terminated by signal 9: Killed`
fn process(message: &str) -> Option<Class> {
    let (name, end) = message.split_once(" (PID ")?;
    if name.contains("logical replication") {
        return Some(Class::Replication);
    }
    let crashed = end.contains("was terminated by") || (end.contains("exited with") && !name.starts_with("background"));
    crashed.then_some(Class::Crash)
}

/// Trouble that the server logs without failing a statement for it.
fn with_state(entry: &Entry<'_>) -> Class {
    use Class::{AuthenticationFailure, ConnectionLost, Corruption, DiskFull, IoError, OutOfMemory, Replication};
    let told = entry.sqlstate.is_some() || entry.message.starts_with("could not ");
    match told.then(|| errors::class(entry)) {
        Some(
            class @ (AuthenticationFailure
            | ConnectionLost
            | Corruption
            | DiskFull
            | IoError
            | OutOfMemory
            | Replication),
        ) => class,
        _ => Class::Other,
    }
}

/// `disconnection: session time: 0:00:01.234 user=…`
fn disconnection(message: &str) -> Facts<'static> {
    let time = || {
        let mut scan = Scan(message);
        let hours: f64 = scan.number_behind("session time: ")?;
        let minutes: f64 = scan.number_behind(":")?;
        let seconds: f64 = number_after(scan.0, ":")?;
        Some((hours * 3_600.0 + minutes * 60.0 + seconds) * 1_000.0)
    };
    time().map_or(Facts::None, |session_ms| Facts::Disconnection { session_ms })
}
