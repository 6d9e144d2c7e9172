//! Collection from real PostgreSQL servers, 14 to 18.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod bad_input;
mod budget;
mod epochs;
mod every_version;
mod log_lines;
mod own_sql;
mod pooler;
mod privacy;
mod tls;
mod watch;
mod whole_agent;
