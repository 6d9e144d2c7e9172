//! Collects statistics of PostgreSQL servers and their hosts.

pub mod collector;
pub mod error;
pub mod postgres;

pub use collector::{CollectContext, Collected, Collector, Outcome, Report};
pub use error::CollectError;
