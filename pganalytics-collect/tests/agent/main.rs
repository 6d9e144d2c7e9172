//! The agent as a whole: scheduler, delivery, settings, secrets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod config;
mod fixture;
mod http_sink;
mod prometheus_rules;
mod scheduler;
mod secrets;
