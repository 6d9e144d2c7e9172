//! PostgreSQL's logs: read, told apart, redacted.
//!
//! ```text
//! bytes -> Parser -> Entry -> classify -> Class, Facts
//!          Format             redact   -> texts without values
//!                                   LogTables -> batches of pg_log…
//! ```
//!
//! Only `tail` touches files; who knows where they are is
//! [`PostgresServer`](crate::postgres::PostgresServer).

mod changed;
mod class;
mod classify;
mod csv;
mod entry;
mod facts;
mod format;
mod json;
mod lines;
mod parser;
#[cfg(feature = "postgres")]
pub(crate) mod pattern;
mod prefix;
#[cfg(feature = "postgres")]
pub(crate) mod progress;
mod redact;
mod scan;
mod severity_words;
mod tables;
#[cfg(feature = "postgres")]
pub(crate) mod tail;
mod translated_words;
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

/// Whether the files of a log can be named so: an absolute path, with `*` and
/// `?` in its last part only.
#[cfg(feature = "postgres")]
#[must_use]
pub fn is_log_path(path: &str) -> bool {
    pattern::Pattern::new(path).is_some()
}
