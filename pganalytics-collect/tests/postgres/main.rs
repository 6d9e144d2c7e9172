//! Collection from real PostgreSQL servers, 14 to 18.

mod bad_input;
mod budget;
mod epochs;
mod every_version;
mod pooler;
mod privacy;
mod watch;
