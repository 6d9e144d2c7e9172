//! Chunks that can't be read.

use pganalytics_core::{CollectorId, MeasurementName, Source, StreamId, Timestamp};

/// A chunk that was set aside: its bytes are kept as they are, and no query reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// Its number.
    pub chunk: u64,
    /// The collector that sent it.
    pub collector: CollectorId,
    /// What was measured.
    pub measurement: MeasurementName,
    /// Where.
    pub source: Source,
    /// Its first scrape.
    pub from: Timestamp,
    /// Its last scrape.
    pub to: Timestamp,
    /// How many rows it has.
    pub rows: u64,
    /// The stream and the number in it, of a frame as it came; a block has none.
    pub frame: Option<(StreamId, u64)>,
    /// What is wrong with it.
    pub reason: String,
    /// When that was found.
    pub found_at: Timestamp,
}
