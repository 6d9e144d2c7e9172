//! From the rows of the console to those of measurements, by names of columns.
//!
//! What a column was called in other versions of PgBouncer stands beside its
//! name; what a version does not have is NULL. Pure.

use pganalytics_core::Value;

/// A row that the console sent.
pub(super) trait Record {
    /// A column; `None` when it is NULL, or when this version has none.
    fn text(&self, column: &str) -> Option<&str>;
}

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is.
    Text,
    /// A whole number.
    Int,
    /// `1`, `yes` or `0`, `no`.
    Bool,
    /// Microseconds; seconds here.
    Micros,
    /// Seconds, and microseconds beyond them in the second column.
    Wait,
}

/// A column of a measurement.
pub(super) struct Field {
    pub(super) column: &'static str,
    /// Names that it had or has, the newest first.
    from: &'static [&'static str],
    kind: Kind,
}

const fn field(column: &'static str, kind: Kind, from: &'static [&'static str]) -> Field {
    Field { column, from, kind }
}

macro_rules! fields {
    ($($column:literal $kind:ident $(= $($from:literal)|+)?),* $(,)?) => {
        &[$(field($column, Kind::$kind, fields!(@from $column $(, $($from)|+)?))),*]
    };
    (@from $column:literal) => { &[$column] };
    (@from $column:literal, $($from:literal)|+) => { &[$($from),+] };
}

/// A measurement that has a row for each row of a command.
pub(super) struct Shape {
    pub(super) measurement: &'static str,
    pub(super) command: &'static str,
    pub(super) fields: &'static [Field],
}

pub(super) const SHAPES: &[Shape] = &[
    Shape {
        measurement: "pgbouncer_pools",
        command: "SHOW POOLS",
        fields: fields![
            "database" Text, "user" Text, "cl_active" Int, "cl_waiting" Int, "cl_active_cancel_req" Int,
            // One column for both in 1.16 and 1.17.
            "cl_waiting_cancel_req" Int = "cl_waiting_cancel_req" | "cl_cancel_req",
            "sv_active" Int, "sv_active_cancel" Int, "sv_being_canceled" Int, "sv_idle" Int, "sv_used" Int, "sv_tested" Int, "sv_login" Int,
            "maxwait" Wait = "maxwait" | "maxwait_us",
            "pool_mode" Text, "load_balance_hosts" Text,
        ],
    },
    Shape {
        measurement: "pgbouncer_stats",
        command: "SHOW STATS_TOTALS",
        fields: fields![
            "database" Text, "server_assignment_count" Int, "xact_count" Int, "query_count" Int,
            "bytes_received" Int, "bytes_sent" Int, "xact_time" Micros, "query_time" Micros, "wait_time" Micros,
            "client_parse_count" Int, "server_parse_count" Int, "bind_count" Int,
        ],
    },
    Shape {
        measurement: "pgbouncer_databases",
        command: "SHOW DATABASES",
        fields: fields![
            "name" Text, "host" Text, "port" Int, "database" Text, "force_user" Text, "pool_mode" Text,
            "load_balance_hosts" Text, "pool_size" Int, "min_pool_size" Int,
            // The name since 1.24.
            "reserve_pool_size" Int = "reserve_pool_size" | "reserve_pool",
            "server_lifetime" Int, "max_connections" Int, "current_connections" Int,
            "max_client_connections" Int, "current_client_connections" Int, "paused" Bool, "disabled" Bool,
        ],
    },
    Shape { measurement: "pgbouncer_lists", command: "SHOW LISTS", fields: fields!["list" Text, "items" Int] },
    Shape {
        measurement: "pgbouncer_config",
        command: "SHOW CONFIG",
        fields: fields!["key" Text, "value" Text, "default_value" Text = "default", "changeable" Bool],
    },
];

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl Cell {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Bool(value) => Value::Bool(*value),
        }
    }
}

/// A row of a measurement: a value, if there is one, for each field.
pub(super) type Row = Vec<Option<Cell>>;

/// The value of a column in a row of this shape.
pub(super) fn value_of<'a>(fields: &[Field], row: &'a Row, column: &str) -> Option<Value<'a>> {
    let at = fields.iter().position(|field| field.column == column)?;
    row.get(at)?.as_ref().map(Cell::value)
}

/// Reads a row; an error names the column that is not what it should be.
pub(super) fn row(fields: &[Field], record: &impl Record) -> Result<Row, String> {
    let mut row: Row = fields.iter().map(|field| cell(field, record)).collect::<Result<_, _>>()?;
    hide_secret(fields, &mut row);
    Ok(row)
}

fn cell(field: &Field, record: &impl Record) -> Result<Option<Cell>, String> {
    if field.kind == Kind::Wait {
        return Ok(wait(record, field.from).map(Cell::Float));
    }
    let Some(text) = field.from.iter().find_map(|name| record.text(name)) else { return Ok(None) };
    let misfit = || format!("column {} is not {:?}", field.column, field.kind).to_lowercase();
    Ok(match field.kind {
        Kind::Text => Some(Cell::Text(text.to_owned())),
        // Some versions leave what is not set empty instead of NULL.
        _ if text.is_empty() => None,
        Kind::Int => Some(Cell::Int(text.parse().map_err(|_| misfit())?)),
        Kind::Bool => Some(Cell::Bool(match text {
            "1" | "yes" | "t" => true,
            "0" | "no" | "f" => false,
            _ => return Err(misfit()),
        })),
        Kind::Micros | Kind::Wait => Some(Cell::Float(seconds(text.parse().map_err(|_| misfit())?))),
    })
}

/// Seconds from a column of seconds and one of microseconds beyond them.
pub(super) fn wait(record: &impl Record, columns: &[&str]) -> Option<f64> {
    let part = |at: usize| columns.get(at).and_then(|column| record.text(column)?.parse::<u64>().ok());
    let whole = part(0)?;
    Some(seconds(whole.saturating_mul(1_000_000).saturating_add(part(1).unwrap_or_default())))
}

fn seconds(micros: u64) -> f64 {
    crate::host::seconds(micros, 1_000_000)
}

/// Settings of PgBouncer that can hold a password (`ldapbindpasswd`) come
/// without their value.
fn hide_secret(fields: &[Field], row: &mut Row) {
    let at = |column| fields.iter().position(|field| field.column == column);
    let (Some(key), Some(value)) = (at("key"), at("value")) else { return };
    let is_secret =
        matches!(row.get(key), Some(Some(Cell::Text(key))) if key.contains("ldap") || key.contains("passw"));
    if is_secret && let Some(value) = row.get_mut(value) {
        *value = None;
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
