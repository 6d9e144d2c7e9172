//! Pushes of senders that number nothing.
//!
//! JSON has no streams: the store numbers what comes in one stream of the
//! collector. So that a push whose answer was lost is stored once, it has a key,
//! made of what its sender calls it or of its content; the store remembers keys,
//! each with the answer that was given, for [`KEPT`].

use std::time::Duration;

use crate::metric_store::AppendOutcome;

/// How long a key is remembered.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Most keys of a collector that are remembered, some more for a while; past
/// them the oldest are forgotten.
pub const MAX_KEYS: usize = 10_000;
/// After so many pushes with a key surplus ones are looked for.
pub(crate) const SWEEP_EVERY: u64 = 256;

/// What a push is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PushKey {
    /// A hash of what its sender calls it, and of the sender.
    pub key: [u8; 32],
    /// A hash of all of it.
    pub content: [u8; 32],
}

/// Makes the answer to a push of what became of its frames. It runs in the
/// store's transaction: it should be quick and touch nothing.
pub type MakeReply = Box<dyn FnOnce(&AppendOutcome) -> Vec<u8> + Send>;

/// What became of a push of unnumbered frames.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unnumbered {
    /// It is stored now, as far as it was taken.
    Stored(AppendOutcome),
    /// A push with its key came before. Nothing was done.
    Repeated {
        /// The answer that was given then.
        reply: Vec<u8>,
    },
    /// Another push with its key came before. Nothing was done.
    OtherContent,
}
