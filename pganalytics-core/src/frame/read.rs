//! The head of a frame, and reading single pages by it: from the whole frame in
//! memory, or from wherever it is kept.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{
    BlockFacts, ColumnEnds, FrameError, Limits, PAGE_ROWS,
    envelope::{Envelope, Kind, LONGEST_PREFIX, open_prefix},
    facts,
    header::Header,
    keys::KeyDirectory,
    parse::FindSchema,
    strip_place::{CRC, Strip, checked},
    wire::Reader,
};
use crate::{
    batch::Scrape,
    mask::Mask,
    schema::Schema,
    source::Source,
    stream::Link,
    value::{ColumnData, Values},
};

/// Where the bytes of a frame come from.
///
/// Whoever reads asynchronously asks [`FrameHead::ranges`] first, fetches those,
/// and serves them from memory.
pub trait FrameBytes {
    /// The bytes at these places, counted from the beginning of the frame.
    ///
    /// # Errors
    /// [`FrameError::Unavailable`] when they can't be read.
    fn bytes(&self, range: Range<usize>) -> Result<Bytes, FrameError>;
}

impl FrameBytes for Bytes {
    fn bytes(&self, range: Range<usize>) -> Result<Bytes, FrameError> {
        if range.end > self.len() || range.start > range.end {
            return Err(FrameError::Cut { what: "frame", needed: range.end - self.len().min(range.end), left: 0 });
        }
        Ok(self.slice(range))
    }
}

/// The head of a frame: what it holds, and where. With it, single pages are read
/// without the rest.
///
/// ```no_run
/// use std::{fs::File, ops::Range, os::unix::fs::FileExt};
/// use bytes::Bytes;
/// use pganalytics_core::frame::{FrameBytes, FrameError, FrameHead, Limits};
///
/// struct OnDisk(File);
/// impl FrameBytes for OnDisk {
///     fn bytes(&self, range: Range<usize>) -> Result<Bytes, FrameError> {
///         let mut bytes = vec![0; range.len()];
///         let read = self.0.read_exact_at(&mut bytes, range.start as u64);
///         read.map_err(|error| FrameError::Unavailable(error.to_string()))?;
///         Ok(bytes.into())
///     }
/// }
///
/// let file = OnDisk(File::open("block")?);
/// let len = FrameHead::len_of(&file.bytes(0..FrameHead::PREFIX)?)?;
/// let head = FrameHead::parse(file.bytes(0..len)?, &Limits::default(), &|_| None)?;
/// let keys = head.keys(&file)?.ok_or("rows are not sorted by key")?;
/// let rows = keys.rows(7);
/// let column = head.rows_of_column(3, rows, &file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FrameHead {
    pub(super) header: Arc<Header>,
    head: Bytes,
    longest_text: usize,
}

impl FrameHead {
    /// Bytes from the beginning of a frame by which [`FrameHead::len_of`] tells
    /// the length of its head; fewer are enough if the frame has no more.
    pub const PREFIX: usize = LONGEST_PREFIX;

    /// How many bytes from the beginning of the frame its head takes.
    ///
    /// # Errors
    /// When the bytes do not begin as a frame does.
    pub fn len_of(prefix: &[u8]) -> Result<usize, FrameError> {
        let (_, len, reader) = open_prefix(prefix, &Limits { max_frame_bytes: usize::MAX, ..Limits::default() })?;
        Ok((prefix.len() - reader.rest().len()).saturating_add(len).saturating_add(CRC))
    }

    /// Reads a head; `bytes` begin where the frame does and go to the end of the
    /// head at least. `schemas` finds the schema, which is not in the head.
    ///
    /// # Errors
    /// When the head is damaged, makes no sense or exceeds a limit, or nobody
    /// knows its schema.
    #[expect(clippy::needless_pass_by_value, reason = "a share of it is kept")]
    pub fn parse(bytes: Bytes, limits: &Limits, schemas: FindSchema<'_>) -> Result<Self, FrameError> {
        Self::of_envelope(&Envelope::open(&bytes, limits)?, limits, |fingerprint, _| {
            schemas(fingerprint).ok_or(FrameError::UnknownSchema { fingerprint })
        })
    }

    /// Reads a head; `schema` is asked with the fingerprint and with where the
    /// frame ends.
    pub(super) fn of_envelope(
        envelope: &Envelope,
        limits: &Limits,
        schema: impl FnOnce(u64, usize) -> Result<Arc<Schema>, FrameError>,
    ) -> Result<Self, FrameError> {
        let mut reader = Reader::new("header", &envelope.head);
        let fingerprint = u64::from_le_bytes(reader.array()?);
        let decoded = reader.varint()?;
        let body = match envelope.kind {
            Kind::Paged => reader.count("pages", limits.max_frame_bytes.saturating_sub(envelope.end))?,
            Kind::Packed => 0,
            Kind::Gap => return Err(FrameError::NoRows),
        };
        let schema = schema(fingerprint, envelope.end + body)?;
        let pages = (envelope.kind == Kind::Paged).then_some(envelope.end..envelope.end + body);
        let header = Header::read(reader, envelope.head.len(), pages, decoded, schema, limits)?;
        Ok(Self { header: Arc::new(header), head: envelope.head.clone(), longest_text: limits.max_text_bytes })
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

    /// Bytes that all columns together take once decoded.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.header.decoded
    }

    /// Number of pages; a page has [`PAGE_ROWS`] rows, the last one the rest.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.header.rows.div_ceil(PAGE_ROWS)
    }

    /// The pages that hold these rows.
    #[must_use]
    pub fn pages_of(&self, rows: &Range<usize>) -> Range<usize> {
        let end = rows.end.min(self.header.rows);
        if rows.start >= end { 0..0 } else { rows.start / PAGE_ROWS..end.div_ceil(PAGE_ROWS) }
    }

    /// Where the bytes stand that reading these pages of a column needs, beside
    /// the head; empty when the head has it all. Key columns of a frame with a
    /// directory of keys need all of theirs, and [`FrameHead::key_ranges`].
    #[must_use]
    pub fn ranges(&self, column: usize, pages: &Range<usize>) -> Range<usize> {
        match self.header.columns.get(column).and_then(|&at| self.header.strips.get(at)) {
            Some(strip) if self.header.is_key(column) => strip.range(&(0..strip.pages())),
            Some(strip) => strip.range(pages),
            None => 0..0,
        }
    }

    /// Where the bytes of the directory of keys stand, beside the head.
    #[must_use]
    pub fn key_ranges(&self) -> Range<usize> {
        let strips = self.header.key_strips();
        let ranges = strips.iter().map(|strip| strip.range(&(0..strip.pages()))).filter(|range| !range.is_empty());
        ranges.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)).unwrap_or_default()
    }

    /// The same of what is known of the rows of these pages: their scrapes, and which are gone.
    #[must_use]
    pub fn row_ranges(&self, pages: &Range<usize>) -> [Range<usize>; 2] {
        let of = |strip: Option<&Strip>| strip.map_or(0..0, |strip| strip.range(pages));
        [of(self.header.scrape_strip()), of(self.header.gone_strip())]
    }

    /// The same of all that is noted of the frame as a whole: [`links`](Self::links),
    /// [`facts`](Self::facts) and [`ends`](Self::ends).
    #[must_use]
    pub fn note_ranges(&self) -> Range<usize> {
        let places = self.header.sections.iter().map(|(_, place)| place.clone()).filter(|_| !self.header.packed);
        places.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)).unwrap_or_default()
    }

    /// Bytes that this takes in memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let strips = self.header.strips.iter().map(|strip| 96 + 8 * strip.pages());
        self.head.len() + 200 * self.scrapes().len() + strips.sum::<usize>()
    }

    /// The directory of keys, where the rows are sorted by key.
    ///
    /// # Errors
    /// When its bytes can't be read or make no sense.
    pub fn keys(&self, source: &dyn FrameBytes) -> Result<Option<KeyDirectory>, FrameError> {
        let Some(ends) = self.run_ends(source)? else { return Ok(None) };
        let columns = self.schema().positions_of(crate::schema::ColumnKind::Key);
        let read = |column: usize| Ok::<_, FrameError>((column, self.distinct(column, source)?));
        Ok(Some(KeyDirectory::new(columns.map(read).collect::<Result<_, _>>()?, ends)))
    }

    /// The rows of some pages of a column.
    ///
    /// # Errors
    /// When there is no such column, or its bytes can't be read or make no sense.
    pub fn pages_of_column(
        &self,
        column: usize,
        pages: Range<usize>,
        source: &dyn FrameBytes,
    ) -> Result<ColumnData, FrameError> {
        let columns = self.header.columns.len();
        let (Some(&at), Some(shape)) = (self.header.columns.get(column), self.schema().columns().get(column)) else {
            return Err(FrameError::NoSuchColumn { index: column, columns });
        };
        if self.rows() == 0 {
            return Ok(ColumnData::with_capacity(shape.ty, 0));
        }
        let strip = self.header.strips.get(at);
        let strip = strip.ok_or(FrameError::NoSuchColumn { index: column, columns })?;
        let read = if self.header.is_key(column) {
            self.repeated(column, strip, &pages, source)
        } else {
            self.strip(strip, pages.start.min(strip.pages())..pages.end.min(strip.pages()), source)
        };
        read.map_err(|error| match error {
            error @ (FrameError::TooLarge { .. } | FrameError::Unavailable(_)) => error,
            other => FrameError::BadColumn { column: shape.name.clone(), why: other.to_string() },
        })
    }

    /// Some rows of a column; only their pages are read.
    ///
    /// # Errors
    /// When there is no such column, or its bytes can't be read or make no sense.
    pub fn rows_of_column(
        &self,
        column: usize,
        rows: Range<usize>,
        source: &dyn FrameBytes,
    ) -> Result<ColumnData, FrameError> {
        let pages = self.pages_of(&rows);
        let first = pages.start * PAGE_ROWS;
        let data = self.pages_of_column(column, pages, source)?;
        let end = rows.end.min(first + data.len());
        if rows.start == first && end == first + data.len() {
            return Ok(data);
        }
        let wanted: Vec<u32> = (rows.start..end).filter_map(|row| u32::try_from(row - first).ok()).collect();
        Ok(data.take(&wanted))
    }

    /// For each row of some pages the position of its scrape.
    ///
    /// # Errors
    /// When its bytes can't be read or make no sense.
    pub fn scrapes_of_pages(&self, pages: Range<usize>, source: &dyn FrameBytes) -> Result<Vec<u32>, FrameError> {
        let rows = (pages.end * PAGE_ROWS).min(self.rows()).saturating_sub(pages.start * PAGE_ROWS);
        let Some(strip) = self.header.scrape_strip() else { return Ok(vec![0; rows]) };
        let data = self.strip(strip, pages, source)?;
        let scrapes = self.scrapes().len();
        let Values::Int(numbers) = data.values() else { return Ok(Vec::new()) };
        let number = |&number: &i64| u32::try_from(number).ok().filter(|&number| (number as usize) < scrapes);
        numbers
            .iter()
            .map(number)
            .collect::<Option<_>>()
            .ok_or_else(|| FrameError::malformed("scrapes of rows", "a row points at a scrape that is not there"))
    }

    /// The rows of some pages whose key is gone; `None` when none is.
    ///
    /// # Errors
    /// When its bytes can't be read or make no sense.
    pub fn gone_of_pages(&self, pages: Range<usize>, source: &dyn FrameBytes) -> Result<Option<Mask>, FrameError> {
        let Some(strip) = self.header.gone_strip() else { return Ok(None) };
        let data = self.strip(strip, pages, source)?;
        let Values::Bool(gone) = data.values() else { return Ok(None) };
        Ok(Some(gone.iter().copied().collect::<Mask>()).filter(Mask::any))
    }

    /// Where each scrape stood in its stream, in the order of the scrapes;
    /// `None`s where it is not known.
    ///
    /// # Errors
    /// When its bytes can't be read or make no sense.
    pub fn links(&self, source: &dyn FrameBytes) -> Result<Vec<Option<Link>>, FrameError> {
        match self.section(super::links::SECTION, source)? {
            Some(bytes) => super::links::read(&bytes, self.scrapes().len()),
            None => Ok(vec![None; self.scrapes().len()]),
        }
    }

    /// What the rows say of each other, where whoever stored them has noted it.
    ///
    /// # Errors
    /// When its bytes can't be read or make no sense.
    pub fn facts(&self, source: &dyn FrameBytes) -> Result<Option<BlockFacts>, FrameError> {
        let Some(keys) = self.header.run_strip().map(|strip| strip.len) else { return Ok(None) };
        let Some(bytes) = self.section(facts::FACTS, source)? else { return Ok(None) };
        BlockFacts::decode(&bytes, self.rows(), keys, self.scrapes().len()).map(Some)
    }

    /// Values of these columns in the first and the last row of each key, where whoever stored
    /// them has noted it. Those of counters that are the measurement's own and of the row
    /// stamp are.
    ///
    /// # Errors
    /// When their bytes can't be read or make no sense.
    pub fn ends(
        &self,
        wanted: &dyn Fn(usize) -> bool,
        source: &dyn FrameBytes,
    ) -> Result<Option<Vec<ColumnEnds>>, FrameError> {
        let Some(keys) = self.header.run_strip().map(|strip| strip.len) else { return Ok(None) };
        let Some(bytes) = self.section(facts::ENDS, source)? else { return Ok(None) };
        facts::decode_ends(&bytes, self.schema(), keys, wanted).map(Some)
    }

    /// Whether it says of its rows what their receiver finds out by itself.
    pub(super) fn has_facts(&self) -> bool {
        self.header.sections.iter().any(|(kind, _)| matches!(*kind, facts::FACTS | facts::ENDS))
    }

    /// Whether [`FrameHead::facts`] and [`FrameHead::ends`] are there.
    #[must_use]
    pub fn knows_facts(&self) -> bool {
        self.header.run_strip().is_some()
            && [facts::FACTS, facts::ENDS]
                .iter()
                .all(|kind| self.header.sections.iter().any(|(known, _)| known == kind))
    }

    /// Checks what no reader has asked for.
    pub(super) fn check_sections(&self, source: &dyn FrameBytes) -> Result<(), FrameError> {
        self.header.sections.iter().try_for_each(|(kind, _)| self.section(*kind, source).map(|_| ()))
    }

    /// Looks at the checksums of all pages and notes that stand wholly in these places.
    ///
    /// # Errors
    /// When one is wrong, or its bytes can't be read.
    pub fn check(&self, places: &[Range<usize>], source: &dyn FrameBytes) -> Result<(), FrameError> {
        let header = &self.header;
        if header.packed {
            return Ok(());
        }
        let pages =
            header.strips.iter().flat_map(|strip| (0..strip.pages()).map(|page| strip.range(&(page..page + 1))));
        let notes = header.sections.iter().map(|(_, place)| place.clone());
        let asked = |range: &Range<usize>| {
            !range.is_empty() && places.iter().any(|place| place.start <= range.start && range.end <= place.end)
        };
        pages.chain(notes).filter(asked).try_for_each(|range| checked(&source.bytes(range)?).map(|_| ()))
    }

    fn section(&self, kind: u64, source: &dyn FrameBytes) -> Result<Option<Bytes>, FrameError> {
        let Some((_, place)) = self.header.sections.iter().find(|(known, _)| *known == kind) else { return Ok(None) };
        if self.header.packed {
            return Ok(Some(self.head.slice(place.clone())));
        }
        let bytes = source.bytes(place.clone())?;
        let len = checked(&bytes)?.len();
        Ok(Some(bytes.slice(..len)))
    }

    fn strip(&self, strip: &Strip, pages: Range<usize>, source: &dyn FrameBytes) -> Result<ColumnData, FrameError> {
        let range = strip.range(&pages);
        let bytes = if range.is_empty() { Bytes::new() } else { source.bytes(range)? };
        strip.decode(&self.head, pages, &bytes, self.longest_text)
    }

    fn distinct(&self, column: usize, source: &dyn FrameBytes) -> Result<ColumnData, FrameError> {
        let strip = self.header.columns.get(column).and_then(|&at| self.header.strips.get(at));
        let strip = strip.ok_or(FrameError::NoSuchColumn { index: column, columns: self.header.columns.len() })?;
        self.strip(strip, 0..strip.pages(), source)
    }

    /// Where the rows of each key end.
    fn run_ends(&self, source: &dyn FrameBytes) -> Result<Option<Vec<u32>>, FrameError> {
        let Some(strip) = self.header.run_strip() else { return Ok(None) };
        let data = self.strip(strip, 0..strip.pages(), source)?;
        let Values::Int(lens) = data.values() else { return Ok(None) };
        let mut end = 0_usize;
        let ends = lens.iter().map(|&len| {
            end += usize::try_from(len).ok().filter(|&len| len > 0 && len <= self.rows() - end)?;
            u32::try_from(end).ok()
        });
        let ends: Option<Vec<u32>> = ends.collect();
        match ends.filter(|_| end == self.rows()) {
            Some(ends) => Ok(Some(ends)),
            None => Err(FrameError::malformed("directory of keys", "rows of keys are not all rows")),
        }
    }

    /// A key column as rows have it.
    fn repeated(
        &self,
        column: usize,
        strip: &Strip,
        pages: &Range<usize>,
        source: &dyn FrameBytes,
    ) -> Result<ColumnData, FrameError> {
        let distinct = self.strip(strip, 0..strip.pages(), source)?;
        let ends = self.run_ends(source)?.unwrap_or_default();
        let rows = (pages.start * PAGE_ROWS).min(self.rows())..(pages.end * PAGE_ROWS).min(self.rows());
        if let Values::Text(texts) = distinct.values() {
            let mut start = 0;
            let len = |(key, &end): (usize, &u32)| {
                let rows = end - start;
                start = end;
                (texts.get(key).len() as u64).saturating_mul(u64::from(rows))
            };
            let all = ends.iter().enumerate().map(len).fold(0, u64::saturating_add);
            if all != self.header.expanded(column) {
                return Err(FrameError::malformed("directory of keys", "texts are not as long as announced"));
            }
        }
        let first = ends.partition_point(|&end| end as usize <= rows.start);
        let mut wanted = Vec::with_capacity(rows.len());
        let mut at = rows.start;
        for (key, &end) in (0_u32..).zip(&ends).skip(first) {
            let end = (end as usize).min(rows.end);
            wanted.resize(wanted.len() + end.saturating_sub(at), key);
            at = end.max(at);
            if at >= rows.end {
                break;
            }
        }
        Ok(distinct.take(&wanted))
    }
}
