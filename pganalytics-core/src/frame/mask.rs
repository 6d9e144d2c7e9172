//! Bits: which rows are NULL, gone or true. Runs where there are few, else as
//! they are.

use super::{
    FrameError,
    wire::{Reader, put_varint},
};
use crate::mask::Mask;

const RAW: u8 = 0;
const RUNS: u8 = 1;

/// Appends a mask; it takes the rest of its section.
pub(super) fn encode(mask: &Mask, out: &mut Vec<u8>) {
    let raw_len = mask.len().div_ceil(8);
    let start = out.len();
    out.push(RUNS);
    if put_runs(mask, out, start + 1 + raw_len) {
        return;
    }
    out.truncate(start);
    out.push(RAW);
    out.extend(mask.words().iter().flat_map(|word| word.to_le_bytes()).take(raw_len));
}

/// Lengths of runs, unset and set in turn; the last run is left out. False when
/// that takes `out` past `max`.
fn put_runs(mask: &Mask, out: &mut Vec<u8>, max: usize) -> bool {
    let mut at = 0;
    let mut bit = false;
    while at < mask.len() {
        let end = run_end(mask, at, bit);
        if end == mask.len() {
            break;
        }
        put_varint(out, (end - at) as u64);
        if out.len() >= max {
            return false;
        }
        at = end;
        bit = !bit;
    }
    true
}

/// Where the run of `bit` that begins at `at` ends.
fn run_end(mask: &Mask, at: usize, bit: bool) -> usize {
    let flip = if bit { u64::MAX } else { 0 };
    let mut from = at % 64;
    for (index, word) in mask.words().iter().enumerate().skip(at / 64) {
        let other = (word ^ flip) >> from << from;
        if other != 0 {
            return (index * 64 + other.trailing_zeros() as usize).min(mask.len());
        }
        from = 0;
    }
    mask.len()
}

/// Reads a mask of `len` bits.
pub(super) fn decode(bytes: &[u8], len: usize) -> Result<Mask, FrameError> {
    let mut reader = Reader::new("mask", bytes);
    let malformed = |why: &str| FrameError::malformed("mask", why);
    match reader.byte()? {
        RAW => {
            let raw = reader.take(len.div_ceil(8))?;
            let words = raw.chunks(8).map(|chunk| {
                let mut word = [0; 8];
                word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
                u64::from_le_bytes(word)
            });
            Ok(Mask::from_words(words.collect(), len))
        }
        RUNS => {
            let mut words = vec![0_u64; len.div_ceil(64)];
            let mut at = 0_usize;
            let mut bit = false;
            while at < len {
                let run = if reader.rest().is_empty() { len - at } else { reader.count("run of a mask", len - at)? };
                if run == 0 && at > 0 {
                    return Err(malformed("an empty run"));
                }
                if bit {
                    set_range(&mut words, at, at + run);
                }
                at += run;
                bit = !bit;
            }
            Ok(Mask::from_words(words, len))
        }
        other => Err(malformed(&format!("unknown encoding {other}"))),
    }
}

fn set_range(words: &mut [u64], from: usize, to: usize) {
    let mut at = from;
    while at < to {
        let bits = (64 - at % 64).min(to - at);
        let ones = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        if let Some(word) = words.get_mut(at / 64) {
            *word |= ones << (at % 64);
        }
        at += bits;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn masks_come_back(bits in proptest::collection::vec(any::<bool>(), 0..300), every in 1_usize..80) {
            for mask in [bits.iter().copied().collect::<Mask>(), (0..bits.len()).map(|at| at / every % 2 == 1).collect()] {
                let mut out = Vec::new();
                encode(&mask, &mut out);
                prop_assert!(out.len() <= 2 + mask.len().div_ceil(8));
                prop_assert_eq!(decode(&out, mask.len()).unwrap(), mask);
            }
        }

        #[test]
        fn foreign_bytes_are_an_error_or_a_mask(bytes in proptest::collection::vec(any::<u8>(), 0..40), len in 0_usize..500) {
            if let Ok(mask) = decode(&bytes, len) {
                prop_assert_eq!(mask.len(), len);
            }
        }
    }
}
