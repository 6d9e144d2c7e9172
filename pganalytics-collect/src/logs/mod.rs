//! PostgreSQL's logs: read, told apart, redacted. No IO here.
//!
//! ```text
//! bytes -> Parser -> Entry -> classify -> Class, Facts
//!          Format             redact   -> texts without values
//!                                   LogTables -> batches of pg_log…
//! ```

mod class;
mod entry;
mod facts;
mod format;
mod parser;
mod prefix;
mod redact;
mod tables;
mod zone;

pub use class::Class;
pub use entry::{Entry, Severity, SqlState};
pub use facts::{
    Autovacuum, Checkpoint, DeadlockMember, Facts, LockState, LockWait, Plan, PlanFormat, SlowStatement, Step,
};
pub use format::{Counts, Format, Limits, Options};
pub use parser::Parser;
pub use prefix::Prefix;
pub use redact::Redaction;
pub use tables::{LogTables, MEASUREMENTS};
pub use zone::Zone;
