//! The one binary form of batches and blocks (API first; bodies being written).
#![allow(missing_docs)]

mod error;
mod limits;

use std::sync::Arc;

use bytes::Bytes;

pub use self::error::FrameError;
pub use self::limits::{Limits, PushLimits};
use crate::{Batch, Block, ColumnData, Mask, Schema, Scrape, Seq, Source, StreamId, Timestamp};

pub const CONTENT_TYPE: &str = "application/vnd.pganalytics.frame";

fn soon<T>() -> Result<T, FrameError> {
    Err(FrameError::malformed("frame", "not written yet"))
}

pub fn encode(_batch: &Batch) -> Result<Vec<u8>, FrameError> {
    soon()
}

pub fn encode_block(_block: &Block) -> Result<Vec<u8>, FrameError> {
    soon()
}

pub fn compact(_frames: &[Frame]) -> Result<Block, FrameError> {
    soon()
}

#[derive(Debug, Clone)]
pub struct Frame {
    schema: Arc<Schema>,
    source: Source,
    scrapes: Arc<[Scrape]>,
    bytes: Bytes,
}

impl Frame {
    pub fn parse(_bytes: Bytes, _limits: &Limits) -> Result<Self, FrameError> {
        soon()
    }
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }
    pub fn source(&self) -> &Source {
        &self.source
    }
    pub fn scrapes(&self) -> &[Scrape] {
        &self.scrapes
    }
    pub fn rows(&self) -> usize {
        0
    }
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    pub fn value_count(&self) -> u64 {
        0
    }
    pub fn column(&self, _index: usize) -> Result<ColumnData, FrameError> {
        soon()
    }
    pub fn scrape_of_row(&self) -> Result<Vec<u32>, FrameError> {
        soon()
    }
    pub fn gone(&self) -> Result<Option<Mask>, FrameError> {
        soon()
    }
    pub fn to_block(&self) -> Result<Block, FrameError> {
        soon()
    }
    pub fn to_batch(&self) -> Result<Batch, FrameError> {
        soon()
    }
    pub fn time_range(&self) -> (Timestamp, Timestamp) {
        (Timestamp::default(), Timestamp::default())
    }
}

#[derive(Debug, Clone)]
pub struct VerifiedFrame {
    seq: Seq,
    frame: Frame,
}

impl VerifiedFrame {
    pub fn verify(_seq: Seq, _bytes: Bytes, _limits: &Limits) -> Result<Self, FrameError> {
        soon()
    }
    pub fn of_batch(_seq: Seq, _batch: &Batch) -> Result<Self, FrameError> {
        soon()
    }
    pub fn seq(&self) -> Seq {
        self.seq
    }
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}

pub fn encode_push(_stream: StreamId, _frames: &[(Seq, Bytes)]) -> Vec<u8> {
    Vec::new()
}

#[derive(Debug, Clone)]
pub struct PushBody {
    pub stream: StreamId,
    pub frames: Vec<(Seq, Bytes)>,
}

impl PushBody {
    pub fn parse(_body: Bytes, _limits: &PushLimits) -> Result<Self, FrameError> {
        soon()
    }
}
