//! Reading frames.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    FrameError, Limits, SECTION_GONE, SECTION_SCRAPES, column, decode_schema,
    envelope::{Envelope, Kind, open_prefix},
    header::{Header, Place},
    mask,
    number::decode_ints,
    text::Expected,
    wire::Reader,
};
use crate::{
    batch::{Batch, Block, Scrape},
    mask::Mask,
    rows::Rows,
    schema::Schema,
    source::Source,
    time::Timestamp,
    value::ColumnData,
};

/// Finds the schema of a fingerprint, for frames that only name theirs.
pub type FindSchema<'a> = &'a dyn Fn(u64) -> Option<Arc<Schema>>;

/// A frame whose checksum and header are good; columns are read when asked
/// for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    header: Arc<Header>,
    bytes: Bytes,
    /// Without its schema.
    bare: Bytes,
    /// What follows the header, up to the checksum.
    body: Bytes,
    longest_text: usize,
}

impl Frame {
    /// Checks magic, version, checksum, header and the places of all columns of
    /// a frame that carries its schema.
    ///
    /// # Errors
    /// When the bytes are not a whole, undamaged frame within the limits.
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Self, FrameError> {
        Self::parse_with(bytes, limits, &|_| None)
    }

    /// The same; `schemas` finds the schema of a frame that only names it.
    ///
    /// # Errors
    /// As [`Frame::parse`], and [`FrameError::UnknownSchema`] when the frame does
    /// not carry its schema and nobody knows it.
    pub fn parse_with(bytes: Bytes, limits: &Limits, schemas: FindSchema<'_>) -> Result<Self, FrameError> {
        let envelope = Envelope::open(&bytes, limits)?;
        match envelope.kind {
            Kind::Packed => Self::of_envelope(bytes, &envelope, limits, schemas),
            Kind::Gap => Err(FrameError::NoRows),
        }
    }

    pub(super) fn of_envelope(
        bytes: Bytes,
        envelope: &Envelope,
        limits: &Limits,
        schemas: FindSchema<'_>,
    ) -> Result<Self, FrameError> {
        let mut reader = Reader::new("header", &envelope.head);
        let fingerprint = u64::from_le_bytes(reader.array()?);
        let bare = bytes.slice(..envelope.end);
        let schema = if bytes.len() > envelope.end {
            let carried = decode_schema(bytes.get(envelope.end..).unwrap_or_default(), limits)?;
            if carried.fingerprint() != fingerprint {
                let why = format!("its fingerprint is {:016x}, not {fingerprint:016x}", carried.fingerprint());
                return Err(FrameError::malformed("schema", why));
            }
            carried
        } else {
            schemas(fingerprint).ok_or(FrameError::UnknownSchema { fingerprint })?
        };
        let header = Header::read(&mut reader, schema, limits)?;
        let body = envelope.head.slice_ref(reader.rest());
        Ok(Self { header: Arc::new(header), bytes, bare, body, longest_text: limits.max_text_bytes })
    }

    /// Reads every part once.
    pub(super) fn verify(&self) -> Result<(), FrameError> {
        for index in 0..self.header.columns.len() {
            self.column(index)?;
        }
        self.scrape_of_row()?;
        self.gone().map(|_| ())
    }

    /// The frame without its schema, as it may be sent or kept where that is
    /// known; costs nothing.
    #[must_use]
    pub fn without_schema(&self) -> &Bytes {
        &self.bare
    }

    /// Bytes that all columns together take once decoded.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.header.decoded
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

/// Bytes that a frame takes once it is decoded, as it announces it; parsing
/// refuses a frame that announces too little. For limits on many frames before
/// any of them is read: it looks at the first bytes only, and checks no more.
///
/// # Errors
/// When the bytes do not begin as a frame does.
pub fn decoded_bytes(bytes: &[u8]) -> Result<u64, FrameError> {
    let (kind, _, mut reader) = open_prefix(bytes, &Limits { max_frame_bytes: usize::MAX, ..Limits::default() })?;
    match kind {
        Kind::Gap => Ok(bytes.len() as u64),
        Kind::Packed => {
            reader.array::<8>()?;
            reader.varint()
        }
    }
}

/// Takes the schema off a frame: the frame that only names it, and the schema as
/// [`decode_schema`] reads it, if the frame carries one.
///
/// # Errors
/// When the bytes are not a frame whose head is whole and undamaged.
pub fn split_schema(bytes: &Bytes) -> Result<(Bytes, Option<Bytes>), FrameError> {
    let envelope = Envelope::open(bytes, &Limits { max_frame_bytes: usize::MAX, ..Limits::default() })?;
    let schema = bytes.slice(envelope.end..);
    Ok((bytes.slice(..envelope.end), (!schema.is_empty()).then_some(schema)))
}
