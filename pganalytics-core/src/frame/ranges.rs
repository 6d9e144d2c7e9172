//! Sets of sequence numbers as bytes.
//!
//! ```text
//! ranges: count, then each: how many numbers are missing before it, how many
//! it has besides its first
//! ```

use super::{
    FrameError,
    wire::{Reader, put_varint},
};
use crate::{id::Seq, ranges::Ranges};

impl Ranges {
    /// As bytes, few for few ranges.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.range_count() as u64);
        let mut next = 0_u64;
        for range in self.iter() {
            let (first, last) = (range.start().0, range.end().0);
            put_varint(&mut out, first.wrapping_sub(next));
            put_varint(&mut out, last - first);
            next = last.wrapping_add(1);
        }
        out
    }

    /// From bytes of [`Ranges::encode`], at most `limit` ranges.
    ///
    /// # Errors
    /// When they are none, something follows them, or there are more.
    pub fn decode(bytes: &[u8], limit: usize) -> Result<Self, FrameError> {
        let mut reader = Reader::new("ranges", bytes);
        let count = reader.count("ranges", limit)?;
        let beyond = || FrameError::malformed("ranges", "a number has more than 64 bits");
        let mut all = Self::new();
        let mut next = Some(0_u64);
        for _ in 0..count {
            let (missing, more) = (reader.varint()?, reader.varint()?);
            let first = next.and_then(|next| next.checked_add(missing)).ok_or_else(beyond)?;
            let last = first.checked_add(more).ok_or_else(beyond)?;
            all.insert_range(Seq(first)..=Seq(last));
            next = last.checked_add(1);
        }
        if !reader.rest().is_empty() {
            return Err(FrameError::malformed("ranges", "something follows them"));
        }
        Ok(all)
    }
}
