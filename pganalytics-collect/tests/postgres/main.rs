//! Collection from real PostgreSQL servers, 14 to 18.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod bad_input;
mod budget;
mod check;
mod epochs;
mod every_version;
mod io;
mod locks;
mod log_lines;
mod own_sql;
mod pooler;
mod privacy;
mod progress;
mod replication;
mod settings;
mod tls;
mod watch;
mod whole_agent;
mod wraparound;
