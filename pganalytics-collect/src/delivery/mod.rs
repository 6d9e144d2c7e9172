//! From the scheduler to the receiver: what was collected arrives exactly once, or
//! its loss is declared.
//!
//! ```text
//! scheduler -> Outbox -> Sender -> Sink (HttpSink, MemorySink, yours)
//! ```
//!
//! * The [`Outbox`] numbers frames and holds them until the receiver has said what
//!   became of them. It is bounded in bytes: what does not fit is dropped, oldest
//!   first. Each loss is declared by a gap frame, which is delivered like any other,
//!   and told to those who [subscribe](Outbox::losses). [`Spool`] keeps it on a disk,
//!   [`MemoryOutbox`] forgets it when the process ends.
//! * The [`Sender`] takes groups of frames, gives them to the [`Sink`] and believes
//!   what its answer names, and nothing else.
//! * [`HttpSink`] pushes to a pgAnalytics server.
//!
//! Both outboxes are one state machine (`stream`) over a small trait of a disk,
//! which a simulator drives through crashes, faults and lost replies.
//!
//! [`Sink`]: crate::Sink

mod account;
mod disk;
mod gap;
#[cfg(feature = "http")]
mod http_sink;
mod intake;
mod lane;
mod lease;
mod loss;
mod memory_disk;
mod memory_outbox;
mod numbering;
mod os_disk;
mod outbox;
mod quarantine;
mod quota;
#[cfg(feature = "http")]
mod receiver_clock;
mod record;
mod recover;
mod reply;
mod retry;
#[cfg(feature = "http")]
mod schemas;
mod segment;
mod sender;
mod settle;
#[cfg(test)]
mod sim;
mod spool;
#[cfg(test)]
mod spool_tests;
mod stream;
mod unsaved;

#[cfg(feature = "http")]
pub use http_sink::{HttpSink, HttpSinkBuilder, Token};
pub use lane::Backlog;
pub use memory_outbox::MemoryOutbox;
pub use outbox::{GroupLimits, Loss, Outbox, OutboxStats, Remembered};
pub use retry::Backoff;
pub use sender::{Sender, SenderStats};
pub use spool::{Spool, SpoolError};
pub use stream::NewFrame;
