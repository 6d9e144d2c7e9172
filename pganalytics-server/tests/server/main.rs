//! The server as its clients meet it: over HTTP, and as a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod crash;
mod documents;
mod fixture;
mod hostile;
#[cfg(target_os = "linux")]
mod hostile_sql;
mod ingest;
mod monitoring;
mod nesting;
mod permissions;
mod process;
mod push;
mod sessions;
mod shutdown;
mod sql;
#[cfg(target_os = "linux")]
mod workers;
