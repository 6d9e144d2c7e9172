//! The server as its clients meet it: over HTTP, and as a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[cfg(feature = "agent")]
mod agent_delivery;
mod backup;
mod beside;
mod connections;
mod crash;
mod documents;
mod exactly_once;
mod faults;
mod fixture;
mod floods;
mod front;
mod hostile;
#[cfg(target_os = "linux")]
mod hostile_sql;
mod ingest;
mod kills;
mod left_behind;
mod monitoring;
mod nesting;
mod operations;
mod permissions;
mod process;
mod proxies;
mod push;
mod sessions;
mod shutdown;
mod signing_keys;
mod sql;
mod tls;
mod ui_queries;
mod wire;
#[cfg(target_os = "linux")]
mod workers;
