//! What there is at present, of many frames.

use std::cmp::Ordering;

use super::{Frame, FrameError, compact, keys::compare};
use crate::{
    batch::{Block, ScrapeKind},
    mask::Mask,
    schema::ColumnKind,
    value::ColumnData,
};

/// The rows that are live after the last scrape of these frames, as a block: it begins
/// with their last keyframe, and each key has its last row, as of the scrape that brought
/// it. Whoever follows it and then the frames behind it knows all that is live, and where
/// frames are missing since, as if all were followed. `None` when there is no keyframe
/// among them.
///
/// # Errors
/// As [`compact`].
pub fn present(frames: &[Frame]) -> Result<Option<Block>, FrameError> {
    let block = compact(frames)?;
    let Some(first) = block.scrapes().iter().rposition(|scrape| scrape.kind == ScrapeKind::Keyframe) else {
        return Ok(None);
    };
    let rows = block.rows();
    let columns = rows.columns();
    let keys: Vec<&ColumnData> =
        block.schema().positions_of(ColumnKind::Key).filter_map(|key| columns.get(key)).collect();
    let (mut live, mut scrapes) = (Vec::new(), Vec::new());
    for ((row, number), scrape) in (0..rows.len()).zip(0_u32..).zip(block.scrape_of_row()) {
        let is_last = row + 1 == rows.len() || compare(&keys, row, row + 1) != Ordering::Equal;
        if is_last && !rows.is_gone(row) {
            live.push(number);
            // What is as it was before the keyframe was in it.
            scrapes.push((*scrape).saturating_sub(u32::try_from(first).unwrap_or(u32::MAX)));
        }
    }
    let rows = rows.take(&live);
    debug_assert!(!rows.gone().is_some_and(Mask::any), "rows that are gone are left out");
    let kept = block.scrapes().get(first..).unwrap_or_default().to_vec();
    let links = block.links().get(first..).unwrap_or_default().to_vec();
    let (schema, source) = (block.schema().clone(), block.source().clone());
    Ok(Some(Block::new(schema, source, kept, scrapes, rows)?.with_links(links)))
}
