//! What the head of a frame of rows says: who, when, what shape, and where each
//! strip stands.
//!
//! ```text
//! schema     its fingerprint (8 bytes)
//! decoded    bytes that all columns take once decoded
//! pages      bytes behind the head; only where there are pages
//! flags      a byte: sorted by key (1), some rows are gone (2), sections (4)
//! source     server id, instance id, server, database
//! scrapes    see `scrapes`
//! rows       count
//! keys       where rows are sorted by key: count; bytes of each key column of
//!            texts, as rows have it
//! strips     none where there are no rows; see `strip_place`: where rows are sorted by key, the rows of each
//!            key and the distinct values of each key column; then the other
//!            columns; of blocks the scrapes of rows; which rows are gone
//! sections   count; each its number and its length; packed, its bytes
//! ```
//! Later minor versions may append to it; readers skip what they do not know,
//! sections too.

use std::{ops::Range, sync::Arc};

use uuid::Uuid;

use super::{
    FrameError, Limits,
    scrapes::read_scrapes,
    strip_place::{Places, Strip},
    text::put_text,
    wire::Reader,
};
use crate::{
    batch::Scrape,
    id::{InstanceId, ServerId},
    schema::{ColumnKind, ColumnType, Schema},
    source::Source,
};

/// Rows are sorted by key, and key columns are stored once for each key.
pub(super) const SORTED: u8 = 1;
/// Some rows only say that their key is gone.
pub(super) const GONE: u8 = 2;
/// There are sections.
pub(super) const SECTIONS: u8 = 4;

/// Most sections that a frame may have.
const MAX_SECTIONS: usize = 64;

/// What a head says.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) schema: Arc<Schema>,
    pub(super) decoded: u64,
    pub(super) packed: bool,
    pub(super) source: Source,
    pub(super) scrapes: Vec<Scrape>,
    pub(super) rows: usize,
    pub(super) strips: Vec<Strip>,
    /// For each column its strip.
    pub(super) columns: Vec<usize>,
    /// Number of key columns; `None`: the rows are not sorted by key.
    keys: Option<usize>,
    /// Of texts of key columns the bytes that rows have of them, by column.
    expanded: Vec<(usize, u64)>,
    scrape_strip: Option<usize>,
    gone_strip: Option<usize>,
    /// Places by number, in the head or in the frame.
    pub(super) sections: Vec<(u64, Range<usize>)>,
}

pub(super) fn put_source(out: &mut Vec<u8>, source: &Source) {
    out.extend_from_slice(source.server_id.as_uuid().as_bytes());
    out.extend_from_slice(source.instance_id.as_uuid().as_bytes());
    put_text(out, &source.server);
    out.push(u8::from(source.database.is_some()));
    if let Some(database) = &source.database {
        put_text(out, database);
    }
}

pub(super) fn read_source(reader: &mut Reader<'_>) -> Result<Source, FrameError> {
    Ok(Source {
        server_id: ServerId::from_uuid(Uuid::from_bytes(reader.array()?)),
        instance_id: InstanceId::from_uuid(Uuid::from_bytes(reader.array()?)),
        server: reader.text()?.into(),
        database: if reader.byte()? == 0 { None } else { Some(reader.text()?.into()) },
    })
}

/// Bytes that a value takes while it is decoded, those of a text not counted.
fn width_of(ty: ColumnType) -> u64 {
    match ty {
        // While it is read, a row has its end, its length, its entry.
        ColumnType::Text => 12,
        ColumnType::Bool => 1,
        ColumnType::Int | ColumnType::Float | ColumnType::Timestamp => 8,
    }
}

/// Bytes that rows take once decoded, those of texts not counted.
pub(super) fn fixed_bytes(schema: &Schema, rows: usize, scrapes: usize, gone: bool) -> u64 {
    let columns: u64 = schema.columns().iter().map(|column| width_of(column.ty)).sum();
    let scrape = if scrapes > 1 { 4 } else { 0 };
    (columns + scrape).saturating_mul(rows as u64).saturating_add(if gone { rows as u64 } else { 0 })
}

impl Header {
    /// Reads a head from behind the length of its pages. `head` is the length of
    /// all of it, `pages` where those stand in the frame.
    pub(super) fn read(
        reader: Reader<'_>,
        head: usize,
        pages: Option<Range<usize>>,
        decoded: u64,
        schema: Arc<Schema>,
        limits: &Limits,
    ) -> Result<Self, FrameError> {
        let limit = limits.max_decoded_bytes as u64;
        let (next, end) = (pages.as_ref().map(|pages| pages.start), pages.map_or(0, |pages| pages.end));
        let mut places = Places { reader, head, next, end, left: limit, limit };
        let flags = places.reader.byte()?;
        let source = read_source(&mut places.reader)?;
        let scrapes = read_scrapes(&mut places.reader, limits)?;
        let rows = places.reader.count("rows", limits.max_rows)?;
        places.take(fixed_bytes(&schema, rows, scrapes.len(), flags & GONE != 0))?;
        let mut header = Self {
            schema,
            decoded,
            packed: next.is_none(),
            source,
            scrapes,
            rows,
            strips: Vec::new(),
            columns: Vec::new(),
            keys: None,
            expanded: Vec::new(),
            scrape_strip: None,
            gone_strip: None,
            sections: Vec::new(),
        };
        header.columns = vec![usize::MAX; header.schema.columns().len()];
        if rows > 0 {
            header.read_strips(&mut places, flags)?;
        }
        if flags & SECTIONS != 0 {
            header.read_sections(&mut places)?;
        }
        let found = limit - places.left;
        if found != decoded {
            let why = format!("{found} bytes once decoded, {decoded} are announced");
            return Err(FrameError::malformed("header", why));
        }
        if let Some(next) = places.next.filter(|next| *next != end) {
            return Err(FrameError::malformed("header", format!("{} bytes of pages are nobody's", end - next)));
        }
        Ok(header)
    }

    fn read_strips(&mut self, places: &mut Places<'_>, flags: u8) -> Result<(), FrameError> {
        let schema = Arc::clone(&self.schema);
        let columns = schema.columns();
        if flags & SORTED != 0 {
            let keys: Vec<usize> = schema.positions_of(ColumnKind::Key).collect();
            let count = places.reader.count("keys", self.rows)?;
            let is_text = |at: &&usize| columns.get(**at).is_some_and(|column| column.ty == ColumnType::Text);
            for &at in keys.iter().filter(is_text) {
                let bytes = places.reader.varint()?;
                places.take(bytes)?;
                self.expanded.push((at, bytes));
            }
            self.keys = Some(keys.len());
            self.add(places, ColumnType::Int, count)?;
            let left = places.left;
            for at in keys {
                self.column(places, at, count)?;
            }
            // What rows have of them was counted.
            places.left = left;
        }
        for at in 0..columns.len() {
            if self.columns.get(at) == Some(&usize::MAX) {
                let before = places.left;
                self.column(places, at, self.rows)?;
                debug_assert!(places.left <= before);
            }
        }
        if self.scrapes.len() > 1 {
            self.scrape_strip = Some(self.add(places, ColumnType::Int, self.rows)?);
        }
        if flags & GONE != 0 {
            self.gone_strip = Some(self.add(places, ColumnType::Bool, self.rows)?);
        }
        Ok(())
    }

    fn column(&mut self, places: &mut Places<'_>, at: usize, len: usize) -> Result<(), FrameError> {
        let ty = self.schema.columns().get(at).map_or(ColumnType::Int, |column| column.ty);
        let strip = self.add(places, ty, len)?;
        places.take(self.strips.get(strip).map_or(0, |strip| strip.texts as u64))?;
        if let Some(place) = self.columns.get_mut(at) {
            *place = strip;
        }
        Ok(())
    }

    fn add(&mut self, places: &mut Places<'_>, ty: ColumnType, len: usize) -> Result<usize, FrameError> {
        let strip = places.strip(ty, len)?;
        self.strips.push(strip);
        Ok(self.strips.len() - 1)
    }

    fn read_sections(&mut self, places: &mut Places<'_>) -> Result<(), FrameError> {
        for _ in 0..places.reader.count("sections", MAX_SECTIONS)? {
            let kind = places.reader.varint()?;
            let len = places.reader.varint()?;
            let place = places.section(usize::try_from(len).unwrap_or(usize::MAX))?;
            self.sections.push((kind, place));
        }
        Ok(())
    }

    /// Whether the column is stored once for each key.
    pub(super) fn is_key(&self, column: usize) -> bool {
        self.keys.is_some() && self.schema.columns().get(column).is_some_and(|column| column.kind == ColumnKind::Key)
    }

    /// The rows of each key, then the distinct values of the key columns.
    pub(super) fn key_strips(&self) -> &[Strip] {
        let count = self.keys.map_or(0, |keys| keys + 1);
        self.strips.get(..count).unwrap_or_default()
    }

    pub(super) fn run_strip(&self) -> Option<&Strip> {
        self.key_strips().first()
    }

    pub(super) fn scrape_strip(&self) -> Option<&Strip> {
        self.scrape_strip.and_then(|at| self.strips.get(at))
    }

    pub(super) fn gone_strip(&self) -> Option<&Strip> {
        self.gone_strip.and_then(|at| self.strips.get(at))
    }

    /// Bytes that rows have of a key column of texts.
    pub(super) fn expanded(&self, column: usize) -> u64 {
        self.expanded.iter().find(|(at, _)| *at == column).map_or(0, |(_, bytes)| *bytes)
    }
}
