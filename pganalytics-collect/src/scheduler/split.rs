//! Large batches become several frames, so that none is too large for a push.

use bytes::Bytes;
use pganalytics_core::{
    Batch, Presence, ScrapeKind,
    frame::{self, FrameError},
};

/// Larger frames are split. A push of one frame passes a proxy that takes bodies of
/// 1 MiB, as nginx does where it is not told otherwise.
const LARGE: usize = 768 << 10;

/// The frames of a batch. Those of a keyframe are one together
/// ([`parts`](pganalytics_core::parts)).
pub(super) fn encode(batch: Batch) -> Result<Vec<Bytes>, FrameError> {
    encode_within(batch, LARGE)
}

fn encode_within(batch: Batch, large: usize) -> Result<Vec<Bytes>, FrameError> {
    let is_keyframe = batch.schema.presence() == Presence::State && batch.scrape.kind == ScrapeKind::Keyframe;
    let mut frames: Vec<Bytes> = Vec::new();
    let mut waiting = vec![batch];
    while let Some(mut part) = waiting.pop() {
        let mut bytes = frame::encode(&part)?;
        let rows = u32::try_from(part.rows.len()).unwrap_or(u32::MAX);
        if bytes.len() > large && rows > 1 {
            // The first half is taken up first.
            for half in [rows / 2..rows, 0..rows / 2] {
                let mut half = Batch { rows: part.rows.take(&half.collect::<Vec<u32>>()), ..part.clone() };
                if is_keyframe {
                    half.scrape.kind = ScrapeKind::Delta;
                }
                waiting.push(half);
            }
            continue;
        }
        if is_keyframe && waiting.is_empty() && !frames.is_empty() {
            let parts = u32::try_from(frames.len() + 1).unwrap_or(u32::MAX);
            part.scrape.kind = ScrapeKind::LastPart { parts };
            bytes = frame::encode(&part)?;
        }
        frames.push(bytes.into());
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
    fn parts_of_a_keyframe_are_deltas_and_the_last_one_says_how_many_they_are() {
        let batch = batch("state", ScrapeKind::Keyframe);
        let frames = encode_within(batch.clone(), 5000).unwrap();
        assert!((5..40).contains(&frames.len()) && frames.iter().all(|frame| frame.len() <= 5100));
        let parts: Vec<Batch> = frames
            .into_iter()
            .map(|frame| Frame::parse(frame, &Limits::default()).unwrap().to_batch().unwrap())
            .collect();
        let (last, others) = parts.split_last().unwrap();
        let number = u32::try_from(parts.len()).unwrap();
        assert_eq!(last.scrape.kind, ScrapeKind::LastPart { parts: number });
        assert!(others.iter().all(|part| part.scrape.kind == ScrapeKind::Delta));
        assert_eq!(parts.iter().map(|part| part.rows.len()).sum::<usize>(), batch.rows.len());
        assert_eq!(encode_within(batch, 1 << 20).unwrap().len(), 1, "a small one is whole");
    }
}
