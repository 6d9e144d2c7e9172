//! Gap frames: what a stream has lost, in the place of what is lost.
//!
//! ```text
//! first, last, from (as its difference to the epoch), length of time, reason,
//! detail, sources: count, then each with its measurements
//! ```

use std::str::FromStr as _;

use super::{
    FrameError,
    envelope::{Kind, seal},
    header::{put_source, read_source},
    text::put_text,
    wire::{Reader, put_signed, put_varint},
};
use crate::{
    id::{MeasurementName, Seq},
    stream::{CutSource, Gap, GapReason},
    time::Timestamp,
};

/// Most bytes of a reason's detail; the rest is cut off when it is written.
const MAX_DETAIL: usize = 1_000;

/// A gap as a frame.
///
/// ```
/// use pganalytics_core::{Gap, GapReason, Seq, Timestamp, frame::{self, Content, Limits}};
/// let gap = Gap {
///     first: Seq(7),
///     last: Seq(19),
///     from: Timestamp::from_secs(1_800_000_000),
///     to: Timestamp::from_secs(1_800_000_720),
///     reason: GapReason::Quota,
///     detail: String::new(),
///     cut: Vec::new(),
/// };
/// let bytes = frame::encode_gap(&gap);
/// let read = Content::parse(bytes.into(), &Limits::default(), &|_| None)?;
/// assert_eq!(read.gap(), Some(&gap));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn encode_gap(gap: &Gap) -> Vec<u8> {
    let mut head = Vec::new();
    put_varint(&mut head, gap.first.0);
    put_varint(&mut head, gap.last.0);
    put_signed(&mut head, gap.from.as_micros());
    put_signed(&mut head, gap.to.as_micros().wrapping_sub(gap.from.as_micros()));
    put_text(&mut head, gap.reason.as_str());
    put_text(&mut head, gap.detail.get(..floor_of(&gap.detail)).unwrap_or_default());
    put_varint(&mut head, gap.cut.len() as u64);
    for cut in &gap.cut {
        put_source(&mut head, &cut.source);
        put_varint(&mut head, cut.measurements.len() as u64);
        cut.measurements.iter().for_each(|name| put_text(&mut head, name.as_str()));
    }
    seal(Kind::Gap, &head)
}

/// The last end of a character that is not beyond the limit.
fn floor_of(detail: &str) -> usize {
    let end = detail.len().min(MAX_DETAIL);
    (0..=end).rev().find(|&end| detail.is_char_boundary(end)).unwrap_or_default()
}

pub(super) fn read_gap(head: &[u8]) -> Result<Gap, FrameError> {
    let mut reader = Reader::new("gap", head);
    let (first, last) = (reader.varint()?, reader.varint()?);
    if first > last {
        return Err(FrameError::malformed("gap", format!("it ends at {last}, before it begins at {first}")));
    }
    let from = reader.signed()?;
    let to = from.wrapping_add(reader.signed()?);
    let reason = GapReason::from_str(reader.text()?).unwrap_or_else(|never| match never {});
    let detail = reader.text()?.to_owned();
    // Each takes more than this, so no more is reserved than the bytes have.
    let sources = reader.count("sources of a gap", reader.rest().len() / 34)?;
    let mut cut = Vec::with_capacity(sources);
    for _ in 0..sources {
        let source = read_source(&mut reader)?;
        let count = reader.count("measurements of a gap", reader.rest().len() / 2)?;
        let names = (0..count).map(|_| Ok(MeasurementName::new(reader.text()?)?));
        cut.push(CutSource { source, measurements: names.collect::<Result<_, FrameError>>()? });
    }
    let (from, to) = (Timestamp::from_micros(from), Timestamp::from_micros(to));
    Ok(Gap { first: Seq(first), last: Seq(last), from, to, reason, detail, cut })
}
