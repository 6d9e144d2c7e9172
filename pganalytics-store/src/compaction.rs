//! How small frames become blocks; stores share it.
//!
//! Frames of one group (measurement, server, member, database, collector) whose
//! first scrape falls in one finished hour become one block, together with the
//! blocks that the hour has already: late frames are worked in. More than one
//! block comes of an hour when
//! * the schema or the server's name changed: each run of equal ones is a block;
//! * it would take more than [`BLOCK_BYTES`] once decoded: what joins it, and a
//!   worker that reads it, have little memory.
//!
//! Invariants: what a reader sees at each scrape is the same before and after;
//! an hour without loose frames is left alone, so that compaction comes to rest;
//! a store replaces a run's chunks by its block in one transaction.

use std::ops::Range;

use bytes::Bytes;
use pganalytics_core::{
    Timestamp,
    frame::{self, Frame, FrameError, Limits},
};

/// Most bytes, once decoded, that are joined to one block.
pub const BLOCK_BYTES: u64 = 64 << 20;

/// Blocks of more rows than this note what their rows say of each other: a reader of fewer is as
/// fast without. The lives of the tests are short, and have them all the same.
const NOTES_FROM_ROWS: usize = if cfg!(test) { 2 } else { frame::PAGE_ROWS };

/// Length of the time that becomes one block, in microseconds.
pub const BLOCK_MICROS: i64 = 3_600_000_000;

/// Number of the hour that a chunk belongs to, by its first scrape.
#[must_use]
pub fn hour_of(first_scrape: Timestamp) -> i64 {
    first_scrape.as_micros().div_euclid(BLOCK_MICROS)
}

/// Number of the first hour that has not ended before this time.
#[must_use]
pub fn first_open_hour(before: Timestamp) -> i64 {
    hour_of(before)
}

/// What must be known of a chunk to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<K> {
    /// What must be equal in a block: schema and source.
    pub kind: K,
    /// Whether it is a block already.
    pub block: bool,
    /// Bytes of all columns, decoded ([`Frame::decoded_bytes`]).
    pub decoded: u64,
}

/// The runs of an hour's chunks (in order of their first scrape) that are to
/// become a block each. Chunks that are in no run stay as they are.
pub fn plan<K: PartialEq>(hour: &[Piece<K>]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let (mut decoded, mut kind) = (0_u64, None);
    for (at, piece) in hour.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if kind == Some(&piece.kind) && decoded.saturating_add(piece.decoded) <= BLOCK_BYTES => {
                run.end = at + 1;
                decoded += piece.decoded;
            }
            _ => {
                runs.push(at..at + 1);
                decoded = piece.decoded;
            }
        }
        kind = Some(&piece.kind);
    }
    runs.retain(|run| hour.get(run.clone()).is_some_and(|pieces| pieces.iter().any(|piece| !piece.block)));
    runs
}

/// Joins the chunks of a run to a block.
///
/// # Errors
/// When a chunk can't be decoded; then the run must be left as it is.
pub fn join(frames: &[Frame]) -> Result<Frame, FrameError> {
    let block = frame::compact(frames)?;
    Frame::parse(Bytes::from(frame::encode_stored(&block, NOTES_FROM_ROWS)?), &at_rest())
}

/// Limits for what a store reads from itself: it was checked when it came in,
/// so only damage is looked for.
#[must_use]
pub fn at_rest() -> Limits {
    Limits {
        max_frame_bytes: usize::MAX,
        max_header_bytes: 64 << 20,
        max_decoded_bytes: 4 << 30,
        max_rows: usize::MAX,
        max_scrapes: usize::MAX,
        max_text_bytes: usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)] // a plan of one run
    use super::*;

    fn piece(kind: char, block: bool, decoded: u64) -> Piece<char> {
        Piece { kind, block, decoded }
    }

    #[test]
    fn each_run_of_one_schema_is_a_block() {
        let hour = [piece('a', false, 1), piece('a', false, 1), piece('b', false, 1), piece('a', false, 1)];
        assert_eq!(plan(&hour), [0..2, 2..3, 3..4]);
    }

    #[test]
    fn late_frames_join_the_block_and_blocks_alone_rest() {
        assert_eq!(plan(&[piece('a', true, 1), piece('a', false, 1)]), [0..2]);
        assert_eq!(plan(&[piece('a', true, 1), piece('a', true, 1)]), Vec::<std::ops::Range<usize>>::new());
        assert_eq!(plan(&[piece('a', true, 1), piece('b', false, 1)]), [1..2]);
    }

    #[test]
    fn blocks_are_bounded() {
        let third = BLOCK_BYTES / 3;
        let hour: Vec<_> = (0..7).map(|_| piece('a', false, third)).collect();
        assert_eq!(plan(&hour), [0..3, 3..6, 6..7]);
        assert_eq!(plan(&[piece('a', false, u64::MAX), piece('a', false, u64::MAX)]), [0..1, 1..2]);
    }
}
