//! Texts: one for all, one behind the other, or a dictionary and for each row
//! the number of its entry; the bytes are a [`blob`](super::blob).

use std::collections::HashMap;

use super::{
    FrameError,
    blob::{put_blob, read_blob},
    number::{Effort, decode_ints, put_int_section},
    wire::{Reader, put_slice, put_varint},
};
use crate::value::TextValues;

/// Every value is this one.
const CONSTANT: u8 = 1;
/// Lengths, then the texts.
const PLAIN: u8 = 2;
/// Lengths of the entries, number of each row's entry, then the entries in the
/// order in which rows first need them.
const DICTIONARY: u8 = 3;

/// What a reader needs to know before it reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// Number of texts.
    pub(super) rows: usize,
    /// Their length together.
    pub(super) bytes: usize,
    /// Most bytes of one.
    pub(super) longest: usize,
}

/// Appends texts; they take the rest of their section.
pub(super) fn encode<'a>(texts: &[&'a str], effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let Some(&first) = texts.first() else { return Ok(()) };
    if texts.iter().all(|&text| text == first) {
        out.push(CONSTANT);
        out.extend_from_slice(first.as_bytes());
        return Ok(());
    }
    let mut numbers: HashMap<&'a str, i64> = HashMap::with_capacity(texts.len());
    let mut entries = Vec::new();
    let mut of_row = Vec::with_capacity(texts.len());
    for &text in texts {
        let next = entries.len() as i64;
        let number = *numbers.entry(text).or_insert_with(|| {
            entries.push(text);
            next
        });
        of_row.push(number);
    }
    if entries.len() == texts.len() {
        out.push(PLAIN);
        put_lengths(&entries, effort, out)?;
    } else {
        out.push(DICTIONARY);
        put_varint(out, entries.len() as u64);
        put_lengths(&entries, effort, out)?;
        put_int_section(&of_row, effort, out)?;
    }
    put_blob(entries.concat().as_bytes(), effort, out);
    Ok(())
}

fn put_lengths(texts: &[&str], effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let lengths: Vec<i64> = texts.iter().map(|text| text.len() as i64).collect();
    put_int_section(&lengths, effort, out)
}

/// Reads the texts of a section.
pub(super) fn decode(bytes: &[u8], expected: Expected) -> Result<TextValues, FrameError> {
    if expected.rows == 0 {
        return Ok(TextValues::default());
    }
    let malformed = |why: &str| FrameError::malformed("texts", why);
    let mut reader = Reader::new("texts", bytes);
    match reader.byte()? {
        CONSTANT => {
            let text = std::str::from_utf8(reader.rest()).map_err(|_| malformed("not UTF-8"))?;
            check_length(text.len(), expected.longest)?;
            if text.len().checked_mul(expected.rows) != Some(expected.bytes) {
                return Err(malformed("not as long as announced"));
            }
            let end = |row: usize| u32::try_from((row + 1) * text.len());
            let ends = (0..expected.rows).map(end).collect::<Result<Vec<_>, _>>();
            let ends = ends.map_err(|_| malformed("more than 4 GiB"))?;
            TextValues::from_parts(ends, text.repeat(expected.rows)).ok_or_else(|| malformed("bad lengths"))
        }
        PLAIN => read_texts(&mut reader, expected.rows, expected).and_then(|(ends, len)| {
            if len != expected.bytes {
                return Err(malformed("not as long as announced"));
            }
            finish(reader.rest(), ends, len)
        }),
        DICTIONARY => {
            let count = reader.count("entries of a dictionary", expected.rows)?;
            let (ends, len) = read_texts(&mut reader, count, expected)?;
            let numbers = decode_ints(reader.slice()?, expected.rows)?;
            let entries = finish(reader.rest(), ends, len)?;
            expand(&entries, &numbers, expected)
        }
        other => Err(malformed(&format!("unknown encoding {other}"))),
    }
}

pub(super) fn check_length(len: usize, longest: usize) -> Result<(), FrameError> {
    if len > longest {
        return Err(FrameError::TooLarge { what: "length of a text", given: len as u64, limit: longest as u64 });
    }
    Ok(())
}

/// Where each of `count` texts ends, and how long they are together.
fn read_texts(reader: &mut Reader<'_>, count: usize, expected: Expected) -> Result<(Vec<u32>, usize), FrameError> {
    let lengths = decode_ints(reader.slice()?, count)?;
    let mut ends = Vec::with_capacity(count);
    let mut total = 0_usize;
    for length in lengths {
        let length = usize::try_from(length).map_err(|_| FrameError::malformed("texts", "a negative length"))?;
        check_length(length, expected.longest)?;
        total = total.saturating_add(length);
        let end = u32::try_from(total).ok().filter(|_| total <= expected.bytes);
        ends.push(end.ok_or_else(|| FrameError::malformed("texts", "longer than announced"))?);
    }
    Ok((ends, total))
}

fn finish(blob: &[u8], ends: Vec<u32>, len: usize) -> Result<TextValues, FrameError> {
    let bytes = String::from_utf8(read_blob("texts", blob, len)?);
    let bytes = bytes.map_err(|_| FrameError::malformed("texts", "not UTF-8"))?;
    TextValues::from_parts(ends, bytes).ok_or_else(|| FrameError::malformed("texts", "a text ends within a character"))
}

fn expand(entries: &TextValues, numbers: &[i64], expected: Expected) -> Result<TextValues, FrameError> {
    let malformed = |why: &str| FrameError::malformed("texts", why);
    let mut ends = Vec::with_capacity(numbers.len());
    let mut bytes = String::with_capacity(expected.bytes);
    for &number in numbers {
        let entry = usize::try_from(number).ok().filter(|&number| number < entries.len());
        let text = entries.get(entry.ok_or_else(|| malformed("a row without an entry"))?);
        if bytes.len() + text.len() > expected.bytes {
            return Err(malformed("longer than announced"));
        }
        bytes.push_str(text);
        ends.push(u32::try_from(bytes.len()).map_err(|_| malformed("more than 4 GiB"))?);
    }
    if bytes.len() != expected.bytes {
        return Err(malformed("not as long as announced"));
    }
    TextValues::from_parts(ends, bytes).ok_or_else(|| malformed("bad lengths"))
}

/// Appends a text with its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_slice(out, text.as_bytes());
}
