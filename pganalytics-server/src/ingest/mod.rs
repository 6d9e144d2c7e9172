//! Takes metrics in.
//!
//! A push goes through, in this order: its guard (who is it, may it send), its
//! content type, [`admission`] (before a byte of the body is read), reading and
//! decompressing under limits, verifying frame by frame, and one append to the
//! store. What stays true:
//!
//! - bytes of pushes in memory are bounded, in all and for each collector: as they
//!   came, expanded, and decoded, which is read from the heads of frames before
//!   anything is decoded;
//! - nothing over a MiB is expanded, parsed or decoded on an async thread, and
//!   only so much elsewhere at once as there are processors;
//! - a bad frame rejects itself and none of its neighbours;
//! - "accepted" is answered after the store has said that it is durable;
//! - a collector's token speaks for that collector only.

pub(crate) mod admission;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod decoders;
pub(crate) mod decompress;
pub(crate) mod documents;
pub(crate) mod frames;
#[cfg(feature = "agent")]
pub(crate) mod local_sink;
pub(crate) mod numbers;
pub(crate) mod push;
pub(crate) mod schemas;
pub(crate) mod senders;
