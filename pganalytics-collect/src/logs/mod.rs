//! PostgreSQL's logs: read, told apart, redacted. No IO here.
//!
//! ```text
//! bytes -> Parser -> Entry -> classify -> Class, Facts
//!          Format             redact   -> texts without values
//!                                   LogTables -> batches of pg_log…
//! ```

mod class;
mod classify;
mod csv;
mod entry;
mod facts;
mod format;
mod json;
mod lines;
mod parser;
mod prefix;
mod redact;
mod scan;
mod severity_words;
mod tables;
mod wrapped;
mod zone;

pub use class::Class;
pub use classify::classify;
pub use entry::{Entry, Severity, SqlState};
pub use facts::{
    Autovacuum, Checkpoint, DeadlockMember, Facts, LockState, LockWait, Plan, PlanFormat, SlowStatement, Step,
};
pub use format::{Counts, Format, Limits, Options};
pub use parser::Parser;
pub use prefix::Prefix;
pub use redact::{Redaction, Texts, statement as redact_statement, texts as redact_texts};
pub use tables::{LogTables, MEASUREMENTS};
pub use zone::Zone;
