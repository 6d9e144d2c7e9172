//! Statements without what people put into them.
//!
//! ```text
//! text -> token -> statement -> sql
//!         lexer    which word    the text that may leave
//!                  is a value
//! ```
//!
//! `pg_stat_statements` normalises most texts, but not all: utility statements
//! (`CREATE ROLE … PASSWORD '…'`, `SET …`) before 16 and in part after, and any
//! statement whose entry was evicted while it ran. Nobody can tell from a text
//! whether it was normalised, so every text is read as SQL:
//!
//! * Strings of any kind become `'…'`, numbers `?`, comments a blank.
//!   Placeholders (`$1`), names and keywords stay.
//! * A bare word can be a value as well: `SET app.token = abc`. What follows
//!   `SET name =`, `PASSWORD` and the like becomes `…`, wherever blanks, line
//!   breaks and comments stand.
//! * A statement that PostgreSQL refused may have lost a quote, and then nobody
//!   knows what is inside a string and what is not. As soon as the quotes look
//!   wrong, all that follows the first string becomes `…`.
//!
//! What is kept although it may be a value: a name in double quotes where
//! PostgreSQL would read one (`where name = "bob"`).

mod sql;
mod statement;
#[cfg(test)]
mod tests;
mod token;

pub use sql::redact_sql;
pub use sql::{redact_expression, redact_strings};
