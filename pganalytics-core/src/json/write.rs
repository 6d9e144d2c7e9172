//! Batches as JSON.

use serde::{Serialize, Serializer, ser::SerializeMap, ser::SerializeSeq};

use super::NAN_PREFIX;
use crate::{
    batch::{Batch, ScrapeClock},
    schema::{Column, Schema},
    time::Timestamp,
    value::Value,
};

/// A batch as one metric of a push document. It says everything about itself,
/// so it can be read back without knowing its schema, and comes back equal.
///
/// ```
/// # use pganalytics_core::{*, json};
/// # let schema = Schema::new(MeasurementName::new("app_queue")?, CounterFamily::None,
/// #     vec![Column::new("queue", ColumnKind::Key, ColumnType::Text)])?;
/// # let mut rows = RowsBuilder::new(&schema);
/// # rows.push(&[Value::Text("mail")])?;
/// # let server_id = ServerId::random();
/// # let source = Source { server_id, instance_id: InstanceId::of_address(server_id, "a"), server: "a".into(), database: None };
/// # let scrape = Scrape { collected_at: Timestamp::default(), interval_micros: 1, kind: ScrapeKind::Delta, epoch: Epoch::default(), clock: ScrapeClock::default() };
/// # let batch = Batch { rows: rows.finish(), schema: schema.into(), source, scrape };
/// let metric = json::to_metric(&batch);
/// assert_eq!(metric["type"], "app_queue");
/// assert_eq!(metric["rows"][0][0], "mail");
/// # Ok::<(), ModelError>(())
/// ```
#[must_use]
pub fn to_metric(batch: &Batch) -> serde_json::Value {
    // Only a map with keys that are no texts could fail.
    serde_json::to_value(Metric(batch)).unwrap_or_default()
}

/// A push document of these batches.
#[must_use]
pub fn push_document(collector_id: &str, batches: &[Batch]) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        collector_id: &'a str,
        metrics: Vec<Metric<'a>>,
    }
    let document = Document { collector_id, metrics: batches.iter().map(Metric).collect() };
    serde_json::to_string(&document).unwrap_or_default()
}

struct Metric<'a>(&'a Batch);

impl Serialize for Metric<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Batch { schema, source, scrape, rows } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", schema.measurement())?;
        map.serialize_entry("timestamp", &scrape.collected_at)?;
        map.serialize_entry("interval", &interval(scrape.interval_micros))?;
        map.serialize_entry("kind", &scrape.kind)?;
        map.serialize_entry("server_id", &source.server_id)?;
        map.serialize_entry("instance_id", &source.instance_id)?;
        map.serialize_entry("server", &source.server)?;
        map.serialize_entry("database", &source.database)?;
        map.serialize_entry("epoch", &scrape.epoch)?;
        if scrape.clock != ScrapeClock::default() {
            map.serialize_entry("clock", &scrape.clock)?;
        }
        map.serialize_entry("family", &schema.family())?;
        map.serialize_entry("presence", &schema.presence())?;
        if let Some(retention) = schema.retention() {
            map.serialize_entry("retention", &format!("{}s", retention.as_secs()))?;
        }
        if let Some(column) = schema.row_stamp().and_then(|at| schema.columns().get(at)) {
            map.serialize_entry("row_stamp", &column.name)?;
        }
        map.serialize_entry("columns", &AllColumns(schema))?;
        let gone: Vec<usize> = (0..rows.len()).filter(|&row| rows.is_gone(row)).collect();
        if !gone.is_empty() {
            map.serialize_entry("gone", &gone)?;
        }
        map.serialize_entry("rows", &AllRows(self.0))?;
        map.end()
    }
}

/// In the largest unit that holds it exactly.
fn interval(micros: u64) -> String {
    if micros.is_multiple_of(1_000_000) { format!("{}s", micros / 1_000_000) } else { format!("{micros}us") }
}

struct AllColumns<'a>(&'a Schema);

impl Serialize for AllColumns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Given<'a> {
            #[serde(flatten)]
            column: &'a Column,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            derived: bool,
        }
        let derived = |at| self.0.derived().binary_search(&at).is_ok();
        serializer
            .collect_seq(self.0.columns().iter().enumerate().map(|(at, column)| Given { column, derived: derived(at) }))
    }
}

struct AllRows<'a>(&'a Batch);

impl Serialize for AllRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = &self.0.rows;
        serializer.collect_seq((0..rows.len()).map(|row| OneRow(self.0, row)))
    }
}

struct OneRow<'a>(&'a Batch, usize);

impl Serialize for OneRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.0.rows.columns();
        let mut seq = serializer.serialize_seq(Some(columns.len()))?;
        for column in columns {
            seq.serialize_element(&Cell(column.get(self.1)))?;
        }
        seq.end()
    }
}

struct Cell<'a>(Value<'a>);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Int(value) => serializer.serialize_i64(value),
            Value::Float(value) if value.is_finite() => serializer.serialize_f64(value),
            Value::Float(value) => serializer.serialize_str(&special_float(value)),
            Value::Bool(value) => serializer.serialize_bool(value),
            Value::Timestamp(micros) => Timestamp::from_micros(micros).serialize(serializer),
            Value::Text(text) => serializer.serialize_str(text),
        }
    }
}

fn special_float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value.to_bits() == f64::NAN.to_bits() {
        return "NaN".to_owned();
    }
    format!("{NAN_PREFIX}{:016x}", value.to_bits())
}
