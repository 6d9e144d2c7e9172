//! Lists of integers beside the columns: lengths, numbers of entries. All alike,
//! or as one page of [`paged`](super::paged).

use super::{
    FrameError, paged,
    paged_read::Ints,
    wire::{Reader, put_signed, put_varint},
};

/// Every value is this one.
const CONSTANT: u8 = 2;

/// How hard to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// On the wire: an agent should not be felt.
    Wire,
    /// At rest: written once, read often.
    Rest,
}

impl Effort {
    pub(super) fn pco_level(self) -> usize {
        match self {
            Self::Wire => 8,
            Self::Rest => 9,
        }
    }

    /// Level of zstd for texts and headers.
    pub(super) fn zstd_level(self) -> i32 {
        match self {
            Self::Wire => 3,
            Self::Rest => 12,
        }
    }
}

/// Appends integers; they take the rest of their section.
pub(super) fn encode_ints(values: &[i64], effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let Some(&first) = values.first() else { return Ok(()) };
    if values.iter().all(|&value| value == first) {
        out.push(CONSTANT);
        put_signed(out, first);
        return Ok(());
    }
    let coded = paged::encode_ints(values, &[values.len()], effort)?;
    out.push(coded.code);
    out.extend_from_slice(&coded.meta);
    coded.pages.iter().for_each(|page| out.extend_from_slice(page));
    Ok(())
}

/// Reads `count` integers, all that the bytes hold.
pub(super) fn decode_ints(bytes: &[u8], count: usize) -> Result<Vec<i64>, FrameError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new("integers", bytes);
    match reader.byte()? {
        CONSTANT => Ok(vec![reader.signed()?; count]),
        code => {
            let (mut ints, page) = Ints::open(code, reader.rest(), 1)?;
            let mut values = Vec::new();
            ints.read(0, page, count, &mut values)?;
            Ok(values)
        }
    }
}

/// Appends a count-prefixed section of integers.
pub(super) fn put_int_section(values: &[i64], effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let mut section = Vec::new();
    encode_ints(values, effort, &mut section)?;
    put_varint(out, section.len() as u64);
    out.extend_from_slice(&section);
    Ok(())
}
