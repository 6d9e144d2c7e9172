//! Tests of the stores as others use them. One binary: linking the SQL engine
//! takes its time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod backup;
mod conformance;
mod docs;
mod file;
mod fleet;
mod heads;
mod kill;
mod meta;
mod quarantine;
mod spool;
