//! From the scheduler to the receiver.
//!
//! ```text
//! scheduler -> Outbox -> Sender -> Sink (HttpSink, MemorySink, yours)
//! ```
//!
//! * The [`Outbox`] numbers frames and holds them until they are settled. It is
//!   bounded in bytes; what does not fit is dropped, oldest first, and each drop
//!   is a [`Gap`], never silent. [`MemoryOutbox`] is the one that forgets when
//!   the process ends; the [`Spool`](crate::spool::Spool) does not.
//! * The [`Sender`] takes groups from its front, gives them to the [`Sink`] and
//!   decides what an error means: wait, halve, look for the one bad frame.
//! * [`HttpSink`] pushes to a pgAnalytics server.
//!
//! [`Sink`]: crate::Sink

mod http_sink;
mod memory_outbox;
mod outbox;
mod retry;
mod schemas;
mod sender;

pub use http_sink::{HttpSink, HttpSinkBuilder, Token};
pub use memory_outbox::MemoryOutbox;
pub use outbox::{Gap, GapReason, GroupLimits, Outbox, OutboxStats, Remembered};
pub use retry::Backoff;
pub use sender::{Sender, SenderStats};
