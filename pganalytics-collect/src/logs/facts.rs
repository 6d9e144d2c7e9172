//! The numbers that entries carry.

/// What an entry tells in numbers and names, by its class.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Facts<'a> {
    /// Nothing that is not in the entry.
    #[default]
    None,
    /// A session's end.
    Disconnection {
        /// How long it lasted, ms.
        session_ms: f64,
    },
    /// The begin of a checkpoint or restartpoint.
    CheckpointStart {
        /// Whether it is a restartpoint.
        restartpoint: bool,
        /// Why: `time`, `wal`, `immediate force wait`, …
        reason: &'a str,
    },
    /// A checkpoint or restartpoint.
    Checkpoint(Checkpoint),
    /// An automatic vacuum.
    Autovacuum(Box<Autovacuum<'a>>),
    /// An automatic analyze.
    Autoanalyze(Box<Autovacuum<'a>>),
    /// A temporary file.
    TemporaryFile {
        /// Its size.
        size_bytes: i64,
    },
    /// A wait for a lock.
    LockWait(LockWait<'a>),
    /// A deadlock: who waited for whom.
    Deadlock(Vec<DeadlockMember<'a>>),
    /// A statement and how long it took.
    SlowStatement(SlowStatement<'a>),
    /// A plan by `auto_explain`.
    Plan(Plan<'a>),
}

/// Numbers of a checkpoint or restartpoint. `None` is what its version does not
/// say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Whether it is a restartpoint.
    pub restartpoint: bool,
    /// Buffers written.
    pub buffers: Option<i64>,
    /// The same as a part of `shared_buffers`, percent.
    pub buffers_percent: Option<f64>,
    /// SLRU buffers written (18).
    pub slru_buffers: Option<i64>,
    /// WAL files added, removed, recycled.
    pub wal_added: Option<i64>,
    /// WAL files removed.
    pub wal_removed: Option<i64>,
    /// WAL files recycled.
    pub wal_recycled: Option<i64>,
    /// Time writing, s.
    pub write_s: Option<f64>,
    /// Time syncing, s.
    pub sync_s: Option<f64>,
    /// Time of all, s.
    pub total_s: Option<f64>,
    /// Files synced.
    pub sync_files: Option<i64>,
    /// The longest sync of a file, s.
    pub longest_s: Option<f64>,
    /// The average sync of a file, s.
    pub average_s: Option<f64>,
    /// WAL since the one before, bytes.
    pub distance_bytes: Option<i64>,
    /// Expected distance of the next, bytes.
    pub estimate_bytes: Option<i64>,
    /// Position of the checkpoint record (15).
    pub lsn: Option<u64>,
    /// Position that recovery would begin at (15).
    pub redo_lsn: Option<u64>,
}

/// Numbers of an automatic vacuum or analyze. `None` is what its version does
/// not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Autovacuum<'a> {
    /// Its table's database.
    pub database: &'a str,
    /// Its table's schema.
    pub schema: &'a str,
    /// The table.
    pub table: &'a str,
    /// Whether it was to prevent wraparound.
    pub to_prevent_wraparound: bool,
    /// Whether it was aggressive.
    pub aggressive: bool,
    /// Passes over the indexes.
    pub index_scans: Option<i64>,
    /// Pages cut off at the end of the table.
    pub pages_removed: Option<i64>,
    /// Pages that remain.
    pub pages_remain: Option<i64>,
    /// Pages looked at (15).
    pub pages_scanned: Option<i64>,
    /// Pages passed over because somebody used them (14).
    pub pages_skipped_pins: Option<i64>,
    /// Pages passed over because they were frozen (14).
    pub pages_skipped_frozen: Option<i64>,
    /// Rows removed.
    pub tuples_removed: Option<i64>,
    /// Rows that remain.
    pub tuples_remain: Option<i64>,
    /// Dead rows that somebody may still need.
    pub tuples_dead_not_removable: Option<i64>,
    /// Pages that held dead identifiers of rows.
    pub pages_with_dead_items: Option<i64>,
    /// Dead identifiers of rows that were removed.
    pub dead_items_removed: Option<i64>,
    /// Pages with rows newly frozen (16).
    pub pages_frozen: Option<i64>,
    /// Rows newly frozen (16).
    pub tuples_frozen: Option<i64>,
    /// Pages set all visible (18).
    pub pages_set_all_visible: Option<i64>,
    /// Pages set all frozen (18).
    pub pages_set_all_frozen: Option<i64>,
    /// Rows older than this may be removed.
    pub removable_cutoff_xid: Option<i64>,
    /// How far that is behind, transactions (15).
    pub removable_cutoff_age: Option<i64>,
    /// The table's new `relfrozenxid` (15).
    pub new_relfrozenxid: Option<i64>,
    /// Time reading, ms.
    pub io_read_ms: Option<f64>,
    /// Time writing, ms.
    pub io_write_ms: Option<f64>,
    /// Time asleep for `vacuum_cost_delay`, ms (18).
    pub delay_ms: Option<f64>,
    /// Average rate of reading, MB/s.
    pub read_rate: Option<f64>,
    /// Average rate of writing, MB/s.
    pub write_rate: Option<f64>,
    /// Buffers found.
    pub buffer_hits: Option<i64>,
    /// Buffers read.
    pub buffer_reads: Option<i64>,
    /// Buffers dirtied.
    pub buffer_dirtied: Option<i64>,
    /// WAL records.
    pub wal_records: Option<i64>,
    /// WAL full page images.
    pub wal_fpi: Option<i64>,
    /// WAL bytes.
    pub wal_bytes: Option<i64>,
    /// Times that the WAL buffers were full (18).
    pub wal_buffers_full: Option<i64>,
    /// Processor time in user mode, s.
    pub cpu_user_s: Option<f64>,
    /// Processor time in the kernel, s.
    pub cpu_system_s: Option<f64>,
    /// Time of all, s.
    pub elapsed_s: Option<f64>,
}

/// A wait for a lock.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct LockWait<'a> {
    /// Who waits.
    pub pid: i32,
    /// What has become of it.
    pub state: LockState,
    /// The lock's mode: `ShareLock`…
    pub mode: &'a str,
    /// What is locked: `transaction 748`, `relation 16384 of database 5`.
    pub object: &'a str,
    /// For how long, ms.
    pub wait_ms: f64,
    /// Who holds the lock; empty where it is not told.
    pub holders: Vec<i32>,
    /// Who else waits for it.
    pub queue: Vec<i32>,
}

/// What has become of a wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockState {
    /// It goes on.
    #[default]
    Waiting,
    /// The lock was got.
    Acquired,
    /// Somebody else's place in the queue was taken to avoid a deadlock.
    Rearranged,
    /// It would have been a deadlock.
    Deadlock,
    /// The lock was not got.
    Failed,
}

impl LockState {
    /// Its name, as in the column `state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Acquired => "acquired",
            Self::Rearranged => "rearranged",
            Self::Deadlock => "deadlock",
            Self::Failed => "failed",
        }
    }
}

/// One process of a deadlock.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DeadlockMember<'a> {
    /// The process.
    pub pid: i32,
    /// Mode of the lock that it waited for.
    pub mode: &'a str,
    /// What was locked.
    pub object: &'a str,
    /// Who held it.
    pub blocked_by: i32,
    /// What the process ran; `None` where the log has it not.
    pub statement: Option<&'a str>,
}

/// A statement and how long it took.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SlowStatement<'a> {
    /// How long, ms.
    pub duration_ms: f64,
    /// Which step.
    pub step: Step,
    /// Name of the prepared statement, and of the portal behind a `/`.
    pub name: Option<&'a str>,
    /// Its text; `None` where the log has only the duration.
    pub statement: Option<&'a str>,
    /// Its parameters, as `$1 = 'x', $2 = NULL`.
    pub parameters: Option<&'a str>,
}

/// Which step of a statement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// All of a simple statement.
    #[default]
    Statement,
    /// Parse of an extended one.
    Parse,
    /// Bind.
    Bind,
    /// Execute.
    Execute,
    /// A function call of the fast path.
    Fastpath,
}

/// A plan by `auto_explain`.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Plan<'a> {
    /// How long the statement took, ms.
    pub duration_ms: f64,
    /// How the plan is written.
    pub format: PlanFormat,
    /// The statement.
    pub statement: Option<&'a str>,
    /// All that was logged behind `plan:`: the statement and its plan.
    pub plan: &'a str,
}

/// How a plan is written (`auto_explain.log_format`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanFormat {
    /// Text.
    #[default]
    Text,
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// YAML.
    Yaml,
}

impl PlanFormat {
    /// Its name, as in the column `format`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Yaml => "yaml",
        }
    }
}
