//! From values of your own to a batch.

use std::sync::Arc;

use pganalytics_core::{
    Batch, Epoch, ModelError, Rows, RowsBuilder, Scrape, ScrapeClock, ScrapeKind, Source, Timestamp, Value,
    catalog::Measurement,
};

/// One full scrape of a measurement: a row for each of `rows`, in the order of
/// the measurement's columns. `value` gives a column of a row by its name;
/// `None` is NULL. What goes beyond [`Measurement::max_rows`] is left out.
///
/// Counters that can begin anew want the epoch of their family in
/// `scrape.epoch`; it is empty here.
///
/// ```
/// use pganalytics_collect::scrape::full_scrape;
/// use pganalytics_core::{InstanceId, ServerId, Source, Timestamp, Value, catalog::Measurement};
///
/// let queues = Measurement::parse(r#"
/// name = "app_queue"
/// scope = "agent"
/// [[column]]
/// name = "queue"
/// kind = "key"
/// type = "text"
/// [[column]]
/// name = "waiting"
/// kind = "gauge"
/// type = "int"
/// "#, "app_queue.toml")?;
/// let server_id = ServerId::of_host("shop");
/// let instance_id = InstanceId::of_address(server_id, "shop-1");
/// let source = Source { server_id, instance_id, server: "shop".into(), database: None };
///
/// let rows = [("mail", 3), ("invoices", 0)];
/// let batch = full_scrape(&queues, source, Timestamp::from_secs(1_800_000_000), &rows, |row, column| match column {
///     "queue" => Some(Value::Text(row.0)),
///     "waiting" => Some(Value::Int(row.1)),
///     _ => None,
/// })?;
/// assert_eq!(batch.rows.get(0, 1), Value::Int(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When a value does not fit its column.
pub fn full_scrape<'a, R>(
    measurement: &Measurement,
    source: Source,
    collected_at: Timestamp,
    rows: &'a [R],
    value: impl Fn(&'a R, &str) -> Option<Value<'a>>,
) -> Result<Batch, ModelError> {
    let schema = measurement.schema();
    let mut builder = RowsBuilder::new(schema);
    let mut values = Vec::with_capacity(schema.columns().len());
    for row in rows.iter().take(measurement.max_rows()) {
        values.clear();
        values.extend(schema.columns().iter().map(|column| value(row, &column.name).unwrap_or(Value::Null)));
        builder.push(&values)?;
    }
    Ok(keyframe(measurement, source, collected_at, builder.finish()))
}

/// A full scrape that found no rows. Where there were some before, it says that
/// they are gone.
///
/// ```
/// use pganalytics_collect::scrape::empty_scrape;
/// use pganalytics_core::{InstanceId, ServerId, Source, Timestamp, catalog::Catalog};
///
/// let server_id = ServerId::of_host("db1");
/// let instance_id = InstanceId::of_address(server_id, "db1:5432");
/// let source = Source { server_id, instance_id, server: "main".into(), database: Some("dropped".into()) };
///
/// let tables = Catalog::builtin().get("pg_stat_user_tables").ok_or("it is built in")?;
/// let batch = empty_scrape(tables, source, Timestamp::from_secs(1_800_000_000));
/// assert!(batch.rows.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn empty_scrape(measurement: &Measurement, source: Source, collected_at: Timestamp) -> Batch {
    keyframe(measurement, source, collected_at, Rows::empty(measurement.schema()))
}

/// One full scrape of rows that are built already.
pub(crate) fn keyframe(measurement: &Measurement, source: Source, collected_at: Timestamp, rows: Rows) -> Batch {
    let scrape = Scrape {
        collected_at,
        interval_micros: measurement.interval_micros(),
        kind: ScrapeKind::Keyframe,
        epoch: Epoch::default(),
        clock: ScrapeClock::default(),
    };
    Batch { schema: Arc::clone(measurement.schema()), source, scrape, rows }
}
