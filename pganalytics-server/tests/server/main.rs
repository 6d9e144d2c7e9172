//! The server as its clients meet it: over HTTP, and as a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod crash;
mod documents;
mod fixture;
mod hostile;
mod ingest;
mod monitoring;
mod nesting;
mod permissions;
mod process;
mod push;
mod sessions;
mod shutdown;
mod sql;
