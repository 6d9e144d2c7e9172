//! Reading numbers in pages, see [`paged`](super::paged).

use pco::{
    data_types::Number,
    metadata::{ChunkMeta, DeltaEncoding, Mode},
    wrapped::{ChunkDecompressor, FileDecompressor},
};

use super::{
    FrameError,
    paged::{CHUNK_PAGES, DECIMALS, DIFFERENCES, MOST_DECIMALS, PCO_HEADER, PCO16, PCO32, PCO64, PLAIN, unscale},
    wire::Reader,
};

/// Reads pages of integers.
pub(super) enum Ints<'a> {
    Plain,
    Differences,
    Pco64(Box<Chunks<'a, i64>>),
    Pco32(i64, Box<Chunks<'a, u32>>),
    Pco16(i64, Box<Chunks<'a, u16>>),
}

impl<'a> Ints<'a> {
    /// Reads what is needed for all pages; also gives what follows it.
    pub(super) fn open(code: u8, meta: &'a [u8], pages: usize) -> Result<(Self, &'a [u8]), FrameError> {
        let mut reader = Reader::new("integers", meta);
        Ok(match code {
            PLAIN => (Self::Plain, meta),
            DIFFERENCES => (Self::Differences, meta),
            PCO64 => {
                let (chunks, rest) = Chunks::open(meta, pages)?;
                (Self::Pco64(Box::new(chunks)), rest)
            }
            PCO32 => {
                let min = reader.signed()?;
                let (chunks, rest) = Chunks::open(reader.rest(), pages)?;
                (Self::Pco32(min, Box::new(chunks)), rest)
            }
            PCO16 => {
                let min = reader.signed()?;
                let (chunks, rest) = Chunks::open(reader.rest(), pages)?;
                (Self::Pco16(min, Box::new(chunks)), rest)
            }
            other => return Err(FrameError::malformed("integers", format!("unknown encoding {other}"))),
        })
    }

    /// Appends the `count` values of a page.
    pub(super) fn read(
        &mut self,
        page: usize,
        bytes: &[u8],
        count: usize,
        out: &mut Vec<i64>,
    ) -> Result<(), FrameError> {
        match self {
            Self::Plain | Self::Differences => {
                enough(bytes, count)?;
                let differences = matches!(self, Self::Differences);
                let mut reader = Reader::new("integers", bytes);
                let mut before = 0_i64;
                for _ in 0..count {
                    let number = reader.signed()?;
                    before = if differences { before.wrapping_add(number) } else { number };
                    out.push(before);
                }
                Ok(())
            }
            Self::Pco64(chunks) => {
                let start = out.len();
                out.resize(start + count, 0);
                chunks.read(page, bytes, out.get_mut(start..).unwrap_or_default())
            }
            Self::Pco32(min, chunks) => chunks.read_narrow(page, bytes, count, *min, out),
            Self::Pco16(min, chunks) => chunks.read_narrow(page, bytes, count, *min, out),
        }
    }
}

/// Reads pages of floats.
pub(super) enum Floats<'a> {
    Plain,
    Decimals(u8),
    Pco64(Box<Chunks<'a, f64>>),
}

impl<'a> Floats<'a> {
    /// Reads what is needed for all pages; also gives what follows it.
    pub(super) fn open(code: u8, meta: &'a [u8], pages: usize) -> Result<(Self, &'a [u8]), FrameError> {
        Ok(match code {
            PLAIN => (Self::Plain, meta),
            DECIMALS => {
                let mut reader = Reader::new("floats", meta);
                let decimals = reader.byte()?;
                if decimals > MOST_DECIMALS {
                    return Err(FrameError::malformed("floats", format!("{decimals} decimals")));
                }
                (Self::Decimals(decimals), reader.rest())
            }
            PCO64 => {
                let (chunks, rest) = Chunks::open(meta, pages)?;
                (Self::Pco64(Box::new(chunks)), rest)
            }
            other => return Err(FrameError::malformed("floats", format!("unknown encoding {other}"))),
        })
    }

    /// Appends the `count` values of a page.
    pub(super) fn read(
        &mut self,
        page: usize,
        bytes: &[u8],
        count: usize,
        out: &mut Vec<f64>,
    ) -> Result<(), FrameError> {
        let mut reader = Reader::new("floats", bytes);
        match self {
            Self::Plain => {
                enough(bytes, count)?;
                for _ in 0..count {
                    out.push(f64::from_le_bytes(reader.array()?));
                }
                Ok(())
            }
            Self::Decimals(decimals) => {
                enough(bytes, count)?;
                for _ in 0..count {
                    out.push(unscale(reader.signed()?, *decimals));
                }
                Ok(())
            }
            Self::Pco64(chunks) => {
                let start = out.len();
                out.resize(start + count, 0.0);
                chunks.read(page, bytes, out.get_mut(start..).unwrap_or_default())
            }
        }
    }
}

/// Descriptions of `pco`, each read when a page first needs it.
pub(super) struct Chunks<'a, T: Number> {
    metas: Vec<&'a [u8]>,
    open: Option<(usize, ChunkDecompressor<T>)>,
    narrow: Vec<T>,
}

impl<'a, T: Number> Chunks<'a, T> {
    fn open(meta: &'a [u8], pages: usize) -> Result<(Self, &'a [u8]), FrameError> {
        if pages <= CHUNK_PAGES {
            let (chunk, rest) = describe(meta)?;
            return Ok((Self { metas: Vec::new(), open: Some((0, chunk)), narrow: Vec::new() }, rest));
        }
        let mut reader = Reader::new("numbers", meta);
        let metas = (0..pages.div_ceil(CHUNK_PAGES)).map(|_| reader.slice()).collect::<Result<_, _>>()?;
        Ok((Self { metas, open: None, narrow: Vec::new() }, reader.rest()))
    }

    /// Fills `values` from a page.
    fn read(&mut self, page: usize, bytes: &[u8], values: &mut [T]) -> Result<(), FrameError> {
        if values.is_empty() {
            return Ok(());
        }
        let number = page / CHUNK_PAGES;
        let chunk = match &mut self.open {
            Some((open, chunk)) if *open == number => chunk,
            open => {
                let meta = self.metas.get(number).copied().unwrap_or_default();
                &mut open.insert((number, describe(meta)?.0)).1
            }
        };
        let malformed = |why: String| FrameError::malformed("numbers", why);
        let mut page = chunk.page_decompressor(bytes, values.len()).map_err(|error| malformed(error.to_string()))?;
        let progress = page.read(values).map_err(|error| malformed(error.to_string()))?;
        if progress.n_processed != values.len() || !progress.finished {
            return Err(malformed(format!("{} of {} values", progress.n_processed, values.len())));
        }
        Ok(())
    }
}

impl<T: Number + Into<i64> + Default> Chunks<'_, T> {
    /// Appends values that are stored as what they are above `min`.
    fn read_narrow(
        &mut self,
        page: usize,
        bytes: &[u8],
        count: usize,
        min: i64,
        out: &mut Vec<i64>,
    ) -> Result<(), FrameError> {
        let mut narrow = std::mem::take(&mut self.narrow);
        narrow.resize(count, T::default());
        let read = self.read(page, bytes, &mut narrow);
        out.extend(narrow.iter().map(|&value| min.wrapping_add(value.into())));
        self.narrow = narrow;
        read
    }
}

fn describe<T: Number>(meta: &[u8]) -> Result<(ChunkDecompressor<T>, &[u8]), FrameError> {
    let failed = |error: pco::errors::PcoError| FrameError::malformed("numbers", error.to_string());
    check_mode(meta)?;
    let (file, _) = FileDecompressor::new(PCO_HEADER.as_slice()).map_err(failed)?;
    let (chunk, rest) = file.chunk_decompressor::<T, _>(meta).map_err(failed)?;
    check_chunk(chunk.meta())?;
    Ok((chunk, rest))
}

/// Each value takes at least a byte, so no more than the bytes is reserved.
fn enough(rest: &[u8], rows: usize) -> Result<(), FrameError> {
    if rest.len() < rows {
        return Err(FrameError::Cut { what: "numbers", needed: rows, left: rest.len() });
    }
    Ok(())
}

/// Refuses what could reserve memory beyond the values.
fn check_mode(bytes: &[u8]) -> Result<(), FrameError> {
    // The mode is in the lowest four bits; a dictionary is mode 4.
    if bytes.first().is_none_or(|first| first & 0x0f > 3) {
        return Err(FrameError::malformed("numbers", "a mode that is never written"));
    }
    Ok(())
}

/// Refuses what is never written.
fn check_chunk(meta: &ChunkMeta) -> Result<(), FrameError> {
    if !matches!(meta.mode, Mode::Classic | Mode::IntMult(_) | Mode::FloatMult(_) | Mode::FloatQuant(_)) {
        return Err(FrameError::malformed("numbers", "a mode that is never written"));
    }
    if !matches!(meta.delta_encoding, DeltaEncoding::NoOp | DeltaEncoding::Consecutive { .. }) {
        return Err(FrameError::malformed("numbers", "differences of a kind that is never written"));
    }
    Ok(())
}
