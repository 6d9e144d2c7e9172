//! Writing frames.

use super::{
    FrameError, SECTION_GONE, SECTION_SCRAPES, column, encode_schema,
    envelope::{Kind, seal},
    header::{Place, decoded_bytes, put_directory, put_scrapes, put_source},
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

    let mut head = schema.fingerprint().to_le_bytes().to_vec();
    put_varint(&mut head, decoded_bytes(schema, rows.len(), &columns));
    put_source(&mut head, source);
    put_scrapes(&mut head, scrapes);
    put_varint(&mut head, rows.len() as u64);
    put_directory(&mut head, schema, &columns, &sections);
    head.extend_from_slice(&body);
    let mut out = seal(Kind::Packed, &head);
    out.extend(encode_schema(schema));
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
