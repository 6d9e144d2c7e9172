//! Writing frames.

use super::{
    FrameError, PAGE_ROWS, encode_schema,
    envelope::{Kind, seal},
    facts,
    header::{GONE, SECTIONS, SORTED, fixed_bytes, put_source},
    keys::Runs,
    links,
    number::Effort,
    scrapes::put_scrapes,
    strip::{self, Written},
    strip_place::put_checked,
    wire::{put_slice, put_varint},
};
use crate::{
    batch::{Batch, Block, Scrape},
    error::ModelError,
    rows::Rows,
    schema::{ColumnKind, ColumnType, Schema},
    source::Source,
    stream::Link,
    value::{ColumnData, Values},
};

/// A batch as a frame for the wire and the spool.
///
/// # Errors
/// When the rows do not fit the schema.
pub fn encode(batch: &Batch) -> Result<Vec<u8>, FrameError> {
    let mut bytes = encode_without_schema(batch)?;
    bytes.extend(encode_schema(&batch.schema));
    Ok(bytes)
}

/// The same without the schema, for who sends or keeps it by itself (see
/// [`encode_schema`]).
///
/// # Errors
/// When the rows do not fit the schema.
pub fn encode_without_schema(batch: &Batch) -> Result<Vec<u8>, FrameError> {
    Draft::of_batch(batch).write()
}

/// A block as a frame at rest; it takes more effort than [`encode`] and is
/// smaller.
///
/// # Errors
/// When the rows do not fit the schema.
pub fn encode_block(block: &Block) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Draft::of_block(block).write()?;
    bytes.extend(encode_schema(block.schema()));
    Ok(bytes)
}

/// The same for a store that keeps it: blocks of more rows than `more_than` say of them what a
/// reader would have to find out ([`BlockFacts`](super::BlockFacts)). A frame that has this is
/// refused where frames come in.
///
/// # Errors
/// When the rows do not fit the schema.
pub fn encode_stored(block: &Block, more_than: usize) -> Result<Vec<u8>, FrameError> {
    let draft = Draft::of_block(block);
    let mut sections = draft.links()?;
    if block.rows().len() > more_than {
        sections.extend(facts::sections(block, draft.effort)?);
    }
    let mut bytes = draft.write_with(sections)?;
    bytes.extend(encode_schema(block.schema()));
    Ok(bytes)
}

/// What becomes a frame.
struct Draft<'a> {
    schema: &'a Schema,
    source: &'a Source,
    scrapes: &'a [Scrape],
    scrape_of_row: &'a [u32],
    links: &'a [Option<Link>],
    rows: &'a Rows,
    effort: Effort,
}

/// The strips of a frame, and what the head says of them before.
#[derive(Default)]
struct Strips {
    all: Vec<(ColumnType, Written)>,
    /// Bytes of texts that rows have.
    texts: u64,
    flags: u8,
    /// Number of keys, and bytes of each key column of texts.
    keys: Vec<u8>,
}

impl<'a> Draft<'a> {
    fn of_batch(batch: &'a Batch) -> Self {
        let scrapes = std::slice::from_ref(&batch.scrape);
        let Batch { schema, source, rows, .. } = batch;
        Self { schema, source, scrapes, scrape_of_row: &[], links: &[], rows, effort: Effort::Wire }
    }

    fn of_block(block: &'a Block) -> Self {
        Self {
            schema: block.schema(),
            source: block.source(),
            scrapes: block.scrapes(),
            scrape_of_row: block.scrape_of_row(),
            links: block.links(),
            rows: block.rows(),
            effort: Effort::Rest,
        }
    }

    fn write(&self) -> Result<Vec<u8>, FrameError> {
        self.write_with(self.links()?)
    }

    fn links(&self) -> Result<Vec<(u64, Vec<u8>)>, FrameError> {
        let links = links::write(self.links, self.effort)?;
        Ok(links.into_iter().map(|links| (links::SECTION, links)).collect())
    }

    /// With these sections, by their numbers.
    fn write_with(&self, sections: Vec<(u64, Vec<u8>)>) -> Result<Vec<u8>, FrameError> {
        check(self.schema, self.rows)?;
        let mut strips = self.strips()?;
        let kind = if self.rows.len() > PAGE_ROWS { Kind::Paged } else { Kind::Packed };
        let (mut directory, mut pages) = (Vec::new(), Vec::new());
        for (ty, strip) in &strips.all {
            match kind {
                Kind::Paged => strip.put_apart(*ty, self.effort, &mut directory, &mut pages)?,
                _ => strip.put_packed(*ty, &mut directory),
            }
        }
        if !sections.is_empty() {
            strips.flags |= SECTIONS;
            put_varint(&mut directory, sections.len() as u64);
        }
        for (number, section) in sections {
            put_varint(&mut directory, number);
            if kind == Kind::Paged {
                let start = pages.len();
                put_checked(&section, &mut pages);
                put_varint(&mut directory, (pages.len() - start) as u64);
            } else {
                put_slice(&mut directory, &section);
            }
        }
        let (rows, gone) = (self.rows.len(), self.rows.gone().is_some());
        let mut head = self.schema.fingerprint().to_le_bytes().to_vec();
        put_varint(&mut head, fixed_bytes(self.schema, rows, self.scrapes.len(), gone) + strips.texts);
        if kind == Kind::Paged {
            put_varint(&mut head, pages.len() as u64);
        }
        head.push(strips.flags);
        put_source(&mut head, self.source);
        put_scrapes(self.scrapes, self.effort, &mut head);
        put_varint(&mut head, rows as u64);
        head.extend_from_slice(&strips.keys);
        head.extend_from_slice(&directory);
        let mut out = seal(kind, &head);
        out.extend_from_slice(&pages);
        Ok(out)
    }

    fn strips(&self) -> Result<Strips, FrameError> {
        let mut strips = Strips::default();
        if self.rows.is_empty() {
            return Ok(strips);
        }
        // Sorted by key are the rows of blocks at rest, and those only.
        let runs = match self.effort {
            Effort::Rest => Runs::of(self.schema, self.rows),
            Effort::Wire => None,
        };
        if let Some(runs) = &runs {
            self.put_keys(runs, &mut strips)?;
        }
        for (data, column) in self.rows.columns().iter().zip(self.schema.columns()) {
            if runs.is_none() || column.kind != ColumnKind::Key {
                let strip = strip::encode(data, self.effort)?;
                strips.texts += strip.text_bytes() as u64;
                strips.all.push((column.ty, strip));
            }
        }
        if self.scrapes.len() > 1 {
            let of_row = self.scrape_of_row.iter().map(|&scrape| i64::from(scrape)).collect();
            strips.put(Values::Int(of_row), self.effort)?;
        }
        if let Some(gone) = self.rows.gone() {
            strips.flags |= GONE;
            strips.put(Values::Bool((0..self.rows.len()).map(|row| gone.get(row)).collect()), self.effort)?;
        }
        Ok(strips)
    }

    /// The directory of keys: rows of each, and key columns once for each key.
    fn put_keys(&self, runs: &Runs, strips: &mut Strips) -> Result<(), FrameError> {
        strips.flags |= SORTED;
        put_varint(&mut strips.keys, runs.lens.len() as u64);
        strips.put(Values::Int(runs.lens.clone()), self.effort)?;
        for (at, column) in self.schema.columns().iter().enumerate() {
            let Some(data) = self.rows.columns().get(at).filter(|_| column.kind == ColumnKind::Key) else { continue };
            let distinct = data.take(&runs.first_rows);
            if let Values::Text(texts) = distinct.values() {
                let len = |(key, &rows): (usize, &i64)| texts.get(key).len() as u64 * rows.unsigned_abs();
                let bytes = runs.lens.iter().enumerate().map(len).sum();
                put_varint(&mut strips.keys, bytes);
                strips.texts += bytes;
            }
            strips.all.push((column.ty, strip::encode(&distinct, self.effort)?));
        }
        Ok(())
    }
}

impl Strips {
    fn put(&mut self, values: Values, effort: Effort) -> Result<(), FrameError> {
        let ty = values.ty();
        self.all.push((ty, strip::encode(&ColumnData::new(values), effort)?));
        Ok(())
    }
}

/// A batch's fields are public, so its rows may be of another schema.
fn check(schema: &Schema, rows: &Rows) -> Result<(), FrameError> {
    if rows.columns().len() != schema.columns().len() {
        return Err(FrameError::Model(ModelError::WrongWidth {
            measurement: schema.measurement().to_string(),
            expected: schema.columns().len(),
            given: rows.columns().len(),
        }));
    }
    for (data, column) in rows.columns().iter().zip(schema.columns()) {
        if data.ty() != column.ty {
            return Err(FrameError::Model(ModelError::WrongType {
                column: column.name.clone(),
                expected: column.ty,
                given: data.ty(),
            }));
        }
    }
    Ok(())
}

/// A block with a section that nobody knows, for tests.
#[cfg(test)]
pub(super) fn encode_with_section(block: &Block, number: u64, section: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Draft::of_block(block).write_with(vec![(number, section.to_vec())])?;
    bytes.extend(encode_schema(block.schema()));
    Ok(bytes)
}
