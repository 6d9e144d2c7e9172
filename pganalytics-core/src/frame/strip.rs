//! A strip: values of one type, one behind the other, in pages of
//! [`PAGE_ROWS`]. A column is a strip; so are the distinct values of a key
//! column, and the scrapes of rows.
//!
//! ```text
//! code       a byte: how its values are stored, and whether any is NULL
//! meta       what is needed for every page
//! pages      each: which of its values are NULL, if any is; those that are not
//! ```

use super::{
    FrameError, PAGE_ROWS, mask,
    number::Effort,
    paged::{self, Coded},
    paged_read::{Floats, Ints},
    text::{self, Expected},
    wire::{Reader, put_signed, put_slice},
};
use crate::{
    mask::Mask,
    schema::ColumnType,
    value::{ColumnData, TextValues, Values},
};

/// No value that is not NULL.
pub(super) const NONE: u8 = 0;
/// Every value is zero, false or empty.
pub(super) const ZERO: u8 = 1;
/// Every value is the same: the one in `meta`, or true.
pub(super) const CONSTANT: u8 = 2;
/// Texts: each page as in `text`.
pub(super) const TEXT: u8 = 9;
/// Bools: each page as in `mask`.
pub(super) const BITS: u8 = 10;
/// Numbers: see `paged`. Others are 3 to 8.
const HAS_NULLS: u8 = 0x80;

/// A strip as it is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) code: u8,
    pub(super) meta: Vec<u8>,
    /// Empty where nothing must be known of single pages.
    pub(super) pages: Vec<Vec<u8>>,
    /// Bytes of text in each page.
    pub(super) texts: Vec<usize>,
}

/// Whether pages hold anything.
pub(super) fn has_pages(code: u8) -> bool {
    code & HAS_NULLS != 0 || code > CONSTANT
}

/// Whether a strip of texts says how many bytes they have.
pub(super) fn has_texts(ty: ColumnType, code: u8) -> bool {
    ty == ColumnType::Text && code & !HAS_NULLS > ZERO
}

/// Where the pages of `len` values end.
pub(super) fn page_ends(len: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..len).step_by(PAGE_ROWS).map(move |start| (start, len.min(start + PAGE_ROWS)))
}

pub(super) fn encode(data: &ColumnData, effort: Effort) -> Result<Written, FrameError> {
    let nulls = data.nulls();
    let is_null = |row: usize| nulls.is_some_and(|nulls| nulls.get(row));
    let masks: Vec<Option<Mask>> = match nulls {
        None => Vec::new(),
        Some(nulls) => page_ends(data.len())
            .map(|(start, end)| {
                let words = nulls.words().get(start / 64..end.div_ceil(64)).unwrap_or_default();
                Some(Mask::from_words(words.to_vec(), end - start)).filter(Mask::any)
            })
            .collect(),
    };
    let count = |(number, (start, end)): (usize, (usize, usize))| {
        end - start - masks.get(number).and_then(Option::as_ref).map_or(0, Mask::count)
    };
    let counts: Vec<usize> = page_ends(data.len()).enumerate().map(count).collect();
    let mut written = match data.values() {
        Values::Int(values) | Values::Timestamp(values) => match nulls {
            None => ints(values, &counts, effort)?,
            Some(_) => ints(&dense(values, is_null), &counts, effort)?,
        },
        Values::Float(values) => match nulls {
            None => floats(values, &counts, effort)?,
            Some(_) => floats(&dense(values, is_null), &counts, effort)?,
        },
        Values::Bool(values) => bools(&dense(values, is_null), &counts),
        Values::Text(values) => {
            let there: Vec<&str> = (0..values.len()).filter(|&row| !is_null(row)).map(|row| values.get(row)).collect();
            texts(&there, &counts, effort)?
        }
    };
    if nulls.is_some() && written.code != NONE {
        written.code |= HAS_NULLS;
        written.pages.resize(counts.len(), Vec::new());
        for (page, mask) in written.pages.iter_mut().zip(&masks) {
            let mut section = Vec::new();
            if let Some(mask) = mask {
                mask::encode(mask, &mut section);
            }
            let mut whole = Vec::with_capacity(section.len() + page.len() + 2);
            put_slice(&mut whole, &section);
            whole.append(page);
            *page = whole;
        }
    }
    Ok(written)
}

fn dense<T: Copy>(values: &[T], is_null: impl Fn(usize) -> bool) -> Vec<T> {
    values.iter().enumerate().filter(|&(row, _)| !is_null(row)).map(|(_, &value)| value).collect()
}

impl From<Coded> for Written {
    fn from(coded: Coded) -> Self {
        Self { code: coded.code, meta: coded.meta, pages: coded.pages, texts: Vec::new() }
    }
}

impl Written {
    /// No pages: all that there is to know is in `meta`.
    fn alike(code: u8, meta: Vec<u8>) -> Self {
        Self { code, meta, ..Self::default() }
    }
}

fn ints(values: &[i64], counts: &[usize], effort: Effort) -> Result<Written, FrameError> {
    let Some(&first) = values.first() else { return Ok(Written::default()) };
    if values.iter().all(|&value| value == first) {
        let mut meta = Vec::new();
        put_signed(&mut meta, first);
        return Ok(if first == 0 { Written::alike(ZERO, Vec::new()) } else { Written::alike(CONSTANT, meta) });
    }
    paged::encode_ints(values, counts, effort).map(Into::into)
}

fn floats(values: &[f64], counts: &[usize], effort: Effort) -> Result<Written, FrameError> {
    let Some(first) = values.first().map(|first| first.to_bits()) else { return Ok(Written::default()) };
    if values.iter().all(|value| value.to_bits() == first) {
        let meta = if first == 0 { Vec::new() } else { first.to_le_bytes().to_vec() };
        return Ok(Written::alike(if first == 0 { ZERO } else { CONSTANT }, meta));
    }
    paged::encode_floats(values, counts, effort).map(Into::into)
}

fn bools(values: &[bool], counts: &[usize]) -> Written {
    let Some(&first) = values.first() else { return Written::default() };
    if values.iter().all(|&value| value == first) {
        return Written::alike(if first { CONSTANT } else { ZERO }, Vec::new());
    }
    let mut rest = values;
    let page = |&count: &usize| {
        let (now, later) = rest.split_at_checked(count).unwrap_or_default();
        rest = later;
        let mut out = Vec::new();
        mask::encode(&now.iter().copied().collect(), &mut out);
        out
    };
    Written { code: BITS, pages: counts.iter().map(page).collect(), ..Written::default() }
}

fn texts(values: &[&str], counts: &[usize], effort: Effort) -> Result<Written, FrameError> {
    let Some(&first) = values.first() else { return Ok(Written::default()) };
    if values.iter().all(|&value| value == first) {
        let mut meta = Vec::new();
        put_slice(&mut meta, first.as_bytes());
        let texts = vec![first.len() * values.len()];
        return Ok(if first.is_empty() {
            Written::alike(ZERO, Vec::new())
        } else {
            Written { code: CONSTANT, meta, texts, ..Written::default() }
        });
    }
    let mut written = Written { code: TEXT, ..Written::default() };
    let mut rest = values;
    for &count in counts {
        let (now, later) = rest.split_at_checked(count).unwrap_or_default();
        rest = later;
        let mut page = Vec::new();
        text::encode(now, effort, &mut page)?;
        written.pages.push(page);
        written.texts.push(now.iter().map(|text| text.len()).sum());
    }
    Ok(written)
}

/// What a reader knows of a strip before it reads pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) ty: ColumnType,
    pub(super) code: u8,
    pub(super) meta: &'a [u8],
    /// Number of pages of all of it.
    pub(super) pages: usize,
    /// Bytes of text in all of it.
    pub(super) texts: usize,
    /// Longest single text.
    pub(super) longest: usize,
}

/// One page: its number, its values, its bytes, the bytes of text in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) number: usize,
    pub(super) len: usize,
    /// `None`: they follow `meta`.
    pub(super) bytes: Option<&'a [u8]>,
    /// Bytes of text; of texts that are all alike nobody says it.
    pub(super) texts: usize,
}

/// Reads some pages of a strip, in order.
pub(super) fn decode<'a>(
    shape: Shape<'a>,
    pages: impl Iterator<Item = Result<Page<'a>, FrameError>>,
) -> Result<ColumnData, FrameError> {
    let code = shape.code & !HAS_NULLS;
    let (mut values, rest) = Dense::open(shape, code)?;
    let mut nulls: Vec<u64> = Vec::new();
    let mut len = 0;
    for page in pages {
        let page = page?;
        let mut reader = Reader::new("page", page.bytes.unwrap_or(rest));
        let mut there = page.len;
        if code == NONE {
            there = 0;
            nulls.extend(Mask::from_words(vec![u64::MAX; page.len.div_ceil(64)], page.len).into_words());
        } else if shape.code & HAS_NULLS != 0 {
            let section = reader.slice()?;
            let mask = if section.is_empty() { Mask::unset(page.len) } else { mask::decode(section, page.len)? };
            there -= mask.count();
            nulls.extend(mask.into_words());
        }
        values.read(page, reader.rest(), there, shape)?;
        len += page.len;
    }
    let nulls = (!nulls.is_empty()).then(|| Mask::from_words(nulls, len)).filter(Mask::any);
    let values = values.finish(shape.ty)?;
    Ok(match nulls {
        Some(nulls) => ColumnData::with_nulls(Spread { nulls: &nulls }.all(values)?, nulls),
        None => ColumnData::new(values),
    })
}

/// The values that are not NULL.
enum Dense<'a> {
    Ints(Vec<i64>, Source<i64, Ints<'a>>),
    Floats(Vec<f64>, Source<f64, Floats<'a>>),
    Bools(Vec<bool>, Source<bool, ()>),
    Texts(Vec<u32>, String, Source<&'a str, ()>),
}

/// Where values come from.
enum Source<T, P> {
    Alike(T),
    Pages(P),
}

impl<'a> Dense<'a> {
    /// Reads `meta`; also gives what follows it.
    fn open(shape: Shape<'a>, code: u8) -> Result<(Self, &'a [u8]), FrameError> {
        let mut reader = Reader::new("strip", shape.meta);
        let unknown = || FrameError::malformed("strip", format!("unknown encoding {code}"));
        let values = match shape.ty {
            ColumnType::Int | ColumnType::Timestamp => match code {
                NONE | ZERO => Self::Ints(Vec::new(), Source::Alike(0)),
                CONSTANT => Self::Ints(Vec::new(), Source::Alike(reader.signed()?)),
                code => {
                    let (ints, rest) = Ints::open(code, shape.meta, shape.pages)?;
                    return Ok((Self::Ints(Vec::new(), Source::Pages(ints)), rest));
                }
            },
            ColumnType::Float => match code {
                NONE | ZERO => Self::Floats(Vec::new(), Source::Alike(0.0)),
                CONSTANT => Self::Floats(Vec::new(), Source::Alike(f64::from_le_bytes(reader.array()?))),
                code => {
                    let (floats, rest) = Floats::open(code, shape.meta, shape.pages)?;
                    return Ok((Self::Floats(Vec::new(), Source::Pages(floats)), rest));
                }
            },
            ColumnType::Bool => match code {
                NONE | ZERO | CONSTANT => Self::Bools(Vec::new(), Source::Alike(code == CONSTANT)),
                BITS => Self::Bools(Vec::new(), Source::Pages(())),
                _ => return Err(unknown()),
            },
            ColumnType::Text => match code {
                NONE | ZERO => Self::Texts(Vec::new(), String::new(), Source::Alike("")),
                CONSTANT => {
                    let text = reader.text()?;
                    text::check_length(text.len(), shape.longest)?;
                    Self::Texts(Vec::new(), String::new(), Source::Alike(text))
                }
                TEXT => Self::Texts(Vec::new(), String::new(), Source::Pages(())),
                _ => return Err(unknown()),
            },
        };
        Ok((values, reader.rest()))
    }

    /// Appends the values of a page, of which `there` are not NULL.
    fn read(&mut self, page: Page<'_>, bytes: &[u8], there: usize, shape: Shape<'_>) -> Result<(), FrameError> {
        match self {
            Self::Ints(values, Source::Alike(value)) => values.resize(values.len() + there, *value),
            Self::Ints(values, Source::Pages(ints)) => ints.read(page.number, bytes, there, values)?,
            Self::Floats(values, Source::Alike(value)) => values.resize(values.len() + there, *value),
            Self::Floats(values, Source::Pages(floats)) => floats.read(page.number, bytes, there, values)?,
            Self::Bools(values, Source::Alike(value)) => values.resize(values.len() + there, *value),
            Self::Bools(values, Source::Pages(())) => {
                let set = mask::decode(bytes, there)?;
                values.extend((0..there).map(|row| set.get(row)));
            }
            Self::Texts(ends, all, Source::Alike(text)) => {
                let more = text.len().saturating_mul(there);
                if more > shape.texts.saturating_sub(all.len()) {
                    return Err(FrameError::malformed("texts", "longer than announced"));
                }
                for _ in 0..there {
                    all.push_str(text);
                    ends.push(end_of(all)?);
                }
            }
            Self::Texts(ends, all, Source::Pages(())) => {
                let expected = Expected { rows: there, bytes: page.texts, longest: shape.longest };
                let (bytes, own) = text::decode(bytes, expected)?.into_parts();
                let start = end_of(all)?;
                if all.is_empty() {
                    *all = bytes;
                } else {
                    all.push_str(&bytes);
                }
                end_of(all)?;
                ends.extend(own.into_iter().map(|end| start + end));
            }
        }
        Ok(())
    }

    fn finish(self, ty: ColumnType) -> Result<Values, FrameError> {
        Ok(match self {
            Self::Ints(values, _) if ty == ColumnType::Timestamp => Values::Timestamp(values),
            Self::Ints(values, _) => Values::Int(values),
            Self::Floats(values, _) => Values::Float(values),
            Self::Bools(values, _) => Values::Bool(values),
            Self::Texts(ends, all, _) => Values::Text(
                TextValues::from_parts(ends, all).ok_or_else(|| FrameError::malformed("texts", "bad lengths"))?,
            ),
        })
    }
}

fn end_of(texts: &str) -> Result<u32, FrameError> {
    u32::try_from(texts.len()).map_err(|_| FrameError::malformed("texts", "more than 4 GiB"))
}

/// Puts values back to the rows that are not NULL.
struct Spread<'a> {
    nulls: &'a Mask,
}

impl Spread<'_> {
    fn all(&self, values: Values) -> Result<Values, FrameError> {
        Ok(match values {
            Values::Int(values) => Values::Int(self.values(values)),
            Values::Timestamp(values) => Values::Timestamp(self.values(values)),
            Values::Float(values) => Values::Float(self.values(values)),
            Values::Bool(values) => Values::Bool(self.values(values)),
            Values::Text(texts) => Values::Text(self.texts(texts)?),
        })
    }

    fn values<T: Copy + Default>(&self, values: Vec<T>) -> Vec<T> {
        let mut there = values.into_iter();
        let value = |row| if self.nulls.get(row) { T::default() } else { there.next().unwrap_or_default() };
        (0..self.nulls.len()).map(value).collect()
    }

    fn texts(&self, texts: TextValues) -> Result<TextValues, FrameError> {
        let mut end = 0;
        let (bytes, ends) = texts.into_parts();
        let mut there = ends.into_iter();
        let ends = (0..self.nulls.len()).map(|row| {
            if !self.nulls.get(row) {
                end = there.next().unwrap_or(end);
            }
            end
        });
        let ends = ends.collect();
        TextValues::from_parts(ends, bytes).ok_or_else(|| FrameError::malformed("texts", "they do not fit the rows"))
    }
}
