//! Large batches become several frames, so that none is too large for a push.

use bytes::Bytes;
use pganalytics_core::{
    Batch, Presence, ScrapeKind,
    frame::{self, FrameError},
};

/// Larger frames are split: half of what a push may have.
const LARGE: usize = 2 << 20;

/// The frames of a batch. Rows of a keyframe stay together, for one that is not in
/// it is gone.
pub(super) fn encode(batch: Batch) -> Result<Vec<Bytes>, FrameError> {
    encode_within(batch, LARGE)
}

fn encode_within(batch: Batch, large: usize) -> Result<Vec<Bytes>, FrameError> {
    let mut frames = Vec::new();
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        let bytes = frame::encode(&part)?;
        let rows = u32::try_from(part.rows.len()).unwrap_or(u32::MAX);
        let is_whole = part.schema.presence() == Presence::State && part.scrape.kind == ScrapeKind::Keyframe;
        if bytes.len() <= large || rows < 2 || is_whole {
            frames.push(Bytes::from(bytes));
            continue;
        }
        // The first half is taken up first.
        for half in [rows / 2..rows, 0..rows / 2] {
            parts.push(Batch { rows: part.rows.take(&half.collect::<Vec<u32>>()), ..part.clone() });
        }
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use pganalytics_core::{
        RowsBuilder, Timestamp, Value,
        catalog::Measurement,
        frame::{Frame, Limits},
    };

    use super::*;
    use crate::scrape::empty_scrape;

    /// Texts that can't be made smaller.
    fn batch(presence: &str, kind: ScrapeKind) -> Batch {
        let text = format!(
            "name = \"texts\"\nscope = \"agent\"\ninterval = \"60s\"\npresence = \"{presence}\"\n\
             [[column]]\nname = \"id\"\nkind = \"key\"\ntype = \"int\"\n\
             [[column]]\nname = \"text\"\nkind = \"info\"\ntype = \"text\"\n"
        );
        let measurement = Measurement::parse(&text, "texts").unwrap();
        let source = crate::scheduler::accounts::unknown_source("here");
        let mut batch = empty_scrape(&measurement, source, Timestamp::from_secs(1));
        let mut rows = RowsBuilder::new(measurement.schema());
        for id in 0..300 {
            let text: String = (0..4).map(|_| uuid::Uuid::new_v4().to_string()).collect();
            rows.push(&[Value::Int(id), Value::Text(&text)]).unwrap();
        }
        (batch.rows, batch.scrape.kind) = (rows.finish(), kind);
        batch
    }

    #[test]
    fn the_parts_are_small_and_have_all_rows_in_their_order() {
        for (presence, kind) in [("append", ScrapeKind::Keyframe), ("state", ScrapeKind::Delta)] {
            let batch = batch(presence, kind);
            let frames = encode_within(batch.clone(), 5000).unwrap();
            assert!((5..40).contains(&frames.len()) && frames.iter().all(|frame| frame.len() <= 5000));
            let mut at = 0_u32;
            for frame in frames {
                let part = Frame::parse(frame, &Limits::default()).unwrap().to_batch().unwrap();
                let end = at + u32::try_from(part.rows.len()).unwrap();
                assert_eq!(part.rows, batch.rows.take(&(at..end).collect::<Vec<_>>()));
                assert_eq!((&part.source, part.scrape), (&batch.source, batch.scrape));
                at = end;
            }
            assert_eq!(at as usize, batch.rows.len());
        }
    }

    #[test]
    fn a_keyframe_stays_whole() {
        assert_eq!(encode_within(batch("state", ScrapeKind::Keyframe), 5000).unwrap().len(), 1);
    }
}
