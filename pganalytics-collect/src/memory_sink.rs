//! A sink that keeps what it is given.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use pganalytics_core::{
    Batch, Ranges, StreamId,
    frame::{Content, Frame, Limits},
};
use tokio::sync::watch;

use crate::sink::{Delivery, FrameGroup, Refused, Sink, SinkError};

/// Keeps batches in memory, decoded, in the order in which they came. Clones
/// share what they hold. It grows without bound unless [`MemorySink::take`] is
/// called, which leaves but which numbers came: for tests and for services that
/// read it regularly.
#[derive(Debug, Clone)]
pub struct MemorySink {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    kept: Mutex<Kept>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Kept {
    batches: Vec<Batch>,
    /// One set of ranges a stream, which stays small.
    seen: HashMap<StreamId, Ranges>,
}

impl Default for MemorySink {
    fn default() -> Self {
        Self::new()
    }
}

impl MemorySink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner { kept: Mutex::default(), count: watch::Sender::new(0) }) }
    }

    /// A copy of all batches so far.
    #[must_use]
    pub fn batches(&self) -> Vec<Batch> {
        self.kept().batches.clone()
    }

    /// A copy of the batches of one measurement.
    #[must_use]
    pub fn batches_of(&self, measurement: &str) -> Vec<Batch> {
        let is_it = |batch: &&Batch| batch.schema.measurement().as_str() == measurement;
        self.kept().batches.iter().filter(is_it).cloned().collect()
    }

    /// Gives all batches away and forgets them.
    #[must_use]
    pub fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut self.kept().batches)
    }

    /// Waits until `batches` have come in all, those taken away counted.
    pub async fn wait_for(&self, batches: usize) {
        // The sender lives as long as this does, so it can't fail.
        let _ = self.inner.count.subscribe().wait_for(|&count| count >= batches).await;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn deliver(&self, group: FrameGroup) -> Result<Delivery, SinkError> {
        let mut delivery = Delivery::default();
        let mut batches = 0;
        for (position, bytes) in group.frames {
            let seq = position.seq;
            let content = Content::parse(bytes, &Limits::default(), &|_| None);
            let batch = content.and_then(|content| content.frame().map(Frame::to_batch).transpose());
            match batch {
                Err(error) => {
                    delivery.refused.push(Refused::one(seq, error.code(), error.to_string()));
                }
                Ok(batch) => {
                    let mut kept = self.kept();
                    if kept.seen.entry(group.stream).or_default().insert(seq) {
                        // A gap holds none.
                        batches += usize::from(batch.is_some());
                        kept.batches.extend(batch);
                        delivery.stored.insert(seq);
                    } else {
                        delivery.duplicate.insert(seq);
                    }
                }
            }
        }
        self.inner.count.send_modify(|count| *count += batches);
        Ok(delivery)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use pganalytics_core::{Gap, GapReason, Seq, Timestamp, frame::encode_gap};

    use super::*;

    #[tokio::test]
    async fn a_gap_is_taken_and_is_no_batch() {
        let sink = MemorySink::new();
        let time = Timestamp::from_secs(1);
        let gap = Gap {
            first: Seq(1),
            last: Seq(3),
            from: time,
            to: time,
            reason: GapReason::Quota,
            detail: String::new(),
            cut: Vec::new(),
        };
        let group = FrameGroup { stream: StreamId::random(), frames: vec![(Seq(4).into(), encode_gap(&gap).into())] };
        let delivery = sink.deliver(group.clone()).await.unwrap();
        assert_eq!(delivery, Delivery::all(&group));
        assert!(sink.deliver(group).await.unwrap().duplicate.contains(Seq(4)));
        assert!(sink.batches().is_empty());
    }
}
