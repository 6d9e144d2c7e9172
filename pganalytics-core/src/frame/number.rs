//! Integers and floats. Each column is stored in the smallest of: one value for
//! all, variable-length integers (as they are, or as differences), or `pco` in
//! the narrowest type that holds them.

use pco::{
    ChunkConfig, DeltaSpec, PagingSpec,
    data_types::Number,
    metadata::{DeltaEncoding, Mode},
    wrapped::{FileCompressor, FileDecompressor},
};

use super::{
    FrameError,
    wire::{Reader, put_signed, put_varint, varint_len, zigzag},
};

/// Every value is this one.
const CONSTANT: u8 = 1;
/// Variable-length integers; floats: eight bytes each.
const PLAIN: u8 = 2;
/// Variable-length differences, each to the value before.
const DIFFERENCES: u8 = 3;
/// Chunks of `pco`, 64 bits wide.
const PCO64: u8 = 4;
/// The smallest value, then chunks of `pco` of what each has more, 32 bits wide.
const PCO32: u8 = 5;
/// The same, 16 bits wide.
const PCO16: u8 = 6;

/// The header of the `pco` format that the codes above imply; it is not stored.
pub(super) const PCO_HEADER: [u8; 2] = [4, 1];
/// Values in one chunk of `pco`; the last one has the rest.
const CHUNK: usize = 1 << 18;
/// Below this many values `pco` is never smaller.
const TOO_FEW_FOR_PCO: usize = 8;

/// How hard to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// On the wire: an agent should not be felt.
    Wire,
    /// At rest: written once, read often.
    Rest,
}

impl Effort {
    fn pco_level(self) -> usize {
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
    let shape = Shape::of(values);
    let start = out.len();
    let smallest = shape.plain_len.min(shape.differences_len);
    if values.len() >= TOO_FEW_FOR_PCO {
        put_pco_ints(values, &shape, effort, out)?;
        if out.len() - start <= smallest {
            return Ok(());
        }
        out.truncate(start);
    }
    if shape.plain_len <= shape.differences_len {
        out.push(PLAIN);
        values.iter().for_each(|&value| put_signed(out, value));
    } else {
        out.push(DIFFERENCES);
        let mut before = 0;
        for &value in values {
            put_signed(out, value.wrapping_sub(before));
            before = value;
        }
    }
    Ok(())
}

/// What decides how integers are stored.
struct Shape {
    min: i64,
    /// Largest less smallest.
    span: u64,
    plain_len: usize,
    differences_len: usize,
    /// Whether neighbours are nearer to each other than to the smallest.
    near: bool,
}

impl Shape {
    fn of(values: &[i64]) -> Self {
        let min = values.iter().copied().min().unwrap_or_default();
        let max = values.iter().copied().max().unwrap_or_default();
        let mut shape = Self { min, span: max.abs_diff(min), plain_len: 1, differences_len: 1, near: false };
        let mut before = 0;
        let mut bits_alone = 0_u64;
        let mut bits_of_differences = 0_u64;
        for (row, &value) in values.iter().enumerate() {
            let difference = zigzag(value.wrapping_sub(before));
            before = value;
            shape.plain_len += varint_len(zigzag(value));
            shape.differences_len += varint_len(difference);
            if row > 0 {
                bits_alone += u64::from(64 - value.abs_diff(min).leading_zeros());
                bits_of_differences += u64::from(64 - difference.leading_zeros());
            }
        }
        shape.near = bits_of_differences < bits_alone;
        shape
    }
}

fn put_pco_ints(values: &[i64], shape: &Shape, effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let above = |value: i64| value.wrapping_sub(shape.min).cast_unsigned();
    if let Ok(span) = u16::try_from(shape.span) {
        out.push(PCO16);
        put_signed(out, shape.min);
        let narrow: Vec<u16> = values.iter().map(|&value| u16::try_from(above(value)).unwrap_or(span)).collect();
        put_pco(&narrow, shape.near, effort, out)
    } else if let Ok(span) = u32::try_from(shape.span) {
        out.push(PCO32);
        put_signed(out, shape.min);
        let narrow: Vec<u32> = values.iter().map(|&value| u32::try_from(above(value)).unwrap_or(span)).collect();
        put_pco(&narrow, shape.near, effort, out)
    } else {
        out.push(PCO64);
        put_pco(values, shape.near, effort, out)
    }
}

/// Appends floats, bit for bit; they take the rest of their section.
pub(super) fn encode_floats(values: &[f64], effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let Some(&first) = values.first() else { return Ok(()) };
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        out.extend_from_slice(&first.to_bits().to_le_bytes());
        return Ok(());
    }
    let start = out.len();
    if values.len() >= TOO_FEW_FOR_PCO {
        out.push(PCO64);
        put_pco(values, floats_are_near(values), effort, out)?;
        if out.len() - start <= 1 + values.len() * 8 {
            return Ok(());
        }
        out.truncate(start);
    }
    out.push(PLAIN);
    out.extend(values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
    Ok(())
}

/// Whether most neighbours differ by less than half of what they are.
fn floats_are_near(values: &[f64]) -> bool {
    let near = values.iter().zip(values.iter().skip(1)).filter(|(a, b)| (*b - *a).abs() < a.abs().max(b.abs()) / 4.0);
    near.count() * 2 > values.len()
}

fn put_pco<T: Number>(values: &[T], near: bool, effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let compressor = FileCompressor::default();
    let delta = if near { DeltaSpec::TryConsecutive(1) } else { DeltaSpec::NoOp };
    for chunk in values.chunks(CHUNK) {
        let config = ChunkConfig::default()
            .with_compression_level(effort.pco_level())
            .with_delta_spec(delta.clone())
            .with_paging_spec(PagingSpec::Exact(vec![chunk.len()]));
        compressor
            .chunk_compressor(chunk, &config)
            .and_then(|mut compressed| {
                compressed.write_meta(&mut *out)?;
                compressed.write_page(0, &mut *out)?;
                Ok(())
            })
            .map_err(|error| FrameError::malformed("numbers", error.to_string()))?;
    }
    Ok(())
}

/// Reads `rows` integers, all that the bytes hold.
pub(super) fn decode_ints(bytes: &[u8], rows: usize) -> Result<Vec<i64>, FrameError> {
    if rows == 0 {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new("integers", bytes);
    match reader.byte()? {
        CONSTANT => {
            let value = reader.signed()?;
            Ok(vec![value; rows])
        }
        PLAIN => {
            enough(reader.rest(), rows)?;
            (0..rows).map(|_| reader.signed()).collect()
        }
        DIFFERENCES => {
            enough(reader.rest(), rows)?;
            let mut value = 0_i64;
            let next = |_| {
                value = value.wrapping_add(reader.signed()?);
                Ok(value)
            };
            (0..rows).map(next).collect()
        }
        PCO64 => {
            let mut values = vec![0; rows];
            let mut rest = reader.rest();
            for chunk in values.chunks_mut(CHUNK) {
                rest = read_chunk(rest, chunk)?;
            }
            Ok(values)
        }
        PCO32 => {
            let min = reader.signed()?;
            decode_narrow::<u32>(reader.rest(), rows, min)
        }
        PCO16 => {
            let min = reader.signed()?;
            decode_narrow::<u16>(reader.rest(), rows, min)
        }
        other => Err(FrameError::malformed("integers", format!("unknown encoding {other}"))),
    }
}

fn decode_narrow<T: Number + Into<i64> + Default>(
    mut rest: &[u8],
    rows: usize,
    min: i64,
) -> Result<Vec<i64>, FrameError> {
    let mut values = Vec::with_capacity(rows);
    let mut narrow = vec![T::default(); rows.min(CHUNK)];
    while values.len() < rows {
        let count = (rows - values.len()).min(CHUNK);
        let Some(chunk) = narrow.get_mut(..count) else { break };
        rest = read_chunk(rest, chunk)?;
        values.extend(chunk.iter().map(|&value| min.wrapping_add(value.into())));
    }
    Ok(values)
}

/// Reads `rows` floats, all that the bytes hold.
pub(super) fn decode_floats(bytes: &[u8], rows: usize) -> Result<Vec<f64>, FrameError> {
    if rows == 0 {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new("floats", bytes);
    match reader.byte()? {
        CONSTANT => {
            let value = f64::from_le_bytes(reader.array()?);
            Ok(vec![value; rows])
        }
        PLAIN => {
            enough(reader.rest(), rows)?;
            (0..rows).map(|_| reader.array().map(f64::from_le_bytes)).collect()
        }
        PCO64 => {
            let mut values = vec![0.0; rows];
            let mut rest = reader.rest();
            for chunk in values.chunks_mut(CHUNK) {
                rest = read_chunk(rest, chunk)?;
            }
            Ok(values)
        }
        other => Err(FrameError::malformed("floats", format!("unknown encoding {other}"))),
    }
}

/// Each value takes at least a byte, so no more than the bytes is reserved.
fn enough(rest: &[u8], rows: usize) -> Result<(), FrameError> {
    if rest.len() < rows {
        return Err(FrameError::Cut { what: "numbers", needed: rows, left: rest.len() });
    }
    Ok(())
}

/// Fills `values` from one chunk and returns what follows it.
///
/// `pco` would read more than is ever written here; what could reserve memory
/// beyond the values (dictionaries, long look-back windows) is refused first.
fn read_chunk<'a, T: Number>(bytes: &'a [u8], values: &mut [T]) -> Result<&'a [u8], FrameError> {
    let malformed = |why: String| FrameError::malformed("numbers", why);
    let failed = |error: pco::errors::PcoError| malformed(error.to_string());
    // The mode is in the lowest four bits; a dictionary is mode 4.
    if bytes.first().is_none_or(|first| first & 0x0f > 3) {
        return Err(malformed("a mode that is never written".to_owned()));
    }
    let (file, _) = FileDecompressor::new(PCO_HEADER.as_slice()).map_err(failed)?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(bytes).map_err(failed)?;
    let meta = chunk.meta();
    if !matches!(meta.mode, Mode::Classic | Mode::IntMult(_) | Mode::FloatMult(_) | Mode::FloatQuant(_)) {
        return Err(malformed("a mode that is never written".to_owned()));
    }
    if !matches!(meta.delta_encoding, DeltaEncoding::NoOp | DeltaEncoding::Consecutive { .. }) {
        return Err(malformed("differences of a kind that is never written".to_owned()));
    }
    let mut page = chunk.page_decompressor(rest, values.len()).map_err(failed)?;
    let progress = page.read(values).map_err(failed)?;
    if progress.n_processed != values.len() || !progress.finished {
        return Err(malformed(format!("{} of {} values", progress.n_processed, values.len())));
    }
    Ok(page.into_src())
}

/// Appends a count-prefixed section of integers.
pub(super) fn put_int_section(values: &[i64], effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let mut section = Vec::new();
    encode_ints(values, effort, &mut section)?;
    put_varint(out, section.len() as u64);
    out.extend_from_slice(&section);
    Ok(())
}
