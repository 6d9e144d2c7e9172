//! Reading frames.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    FrameError, Limits, MAGIC, MAJOR, SECTION_GONE, SECTION_SCRAPES,
    blob::read_blob,
    column,
    header::{Header, Place},
    mask,
    number::decode_ints,
    text::Expected,
    wire::Reader,
};
use crate::{
    batch::{Batch, Block, Scrape},
    id::Seq,
    mask::Mask,
    rows::Rows,
    schema::Schema,
    source::Source,
    time::Timestamp,
    value::ColumnData,
};

const MAGIC_TEXT: &str = "PGAF";
/// Magic, two bytes of version, checksum.
const SMALLEST: usize = 10;

/// A frame whose checksum and header are good; columns are read when asked
/// for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    header: Arc<Header>,
    bytes: Bytes,
    /// What follows the header, up to the checksum.
    body: Bytes,
    longest_text: usize,
}

impl Frame {
    /// Checks magic, version, checksum, header and the places of all columns.
    ///
    /// # Errors
    /// When the bytes are not a whole, undamaged frame within the limits.
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Self, FrameError> {
        if bytes.len() > limits.max_frame_bytes {
            return Err(FrameError::TooLarge {
                what: "frame",
                given: bytes.len() as u64,
                limit: limits.max_frame_bytes as u64,
            });
        }
        if !bytes.starts_with(MAGIC) {
            return Err(FrameError::NotAFrame { expected: MAGIC_TEXT });
        }
        let Some((checked, stored)) = bytes.split_last_chunk::<4>().filter(|_| bytes.len() >= SMALLEST) else {
            return Err(FrameError::Cut { what: "frame", needed: SMALLEST - bytes.len(), left: 0 });
        };
        let mut reader = Reader::new("frame", checked);
        reader.take(MAGIC.len())?;
        let [major, minor] = reader.array()?;
        if major != MAJOR {
            return Err(FrameError::UnsupportedVersion { major, minor, supported: MAJOR });
        }
        let (found, stored) = (crc32c::crc32c(checked), u32::from_le_bytes(*stored));
        if found != stored {
            return Err(FrameError::Checksum { len: bytes.len(), found, stored });
        }
        let header_len = reader.count("header", limits.max_header_bytes)?;
        let packed = reader.slice()?;
        let body_start = checked.len() - reader.rest().len();
        let body_end = checked.len();
        let header = read_blob("header", packed, header_len)?;
        let header = Header::read(&header, body_end - body_start, limits)?;
        let body = bytes.slice(body_start..body_end);
        Ok(Self { header: Arc::new(header), bytes, body, longest_text: limits.max_text_bytes })
    }

    /// Shape of the rows.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.header.schema
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.header.source
    }

    /// The scrapes, in order of time; never empty.
    #[must_use]
    pub fn scrapes(&self) -> &[Scrape] {
        &self.header.scrapes
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.header.rows
    }

    /// The frame as it was given.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Rows times columns.
    #[must_use]
    pub fn value_count(&self) -> u64 {
        self.header.rows as u64 * self.header.columns.len() as u64
    }

    /// Times of the first and of the last scrape.
    #[must_use]
    pub fn time_range(&self) -> (Timestamp, Timestamp) {
        let time = |scrape: Option<&Scrape>| scrape.map(|scrape| scrape.collected_at).unwrap_or_default();
        (time(self.scrapes().first()), time(self.scrapes().last()))
    }

    /// Decodes one column, and no other.
    ///
    /// # Errors
    /// When there is no such column or its bytes make no sense.
    pub fn column(&self, index: usize) -> Result<ColumnData, FrameError> {
        let columns = self.header.columns.len();
        let (Some(place), Some(column)) = (self.header.columns.get(index), self.schema().columns().get(index)) else {
            return Err(FrameError::NoSuchColumn { index, columns });
        };
        let expected = Expected { rows: self.rows(), bytes: place.text_bytes, longest: self.longest_text };
        column::decode(self.section(place), column.ty, expected).map_err(|error| match error {
            error @ FrameError::TooLarge { .. } => error,
            other => FrameError::BadColumn { column: column.name.clone(), why: other.to_string() },
        })
    }

    /// For each row the position of its scrape.
    ///
    /// # Errors
    /// When its bytes make no sense.
    pub fn scrape_of_row(&self) -> Result<Vec<u32>, FrameError> {
        let scrapes = self.scrapes().len();
        if scrapes == 1 {
            return Ok(vec![0; self.rows()]);
        }
        let bytes = self.other(SECTION_SCRAPES).unwrap_or_default();
        let numbers = decode_ints(bytes, self.rows())?;
        let number = |number| u32::try_from(number).ok().filter(|&number| (number as usize) < scrapes);
        numbers
            .into_iter()
            .map(number)
            .collect::<Option<_>>()
            .ok_or_else(|| FrameError::malformed("scrapes of rows", "a row points at a scrape that is not there"))
    }

    /// The rows whose key is gone; `None` when none is.
    ///
    /// # Errors
    /// When its bytes make no sense.
    pub fn gone(&self) -> Result<Option<Mask>, FrameError> {
        let gone = self.other(SECTION_GONE).map(|bytes| mask::decode(bytes, self.rows())).transpose()?;
        Ok(gone.filter(Mask::any))
    }

    /// All rows, decoded.
    ///
    /// # Errors
    /// When any part of the frame makes no sense.
    pub fn to_rows(&self) -> Result<Rows, FrameError> {
        let columns = (0..self.header.columns.len()).map(|index| self.column(index)).collect::<Result<_, _>>()?;
        Ok(Rows::new(self.schema(), columns, self.gone()?)?)
    }

    /// The frame as a block.
    ///
    /// # Errors
    /// When any part of the frame makes no sense.
    pub fn to_block(&self) -> Result<Block, FrameError> {
        let rows = self.to_rows()?;
        let (schema, source) = (Arc::clone(self.schema()), self.source().clone());
        Ok(Block::new(schema, source, self.scrapes().to_vec(), self.scrape_of_row()?, rows)?)
    }

    /// The frame as a batch.
    ///
    /// # Errors
    /// [`FrameError::NotABatch`] when it does not hold exactly one scrape, or
    /// when any part of it makes no sense.
    pub fn to_batch(&self) -> Result<Batch, FrameError> {
        let &[scrape] = self.scrapes() else {
            return Err(FrameError::NotABatch { scrapes: self.scrapes().len() });
        };
        let (schema, source) = (Arc::clone(self.schema()), self.source().clone());
        Ok(Batch { schema, source, scrape, rows: self.to_rows()? })
    }

    fn section(&self, place: &Place) -> &[u8] {
        self.body.get(place.start..place.start + place.len).unwrap_or_default()
    }

    fn other(&self, number: u64) -> Option<&[u8]> {
        let found = self.header.sections.iter().find(|(other, _)| *other == number);
        found.map(|(_, place)| self.section(place))
    }
}

/// A frame of a stream every part of which was read once and found good.
#[derive(Debug, Clone)]
pub struct VerifiedFrame {
    seq: Seq,
    frame: Frame,
}

impl VerifiedFrame {
    /// Reads every part of a frame once.
    ///
    /// # Errors
    /// When any part of it makes no sense or exceeds a limit.
    pub fn verify(seq: Seq, bytes: Bytes, limits: &Limits) -> Result<Self, FrameError> {
        let frame = Frame::parse(bytes, limits)?;
        for index in 0..frame.header.columns.len() {
            frame.column(index)?;
        }
        frame.scrape_of_row()?;
        frame.gone()?;
        Ok(Self { seq, frame })
    }

    /// A batch that did not come as a frame: from JSON, or from the same
    /// process. It is encoded, so that stores keep but one form.
    ///
    /// # Errors
    /// When the batch's rows do not fit its schema, or exceed a limit.
    pub fn of_batch(seq: Seq, batch: &Batch) -> Result<Self, FrameError> {
        let frame = Frame::parse(super::encode(batch)?.into(), &Limits::default())?;
        Ok(Self { seq, frame })
    }

    /// Its number in the stream.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The frame.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}
