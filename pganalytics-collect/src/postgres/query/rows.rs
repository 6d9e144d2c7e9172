//! From a server's rows to the catalog's columns, by name.

use pganalytics_core::{ColumnData, ColumnType, Rows, Value, catalog::Measurement, privacy::redact_sql};
use tokio_postgres::Row;

use super::{
    decode::{Codec, Raw},
    fault::QueryFault,
    text::ServerEncoding,
};

/// Reads the rows of one measurement.
pub(crate) struct RowReader<'m> {
    measurement: &'m Measurement,
    plan: Option<Vec<ColumnSource>>,
    columns: Vec<ColumnData>,
    seen: usize,
    scratch: String,
    /// Columns that came and are in no catalog file.
    pub(crate) unexpected: Vec<String>,
    /// Columns that should have come on this version and did not.
    pub(crate) missing: Vec<String>,
    version: u32,
    encoding: ServerEncoding,
}

/// Where a column's values come from.
struct ColumnSource {
    from: Option<(usize, Codec)>,
    ty: ColumnType,
    redacted: bool,
}

impl<'m> RowReader<'m> {
    pub(crate) fn new(measurement: &'m Measurement, version: u32, encoding: ServerEncoding) -> Self {
        let schema = measurement.schema();
        Self {
            measurement,
            plan: None,
            columns: schema.columns().iter().map(|column| ColumnData::with_capacity(column.ty, 0)).collect(),
            seen: 0,
            scratch: String::new(),
            unexpected: Vec::new(),
            missing: Vec::new(),
            version,
            encoding,
        }
    }

    /// Rows that came, those above the limit counted.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    pub(crate) fn take(&mut self, row: &Row) -> Result<(), QueryFault> {
        self.seen += 1;
        if self.seen > self.measurement.max_rows() {
            return Ok(());
        }
        let plan = match self.plan.take() {
            Some(plan) => plan,
            None => self.look_at(row)?,
        };
        let result = self.append(&plan, row);
        self.plan = Some(plan);
        result
    }

    fn append(&mut self, plan: &[ColumnSource], row: &Row) -> Result<(), QueryFault> {
        for (place, column) in plan.iter().zip(&mut self.columns) {
            let raw = match place.from {
                Some((at, codec)) => match row.try_get::<_, Option<Raw<'_>>>(at) {
                    Ok(raw) => raw.map(|raw| (raw.0, codec)),
                    Err(error) => return Err(QueryFault::Misfit(error.to_string())),
                },
                None => None,
            };
            let value = match raw {
                None => Some(Value::Null),
                Some((raw, codec)) => codec.read(raw, place.ty, self.encoding, &mut self.scratch),
            };
            let pushed = match value {
                Some(Value::Text(text)) if place.redacted => column.push(Value::Text(&redact_sql(text))),
                Some(value) => column.push(value),
                None => {
                    let name = place.from.and_then(|(at, _)| row.columns().get(at)).map_or("?", |column| column.name());
                    let message = format!(
                        "column {name}: a value does not fit the type {} of the catalog file; cast it in the query",
                        place.ty
                    );
                    return Err(QueryFault::Misfit(message));
                }
            };
            pushed.map_err(|_| QueryFault::Misfit(String::from("more than 4 GiB of text in one column")))?;
        }
        Ok(())
    }

    /// Which of the row's columns is which of the catalog's.
    fn look_at(&mut self, row: &Row) -> Result<Vec<ColumnSource>, QueryFault> {
        let came = row.columns();
        let columns = self.measurement.columns();
        self.unexpected = came
            .iter()
            .map(tokio_postgres::Column::name)
            .filter(|name| !columns.iter().any(|column| column.name == *name))
            .map(str::to_owned)
            .collect();
        let mut plan = Vec::with_capacity(columns.len());
        for column in columns {
            let from = match came.iter().position(|other| other.name() == column.name) {
                Some(at) => {
                    let ty = came.get(at).map(tokio_postgres::Column::type_);
                    let codec = ty.and_then(|ty| Codec::of(ty, column.ty)).ok_or_else(|| {
                        let given = ty.map_or("?", tokio_postgres::types::Type::name);
                        QueryFault::Misfit(format!(
                            "column {} comes as {given}, which is not {}; cast it in the query, as {}::{}",
                            column.name,
                            column.ty,
                            column.name,
                            cast(column.ty)
                        ))
                    })?;
                    Some((at, codec))
                }
                None => {
                    if column.postgres.as_ref().is_none_or(|range| range.contains(self.version)) {
                        self.missing.push(column.name.clone());
                    }
                    None
                }
            };
            // Statements travel without literals, whichever measurement has them.
            let redacted = column.ty == ColumnType::Text && column.name.ends_with("query");
            plan.push(ColumnSource { from, ty: column.ty, redacted });
        }
        Ok(plan)
    }

    /// All that was read.
    pub(crate) fn finish(self) -> Result<Rows, QueryFault> {
        Rows::new(self.measurement.schema(), self.columns, None).map_err(|error| QueryFault::Misfit(error.to_string()))
    }
}

/// What PostgreSQL calls the catalog's types.
fn cast(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Int => "int8",
        ColumnType::Float => "float8",
        ColumnType::Bool => "bool",
        ColumnType::Timestamp => "timestamptz",
        ColumnType::Text => "text",
    }
}
