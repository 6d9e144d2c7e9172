//! Push documents.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    JsonError, MetricError,
    error::{Failure, clipped},
    metric,
};
use crate::{batch::Batch, id::MeasurementName, schema::Schema, source::Source, time::Timestamp};

/// Limits for reading a push document.
///
/// Reading takes no more than four times `max_bytes` of memory beside the
/// document and the batches made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonLimits {
    /// Longest document.
    pub max_bytes: usize,
    /// Deepest nesting.
    pub max_depth: usize,
    /// Most metrics.
    pub max_metrics: usize,
    /// Most values (rows times columns) of the document.
    pub max_values: usize,
    /// Longest single text.
    pub max_text_bytes: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_depth: 64, max_metrics: 1000, max_values: 16 << 20, max_text_bytes: 1 << 20 }
    }
}

/// What a metric gets that does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The collector's own server.
    pub source: Source,
    /// When the document arrived.
    pub received_at: Timestamp,
}

/// A push document, its metrics turned into batches one by one.
#[derive(Debug, Clone)]
pub struct PushDocument {
    /// Who sends, as it says.
    pub collector_id: Option<String>,
    /// Its host, as it says.
    pub hostname: Option<String>,
    /// Its version, as it says.
    pub version: Option<String>,
    /// When it was sent, as it says.
    pub timestamp: Option<Timestamp>,
    /// How many metrics it has.
    pub metric_count: usize,
    /// Each metric as a batch, or why it was rejected. Documents of version 3 become several
    /// batches, or none if they hold nothing.
    pub metrics: Vec<ReadMetric>,
}

/// What became of a metric.
#[derive(Debug, Clone)]
pub struct ReadMetric {
    /// The metric's position in the document, from 0.
    pub index: usize,
    /// A batch of it.
    pub batch: Result<Batch, MetricError>,
}

impl PushDocument {
    /// Reads a document. `lookup` knows the schemas of measurements by name.
    ///
    /// # Errors
    /// When the document as a whole can't be read. A bad metric rejects only
    /// itself.
    ///
    /// ```
    /// use pganalytics_core::{*, json::{Defaults, JsonLimits, PushDocument}};
    /// let server_id = ServerId::random();
    /// let source = Source {
    ///     server_id,
    ///     instance_id: InstanceId::of_address(server_id, "localhost:5432"),
    ///     server: "main".into(),
    ///     database: None,
    /// };
    /// let defaults = Defaults { source, received_at: Timestamp::from_secs(1_769_860_800) };
    /// let text = br#"{"metrics": [{"type": "app_queue", "queue": "mail", "waiting": 3}, {"type": 7}]}"#;
    /// let document = PushDocument::parse(text, &JsonLimits::default(), &|_| None, &defaults)?;
    /// let [one, other] = document.metrics.as_slice() else { panic!() };
    /// let (Ok(batch), Err(error)) = (&one.batch, &other.batch) else { panic!() };
    /// assert_eq!(batch.rows.get(0, 1), Value::Int(3));
    /// assert_eq!((error.index, error.code), (1, "bad_type"));
    /// # Ok::<(), json::JsonError>(())
    /// ```
    pub fn parse(
        document: &[u8],
        limits: &JsonLimits,
        lookup: &dyn Fn(&str) -> Option<Arc<Schema>>,
        defaults: &Defaults,
    ) -> Result<Self, JsonError> {
        Self::parse_knowing(document, limits, lookup, &|_, _| false, defaults)
    }

    /// The same, where `was_number` tells whether a column of a measurement that `lookup` does not
    /// know was numbers before: a text in it is then no key of the row.
    ///
    /// # Errors
    /// As [`PushDocument::parse`].
    pub fn parse_knowing(
        document: &[u8],
        limits: &JsonLimits,
        lookup: &dyn Fn(&str) -> Option<Arc<Schema>>,
        was_number: &dyn Fn(&MeasurementName, &str) -> bool,
        defaults: &Defaults,
    ) -> Result<Self, JsonError> {
        if document.len() > limits.max_bytes {
            return Err(JsonError::TooLarge {
                what: "document",
                given: document.len() as u64,
                limit: limits.max_bytes as u64,
            });
        }
        check_depth(document, limits.max_depth)?;
        let raw: RawDocument<'_> = serde_json::from_slice(document).map_err(|error| {
            let message = clipped(error.to_string());
            if error.is_data() { JsonError::Shape { message } } else { JsonError::Syntax { message } }
        })?;
        let raw_metrics = take_apart(raw.metrics, limits.max_metrics)?;
        let timestamp = raw.timestamp.map(|text| text.parse::<Timestamp>()).transpose();
        let timestamp =
            timestamp.map_err(|error| JsonError::Shape { message: clipped(format!("timestamp: {error}")) })?;
        let mut context =
            metric::Context { limits, lookup, was_number, defaults, timestamp, values_left: limits.max_values };
        let mut metrics = Vec::with_capacity(raw_metrics.len());
        for (index, raw) in raw_metrics.iter().enumerate() {
            metric::read(raw.get(), &mut context, &mut |batch| {
                let batch = batch.map_err(|Failure { code, message }| MetricError { index, code, message });
                metrics.push(ReadMetric { index, batch });
            });
        }
        Ok(Self {
            collector_id: raw.collector_id,
            hostname: raw.hostname,
            version: raw.version,
            timestamp,
            metric_count: raw_metrics.len(),
            metrics,
        })
    }
}

/// Other fields are ignored: older and newer agents may send more.
#[derive(Deserialize)]
struct RawDocument<'a> {
    #[serde(default)]
    collector_id: Option<String>,
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(borrow)]
    metrics: &'a RawValue,
}

/// The metrics, not looked into yet. It stops at the limit.
fn take_apart(metrics: &RawValue, limit: usize) -> Result<Vec<&RawValue>, JsonError> {
    struct Metrics {
        limit: usize,
    }

    impl<'de> Visitor<'de> for Metrics {
        /// `None` when there are too many.
        type Value = Option<Vec<&'de RawValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of metrics")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut metrics = Vec::new();
            while let Some(metric) = seq.next_element()? {
                if metrics.len() >= self.limit {
                    // What follows is known to be good JSON; it is only skipped.
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(None);
                }
                metrics.push(metric);
            }
            Ok(Some(metrics))
        }
    }

    let metrics = serde_json::Deserializer::from_str(metrics.get())
        .deserialize_seq(Metrics { limit })
        .map_err(|error| JsonError::Shape { message: clipped(format!("metrics: {error}")) })?;
    metrics.ok_or(JsonError::TooLarge { what: "metrics", given: limit as u64 + 1, limit: limit as u64 })
}

/// Refuses deep nesting before anything recurses.
fn check_depth(document: &[u8], limit: usize) -> Result<(), JsonError> {
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
    for &byte in document {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return Err(JsonError::TooLarge { what: "nesting", given: depth as u64, limit: limit as u64 });
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}
