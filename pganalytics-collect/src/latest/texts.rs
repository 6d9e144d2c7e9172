//! Texts of statements, which are told once: those told so far, put together.

use std::collections::HashSet;

use pganalytics_core::{Batch, ModelError, RowsBuilder, Value};

/// The measurement that has them.
pub(crate) const MEASUREMENT: &str = "pg_query_text";
/// Texts that are kept of a server; the ones told longest ago go first.
const MOST: usize = 5_000;
/// Characters of a text that become a label, as `postgres_exporter` cuts them.
const LENGTH: usize = 120;

/// A batch with the texts of both, the newer first.
///
/// # Errors
/// When the batches have not the columns of the measurement.
pub(crate) fn joined(newer: &Batch, older: Option<&Batch>) -> Result<Batch, ModelError> {
    let mut told = HashSet::new();
    let mut builder = RowsBuilder::new(&newer.schema);
    let mut row_of = Vec::new();
    for batch in [Some(newer), older].into_iter().flatten() {
        for row in 0..batch.rows.len() {
            let Value::Int(id) = batch.rows.get(row, 0) else { continue };
            if told.len() >= MOST || !told.insert(id) {
                continue;
            }
            row_of.clear();
            row_of.extend((0..batch.schema.columns().len()).map(|column| match batch.rows.get(row, column) {
                Value::Text(text) => Value::Text(cut(text)),
                value => value,
            }));
            builder.push(&row_of)?;
        }
    }
    Ok(Batch { rows: builder.finish(), ..newer.clone() })
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(LENGTH).map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}
