//! Collection from real PostgreSQL servers, 14 to 18.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod backups;
mod bad_input;
mod budget;
mod epochs;
mod every_version;
mod pgbouncer_console;
mod pooler;
mod privacy;
mod this_host;
mod tls;
mod watch;
mod whole_agent;
