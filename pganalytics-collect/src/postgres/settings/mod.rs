//! From what people wrote to a [`PostgresConfig`].
//!
//! As in libpq a setting comes from the first place that has it: the table or
//! URL itself, the service file, the environment (`PGHOST`…), the default.
//! Nothing here reads the process or the disk by itself: an [`Environment`] is
//! passed in. No error shows a value that could be a password.

mod config;
mod environment;
mod keyvalue;
mod passfile;
mod service;
mod url;
mod values;

pub use config::{Host, LogConfig, PasswordSource, PostgresConfig, SslMode};
pub use environment::Environment;
pub(crate) use passfile::password_from;
pub use values::{Length, Port, PostgresSettings};

#[cfg(test)]
mod tests;
