//! Numbers in pages: what is needed for all of them (`meta`), then each page
//! for itself. `pco` describes up to [`CHUNK_PAGES`] pages at once, so that small
//! pages cost little.

use pco::{ChunkConfig, DeltaSpec, PagingSpec, data_types::Number, wrapped::FileCompressor};

use super::{
    FrameError,
    number::Effort,
    wire::{put_signed, put_slice, varint_len, zigzag},
};

/// Variable-length integers; floats: eight bytes each.
pub(super) const PLAIN: u8 = 3;
/// Variable-length differences, each to the value before in the page.
pub(super) const DIFFERENCES: u8 = 4;
/// `pco`, 64 bits wide.
pub(super) const PCO64: u8 = 5;
/// The smallest value, then `pco` of what each has more, 32 bits wide.
pub(super) const PCO32: u8 = 6;
/// The same, 16 bits wide.
pub(super) const PCO16: u8 = 7;
/// Floats with few decimals: how many, then variable-length integers.
pub(super) const DECIMALS: u8 = 8;

/// The header of the `pco` format that the codes above imply; it is not stored.
pub(super) const PCO_HEADER: [u8; 2] = [4, 1];
/// Below this many values `pco` is never smaller.
const TOO_FEW_FOR_PCO: usize = 8;
/// Pages that one description of `pco` serves.
pub(super) const CHUNK_PAGES: usize = 256;
/// Most decimals that are looked for.
pub(super) const MOST_DECIMALS: u8 = 6;

/// Numbers as they are stored.
#[derive(Debug, Default)]
pub(super) struct Coded {
    pub(super) code: u8,
    pub(super) meta: Vec<u8>,
    pub(super) pages: Vec<Vec<u8>>,
}

impl Coded {
    fn len(&self) -> usize {
        self.meta.len() + self.pages.iter().map(Vec::len).sum::<usize>()
    }
}

/// Splits values into pages of these counts.
fn pages<'a, T>(values: &'a [T], counts: &'a [usize]) -> impl Iterator<Item = &'a [T]> {
    counts.iter().scan(values, |rest, &count| {
        let (page, later) = rest.split_at_checked(count)?;
        *rest = later;
        Some(page)
    })
}

/// Integers in pages of these counts.
pub(super) fn encode_ints(values: &[i64], counts: &[usize], effort: Effort) -> Result<Coded, FrameError> {
    let shape = Shape::of(values);
    if values.len() >= TOO_FEW_FOR_PCO {
        let coded = pco_ints(values, counts, &shape, effort)?;
        if coded.len() <= shape.plain_len.min(shape.differences_len) {
            return Ok(coded);
        }
    }
    let differences = shape.differences_len < shape.plain_len;
    let page = |values: &[i64]| {
        let mut out = Vec::with_capacity(values.len() * 2);
        let mut before = 0;
        for &value in values {
            put_signed(&mut out, if differences { value.wrapping_sub(before) } else { value });
            before = value;
        }
        out
    };
    let code = if differences { DIFFERENCES } else { PLAIN };
    Ok(Coded { code, meta: Vec::new(), pages: pages(values, counts).map(page).collect() })
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

fn pco_ints(values: &[i64], counts: &[usize], shape: &Shape, effort: Effort) -> Result<Coded, FrameError> {
    let above = |value: i64| value.wrapping_sub(shape.min).cast_unsigned();
    let mut coded = Coded::default();
    if let Ok(span) = u16::try_from(shape.span) {
        coded.code = PCO16;
        put_signed(&mut coded.meta, shape.min);
        let narrow: Vec<u16> = values.iter().map(|&value| u16::try_from(above(value)).unwrap_or(span)).collect();
        put_pco(&narrow, counts, shape.near, effort, &mut coded)?;
    } else if let Ok(span) = u32::try_from(shape.span) {
        coded.code = PCO32;
        put_signed(&mut coded.meta, shape.min);
        let narrow: Vec<u32> = values.iter().map(|&value| u32::try_from(above(value)).unwrap_or(span)).collect();
        put_pco(&narrow, counts, shape.near, effort, &mut coded)?;
    } else {
        coded.code = PCO64;
        put_pco(values, counts, shape.near, effort, &mut coded)?;
    }
    Ok(coded)
}

/// Floats in pages of these counts, bit for bit.
pub(super) fn encode_floats(values: &[f64], counts: &[usize], effort: Effort) -> Result<Coded, FrameError> {
    let mut best = decimals(values, counts).unwrap_or_else(|| Coded {
        code: PLAIN,
        meta: Vec::new(),
        pages: pages(values, counts)
            .map(|page| page.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect())
            .collect(),
    });
    if values.len() >= TOO_FEW_FOR_PCO {
        let mut coded = Coded { code: PCO64, ..Coded::default() };
        put_pco(values, counts, floats_are_near(values), effort, &mut coded)?;
        if coded.len() <= best.len() {
            best = coded;
        }
    }
    Ok(best)
}

/// Whether most neighbours differ by less than half of what they are.
fn floats_are_near(values: &[f64]) -> bool {
    let near = values.iter().zip(values.iter().skip(1)).filter(|(a, b)| (*b - *a).abs() < a.abs().max(b.abs()) / 4.0);
    near.count() * 2 > values.len()
}

/// Floats that are short decimal numbers, as times in milliseconds mostly are;
/// `None` when one is not, or it would not be smaller.
fn decimals(values: &[f64], counts: &[usize]) -> Option<Coded> {
    // For many values `pco` finds it out by itself.
    if values.len() > 64 {
        return None;
    }
    let (decimals, numbers) = (0..=MOST_DECIMALS).find_map(|decimals| {
        let number = |&value: &f64| {
            #[expect(clippy::cast_possible_truncation, reason = "what does not come back equal is refused")]
            let number = (value * scale(decimals)).round() as i64;
            (unscale(number, decimals).to_bits() == value.to_bits()).then_some(number)
        };
        Some((decimals, values.iter().map(number).collect::<Option<Vec<i64>>>()?))
    })?;
    let len: usize = numbers.iter().map(|&number| varint_len(zigzag(number))).sum();
    if len >= values.len() * 8 {
        return None;
    }
    let page = |numbers: &[i64]| {
        let mut out = Vec::with_capacity(numbers.len() * 4);
        numbers.iter().for_each(|&number| put_signed(&mut out, number));
        out
    };
    Some(Coded { code: DECIMALS, meta: vec![decimals], pages: pages(&numbers, counts).map(page).collect() })
}

fn scale(decimals: u8) -> f64 {
    10_f64.powi(i32::from(decimals))
}

#[expect(clippy::cast_precision_loss, reason = "a number that loses some is not stored so")]
pub(super) fn unscale(number: i64, decimals: u8) -> f64 {
    number as f64 / scale(decimals)
}

fn put_pco<T: Number>(
    values: &[T],
    counts: &[usize],
    near: bool,
    effort: Effort,
    coded: &mut Coded,
) -> Result<(), FrameError> {
    let failed = |error: pco::errors::PcoError| FrameError::malformed("numbers", error.to_string());
    let compressor = FileCompressor::default();
    let delta = if near { DeltaSpec::TryConsecutive(1) } else { DeltaSpec::NoOp };
    let mut rest = values;
    for chunk in counts.chunks(CHUNK_PAGES) {
        let Some((now, later)) = rest.split_at_checked(chunk.iter().sum()) else { break };
        rest = later;
        let mut meta = Vec::new();
        if now.is_empty() {
            coded.pages.extend(chunk.iter().map(|_| Vec::new()));
        } else {
            let config = ChunkConfig::default()
                .with_compression_level(effort.pco_level())
                .with_delta_spec(delta.clone())
                .with_paging_spec(PagingSpec::Exact(chunk.iter().copied().filter(|&count| count > 0).collect()));
            let mut compressed = compressor.chunk_compressor(now, &config).map_err(failed)?;
            compressed.write_meta(&mut meta).map_err(failed)?;
            let mut number = 0;
            for &count in chunk {
                let mut page = Vec::new();
                if count > 0 {
                    compressed.write_page(number, &mut page).map_err(failed)?;
                    number += 1;
                }
                coded.pages.push(page);
            }
        }
        if counts.len() <= CHUNK_PAGES {
            coded.meta.extend_from_slice(&meta);
        } else {
            put_slice(&mut coded.meta, &meta);
        }
    }
    Ok(())
}
