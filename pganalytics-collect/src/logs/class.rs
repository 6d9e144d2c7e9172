//! What an entry is about.

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident = $name:literal,)*) => {
        /// What an entry is about. Each entry has one class.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Class {
            $($(#[$doc])* $class,)*
        }

        impl Class {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$class,)*];

            /// Its name, as in the column `class`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)*
                }
            }
        }
    };
}

classes! {
    /// A connection was received, authenticated, authorized (or its times, 18).
    Connection = "connection",
    /// A session ended.
    Disconnection = "disconnection",
    /// Wrong password, no line of `pg_hba.conf`, unknown role, …
    AuthenticationFailure = "authentication_failure",
    /// No connection slots left, for everybody, a role or a database.
    OutOfConnections = "out_of_connections",
    /// A connection was refused because the server starts, stops or recovers.
    NotAccepting = "not_accepting",
    /// A connection broke or spoke nonsense.
    ConnectionLost = "connection_lost",
    /// A checkpoint or restartpoint begins.
    CheckpointStart = "checkpoint_start",
    /// A checkpoint or restartpoint is complete.
    Checkpoint = "checkpoint",
    /// Checkpoints come too often.
    CheckpointsTooFrequent = "checkpoints_too_frequent",
    /// An automatic vacuum of a table.
    Autovacuum = "autovacuum",
    /// An automatic analyze of a table.
    Autoanalyze = "autoanalyze",
    /// An autovacuum was cancelled, or what else its workers say.
    AutovacuumOther = "autovacuum_other",
    /// A transaction id wraparound comes near.
    Wraparound = "wraparound",
    /// A temporary file was removed; its size is told.
    TemporaryFile = "temporary_file",
    /// A lock was waited for longer than `deadlock_timeout`, and maybe got.
    LockWait = "lock_wait",
    /// A deadlock.
    Deadlock = "deadlock",
    /// A statement and its duration, or a step of it.
    SlowStatement = "slow_statement",
    /// A statement by `log_statement`, without duration.
    Statement = "statement",
    /// A plan by `auto_explain`.
    Plan = "plan",
    /// A statement or session was ended by a timeout.
    Timeout = "timeout",
    /// A statement was cancelled by a user.
    Cancel = "cancel",
    /// A session was ended by an administrator.
    Terminated = "terminated",
    /// A standby cancelled a statement that was in recovery's way.
    RecoveryConflict = "recovery_conflict",
    /// No memory.
    OutOfMemory = "out_of_memory",
    /// No space on a disk.
    DiskFull = "disk_full",
    /// Data are damaged or can't be read.
    Corruption = "corruption",
    /// Reading or writing a file failed for another reason.
    IoError = "io_error",
    /// A server process ended by a signal or badly, and what follows from it.
    Crash = "crash",
    /// Recovery: its begin, progress and end.
    Recovery = "recovery",
    /// WAL senders and receivers, slots, logical replication.
    Replication = "replication",
    /// `archive_command` or `archive_library` failed.
    ArchiveFailure = "archive_failure",
    /// A `PANIC`.
    Panic = "panic",
    /// The server started.
    ServerStart = "server_start",
    /// The server stops, or has stopped.
    ServerStop = "server_stop",
    /// Settings were read again; what changed.
    Config = "config",
    /// A constraint was violated.
    ConstraintViolation = "constraint_violation",
    /// Two transactions could not be serialised.
    SerializationFailure = "serialization_failure",
    /// A permission is missing.
    PermissionDenied = "permission_denied",
    /// A syntax error, or a name that is not there.
    SyntaxError = "syntax_error",
    /// Values that don't fit.
    DataError = "data_error",
    /// A transaction's state forbids it.
    TransactionState = "transaction_state",
    /// Raised by somebody's function.
    Raised = "raised",
    /// Another error.
    Error = "error",
    /// Anything else.
    Other = "other",
    /// Not an entry: see [`Severity::Unparsed`](super::Severity).
    Unparsed = "unparsed",
}
