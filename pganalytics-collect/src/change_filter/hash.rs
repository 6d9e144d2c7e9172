//! Hashes of rows, computed column by column.

use pganalytics_core::{ColumnData, Mask, Value, Values};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Takes one value into a hash. For a given hash it maps values one to one, and
/// for a given value hashes: rows that differ in one number never meet.
#[inline]
const fn mix(hash: u64, value: u64) -> u64 {
    let mixed = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 29)
}

/// One hash a row over these columns, NULL told apart from every value.
pub(super) fn hash_rows<'a>(columns: impl Iterator<Item = &'a ColumnData>, rows: usize, seed: u64) -> Vec<u64> {
    let mut hashes = vec![mix(seed, 1); rows];
    for column in columns {
        let nulls = column.nulls();
        match column.values() {
            Values::Int(values) | Values::Timestamp(values) => {
                mix_all(&mut hashes, values.iter().map(|value| value.cast_unsigned()), nulls);
            }
            Values::Float(values) => mix_all(&mut hashes, values.iter().map(|value| value.to_bits()), nulls),
            Values::Bool(values) => mix_all(&mut hashes, values.iter().map(|&value| u64::from(value)), nulls),
            Values::Text(values) => {
                let texts = values.iter().map(|text| xxh3_64_with_seed(text.as_bytes(), seed));
                mix_all(&mut hashes, texts, nulls);
            }
        }
    }
    hashes
}

#[inline]
fn mix_all(hashes: &mut [u64], values: impl Iterator<Item = u64>, nulls: Option<&Mask>) {
    match nulls {
        None => hashes.iter_mut().zip(values).for_each(|(hash, value)| *hash = mix(*hash, value)),
        Some(nulls) => {
            for (row, (hash, value)) in hashes.iter_mut().zip(values).enumerate() {
                // A NULL goes another way round than any value.
                *hash = if nulls.get(row) { mix(hash.rotate_left(32), 0) } else { mix(*hash, value) };
            }
        }
    }
}

/// Whether a row of one set of key columns is the same key as a row of another.
pub(super) fn same_key(a: &[ColumnData], row_of_a: usize, b: &[&ColumnData], row_of_b: usize) -> bool {
    a.iter().zip(b).all(|(a, b)| match (a.get(row_of_a), b.get(row_of_b)) {
        // By bits: a key that is not a number is still itself.
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    })
}
