//! Writing frames.

use super::{
    FrameError, MAGIC, MAJOR, MINOR, SECTION_GONE, SECTION_SCRAPES,
    blob::put_blob,
    column,
    header::{Place, put_directory, put_schema, put_scrapes, put_source},
    mask,
    number::{Effort, encode_ints},
    wire::put_varint,
};
use crate::{
    batch::{Batch, Block, Scrape},
    error::ModelError,
    rows::Rows,
    schema::Schema,
    source::Source,
};

/// A batch as a frame for the wire and the spool.
///
/// # Errors
/// When the rows do not fit the schema.
pub fn encode(batch: &Batch) -> Result<Vec<u8>, FrameError> {
    write(&batch.schema, &batch.source, &[batch.scrape], None, &batch.rows, Effort::Wire)
}

/// A block as a frame at rest; it takes more effort than [`encode`] and is
/// smaller.
///
/// # Errors
/// When the rows do not fit the schema.
pub fn encode_block(block: &Block) -> Result<Vec<u8>, FrameError> {
    let scrape_of_row = Some(block.scrape_of_row());
    write(block.schema(), block.source(), block.scrapes(), scrape_of_row, block.rows(), Effort::Rest)
}

fn write(
    schema: &Schema,
    source: &Source,
    scrapes: &[Scrape],
    scrape_of_row: Option<&[u32]>,
    rows: &Rows,
    effort: Effort,
) -> Result<Vec<u8>, FrameError> {
    check(schema, rows)?;
    let mut body = Vec::new();
    let mut columns = Vec::with_capacity(rows.columns().len());
    for data in rows.columns() {
        let start = body.len();
        let text_bytes = column::encode(data, effort, &mut body)?;
        columns.push(Place { start, len: body.len() - start, text_bytes });
    }
    let mut sections = Vec::new();
    if let Some(of_row) = scrape_of_row.filter(|_| scrapes.len() > 1) {
        let start = body.len();
        let of_row: Vec<i64> = of_row.iter().map(|&scrape| i64::from(scrape)).collect();
        encode_ints(&of_row, effort, &mut body)?;
        sections.push((SECTION_SCRAPES, Place { start, len: body.len() - start, text_bytes: 0 }));
    }
    if let Some(gone) = rows.gone() {
        let start = body.len();
        mask::encode(gone, &mut body);
        sections.push((SECTION_GONE, Place { start, len: body.len() - start, text_bytes: 0 }));
    }

    let mut header = Vec::new();
    put_schema(&mut header, schema);
    put_source(&mut header, source);
    put_scrapes(&mut header, scrapes);
    put_varint(&mut header, rows.len() as u64);
    put_directory(&mut header, schema, &columns, &sections);
    let mut packed = Vec::new();
    put_blob(&header, effort, &mut packed)?;

    let mut out = Vec::with_capacity(packed.len() + body.len() + 24);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[MAJOR, MINOR]);
    put_varint(&mut out, header.len() as u64);
    put_varint(&mut out, packed.len() as u64);
    out.extend_from_slice(&packed);
    out.extend_from_slice(&body);
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(out)
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
