//! Rows, held column by column.

use std::sync::Arc;

use crate::{
    error::ModelError,
    mask::Mask,
    schema::{ColumnType, Schema},
    value::{ColumnData, Value, Values},
};

/// Rows of one schema, column by column; some may say only that their key is
/// gone. A clone shares the columns: it costs next to nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    len: usize,
    columns: Arc<[ColumnData]>,
    gone: Option<Mask>,
}

impl Rows {
    /// Rows from columns in the schema's order. `gone` marks rows whose key no
    /// longer exists; only their key columns mean anything.
    ///
    /// # Errors
    /// When the columns do not fit the schema or differ in length.
    pub fn new(schema: &Schema, columns: Vec<ColumnData>, gone: Option<Mask>) -> Result<Self, ModelError> {
        if columns.len() != schema.columns().len() {
            return Err(ModelError::WrongWidth {
                measurement: schema.measurement().to_string(),
                expected: schema.columns().len(),
                given: columns.len(),
            });
        }
        let len = columns.first().map_or(0, ColumnData::len);
        for (data, column) in columns.iter().zip(schema.columns()) {
            if data.ty() != column.ty {
                return Err(ModelError::WrongType {
                    column: column.name.clone(),
                    expected: column.ty,
                    given: data.ty(),
                });
            }
            if data.len() != len {
                return Err(ModelError::WrongLength { column: column.name.clone(), expected: len, given: data.len() });
            }
        }
        let gone = gone.filter(Mask::any).map(|gone| Mask::from_words(gone.into_words(), len));
        Ok(Self { len, columns: columns.into(), gone })
    }

    /// No rows.
    #[must_use]
    pub fn empty(schema: &Schema) -> Self {
        RowsBuilder::new(schema).finish()
    }

    /// Number of rows, gone ones counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The columns, in the schema's order.
    #[must_use]
    pub fn columns(&self) -> &[ColumnData] {
        &self.columns
    }

    /// The rows whose key is gone; `None` when none is.
    #[must_use]
    pub fn gone(&self) -> Option<&Mask> {
        self.gone.as_ref()
    }

    /// Whether the row only says that its key is gone.
    #[must_use]
    pub fn is_gone(&self, row: usize) -> bool {
        self.gone.as_ref().is_some_and(|gone| gone.get(row))
    }

    /// One value; NULL past the ends.
    #[must_use]
    pub fn get(&self, row: usize, column: usize) -> Value<'_> {
        self.columns.get(column).map_or(Value::Null, |data| data.get(row))
    }

    /// The rows at these positions, in that order.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        Self {
            len: rows.len(),
            columns: self.columns.iter().map(|column| column.take(rows)).collect(),
            gone: self.gone.as_ref().map(|gone| gone.take(rows)).filter(Mask::any),
        }
    }
}

/// Builds [`Rows`] a row at a time.
///
/// ```
/// use pganalytics_core::*;
/// let schema = Schema::new(
///     MeasurementName::new("app_queue")?,
///     CounterFamily::None,
///     vec![
///         Column::new("queue", ColumnKind::Key, ColumnType::Text),
///         Column::new("waiting", ColumnKind::Gauge, ColumnType::Int),
///     ],
/// )?;
/// let mut rows = RowsBuilder::new(&schema);
/// rows.push(&[Value::Text("mail"), Value::Int(3)])?;
/// assert_eq!(rows.finish().len(), 1);
/// # Ok::<(), ModelError>(())
/// ```
#[derive(Debug)]
pub struct RowsBuilder<'a> {
    schema: &'a Schema,
    columns: Vec<ColumnData>,
    gone: Mask,
}

impl<'a> RowsBuilder<'a> {
    /// A builder for rows of this schema.
    #[must_use]
    pub fn new(schema: &'a Schema) -> Self {
        let columns = schema.columns().iter().map(|column| ColumnData::with_capacity(column.ty, 0)).collect();
        Self { schema, columns, gone: Mask::default() }
    }

    /// Number of rows so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.gone.len()
    }

    /// Whether there are none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty()
    }

    /// Appends a row, its values in the schema's order.
    ///
    /// # Errors
    /// When the number of values or a type does not fit, or a column would
    /// outgrow 4 GiB; then no part of the row is kept.
    pub fn push(&mut self, row: &[Value<'_>]) -> Result<(), ModelError> {
        self.append(row, false)
    }

    /// Appends a row that says that its key is gone; columns that are not keys
    /// may be NULL.
    ///
    /// # Errors
    /// As [`RowsBuilder::push`].
    pub fn push_gone(&mut self, row: &[Value<'_>]) -> Result<(), ModelError> {
        self.append(row, true)
    }

    fn append(&mut self, row: &[Value<'_>], gone: bool) -> Result<(), ModelError> {
        let columns = self.schema.columns();
        if row.len() != columns.len() {
            return Err(ModelError::WrongWidth {
                measurement: self.schema.measurement().to_string(),
                expected: columns.len(),
                given: row.len(),
            });
        }
        for ((value, column), data) in row.iter().zip(columns).zip(&self.columns) {
            if let (Value::Text(text), Values::Text(texts)) = (value, data.values())
                && !texts.fits(text)
            {
                return Err(ModelError::TextTooLong { column: column.name.clone() });
            }
            let fits = match (value.ty(), column.ty) {
                (None, _) | (Some(ColumnType::Int), ColumnType::Float) => true,
                (Some(given), expected) => given == expected,
            };
            if let (false, Some(given)) = (fits, value.ty()) {
                return Err(ModelError::WrongType { column: column.name.clone(), expected: column.ty, given });
            }
        }
        for ((data, value), column) in self.columns.iter_mut().zip(row).zip(columns) {
            data.push(*value).map_err(|_| ModelError::TextTooLong { column: column.name.clone() })?;
        }
        self.gone.push(gone);
        Ok(())
    }

    /// The rows.
    #[must_use]
    pub fn finish(self) -> Rows {
        Rows { len: self.gone.len(), columns: self.columns.into(), gone: Some(self.gone).filter(Mask::any) }
    }
}
