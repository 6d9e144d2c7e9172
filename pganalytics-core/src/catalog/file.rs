//! From the text of a catalog file to a [`Measurement`].

use std::{sync::Arc, time::Duration};

use toml::de::DeTable;

use super::{
    error::CatalogError,
    measurement::{
        CatalogColumn, DEFAULT_MAX_ROWS, EXTENSION_SCHEMA, Follow, Measurement, Query, RESERVED_COLUMNS, Requires,
        Role, Scope,
    },
    table::{File, Table},
    version::{NEWEST, OLDEST, VersionRange},
    wants::wants,
};
use crate::{
    epoch::CounterFamily,
    id::{MeasurementName, check_identifier},
    schema::{Aggregate, Column, ColumnKind, ColumnType, MAX_COLUMNS, MAX_UNIT_BYTES, Presence, Schema},
};

/// How long samples are kept where the file does not say it.
const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 86_400);

const FILE: &[&str] = &[
    "name",
    "title",
    "doc",
    "scope",
    "interval",
    "retention",
    "hypertable",
    "enabled",
    "source",
    "role",
    "max_rows",
    "presence",
    "counters",
    "follow",
    "query",
    "wants",
    "column",
];
const COUNTERS: &[&str] = &["family", "stamp", "row_stamp"];
const FOLLOW: &[&str] = &["measurement", "key", "resend"];
const QUERY: &[&str] = &["postgres", "sql", "unsupported", "requires_extension", "requires_execute"];
const COLUMN: &[&str] = &["name", "kind", "type", "unit", "doc", "aggregate", "derived", "postgres"];

const AGGREGATES: &[(&str, Aggregate)] =
    &[("sum", Aggregate::Sum), ("avg", Aggregate::Avg), ("max", Aggregate::Max), ("last", Aggregate::Last)];
const SCOPES: &[(&str, Scope)] = &[
    ("cluster", Scope::Cluster),
    ("database", Scope::Database),
    ("host", Scope::Host),
    ("pooler", Scope::Pooler),
    ("agent", Scope::Agent),
];
const ROLES: &[(&str, Role)] = &[("any", Role::Any), ("primary", Role::Primary), ("standby", Role::Standby)];
const PRESENCES: &[(&str, Presence)] = &[("state", Presence::State), ("append", Presence::Append)];
const FAMILIES: &[(&str, CounterFamily)] = &[
    ("cumulative", CounterFamily::Cumulative),
    ("shared", CounterFamily::Shared),
    ("statements", CounterFamily::Statements),
    ("host", CounterFamily::Host),
    ("process", CounterFamily::Process),
    ("none", CounterFamily::None),
];
const KINDS: &[(&str, ColumnKind)] = &[
    ("key", ColumnKind::Key),
    ("counter", ColumnKind::Counter),
    ("gauge", ColumnKind::Gauge),
    ("info", ColumnKind::Info),
];
const TYPES: &[(&str, ColumnType)] = &[
    ("text", ColumnType::Text),
    ("int", ColumnType::Int),
    ("float", ColumnType::Float),
    ("bool", ColumnType::Bool),
    ("timestamp", ColumnType::Timestamp),
];

impl Measurement {
    /// Reads a catalog file; `file` is what errors call it.
    ///
    /// # Errors
    /// The first thing that is wrong: where it is and what to write instead.
    pub fn parse(toml_text: &str, file: &str) -> Result<Self, CatalogError> {
        let file = File { name: file, text: toml_text };
        let document = DeTable::parse(toml_text)
            .map_err(|error| file.error(error.span().map_or(0, |span| span.start), "file", error.message()))?;
        let top = Table::new(file, String::new(), 0, document.get_ref(), FILE)?;

        let name = MeasurementName::new(top.required("name")?).map_err(|error| top.error("name", error.to_string()))?;
        // `<name>_delta` is the table of increases beside each measurement.
        if name.as_str().ends_with("_delta") {
            return Err(top.error("name", "it may not end with _delta, which names the increases of a measurement"));
        }
        let scope = top.required_word("scope", SCOPES)?;
        let hypertable = match top.text("hypertable")? {
            Some(table) => {
                check_identifier("table", table).map_err(|error| top.error("hypertable", error.to_string()))?;
                table.to_owned()
            }
            None => format!("metrics_{name}"),
        };
        let columns = columns(&top)?;
        let (schema, stamp) = schema(&top, &name, &columns)?;
        let follow = follow(&top)?;
        let queries = queries(&top, scope, follow.is_some())?;
        let wants = wants(&top)?;
        if !wants.is_empty() && matches!(scope, Scope::Host | Scope::Agent) {
            return Err(top.error("wants", format!("the scope {} has no server to want it of", scope.as_str())));
        }
        Ok(Self {
            title: top.text("title")?.unwrap_or(name.as_str()).to_owned(),
            doc: top.text("doc")?.unwrap_or_default().trim().to_owned(),
            scope,
            interval: top.duration("interval")?.unwrap_or(Duration::from_secs(60)),
            retention: top.duration("retention")?.unwrap_or(DEFAULT_RETENTION),
            hypertable,
            enabled: top.boolean("enabled")?.unwrap_or(true),
            source_view: top.text("source")?.unwrap_or(name.as_str()).to_owned(),
            role: top.word("role", ROLES)?.unwrap_or_default(),
            max_rows: top.count("max_rows")?.unwrap_or(DEFAULT_MAX_ROWS),
            stamp,
            follow,
            queries,
            wants,
            columns,
            schema: Arc::new(schema),
        })
    }
}

fn columns(top: &Table<'_>) -> Result<Vec<CatalogColumn>, CatalogError> {
    let tables = top.tables("column", "name", COLUMN)?;
    if tables.is_empty() || tables.len() > MAX_COLUMNS {
        return Err(top.error("column", format!("a measurement has 1 to {MAX_COLUMNS} tables [[column]]")));
    }
    let mut columns: Vec<CatalogColumn> = Vec::with_capacity(tables.len());
    for table in tables {
        let name = table.required("name")?;
        check_identifier("column", name).map_err(|error| table.error("name", error.to_string()))?;
        if RESERVED_COLUMNS.contains(&name) {
            return Err(table.error("name", format!("{name} is a column of every table; choose another name")));
        }
        if columns.iter().any(|column| column.name == name) {
            return Err(table.error("name", "there are two columns of this name; remove one"));
        }
        let kind = table.required_word("kind", KINDS)?;
        let ty = table.required_word("type", TYPES)?;
        if kind == ColumnKind::Counter && !matches!(ty, ColumnType::Int | ColumnType::Float) {
            return Err(table.error("type", format!("a counter is of type int or float, not {ty}")));
        }
        let derived = table.boolean("derived")?.unwrap_or_default();
        if derived && kind != ColumnKind::Counter {
            return Err(table.error("derived", "only a counter is derived from others; remove it"));
        }
        let unit = table.text("unit")?.unwrap_or_default();
        if unit.len() > MAX_UNIT_BYTES {
            return Err(table.error("unit", format!("it has more than {MAX_UNIT_BYTES} bytes; shorten it")));
        }
        let aggregate = table.word("aggregate", AGGREGATES)?;
        if aggregate.is_some() && kind != ColumnKind::Gauge {
            return Err(table.error("aggregate", "only gauges have one; remove it"));
        }
        let aggregate = match kind {
            ColumnKind::Gauge => aggregate.unwrap_or_else(|| Aggregate::of_unit(ty, unit)),
            ColumnKind::Key | ColumnKind::Counter | ColumnKind::Info => Aggregate::default(),
        };
        columns.push(CatalogColumn {
            name: name.to_owned(),
            kind,
            ty,
            unit: unit.to_owned(),
            aggregate,
            doc: table.text("doc")?.unwrap_or_default().trim().to_owned(),
            derived,
            postgres: table.parsed("postgres")?,
        });
    }
    Ok(columns)
}

fn schema(
    top: &Table<'_>,
    name: &MeasurementName,
    columns: &[CatalogColumn],
) -> Result<(Schema, Option<String>), CatalogError> {
    let shape = columns
        .iter()
        .map(|column| Column {
            name: column.name.clone(),
            kind: column.kind,
            ty: column.ty,
            unit: column.unit.clone(),
            aggregate: column.aggregate,
        })
        .collect();
    let counters = top.table("counters", COUNTERS)?;
    let family = match &counters {
        Some(counters) => counters.required_word("family", FAMILIES)?,
        None => CounterFamily::None,
    };
    let schema = Schema::new(name.clone(), family, shape)
        .map_err(|error| top.error("column", error.to_string()))?
        .with_derived(columns.iter().filter(|column| column.derived).map(|column| column.name.as_str()))
        .map_err(|error| top.error("column", error.to_string()))?
        .with_presence(top.word("presence", PRESENCES)?.unwrap_or_default())
        .with_retention(Some(top.duration("retention")?.unwrap_or(DEFAULT_RETENTION)));
    let Some(counters) = counters else { return Ok((schema, None)) };

    let stamp = counters.text("stamp")?;
    let row_stamp = counters.text("row_stamp")?;
    for (field, column) in [("stamp", stamp), ("row_stamp", row_stamp)] {
        let found = |name: &str| columns.iter().any(|column| column.name == name && column.ty == ColumnType::Timestamp);
        if let Some(name) = column.filter(|name| !found(name)) {
            return Err(counters.error(field, format!("there is no column {name} of type timestamp")));
        }
    }
    if stamp.is_some() && family != CounterFamily::Shared {
        return Err(counters.error("stamp", "only the family shared has a stamp of its own; remove it"));
    }
    if family == CounterFamily::Shared && stamp.is_none() && row_stamp.is_none() {
        return Err(counters.error("stamp", "the family shared needs a stamp or row_stamp: a timestamp column"));
    }
    let schema = match row_stamp {
        Some(column) => {
            schema.with_row_stamp(column).map_err(|error| counters.error("row_stamp", error.to_string()))?
        }
        None => schema,
    };
    Ok((schema, stamp.map(str::to_owned)))
}

fn follow(top: &Table<'_>) -> Result<Option<Follow>, CatalogError> {
    let Some(table) = top.table("follow", FOLLOW)? else { return Ok(None) };
    Ok(Some(Follow {
        measurement: MeasurementName::new(table.required("measurement")?)
            .map_err(|error| table.error("measurement", error.to_string()))?,
        key: table.required("key")?.to_owned(),
        resend: table.duration("resend")?,
    }))
}

fn queries(top: &Table<'_>, scope: Scope, follows: bool) -> Result<Vec<Query>, CatalogError> {
    let tables = top.tables("query", "", QUERY)?;
    if matches!(scope, Scope::Host | Scope::Agent) {
        return match tables.first() {
            None => Ok(Vec::new()),
            Some(_) => Err(top.error("query", format!("the scope {} is not read by SQL; remove it", scope.as_str()))),
        };
    }
    let mut queries: Vec<Query> = Vec::with_capacity(tables.len());
    for table in &tables {
        let postgres = table.parsed("postgres")?.unwrap_or(VersionRange::ALL);
        if let Some(other) = queries.iter().find(|query| query.postgres.overlaps(&postgres)) {
            let problem = format!("{postgres} overlaps with {} of another query", other.postgres);
            return Err(table.error("postgres", problem));
        }
        let unsupported = table.text("unsupported")?;
        let sql = match unsupported {
            None => table.required("sql")?,
            Some(_) if table.text("sql")?.is_some() => {
                return Err(table.error("unsupported", "a query has sql or unsupported, not both"));
            }
            Some(_) => {
                table.required("unsupported")?;
                ""
            }
        };
        if follows && unsupported.is_none() && !sql.contains("$1") {
            return Err(table.error("sql", "with [follow] the query must use $1, a bigint[] of keys"));
        }
        let extension = table.text("requires_extension")?.map(str::to_owned);
        if extension.is_none() && sql.contains(EXTENSION_SCHEMA) {
            let problem = format!("{EXTENSION_SCHEMA} is the schema of the extension; name it in requires_extension");
            return Err(table.error("sql", problem));
        }
        queries.push(Query {
            postgres,
            sql: sql.trim().to_owned(),
            unsupported: unsupported.map(|reason| reason.trim().to_owned()),
            requires: Requires { extension, execute: table.text("requires_execute")?.map(str::to_owned) },
        });
    }
    if scope.is_postgres() {
        let missing = |major: &u32| !queries.iter().any(|query| query.postgres.contains_major(*major));
        let missing: Vec<_> = (OLDEST..=NEWEST).filter(missing).map(|major| major.to_string()).collect();
        if !missing.is_empty() {
            let problem = format!("no [[query]] for PostgreSQL {}; add sql or unsupported", missing.join(", "));
            return Err(top.error("query", problem));
        }
    }
    Ok(queries)
}
