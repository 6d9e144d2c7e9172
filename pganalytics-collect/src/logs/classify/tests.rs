#![allow(clippy::unwrap_used, clippy::panic)]

//! Classes in the words of PostgreSQL's source, above all those that a test can't
//! make a server fall into: full disks, no memory, wraparound, broken files.

use pganalytics_testkit::{Binaries, VERSIONS};

use super::*;
use crate::logs::entry::SqlState;

fn entry<'a>(severity: Severity, state: &str, message: &'a str) -> Entry<'a> {
    Entry { severity, sqlstate: SqlState::new(state.as_bytes()), message, ..Entry::default() }
}

fn class(severity: Severity, state: &str, message: &str) -> Class {
    classify(&entry(severity, state, message)).0
}

use Severity::{Error, Fatal, Log, Panic, Warning};

/// Severity, SQLSTATE, message and class. The words tell it without SQLSTATE,
/// too, as most logs to stderr have none.
const BY_STATE_AND_WORDS: &[(Severity, &str, &str, Class)] = &[
    (Error, "53200", "out of memory", Class::OutOfMemory),
    (Fatal, "53200", "out of memory", Class::OutOfMemory),
    (Error, "53200", "out of shared memory", Class::OutOfMemory),
    (Log, "00000", "could not fork new process for connection: Cannot allocate memory", Class::OutOfMemory),
    (Log, "00000", "could not fork \"client backend\" process: Cannot allocate memory", Class::OutOfMemory),
    (Fatal, "XX000", "could not map anonymous shared memory: Cannot allocate memory", Class::OutOfMemory),
    (Error, "53100", "could not extend file \"base/5/16384\": No space left on device", Class::DiskFull),
    (
        Error,
        "53100",
        "could not write to file \"base/pgsql_tmp/pgsql_tmp42.0\": No space left on device",
        Class::DiskFull,
    ),
    (Fatal, "53100", "could not create file \"pg_wal/xlogtemp.42\": No space left on device", Class::DiskFull),
    (
        Log,
        "53100",
        "could not write temporary statistics file \"pg_stat_tmp/db_0.tmp\": No space left on device",
        Class::DiskFull,
    ),
    (
        Error,
        "53100",
        "could not resize shared memory segment \"/PostgreSQL.42\" to 8388608 bytes: No space left on device",
        Class::DiskFull,
    ),
    (Panic, "53100", "could not write to file \"pg_wal/xlogtemp.42\": No space left on device", Class::Panic),
    (Panic, "58030", "could not fsync file \"base/5/16384\": Input/output error", Class::Panic),
    (Panic, "XX000", "could not locate a valid checkpoint record", Class::Panic),
    // Wraparound: as it comes near, and when it is there, in 14-16 and 17.
    (Warning, "01000", "database \"shop\" must be vacuumed within 39985967 transactions", Class::Wraparound),
    (Warning, "01000", "database with OID 5 must be vacuumed within 39985967 transactions", Class::Wraparound),
    (Warning, "01000", "database \"shop\" must be vacuumed before 1000 more MultiXactIds are used", Class::Wraparound),
    (
        Warning,
        "54000",
        "database with OID 5 must be vacuumed before 20000 more multixact members are used",
        Class::Wraparound,
    ),
    (
        Error,
        "54000",
        "database is not accepting commands to avoid wraparound data loss in database \"shop\"",
        Class::Wraparound,
    ),
    (
        Error,
        "54000",
        "database is not accepting commands that assign new transaction IDs to avoid wraparound data loss in database \"shop\"",
        Class::Wraparound,
    ),
    (
        Error,
        "54000",
        "database is not accepting commands that generate new MultiXactIds to avoid wraparound data loss in database with OID 5",
        Class::Wraparound,
    ),
    (
        Error,
        "54000",
        "database is not accepting commands that assign new MultiXactIds to avoid wraparound data loss in database \"shop\"",
        Class::Wraparound,
    ),
    (Error, "54000", "multixact \"members\" limit exceeded", Class::Wraparound),
    (Warning, "01000", "oldest xmin is far in the past", Class::Wraparound),
    (Warning, "01000", "oldest multixact is far in the past", Class::Wraparound),
    (Warning, "01000", "cutoff for removing and freezing tuples is far in the past", Class::Wraparound),
    (Warning, "01000", "cutoff for freezing multixacts is far in the past", Class::Wraparound),
    (
        Warning,
        "01000",
        "bypassing nonessential maintenance of table \"shop.public.orders\" as a failsafe after 0 index scans",
        Class::Wraparound,
    ),
    // A standby.
    (Error, "40001", "canceling statement due to conflict with recovery", Class::RecoveryConflict),
    (Error, "40P01", "canceling statement due to conflict with recovery", Class::RecoveryConflict),
    (Fatal, "40001", "terminating connection due to conflict with recovery", Class::RecoveryConflict),
    (Fatal, "57P04", "terminating connection due to conflict with recovery", Class::RecoveryConflict),
    (Log, "00000", "recovery restart point at 0/3000060", Class::Recovery),
    (Log, "00000", "recovery still waiting after 1000.123 ms: recovery conflict on lock", Class::Recovery),
    (
        Log,
        "00000",
        "redo done at 0/5000028 system usage: CPU: user: 0.01 s, system: 0.00 s, elapsed: 0.02 s",
        Class::Recovery,
    ),
    (Log, "00000", "database system was interrupted; last known up at 2026-11-21 12:00:00 UTC", Class::Recovery),
    (Log, "00000", "waiting for WAL to become available at 0/3000060", Class::Recovery),
    (Log, "00000", "selected new timeline ID: 2", Class::Recovery),
    (Log, "00000", "started streaming WAL from primary at 0/3000000 on timeline 1", Class::Replication),
    (Error, "40001", "could not serialize access due to concurrent update", Class::SerializationFailure),
    (Error, "40001", "could not serialize access due to concurrent delete", Class::SerializationFailure),
    (
        Error,
        "40001",
        "could not serialize access due to read/write dependencies among transactions",
        Class::SerializationFailure,
    ),
    (Error, "40P01", "deadlock detected", Class::Deadlock),
    // Files.
    (Warning, "58030", "could not fsync file \"base/5/16384\": Input/output error", Class::IoError),
    (
        Error,
        "58P01",
        "could not open file \"pg_wal/000000010000000000000002\": No such file or directory",
        Class::IoError,
    ),
    (Error, "58030", "could not extend file \"base/5/16384\": Input/output error", Class::IoError),
    (Log, "58030", "could not write to file \"pg_stat_tmp/global.tmp\": Input/output error", Class::IoError),
    (Error, "XX001", "could not read block 12 in file \"base/5/16384\": read only 0 of 8192 bytes", Class::Corruption),
    (
        Error,
        "XX001",
        "could not read blocks 12..15 in file \"base/5/16384\": read only 0 of 32768 bytes",
        Class::Corruption,
    ),
    (Error, "XX001", "invalid page in block 0 of relation base/5/16384", Class::Corruption),
    (Error, "XX001", "invalid page in block 0 of relation \"base/5/16384\"", Class::Corruption),
    (Warning, "XX001", "page verification failed, calculated checksum 4711 but expected 42", Class::Corruption),
    (Log, "XX001", "page verification failed, calculated checksum 4711 but expected 42", Class::Corruption),
    (Error, "XX001", "missing chunk number 0 for toast value 16400 in pg_toast_16384", Class::Corruption),
    (Error, "58P01", "could not access status of transaction 748", Class::Corruption),
    // Crashes and what follows.
    (Log, "00000", "server process (PID 42) was terminated by signal 9: Killed", Class::Crash),
    (Log, "00000", "server process (PID 42) exited with exit code 2", Class::Crash),
    (Log, "00000", "startup process (PID 43) was terminated by signal 6: Aborted", Class::Crash),
    (Log, "00000", "terminating any other active server processes", Class::Crash),
    (Log, "00000", "all server processes terminated; reinitializing", Class::Crash),
    (Log, "00000", "database system was not properly shut down; automatic recovery in progress", Class::Crash),
    (Warning, "57P02", "terminating connection because of crash of another server process", Class::Crash),
    (
        Log,
        "00000",
        "background worker \"logical replication launcher\" (PID 44) exited with exit code 1",
        Class::Replication,
    ),
    // Clients.
    (Fatal, "53300", "sorry, too many clients already", Class::OutOfConnections),
    (
        Fatal,
        "53300",
        "remaining connection slots are reserved for non-replication superuser connections",
        Class::OutOfConnections,
    ),
    (
        Fatal,
        "53300",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        Class::OutOfConnections,
    ),
    (Fatal, "53300", "too many connections for database \"shop\"", Class::OutOfConnections),
    (Fatal, "57P03", "the database system is starting up", Class::NotAccepting),
    (Fatal, "57P03", "the database system is not yet accepting connections", Class::NotAccepting),
    (Fatal, "57P03", "the database system is in recovery mode", Class::NotAccepting),
    (Log, "08006", "could not receive data from client: Connection reset by peer", Class::ConnectionLost),
    (Log, "08006", "could not send data to client: Broken pipe", Class::ConnectionLost),
    (Fatal, "08006", "connection to client lost", Class::ConnectionLost),
    (Log, "08P01", "unexpected EOF on client connection with an open transaction", Class::ConnectionLost),
    (Log, "08P01", "invalid length of startup packet", Class::ConnectionLost),
    (Fatal, "0A000", "unsupported frontend protocol 255.255: server supports 3.0 to 3.0", Class::ConnectionLost),
    (Fatal, "28P01", "password authentication failed for user \"bob\"", Class::AuthenticationFailure),
    (Fatal, "28000", "Peer authentication failed for user \"bob\"", Class::AuthenticationFailure),
    (Log, "F0000", "/data/main/pg_hba.conf was not reloaded", Class::Config),
    (
        Fatal,
        "28000",
        "no pg_hba.conf entry for host \"10.0.0.1\", user \"bob\", database \"shop\", no encryption",
        Class::AuthenticationFailure,
    ),
    (Fatal, "28000", "role \"bob\" is not permitted to log in", Class::AuthenticationFailure),
    (Fatal, "3D000", "database \"nothing\" does not exist", Class::AuthenticationFailure),
    // Ends of statements and sessions.
    (Error, "57014", "canceling statement due to statement timeout", Class::Timeout),
    (Error, "55P03", "canceling statement due to lock timeout", Class::Timeout),
    (Fatal, "25P03", "terminating connection due to idle-in-transaction timeout", Class::Timeout),
    (Fatal, "57P05", "terminating connection due to idle-session timeout", Class::Timeout),
    (Fatal, "25P04", "terminating connection due to transaction timeout", Class::Timeout),
    (Fatal, "57014", "canceling authentication due to timeout", Class::Timeout),
    (Error, "57014", "canceling statement due to user request", Class::Cancel),
    (Error, "57014", "canceling autovacuum task", Class::AutovacuumOther),
    (Fatal, "57P01", "terminating connection due to administrator command", Class::Terminated),
    // Replication and archiving.
    (Error, "58P01", "requested WAL segment 000000010000000000000001 has already been removed", Class::Replication),
    (
        Fatal,
        "08006",
        "could not receive data from WAL stream: server closed the connection unexpectedly",
        Class::Replication,
    ),
    (
        Fatal,
        "08006",
        "could not connect to the primary server: connection to server at \"10.0.0.1\", port 5432 failed",
        Class::Replication,
    ),
    (Error, "55006", "replication slot \"standby\" is active for PID 42", Class::Replication),
    (Log, "00000", "terminating walsender process due to replication timeout", Class::Replication),
    (
        Log,
        "00000",
        "invalidating slot \"standby\" because its restart_lsn 0/1000000 exceeds max_slot_wal_keep_size",
        Class::Replication,
    ),
    (Log, "00000", "invalidating obsolete replication slot \"standby\"", Class::Replication),
    (Log, "00000", "conflict detected on relation \"public.orders\": conflict=insert_exists", Class::Replication),
    (Log, "00000", "archive command failed with exit code 1", Class::ArchiveFailure),
    (Fatal, "XX000", "archive command was terminated by signal 9: Killed", Class::ArchiveFailure),
    (Fatal, "XX000", "archive command failed with exit code 127", Class::ArchiveFailure),
    (
        Warning,
        "01000",
        "archiving write-ahead log file \"000000010000000000000001\" failed too many times, will try again later",
        Class::ArchiveFailure,
    ),
    // Statements.
    (Error, "23505", "duplicate key value violates unique constraint \"t_pkey\"", Class::ConstraintViolation),
    (Error, "23P01", "conflicting key value violates exclusion constraint \"t_excl\"", Class::ConstraintViolation),
    (Error, "42501", "permission denied for table orders", Class::PermissionDenied),
    (Error, "42P01", "relation \"nothing\" does not exist", Class::SyntaxError),
    (Error, "42601", "syntax error at or near \"selct\"", Class::SyntaxError),
    (Error, "22012", "division by zero", Class::DataError),
    (Error, "22003", "integer out of range", Class::DataError),
    (
        Error,
        "25P02",
        "current transaction is aborted, commands ignored until end of transaction block",
        Class::TransactionState,
    ),
    (Warning, "25001", "there is already a transaction in progress", Class::TransactionState),
    // The server.
    (Log, "00000", "checkpoints are occurring too frequently (8 seconds apart)", Class::CheckpointsTooFrequent),
    (Log, "00000", "received SIGHUP, reloading configuration files", Class::Config),
    (
        Log,
        "F0000",
        "configuration file \"/data/postgresql.conf\" contains errors; unaffected changes were applied",
        Class::Config,
    ),
    (Log, "00000", "received fast shutdown request", Class::ServerStop),
    (Log, "00000", "database system is shut down", Class::ServerStop),
    (Log, "00000", "database system is ready to accept read-only connections", Class::ServerStart),
    (Log, "00000", "skipping vacuum of \"orders\" --- lock not available", Class::AutovacuumOther),
    (Log, "00000", "something that nobody foresaw", Class::Other),
    (Error, "XX000", "something that nobody foresaw", Class::Error),
    (Warning, "01000", "something that nobody foresaw", Class::Other),
    (Severity::Unparsed, "", "cp: cannot stat 'x': No space left on device", Class::Unparsed),
];

#[test]
fn each_class_is_told_by_state_or_words() {
    for &(severity, state, message, wanted) in BY_STATE_AND_WORDS {
        assert_eq!(class(severity, state, message), wanted, "{severity:?} {state} {message}");
        assert_eq!(class(severity, "00000", message), wanted, "{severity:?} without state: {message}");
    }
}

#[test]
fn only_the_state_tells_what_functions_raise() {
    assert_eq!(class(Error, "P0001", "out of memory"), Class::Raised);
    assert_eq!(class(Error, "23505", "schon da"), Class::ConstraintViolation);
    assert_eq!(class(Error, "40001", "try again"), Class::SerializationFailure);
    assert_eq!(class(Fatal, "57P01", "Verbindung wird abgebrochen"), Class::Terminated);
    // LOG never becomes what only errors are.
    assert_eq!(class(Log, "57014", "checking"), Class::Other);
    assert_eq!(class(Log, "23505", "duplicate key value violates unique constraint \"x\""), Class::Other);
}

#[test]
fn messages_that_only_begin_like_others_are_of_no_class() {
    for message in ["duration: long", "checkpoint of mine", "automatic door", "process 42 is fine", "restartpoint", ""]
    {
        assert_eq!(class(Log, "00000", message), Class::Other, "{message}");
    }
    // The class without its number.
    let (class, facts) = classify(&entry(Log, "00000", "temporary file: path \"x\", size much"));
    assert_eq!((class, facts), (Class::TemporaryFile, Facts::None));
    let (class, facts) = classify(&entry(Log, "00000", "disconnection: session time: ever"));
    assert_eq!((class, facts), (Class::Disconnection, Facts::None));
}

fn checkpoint_of(message: &str) -> crate::logs::Checkpoint {
    let (class, facts) = classify(&entry(Log, "00000", message));
    let Facts::Checkpoint(checkpoint) = facts else { panic!("{class:?} {facts:?}") };
    assert_eq!(class, Class::Checkpoint);
    checkpoint
}

#[test]
fn restartpoints_of_each_version_have_their_numbers() {
    let (class, facts) = classify(&entry(Log, "00000", "restartpoint starting: immediate force wait"));
    assert_eq!(class, Class::CheckpointStart);
    assert_eq!(facts, Facts::CheckpointStart { restartpoint: true, reason: "immediate force wait" });

    let old = checkpoint_of(
        "restartpoint complete: wrote 12 buffers (0.1%); 0 WAL file(s) added, 1 removed, 2 recycled; write=1.105 s, sync=0.004 s, total=1.120 s; sync files=11, longest=0.002 s, average=0.001 s; distance=16384 kB, estimate=16385 kB",
    );
    assert!(old.restartpoint);
    assert_eq!((old.buffers, old.buffers_percent, old.slru_buffers), (Some(12), Some(0.1), None));
    assert_eq!((old.wal_added, old.wal_removed, old.wal_recycled), (Some(0), Some(1), Some(2)));
    assert_eq!((old.write_s, old.sync_s, old.total_s), (Some(1.105), Some(0.004), Some(1.12)));
    assert_eq!((old.sync_files, old.longest_s, old.average_s), (Some(11), Some(0.002), Some(0.001)));
    assert_eq!((old.distance_bytes, old.estimate_bytes), (Some(16_384 * 1_024), Some(16_385 * 1_024)));
    assert_eq!((old.lsn, old.redo_lsn), (None, None));

    let new = checkpoint_of(
        "restartpoint complete: wrote 12 buffers (0.1%), wrote 3 SLRU buffers; 0 WAL file(s) added, 1 removed, 2 recycled; write=1.105 s, sync=0.004 s, total=1.120 s; sync files=11, longest=0.002 s, average=0.001 s; distance=16384 kB, estimate=16385 kB; lsn=2F/A8001F60, redo lsn=2F/85A2F0C8",
    );
    assert_eq!((new.buffers, new.slru_buffers), (Some(12), Some(3)));
    assert_eq!((new.lsn, new.redo_lsn), (Some(0x2F_A800_1F60), Some(0x2F_85A2_F0C8)));
}

#[test]
fn a_failsafe_vacuum_is_read() {
    let message = "automatic aggressive vacuum to prevent wraparound of table \"shop.public.orders\": index scans: 0\n\
        pages: 0 removed, 45 remain, 45 scanned (100.00% of total)\n\
        tuples: 7 removed, 900 remain, 1 are dead but not yet removable\n\
        removable cutoff: 748, which was 3 XIDs old when operation ended\n\
        index scan bypassed by failsafe: 5 pages from table (11.11% of total) have 60 dead item identifiers\n\
        system usage: CPU: user: 0.43 s, system: 0.12 s, elapsed: 4.21 s";
    let (class, facts) = classify(&entry(Log, "00000", message));
    let Facts::Autovacuum(vacuum) = facts else { panic!("{class:?} {facts:?}") };
    assert!(vacuum.to_prevent_wraparound && vacuum.aggressive);
    assert_eq!((vacuum.database, vacuum.schema, vacuum.table), ("shop", "public", "orders"));
    assert_eq!((vacuum.pages_with_dead_items, vacuum.dead_items_removed), (Some(5), None));
    assert_eq!((vacuum.tuples_removed, vacuum.removable_cutoff_age), (Some(7), Some(3)));
    assert_eq!((vacuum.cpu_system_s, vacuum.elapsed_s), (Some(0.12), Some(4.21)));
}

#[test]
fn waits_end_in_each_way() {
    use crate::logs::LockState;
    for (words, state) in [
        ("process 42 still waiting for ShareLock on transaction 748 after 1000.123 ms", LockState::Waiting),
        ("process 42 acquired ShareLock on transaction 748 after 1000.123 ms", LockState::Acquired),
        (
            "process 42 avoided deadlock for ShareLock on transaction 748 by rearranging queue order after 1000.123 ms",
            LockState::Rearranged,
        ),
        (
            "process 42 detected deadlock while waiting for ShareLock on transaction 748 after 1000.123 ms",
            LockState::Deadlock,
        ),
        ("process 42 failed to acquire ShareLock on transaction 748 after 1000.123 ms", LockState::Failed),
    ] {
        let mut entry = entry(Log, "00000", words);
        entry.detail = Some("Processes holding the lock: 1, 2. Wait queue: 42.");
        let (class, facts) = classify(&entry);
        let Facts::LockWait(wait) = facts else { panic!("{class:?} {facts:?}") };
        assert_eq!((wait.pid, wait.state, wait.wait_ms), (42, state, 1000.123), "{words}");
        assert_eq!((wait.mode, wait.object), ("ShareLock", "transaction 748"), "{words}");
        assert_eq!((wait.holders, wait.queue), (vec![1, 2], vec![42]), "{words}");
    }
}

#[test]
fn steps_and_parameters_of_slow_statements_are_read() {
    use crate::logs::Step;
    let read = |message| match classify(&entry(Log, "00000", message)) {
        (Class::SlowStatement, Facts::SlowStatement(slow)) => (slow.step, slow.name, slow.statement),
        other => panic!("{other:?}"),
    };
    assert_eq!(read("duration: 0.123 ms"), (Step::Statement, None, None));
    assert_eq!(read("duration: 0.123 ms  statement: select 1"), (Step::Statement, None, Some("select 1")));
    assert_eq!(read("duration: 0.123 ms  parse a: select 1"), (Step::Parse, Some("a"), Some("select 1")));
    assert_eq!(read("duration: 0.123 ms  bind a/b: select 1"), (Step::Bind, Some("a/b"), Some("select 1")));
    assert_eq!(
        read("duration: 0.123 ms  execute <unnamed>: select 1"),
        (Step::Execute, Some("<unnamed>"), Some("select 1"))
    );
    assert_eq!(
        read("duration: 0.123 ms  fastpath function call: \"lowrite\" (OID 955)"),
        (Step::Fastpath, Some("\"lowrite\" (OID 955)"), None)
    );
    // 16 writes the word with a capital.
    for detail in ["parameters: $1 = 'x'", "Parameters: $1 = 'x'"] {
        let mut entry = entry(Log, "00000", "duration: 0.123 ms  execute a: select $1");
        entry.detail = Some(detail);
        let Facts::SlowStatement(slow) = classify(&entry).1 else { panic!() };
        assert_eq!(slow.parameters, Some("$1 = 'x'"));
    }
}

/// Words that no server says would be found by nobody else.
#[test]
fn a_server_says_each_of_the_begins() {
    let programs: Vec<_> = VERSIONS.iter().filter_map(|&version| Binaries::find(version).ok()).collect();
    if programs.len() < VERSIONS.len() {
        assert!(std::env::var_os("PGANALYTICS_REQUIRE_PG").is_none(), "not all versions of PostgreSQL are installed");
        eprintln!("NOT CHECKED: how messages begin; not all versions of PostgreSQL are installed");
        return;
    }
    let programs: Vec<_> = programs.iter().map(|found| std::fs::read(found.program("postgres")).unwrap()).collect();
    for (begin, _) in errors::BEGINS.iter().chain(server::BEGINS) {
        // The version is filled in.
        let begin = begin.trim_end_matches("PostgreSQL");
        let said = programs.iter().any(|program| memchr::memmem::find(program, begin.as_bytes()).is_some());
        assert!(said, "no version of PostgreSQL says {begin:?}");
    }
}
