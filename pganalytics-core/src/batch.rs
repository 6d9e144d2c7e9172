//! What one scrape brought, and what many did.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    epoch::Epoch, error::ModelError, mask::Mask, rows::Rows, schema::Schema, source::Source, stream::Link,
    time::Timestamp,
};

/// Whether a scrape's rows are all there are, or only the changed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScrapeKind {
    /// All rows: one that is missing is gone.
    Keyframe,
    /// Changed, new and gone rows: one that is missing is as it was.
    Delta,
    /// The last of several frames that are a keyframe together, see [`parts`](crate::parts).
    /// By itself it is a delta.
    #[serde(skip_deserializing)]
    LastPart {
        /// How many they are.
        parts: u32,
    },
}

/// What is known of the clock that a scrape's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ScrapeClock {
    /// The host's clock was set since the scrape before, so the time between the
    /// two is not known from their times.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stepped: bool,
    /// By how many microseconds the receiver's clock was ahead when it was last
    /// measured; `None`: not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_micros: Option<i64>,
}

/// One visit to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scrape {
    /// When the values were read, by the agent's clock; by the receiver's where that is
    /// known to be more than two seconds away (see [`ScrapeClock::offset_micros`]).
    pub collected_at: Timestamp,
    /// Planned time between two scrapes, in microseconds.
    pub interval_micros: u64,
    /// All rows, or the changed ones.
    pub kind: ScrapeKind,
    /// When the counters began to count.
    pub epoch: Epoch,
    /// What is known of that clock.
    pub clock: ScrapeClock,
}

/// What one scrape of one measurement at one source brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Shape of the rows.
    pub schema: Arc<Schema>,
    /// Where they come from.
    pub source: Source,
    /// When and how they were read.
    pub scrape: Scrape,
    /// The values. They must fit the schema; codecs check it.
    pub rows: Rows,
}

/// Many scrapes of one measurement at one source.
///
/// Invariants, checked by [`Block::new`]: scrapes are in order of time, every
/// row points at one of them. Rows of compacted blocks are sorted by key, then
/// time, and a row that equals the one before it of the same key is left out,
/// keyframe or not; what a keyframe said to be gone is a row marked gone. So
/// inside a block a missing row always means "as it was".
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    schema: Arc<Schema>,
    source: Source,
    scrapes: Vec<Scrape>,
    scrape_of_row: Vec<u32>,
    rows: Rows,
    links: Vec<Option<Link>>,
}

impl Block {
    /// A block from its parts.
    ///
    /// # Errors
    /// [`ModelError::BadBlock`] when an invariant is broken.
    pub fn new(
        schema: Arc<Schema>,
        source: Source,
        scrapes: Vec<Scrape>,
        scrape_of_row: Vec<u32>,
        rows: Rows,
    ) -> Result<Self, ModelError> {
        if scrapes.is_empty() {
            return Err(ModelError::BadBlock("it has no scrapes"));
        }
        if !scrapes.is_sorted_by_key(|scrape| scrape.collected_at) {
            return Err(ModelError::BadBlock("its scrapes are not in order of time"));
        }
        if scrape_of_row.len() != rows.len() {
            return Err(ModelError::BadBlock("not every row has a scrape"));
        }
        if scrape_of_row.iter().any(|&scrape| scrape as usize >= scrapes.len()) {
            return Err(ModelError::BadBlock("a row points at a scrape that is not there"));
        }
        Ok(Self { schema, source, scrapes, scrape_of_row, rows, links: Vec::new() })
    }

    /// Says where each scrape stood in its stream, in the order of the scrapes.
    /// Nothing is kept when that is known of none.
    #[must_use]
    pub fn with_links(mut self, mut links: Vec<Option<Link>>) -> Self {
        links.resize(self.scrapes.len(), None);
        self.links = if links.iter().any(Option::is_some) { links } else { Vec::new() };
        self
    }

    /// Where each scrape stood in its stream; empty when that is known of none.
    #[must_use]
    pub fn links(&self) -> &[Option<Link>] {
        &self.links
    }

    /// Shape of the rows.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The scrapes, in order of time; never empty.
    #[must_use]
    pub fn scrapes(&self) -> &[Scrape] {
        &self.scrapes
    }

    /// For each row the position of its scrape.
    #[must_use]
    pub fn scrape_of_row(&self) -> &[u32] {
        &self.scrape_of_row
    }

    /// The values.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.rows
    }
}

impl From<Batch> for Block {
    fn from(batch: Batch) -> Self {
        Self {
            schema: batch.schema,
            source: batch.source,
            scrapes: vec![batch.scrape],
            scrape_of_row: vec![0; batch.rows.len()],
            rows: batch.rows,
            links: Vec::new(),
        }
    }
}

impl Batch {
    /// Which rows only say that their key is gone.
    #[must_use]
    pub fn gone(&self) -> Option<&Mask> {
        self.rows.gone()
    }
}
