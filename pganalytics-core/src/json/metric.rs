//! One metric of a push document.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    error::Failure,
    former,
    read::{Defaults, JsonLimits},
    rows::{Infer, RowSource, build},
};
use crate::{
    batch::{Batch, Scrape, ScrapeClock, ScrapeKind},
    epoch::{CounterFamily, Epoch},
    id::{InstanceId, MeasurementName, ServerId},
    schema::{Aggregate, Column, ColumnKind, ColumnType, MAX_COLUMNS, MAX_UNIT_BYTES, Presence, Schema},
    source::Source,
    time::Timestamp,
};

/// Interval of a metric that does not say its own.
const DEFAULT_INTERVAL: u64 = 60_000_000;

/// What all metrics of a document share.
pub(super) struct Context<'a> {
    pub(super) limits: &'a JsonLimits,
    pub(super) lookup: &'a dyn Fn(&str) -> Option<Arc<Schema>>,
    /// Whether a column of a measurement was numbers before.
    pub(super) was_number: &'a dyn Fn(&MeasurementName, &str) -> bool,
    pub(super) defaults: &'a Defaults,
    /// The document's own time.
    pub(super) timestamp: Option<Timestamp>,
    /// Values that the document may still have.
    pub(super) values_left: usize,
}

/// Reads one metric and gives away its batch; several if it is a document of an agent of version 3.
pub(super) fn read(text: &str, context: &mut Context<'_>, take: &mut dyn FnMut(Result<Batch, Failure>)) {
    let fields = match Fields::parse(text) {
        Ok(fields) => fields,
        Err(failure) => return take(Err(failure)),
    };
    if fields.is_of_version_3() { former::read(text, context, take) } else { take(read_fields(&fields, context)) }
}

/// Reads one metric as ours are.
pub(super) fn read_ours(text: &str, context: &mut Context<'_>) -> Result<Batch, Failure> {
    read_fields(&Fields::parse(text)?, context)
}

fn read_fields(fields: &Fields<'_>, context: &mut Context<'_>) -> Result<Batch, Failure> {
    let name = fields.get("type").ok_or_else(|| Failure::new("bad_type", "a metric needs a \"type\""))?;
    let name: String = parse("bad_type", "type", name)?;
    let name = MeasurementName::new(&name).map_err(|error| Failure::new("bad_type", error.to_string()))?;
    let source = source(fields, context.defaults, context.limits)?;
    let scrape = scrape(fields, context)?;
    let rows = match (fields.get("rows"), fields.row.is_empty()) {
        (Some(rows), true) => RowSource::Many(rows.get()),
        (None, false) => RowSource::One(&fields.row),
        (None, true) => return Err(Failure::new("no_rows", "a metric needs \"rows\", or the fields of one row")),
        (Some(_), false) => {
            let name = fields.row.first().map(|(name, _)| name.as_ref()).unwrap_or_default();
            let known = FIELDS.join(", ");
            let message = format!("unknown field {name:?} beside \"rows\"; known are {known}");
            return Err(Failure::new("unknown_field", message));
        }
    };
    let (schema, inferred) = schema(fields, name, &rows, context)?;
    let mut gone: Vec<u32> = fields.optional("bad_gone", "gone")?.unwrap_or_default();
    gone.sort_unstable();
    gone.dedup();
    let rows = build(&rows, &schema, inferred, &gone, context)?;
    Ok(Batch { schema, source, scrape, rows })
}

/// Fields that are not columns.
const FIELDS: [&str; 17] = [
    "type",
    "rows",
    "timestamp",
    "interval",
    "kind",
    "server",
    "server_id",
    "instance_id",
    "database",
    "columns",
    "family",
    "presence",
    "row_stamp",
    "epoch",
    "clock",
    "retention",
    "gone",
];

/// The fields of a metric, not looked into yet.
struct Fields<'a> {
    known: [Option<&'a RawValue>; FIELDS.len()],
    /// The others: columns of the one row.
    row: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Self, Failure> {
        serde_json::from_str(text).map_err(|error| Failure::new("bad_metric", error.to_string()))
    }

    fn is_of_version_3(&self) -> bool {
        self.get("rows").is_none()
            && self.row.iter().any(|(_, field)| former::is_nested(field))
            && self
                .optional("", "type")
                .is_ok_and(|name: Option<String>| name.is_some_and(|name| former::is_type(&name)))
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        FIELDS.iter().zip(&self.known).find(|(field, _)| **field == name).and_then(|(_, raw)| *raw)
    }

    fn optional<T: DeserializeOwned>(&self, code: &'static str, name: &str) -> Result<Option<T>, Failure> {
        self.get(name).map(|raw| parse(code, name, raw)).transpose().map(Option::flatten)
    }
}

fn parse<T: DeserializeOwned>(code: &'static str, name: &str, raw: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(raw.get()).map_err(|error| Failure::new(code, format!("{name}: {error}")))
}

/// A text that borrows from the document where it can.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Metric;

        impl<'de> Visitor<'de> for Metric {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a metric: an object with a \"type\"")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields { known: [None; FIELDS.len()], row: Vec::new() };
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    let known = FIELDS.iter().zip(&mut fields.known).find(|(field, _)| **field == name);
                    if let Some((_, slot)) = known {
                        *slot = Some(value);
                    } else if fields.row.len() < MAX_COLUMNS {
                        fields.row.push((name, value));
                    } else {
                        return Err(A::Error::custom(format!("more than {MAX_COLUMNS} columns")));
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Metric)
    }
}

fn source(fields: &Fields<'_>, defaults: &Defaults, limits: &JsonLimits) -> Result<Source, Failure> {
    let own = &defaults.source;
    let server: Option<String> = fields.optional("bad_source", "server")?;
    let server_id: Option<ServerId> = fields.optional("bad_source", "server_id")?;
    let instance_id: Option<InstanceId> = fields.optional("bad_source", "instance_id")?;
    let database = match fields.get("database") {
        None => own.database.clone(),
        Some(raw) => parse::<Option<String>>("bad_source", "database", raw)?.map(Into::into),
    };
    let (server_id, instance_id) = match (&server, server_id) {
        (_, Some(id)) => {
            let same = id == own.server_id;
            let made = || if same { own.instance_id } else { InstanceId::of_address(id, "") };
            (id, instance_id.unwrap_or_else(made))
        }
        // A name alone: an id within the collector's own server's, so that no
        // name reaches the server of another.
        (Some(name), None) if **name != *own.server => {
            let id = ServerId::from_uuid(Uuid::new_v5(&own.server_id.as_uuid(), name.as_bytes()));
            (id, instance_id.unwrap_or_else(|| InstanceId::of_address(id, name)))
        }
        (_, None) => (own.server_id, instance_id.unwrap_or(own.instance_id)),
    };
    let server = server.map_or_else(|| Arc::clone(&own.server), Into::into);
    let source = Source { server_id, instance_id, server, database };
    let longest = source.server.len().max(source.database.as_ref().map_or(0, |database| database.len()));
    if longest > limits.max_text_bytes {
        return Err(Failure::new("too_large", "the name of the server or database is too long"));
    }
    Ok(source)
}

fn scrape(fields: &Fields<'_>, context: &Context<'_>) -> Result<Scrape, Failure> {
    let timestamp: Option<Timestamp> = fields.optional("bad_timestamp", "timestamp")?;
    let interval = fields.get("interval").map(duration).transpose()?;
    Ok(Scrape {
        collected_at: timestamp.or(context.timestamp).unwrap_or(context.defaults.received_at),
        interval_micros: interval.unwrap_or(DEFAULT_INTERVAL),
        kind: fields.optional("bad_kind", "kind")?.unwrap_or(ScrapeKind::Delta),
        epoch: fields.optional::<Epoch>("bad_epoch", "epoch")?.unwrap_or_default(),
        clock: fields.optional::<ScrapeClock>("bad_clock", "clock")?.unwrap_or_default(),
    })
}

/// `"60s"`, `"500ms"`, or a number of seconds.
fn duration(raw: &RawValue) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Seconds(f64),
        Text(String),
    }
    let bad = || {
        let given: String = raw.get().chars().take(40).collect();
        let message =
            format!("duration {given}: expected a number of seconds, or a text as \"60s\", \"500ms\", \"5m\"");
        Failure::new("bad_interval", message)
    };
    let text = match serde_json::from_str(raw.get()).map_err(|_| bad())? {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range that is checked")]
        Given::Seconds(seconds) if (0.0..1e12).contains(&seconds) => return Ok((seconds * 1e6).round() as u64),
        Given::Seconds(_) => return Err(bad()),
        Given::Text(text) => text,
    };
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (digits, unit) = text.split_at(unit_at);
    let unit: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err(bad()),
    };
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).ok_or_else(bad)
}

/// A column of a schema that travels with its metric.
#[derive(Deserialize)]
struct GivenColumn {
    name: String,
    kind: ColumnKind,
    #[serde(rename = "type")]
    ty: ColumnType,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    aggregate: Aggregate,
    #[serde(default)]
    derived: bool,
}

impl GivenColumn {
    fn into_column(self) -> Column {
        Column { name: self.name, kind: self.kind, ty: self.ty, unit: self.unit, aggregate: self.aggregate }
    }
}

/// The schema of a metric, and whether it was inferred from its rows.
fn schema(
    fields: &Fields<'_>,
    name: MeasurementName,
    rows: &RowSource<'_>,
    context: &mut Context<'_>,
) -> Result<(Arc<Schema>, bool), Failure> {
    let bad = |error: crate::ModelError| Failure::new("bad_columns", error.to_string());
    let mut derived = Vec::new();
    let given = fields.optional::<Vec<GivenColumn>>("bad_columns", "columns")?;
    let inferred = given.is_none();
    let columns = match given {
        Some(given) => {
            let kept = given.iter().filter(|column| column.derived).map(|column| column.name.clone());
            // More columns than a schema may have are refused below.
            derived.extend(kept.take(MAX_COLUMNS));
            given.into_iter().map(GivenColumn::into_column).collect()
        }
        None => match (context.lookup)(name.as_str()) {
            Some(schema) => return Ok((schema, false)),
            None => Infer::columns(rows, &name, context)?,
        },
    };
    let family: CounterFamily = fields.optional("bad_columns", "family")?.unwrap_or_default();
    let presence: Presence = fields.optional("bad_columns", "presence")?.unwrap_or_default();
    let too_long = |column: &&Column| column.unit.len() > MAX_UNIT_BYTES;
    if let Some(column) = columns.iter().find(too_long) {
        return Err(Failure::new(
            "bad_columns",
            format!("column {}: its unit is longer than {MAX_UNIT_BYTES} bytes", column.name),
        ));
    }
    let retention = fields.get("retention").map(duration).transpose()?.map(Duration::from_micros);
    let schema = Schema::new(name, family, columns).map_err(bad)?;
    let mut schema = schema.with_presence(presence).with_retention(retention);
    schema = schema.with_derived(derived.iter().map(String::as_str)).map_err(bad)?;
    if let Some(column) = fields.optional::<String>("bad_columns", "row_stamp")? {
        schema = schema.with_row_stamp(&column).map_err(bad)?;
    }
    Ok((schema.into(), inferred))
}
