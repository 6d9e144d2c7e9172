//! Marks: one number for all that a row measured, to tell whether two rows of a key differ
//! without having both.
//!
//! The order of the columns is of no matter, and a column that is NULL adds nothing: a row has
//! the same mark after its measurement got another column.

use xxhash_rust::xxh3::xxh3_64;

/// The part of a column's name in the marks of its rows.
#[must_use]
pub fn of_name(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// A number that stands for a text.
#[must_use]
pub fn of_text(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Adds a column's value, as a number that tells it from others.
pub fn add(mark: &mut u64, name: u64, bits: Option<u64>) {
    if let Some(bits) = bits {
        *mark = mark.wrapping_add(mix(mix(bits) ^ name));
    }
}

/// Each bit in has a part in each bit out (the end of splitmix64).
fn mix(bits: u64) -> u64 {
    let mut z = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn marks_tell_values_and_columns_apart_and_not_their_order() {
        let of = |columns: &[(&str, Option<u64>)]| {
            let mut mark = 0;
            columns.iter().for_each(|(name, bits)| add(&mut mark, of_name(name), *bits));
            mark
        };
        assert_eq!(of(&[("a", Some(1)), ("b", Some(2))]), of(&[("b", Some(2)), ("a", Some(1)), ("c", None)]));
        assert_ne!(of(&[("a", Some(1)), ("b", Some(2))]), of(&[("a", Some(2)), ("b", Some(1))]));
        assert_ne!(of(&[("a", Some(0))]), of(&[("a", None)]));
    }
}
