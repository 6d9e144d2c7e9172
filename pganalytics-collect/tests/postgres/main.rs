//! Collection from real PostgreSQL servers, 14 to 18.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod bad_input;
mod bloat;
mod budget;
mod database_objects;
mod epochs;
mod every_version;
mod indexes;
mod log_lines;
mod own_sql;
mod partitions;
mod pooler;
mod privacy;
mod schema;
mod sequences;
mod tls;
mod vacuum_need;
mod watch;
mod whole_agent;
