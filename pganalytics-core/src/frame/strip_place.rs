//! Where strips stand in a frame.
//!
//! Packed, each strip in the head: code; bytes of text; then `meta` and its one
//! page with their length, or only `meta` where it tells its own.
//!
//! Paged, in the head of each strip: code; bytes of text; length of `meta` and
//! `meta`; lengths of its pages; bytes of text in each. The pages stand behind
//! the head, each with its CRC32C (4 bytes) behind it.

use std::ops::Range;

use super::{
    FrameError, PAGE_ROWS,
    number::{Effort, decode_ints, put_int_section},
    strip::{CONSTANT, NONE, Page, Shape, Written, ZERO, has_pages, has_texts},
    wire::{Reader, put_slice, put_varint},
};
use crate::{schema::ColumnType, value::ColumnData};

/// Bytes of a checksum.
pub(super) const CRC: usize = 4;

/// A strip of a frame.
#[derive(Debug, Clone)]
pub(super) struct Strip {
    pub(super) ty: ColumnType,
    code: u8,
    /// Number of values.
    pub(super) len: usize,
    /// In the head: `meta`, and of packed strips the page.
    meta: Range<usize>,
    /// Bytes of text.
    pub(super) texts: usize,
    /// Where pages end in the frame, and before them where the first begins;
    /// empty when there is nothing behind the head.
    ends: Box<[usize]>,
    /// Bytes of text in each page, where there are several.
    page_texts: Box<[usize]>,
}

impl Written {
    /// Appends the strip whole.
    pub(super) fn put_packed(&self, ty: ColumnType, head: &mut Vec<u8>) {
        self.put_code(ty, head);
        if has_pages(self.code) {
            let page = self.pages.first().map(Vec::as_slice).unwrap_or_default();
            put_varint(head, (self.meta.len() + page.len()) as u64);
            head.extend_from_slice(&self.meta);
            head.extend_from_slice(page);
        } else {
            head.extend_from_slice(&self.meta);
        }
    }

    /// Appends what is to be known of the strip to the head, its pages to the
    /// body.
    pub(super) fn put_apart(
        &self,
        ty: ColumnType,
        effort: Effort,
        head: &mut Vec<u8>,
        body: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        self.put_code(ty, head);
        put_slice(head, &self.meta);
        if !has_pages(self.code) {
            return Ok(());
        }
        let mut lens = Vec::with_capacity(self.pages.len());
        for page in &self.pages {
            let start = body.len();
            put_checked(page, body);
            lens.push((body.len() - start) as i64);
        }
        put_int_section(&lens, effort, head)?;
        if self.texts.len() > 1 {
            let texts: Vec<i64> = self.texts.iter().map(|&len| len as i64).collect();
            put_int_section(&texts, effort, head)?;
        }
        Ok(())
    }

    fn put_code(&self, ty: ColumnType, head: &mut Vec<u8>) {
        head.push(self.code);
        if has_texts(ty, self.code) {
            put_varint(head, self.text_bytes() as u64);
        }
    }

    /// Bytes of text in all pages.
    pub(super) fn text_bytes(&self) -> usize {
        self.texts.iter().sum()
    }
}

/// Appends bytes and their checksum; nothing for none.
pub(super) fn put_checked(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        out.extend_from_slice(bytes);
        out.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
    }
}

/// The reverse of [`put_checked`].
pub(super) fn checked(bytes: &[u8]) -> Result<&[u8], FrameError> {
    if bytes.is_empty() {
        return Ok(bytes);
    }
    let Some((checked, stored)) = bytes.split_last_chunk::<CRC>() else {
        return Err(FrameError::Cut { what: "page", needed: CRC - bytes.len(), left: 0 });
    };
    let (found, stored) = (crc32c::crc32c(checked), u32::from_le_bytes(*stored));
    if found != stored {
        return Err(FrameError::Checksum { len: bytes.len(), found, stored });
    }
    Ok(checked)
}

/// What is common to the strips of a frame while they are read.
pub(super) struct Places<'a> {
    pub(super) reader: Reader<'a>,
    /// Length of the head, to tell where in it something stands.
    pub(super) head: usize,
    /// Where pages begin in the frame; `None`: the frame is packed.
    pub(super) next: Option<usize>,
    /// Where they must have ended.
    pub(super) end: usize,
    /// Bytes that may still be taken once decoded.
    pub(super) left: u64,
    pub(super) limit: u64,
}

impl Places<'_> {
    /// Counts bytes that will be taken.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), FrameError> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                let given = (self.limit - self.left).saturating_add(bytes);
                return Err(FrameError::TooLarge { what: "decoded bytes", given, limit: self.limit });
            }
        }
        Ok(())
    }

    /// The place of what the reader stands before.
    fn here(&self, len: usize) -> Result<Range<usize>, FrameError> {
        let left = self.reader.rest().len();
        if left < len {
            return Err(FrameError::Cut { what: "header", needed: len, left });
        }
        Ok(self.head - left..self.head - left + len)
    }

    /// Reads a strip of `len` values.
    pub(super) fn strip(&mut self, ty: ColumnType, len: usize) -> Result<Strip, FrameError> {
        let code = self.reader.byte()?;
        let texts = if has_texts(ty, code) {
            self.reader.count("bytes of text", usize::try_from(self.left).unwrap_or(usize::MAX))?
        } else {
            0
        };
        let mut strip = Strip { ty, code, len, meta: 0..0, texts, ends: Box::default(), page_texts: Box::default() };
        let pages = len.div_ceil(PAGE_ROWS);
        let Some(start) = self.next else {
            let meta = if has_pages(code) { self.reader.varint()? } else { self.own_len(ty, code)? };
            strip.meta = self.here(usize::try_from(meta).unwrap_or(usize::MAX))?;
            self.reader.take(strip.meta.len())?;
            return Ok(strip);
        };
        let meta = self.reader.varint()?;
        strip.meta = self.here(usize::try_from(meta).unwrap_or(usize::MAX))?;
        self.reader.take(strip.meta.len())?;
        if has_pages(code) {
            let mut ends = Vec::with_capacity(pages + 1);
            let mut at = start;
            ends.push(at);
            for len in decode_ints(self.reader.slice()?, pages)? {
                let len = usize::try_from(len).ok().filter(|&len| len <= self.end - at);
                at += len.ok_or_else(|| FrameError::malformed("header", "a page stands beyond the end"))?;
                ends.push(at);
            }
            self.next = Some(at);
            strip.ends = ends.into();
            if has_texts(ty, code) && pages > 1 && code & 0x7f != CONSTANT {
                let sizes = decode_ints(self.reader.slice()?, pages)?;
                let sizes = sizes.into_iter().map(|size| usize::try_from(size).ok().filter(|&size| size <= texts));
                let sizes = sizes.collect::<Option<Vec<usize>>>().filter(|sizes| sizes.iter().sum::<usize>() == texts);
                let wrong = || FrameError::malformed("header", "texts of pages are not those of the whole");
                strip.page_texts = sizes.ok_or_else(wrong)?.into();
            }
        }
        Ok(strip)
    }

    /// The place of a section of this length.
    pub(super) fn section(&mut self, len: usize) -> Result<Range<usize>, FrameError> {
        let Some(start) = self.next else {
            let place = self.here(len)?;
            self.reader.take(len)?;
            return Ok(place);
        };
        if len > self.end - start {
            return Err(FrameError::malformed("header", "a section stands beyond the end"));
        }
        self.next = Some(start + len);
        Ok(start..start + len)
    }

    /// The length of a `meta` that tells its own.
    fn own_len(&self, ty: ColumnType, code: u8) -> Result<u64, FrameError> {
        let mut reader = self.reader.clone();
        match (code, ty) {
            (NONE | ZERO, _) | (CONSTANT, ColumnType::Bool) => {}
            (CONSTANT, ColumnType::Float) => drop(reader.take(8)?),
            (CONSTANT, ColumnType::Int | ColumnType::Timestamp) => drop(reader.varint()?),
            (CONSTANT, ColumnType::Text) => drop(reader.slice()?),
            _ => return Err(FrameError::malformed("header", format!("unknown encoding {code}"))),
        }
        Ok((self.reader.rest().len() - reader.rest().len()) as u64)
    }
}

impl Strip {
    /// Number of pages.
    pub(super) fn pages(&self) -> usize {
        self.len.div_ceil(PAGE_ROWS)
    }

    /// Where pages stand in the frame; empty when all is in the head.
    pub(super) fn range(&self, pages: &Range<usize>) -> Range<usize> {
        match (self.ends.get(pages.start), self.ends.get(pages.end)) {
            (Some(&start), Some(&end)) => start..end,
            _ => 0..0,
        }
    }

    /// Reads pages; `bytes` are those of [`Strip::range`].
    pub(super) fn decode(
        &self,
        head: &[u8],
        pages: Range<usize>,
        bytes: &[u8],
        longest: usize,
    ) -> Result<ColumnData, FrameError> {
        let meta = head.get(self.meta.clone()).unwrap_or_default();
        let shape = Shape { ty: self.ty, code: self.code, meta, pages: self.pages(), texts: self.texts, longest };
        let all = pages == (0..self.pages());
        let start = self.range(&pages).start;
        let page = |number: usize| {
            let len = PAGE_ROWS.min(self.len - number * PAGE_ROWS);
            let texts = self.page_texts.get(number).copied().unwrap_or(self.texts);
            let bytes = match (self.ends.get(number), self.ends.get(number + 1)) {
                (Some(&from), Some(&to)) => Some(
                    checked(bytes.get(from - start..to - start).unwrap_or_default())
                        .map_err(|error| FrameError::BadPage { page: number, why: error.to_string() })?,
                ),
                _ if self.ends.is_empty() && has_pages(self.code) => None,
                _ => Some(&[][..]),
            };
            Ok(Page { number, len, bytes, texts })
        };
        let data = super::strip::decode(shape, pages.map(page))?;
        if let crate::value::Values::Text(texts) = data.values()
            && all
            && texts.bytes().len() != self.texts
        {
            return Err(FrameError::malformed("texts", "not as long as announced"));
        }
        Ok(data)
    }
}
