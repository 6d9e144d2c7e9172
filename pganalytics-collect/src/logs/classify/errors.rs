//! Errors and warnings.

use crate::logs::{
    class::Class,
    entry::{Entry, Severity},
};

/// The class of an `ERROR` or `FATAL`.
pub(super) fn class(entry: &Entry<'_>) -> Class {
    let message = entry.message;
    match entry.sqlstate {
        Some(state) => by_state(state.bytes(), entry.severity, message),
        None => by_message(entry.severity, message),
    }
}

/// The class of a `WARNING`.
pub(super) fn class_of_warning(entry: &Entry<'_>) -> Class {
    let message = entry.message;
    // Within so many transactions, or before so many more MultiXactIds are used.
    if message.contains(" must be vacuumed ")
        || message.starts_with("oldest xmin is far in the past")
        || message.starts_with("oldest multixact is far in the past")
        || message.starts_with("bypassing nonessential maintenance of table")
        || message.starts_with("cutoff for ")
    {
        return Class::Wraparound;
    }
    if message.starts_with("archiving write-ahead log file") || message.starts_with("archive_mode enabled, yet") {
        return Class::ArchiveFailure;
    }
    match class(entry) {
        // A warning is no error of that kind.
        Class::Error => Class::Other,
        class => class,
    }
}

fn by_state(state: &[u8; 5], severity: Severity, message: &str) -> Class {
    match state {
        b"53300" => Class::OutOfConnections,
        b"53200" => Class::OutOfMemory,
        b"53100" => Class::DiskFull,
        b"57P03" => Class::NotAccepting,
        b"57P01" | b"57P04" => ended(message).unwrap_or(Class::Terminated),
        b"57P02" => Class::Crash,
        b"57P05" | b"25P03" | b"25P04" => Class::Timeout,
        b"57014" => ended(message).unwrap_or(Class::Cancel),
        b"40P01" => ended(message).unwrap_or(Class::Deadlock),
        b"42501" => Class::PermissionDenied,
        b"3D000" if severity == Severity::Fatal => Class::AuthenticationFailure,
        b"55P03" | b"40001" => ended(message).unwrap_or(match state {
            b"40001" => Class::SerializationFailure,
            _ => Class::Error,
        }),
        [b'2', b'8', ..] => Class::AuthenticationFailure,
        [b'4', b'0', ..] => Class::SerializationFailure,
        [b'2', b'3', ..] => Class::ConstraintViolation,
        [b'4', b'2', ..] | [b'3', b'D' | b'F' | b'4', ..] | b"26000" => Class::SyntaxError,
        [b'2', b'2', ..] => Class::DataError,
        [b'2', b'5' | b'D', ..] => Class::TransactionState,
        [b'P', b'0', ..] => Class::Raised,
        b"XX001" | b"XX002" => Class::Corruption,
        b"0A000" if message.starts_with("unsupported frontend protocol") => Class::ConnectionLost,
        [b'0', b'8', ..] if replication(message) => Class::Replication,
        [b'0', b'8', ..] => Class::ConnectionLost,
        [b'5', b'8', ..] => system(message).unwrap_or(Class::IoError),
        _ => system(message).unwrap_or(Class::Error),
    }
}

/// Who or what ended a statement or a session.
fn ended(message: &str) -> Option<Class> {
    let because = message.strip_prefix("canceling ").or_else(|| message.strip_prefix("terminating "))?;
    Some(if because.contains("conflict with recovery") {
        Class::RecoveryConflict
    } else if because.starts_with("autovacuum task") {
        Class::AutovacuumOther
    } else if because.contains("timeout") {
        if because.starts_with("walsender") { Class::Replication } else { Class::Timeout }
    } else if because.contains("user request") {
        Class::Cancel
    } else if because.starts_with("connection because of crash") {
        Class::Crash
    } else if because.contains("administrator command") {
        Class::Terminated
    } else {
        return None;
    })
}

fn replication(message: &str) -> bool {
    const SIGNS: &[&str] = &[
        "replication slot",
        "logical replication",
        "primary server",
        "publisher",
        "WAL stream",
        "walreceiver",
        "walsender",
        "requested WAL segment",
        "logical decoding",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// Trouble below SQL.
fn system(message: &str) -> Option<Class> {
    const DAMAGED: &[&str] = &[
        "invalid page in block",
        "could not read block",
        "missing chunk number",
        "unexpected chunk number",
        "could not access status of transaction",
        "page verification failed",
        "invalid memory alloc request size",
        "could not read blocks",
        "found xmin",
        "uncommitted xmin",
    ];
    if message.contains("No space left on device") {
        return Some(Class::DiskFull);
    }
    if message.contains("Cannot allocate memory") {
        return Some(Class::OutOfMemory);
    }
    if message.starts_with("database is not accepting commands")
        || message.starts_with("multixact \"members\" limit exceeded")
    {
        return Some(Class::Wraparound);
    }
    // A signal, or no such command, ends the archiver: FATAL.
    if message.starts_with("archive command ") {
        return Some(Class::ArchiveFailure);
    }
    if DAMAGED.iter().any(|sign| message.starts_with(sign)) {
        return Some(Class::Corruption);
    }
    replication(message).then_some(Class::Replication)
}

/// How messages begin, where the log has no SQLSTATE.
pub(super) const BEGINS: &[(&str, Class)] = &[
    ("deadlock detected", Class::Deadlock),
    ("duplicate key value violates", Class::ConstraintViolation),
    ("new row for relation", Class::ConstraintViolation),
    ("null value in column", Class::ConstraintViolation),
    ("insert or update on table", Class::ConstraintViolation),
    ("update or delete on table", Class::ConstraintViolation),
    ("conflicting key value violates", Class::ConstraintViolation),
    ("permission denied", Class::PermissionDenied),
    ("must be owner of", Class::PermissionDenied),
    ("must be superuser", Class::PermissionDenied),
    ("syntax error at", Class::SyntaxError),
    ("unterminated quoted", Class::SyntaxError),
    ("trailing junk after", Class::SyntaxError),
    ("operator does not exist", Class::SyntaxError),
    ("invalid input syntax", Class::DataError),
    ("invalid input value for", Class::DataError),
    ("malformed array literal", Class::DataError),
    ("malformed record literal", Class::DataError),
    ("division by zero", Class::DataError),
    ("value too long for", Class::DataError),
    ("numeric field overflow", Class::DataError),
    ("date/time field value out of range", Class::DataError),
    ("invalid byte sequence for", Class::DataError),
    ("current transaction is aborted", Class::TransactionState),
    ("there is no transaction in progress", Class::TransactionState),
    ("there is already a transaction in progress", Class::TransactionState),
    ("cannot execute", Class::TransactionState),
    ("could not serialize access", Class::SerializationFailure),
    ("no pg_hba.conf entry", Class::AuthenticationFailure),
    ("pg_hba.conf rejects", Class::AuthenticationFailure),
    ("sorry, too many clients", Class::OutOfConnections),
    ("remaining connection slots", Class::OutOfConnections),
    ("too many connections for", Class::OutOfConnections),
    ("number of requested standby connections exceeds", Class::OutOfConnections),
    ("the database system is", Class::NotAccepting),
    ("out of memory", Class::OutOfMemory),
    ("out of shared memory", Class::OutOfMemory),
    ("could not extend file", Class::IoError),
    ("could not write", Class::IoError),
    ("could not open file", Class::IoError),
    ("could not read file", Class::IoError),
    ("could not fsync", Class::IoError),
    ("could not receive data from client", Class::ConnectionLost),
    ("could not send data to client", Class::ConnectionLost),
    ("connection to client lost", Class::ConnectionLost),
    ("unexpected EOF", Class::ConnectionLost),
    ("invalid frontend message", Class::ConnectionLost),
    ("unsupported frontend protocol", Class::ConnectionLost),
];

fn by_message(severity: Severity, message: &str) -> Class {
    if let Some(class) = ended(message).or_else(|| system(message)) {
        return class;
    }
    if let Some((_, class)) = BEGINS.iter().find(|(begin, _)| message.starts_with(begin)) {
        return *class;
    }
    // `password`, `Peer`, `LDAP` … stands before it.
    if message.contains("authentication failed for user \"")
        || message.ends_with("is not currently accepting connections")
        || message.ends_with("is not permitted to log in")
    {
        return Class::AuthenticationFailure;
    }
    if message.contains("does not exist") || message.contains("is ambiguous") || message.ends_with("already exists") {
        return match severity {
            Severity::Fatal => Class::AuthenticationFailure,
            _ => Class::SyntaxError,
        };
    }
    if message.contains("out of range") { Class::DataError } else { Class::Error }
}
