//! Reading frames.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{
    FrameBytes, FrameError, FrameHead, Limits, decode_schema,
    envelope::{Envelope, Kind, open_prefix},
    wire::Reader,
};
use crate::{
    batch::{Batch, Block, Scrape},
    mask::Mask,
    rows::Rows,
    schema::Schema,
    source::Source,
    stream::Link,
    time::Timestamp,
    value::ColumnData,
};

/// Finds the schema of a fingerprint, for frames that only name theirs.
pub type FindSchema<'a> = &'a dyn Fn(u64) -> Option<Arc<Schema>>;

/// A frame whose head is good; columns are read when asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    head: FrameHead,
    bytes: Bytes,
    /// Without its schema.
    bare: Bytes,
    /// Where its parts are read from, when they are not in `bare`.
    apart: Option<Apart>,
    /// Where its only scrape stands, if somebody who knows has said it.
    link: Option<Link>,
}

/// Where the bytes of a frame are that are not in memory.
#[derive(Clone)]
struct Apart(Arc<dyn FrameBytes + Send + Sync>);

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Apart")
    }
}

impl Frame {
    /// Checks magic, version, the checksum of the head, the head and the places
    /// of all columns of a frame that carries its schema.
    ///
    /// # Errors
    /// When the bytes are not a whole frame with a good head within the limits.
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
        Self::of_envelope(bytes, &envelope, limits, schemas)
    }

    pub(super) fn of_envelope(
        bytes: Bytes,
        envelope: &Envelope,
        limits: &Limits,
        schemas: FindSchema<'_>,
    ) -> Result<Self, FrameError> {
        let mut end = envelope.end;
        let head = FrameHead::of_envelope(envelope, limits, |fingerprint, frame_end| {
            end = frame_end;
            if bytes.len() < end {
                return Err(FrameError::Cut { what: "frame", needed: end - bytes.len(), left: 0 });
            }
            let Some(carried) = bytes.get(end..).filter(|carried| !carried.is_empty()) else {
                return schemas(fingerprint).ok_or(FrameError::UnknownSchema { fingerprint });
            };
            let carried = decode_schema(carried, limits)?;
            if carried.fingerprint() != fingerprint {
                let why = format!("its fingerprint is {:016x}, not {fingerprint:016x}", carried.fingerprint());
                return Err(FrameError::malformed("schema", why));
            }
            Ok(carried)
        })?;
        let bare = bytes.slice(..end);
        Ok(Self { head, bytes, bare, apart: None, link: None })
    }

    /// A frame of which only the head is in memory; `rest` gives the bytes of each part that is
    /// asked for. It has no [`bytes`](Self::bytes) of its own.
    #[must_use]
    pub fn apart(head: FrameHead, rest: Arc<dyn FrameBytes + Send + Sync>) -> Self {
        Self { head, bytes: Bytes::new(), bare: Bytes::new(), apart: Some(Apart(rest)), link: None }
    }

    /// Where its parts are read from, for [`FrameHead`]'s methods.
    #[must_use]
    pub fn rest(&self) -> &dyn FrameBytes {
        match &self.apart {
            Some(Apart(rest)) => rest.as_ref(),
            None => &self.bare,
        }
    }

    /// Reads every part once.
    pub(super) fn verify(&self) -> Result<(), FrameError> {
        if self.head.has_facts() {
            return Err(FrameError::malformed("sections", "what a store notes of its rows comes from no one else"));
        }
        for index in 0..self.schema().columns().len() {
            self.column(index)?;
        }
        self.scrape_of_row()?;
        self.gone()?;
        self.head.links(self.rest())?;
        if self.head.keys(self.rest())?.is_some_and(|keys| !keys.is_sorted()) {
            return Err(FrameError::malformed("directory of keys", "it is not sorted"));
        }
        self.head.check_sections(self.rest())
    }

    /// Its head.
    #[must_use]
    pub fn head(&self) -> &FrameHead {
        &self.head
    }

    /// Says where the only scrape of the frame stands in its stream, so that a
    /// block that is made of it knows. Blocks keep what they know.
    #[must_use]
    pub fn with_link(mut self, link: Link) -> Self {
        self.link = Some(link).filter(|_| self.scrapes().len() == 1);
        self
    }

    /// Where each scrape stood in its stream; `None` where it is not known.
    ///
    /// # Errors
    /// When its bytes make no sense.
    pub fn links(&self) -> Result<Vec<Option<Link>>, FrameError> {
        match self.link {
            Some(link) => Ok(vec![Some(link)]),
            None => self.head.links(self.rest()),
        }
    }

    /// The frame without its schema, as it may be sent or kept where that is
    /// known; costs nothing. Nothing where only its head is in memory.
    #[must_use]
    pub fn without_schema(&self) -> &Bytes {
        &self.bare
    }

    /// Bytes that all columns together take once decoded.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.head.decoded_bytes()
    }

    /// Shape of the rows.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.head.schema()
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.head.source()
    }

    /// The scrapes, in order of time; never empty.
    #[must_use]
    pub fn scrapes(&self) -> &[Scrape] {
        self.head.scrapes()
    }

    /// Time of the last scrape that had all rows.
    #[must_use]
    pub fn last_keyframe(&self) -> Option<Timestamp> {
        let is_keyframe = |scrape: &&Scrape| scrape.kind == crate::batch::ScrapeKind::Keyframe;
        self.scrapes().iter().rev().find(is_keyframe).map(|scrape| scrape.collected_at)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.head.rows()
    }

    /// The frame as it was given; nothing where only its head was.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Rows times columns.
    #[must_use]
    pub fn value_count(&self) -> u64 {
        self.rows() as u64 * self.schema().columns().len() as u64
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
        self.head.pages_of_column(index, 0..self.head.pages(), self.rest())
    }

    /// For each row the position of its scrape.
    ///
    /// # Errors
    /// When its bytes make no sense.
    pub fn scrape_of_row(&self) -> Result<Vec<u32>, FrameError> {
        self.head.scrapes_of_pages(0..self.head.pages(), self.rest())
    }

    /// The rows whose key is gone; `None` when none is.
    ///
    /// # Errors
    /// When its bytes make no sense.
    pub fn gone(&self) -> Result<Option<Mask>, FrameError> {
        self.head.gone_of_pages(0..self.head.pages(), self.rest())
    }

    /// All rows, decoded.
    ///
    /// # Errors
    /// When any part of the frame makes no sense.
    pub fn to_rows(&self) -> Result<Rows, FrameError> {
        let columns = (0..self.schema().columns().len()).map(|index| self.column(index)).collect::<Result<_, _>>()?;
        Ok(Rows::new(self.schema(), columns, self.gone()?)?)
    }

    /// The frame as a block.
    ///
    /// # Errors
    /// When any part of the frame makes no sense.
    pub fn to_block(&self) -> Result<Block, FrameError> {
        let rows = self.to_rows()?;
        let (schema, source) = (Arc::clone(self.schema()), self.source().clone());
        let block = Block::new(schema, source, self.scrapes().to_vec(), self.scrape_of_row()?, rows)?;
        Ok(block.with_links(self.links()?))
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
}

/// Bytes that a gap takes for each of its own: a name of one letter, two bytes,
/// becomes an entry with an allocation.
const GAP_BYTES: u64 = 24;

/// Bytes that a frame takes once it is decoded, as it announces it; parsing
/// refuses a frame that announces too little. For limits on many frames before
/// any of them is read: it looks at the first bytes only, and checks no more.
///
/// # Errors
/// When the bytes do not begin as a frame does.
pub fn decoded_bytes(bytes: &[u8]) -> Result<u64, FrameError> {
    let (kind, _, mut reader) = open_prefix(bytes, &Limits { max_frame_bytes: usize::MAX, ..Limits::default() })?;
    match kind {
        Kind::Gap => Ok((bytes.len() as u64).saturating_mul(GAP_BYTES)),
        Kind::Packed | Kind::Paged => {
            reader.array::<8>()?;
            reader.varint()
        }
    }
}

/// By what fingerprint a frame names its schema; `None` for a gap, which has
/// none. It looks at the first bytes only, and checks no more.
///
/// # Errors
/// When the bytes do not begin as a frame does.
pub fn schema_fingerprint(bytes: &[u8]) -> Result<Option<u64>, FrameError> {
    let (kind, _, mut reader) = open_prefix(bytes, &Limits { max_frame_bytes: usize::MAX, ..Limits::default() })?;
    match kind {
        Kind::Gap => Ok(None),
        Kind::Packed | Kind::Paged => Ok(Some(u64::from_le_bytes(reader.array()?))),
    }
}

/// Takes the schema off a frame: the frame that only names it, and the schema as
/// [`decode_schema`] reads it, if the frame carries one.
///
/// # Errors
/// When the bytes are not a frame whose head is whole and undamaged.
pub fn split_schema(bytes: &Bytes) -> Result<(Bytes, Option<Bytes>), FrameError> {
    let envelope = Envelope::open(bytes, &Limits { max_frame_bytes: usize::MAX, ..Limits::default() })?;
    let mut end = envelope.end;
    if envelope.kind == Kind::Paged {
        let mut reader = Reader::new("header", &envelope.head);
        reader.array::<8>()?;
        reader.varint()?;
        end = end.saturating_add(reader.count("pages", usize::MAX)?);
    }
    if end > bytes.len() {
        return Err(FrameError::Cut { what: "frame", needed: end - bytes.len(), left: 0 });
    }
    let schema = bytes.slice(end..);
    Ok((bytes.slice(..end), (!schema.is_empty()).then_some(schema)))
}
