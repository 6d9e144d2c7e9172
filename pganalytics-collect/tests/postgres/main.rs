//! Collection from real PostgreSQL servers, 14 to 18.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod backups;
mod bad_input;
mod bloat;
mod budget;
mod check;
mod database_objects;
mod demo;
mod epochs;
mod every_version;
mod indexes;
mod io;
mod locks;
mod log_lines;
mod log_provocations;
mod log_settings;
mod logs_classes;
mod own_sql;
mod partitions;
mod pgbouncer_console;
mod pooler;
mod privacy;
mod progress;
mod replication;
mod rhythm;
mod sampling;
mod schema;
mod sequences;
mod server_log;
mod settings;
mod this_host;
mod tls;
mod vacuum_need;
mod watch;
mod whole_agent;
mod wraparound;
