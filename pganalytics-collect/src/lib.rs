//! Collects statistics of PostgreSQL servers and their hosts.


pub mod agent;
mod agent_stats;
pub mod change_filter;
pub mod clock;
pub mod collector;
pub mod config;
pub mod deliver;
pub mod error;
pub mod host;
pub mod memory_sink;
pub mod postgres;
pub mod scheduler;
pub mod sink;

pub use agent::{Agent, AgentBuilder};
pub use change_filter::ChangeFilter;
pub use collector::{CollectContext, Collected, Collector, Outcome, Report};
pub use deliver::{HttpSink, MemoryOutbox, Outbox};
pub use config::Config;
pub use error::CollectError;
pub use host::HostCollector;
pub use memory_sink::MemorySink;
pub use scheduler::Plan;
pub use sink::{Delivery, FrameGroup, Sink, SinkError};
