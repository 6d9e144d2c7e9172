//! The section that tells where each scrape of a block stood in its stream.
//!
//! ```text
//! streams (count, 16 bytes each); for each scrape the number of its stream (0:
//! not known), its number there, how far before it its base stands (0: none)
//! ```

use uuid::Uuid;

use super::{
    FrameError,
    number::{Effort, decode_ints, put_int_section},
    wire::{Reader, put_varint},
};
use crate::{
    id::{Seq, StreamId},
    stream::Link,
};

/// Its number among the sections.
pub(super) const SECTION: u64 = 1;

/// The section; `None` when nothing is known.
pub(super) fn write(links: &[Option<Link>], effort: Effort) -> Result<Option<Vec<u8>>, FrameError> {
    if links.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut streams: Vec<StreamId> = Vec::new();
    let (mut numbers, mut seqs, mut bases) = (Vec::new(), Vec::new(), Vec::new());
    for link in links {
        let Some(link) = link else {
            numbers.push(0);
            seqs.push(0);
            bases.push(0);
            continue;
        };
        let known = streams.iter().position(|stream| *stream == link.stream);
        let number = known.unwrap_or_else(|| {
            streams.push(link.stream);
            streams.len() - 1
        });
        numbers.push(number as i64 + 1);
        seqs.push(link.seq.0.cast_signed());
        bases.push(link.base.map_or(0, |base| link.seq.0.wrapping_sub(base.0).cast_signed()));
    }
    let mut out = Vec::new();
    put_varint(&mut out, streams.len() as u64);
    streams.iter().for_each(|stream| out.extend_from_slice(stream.as_uuid().as_bytes()));
    for list in [&numbers, &seqs, &bases] {
        put_int_section(list, effort, &mut out)?;
    }
    Ok(Some(out))
}

/// Reads a section of `scrapes` scrapes.
pub(super) fn read(bytes: &[u8], scrapes: usize) -> Result<Vec<Option<Link>>, FrameError> {
    let mut reader = Reader::new("links", bytes);
    let count = reader.count("streams", reader.rest().len() / 16)?;
    let streams: Vec<StreamId> = (0..count)
        .map(|_| Ok(StreamId::from_uuid(Uuid::from_bytes(reader.array()?))))
        .collect::<Result<_, FrameError>>()?;
    let mut list = || decode_ints(reader.slice()?, scrapes);
    let (numbers, seqs, bases) = (list()?, list()?, list()?);
    let link = |((number, seq), back): ((i64, i64), i64)| {
        let Some(number) = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)) else {
            return Ok(None);
        };
        let stream = *streams.get(number).ok_or_else(|| FrameError::malformed("links", "a stream is not there"))?;
        let (seq, back) = (seq.cast_unsigned(), back.cast_unsigned());
        let base = (back != 0).then(|| Seq(seq.wrapping_sub(back)));
        Ok(Some(Link { stream, seq: Seq(seq), base }))
    };
    numbers.into_iter().zip(seqs).zip(bases).map(link).collect()
}
