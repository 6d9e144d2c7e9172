//! Figures of your own from a function: rows of plain values, without a
//! [`Collector`] to write.
//!
//! ```
//! use pganalytics_collect::{Agent, Snapshots, rows};
//! use pganalytics_core::Source;
//!
//! const APP_QUEUE: &str = r#"
//! name = "app_queue"
//! scope = "agent"
//! interval = "10s"
//! [[column]]
//! name = "queue"
//! kind = "key"
//! type = "text"
//! [[column]]
//! name = "waiting"
//! kind = "gauge"
//! type = "int"
//! "#;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let queues = Snapshots::new();
//! let agent = Agent::builder()
//!     .collect(APP_QUEUE, Source::host("shop"), async |_| Ok(rows![["mail", 3], ["invoices", 0]]))
//!     .sink(queues.clone())
//!     .build()?
//!     .start()?;
//!
//! let snapshot = queues.wait_for("app_queue").await;
//! assert_eq!(snapshot.batch.rows.len(), 2);
//! agent.stop().await?;
//! # Ok(()) }
//! ```

use std::{error::Error, fmt, sync::Arc};

use async_trait::async_trait;
use futures::future::BoxFuture;
use pganalytics_core::{Batch, RowsBuilder, Source, Timestamp, Value, catalog::Measurement};
use tokio::time::Instant;

use crate::{
    collector::{CollectContext, Collected, Collector, Outcome},
    error::CollectError,
    scrape::keyframe,
};

/// A value of a row, of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// There is none.
    Null,
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A time.
    Timestamp(Timestamp),
    /// A text.
    Text(Box<str>),
}

impl Cell {
    /// The value, borrowed.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Bool(value) => Value::Bool(*value),
            Self::Timestamp(time) => Value::Timestamp(time.as_micros()),
            Self::Text(text) => Value::Text(text),
        }
    }
}

impl From<Value<'_>> for Cell {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Int(value) => Self::Int(value),
            Value::Float(value) => Self::Float(value),
            Value::Bool(value) => Self::Bool(value),
            Value::Timestamp(micros) => Self::Timestamp(Timestamp::from_micros(micros)),
            Value::Text(text) => Self::Text(text.into()),
        }
    }
}

macro_rules! cell_of {
    ($($variant:ident: $($ty:ty),+;)+) => {
        $($(impl From<$ty> for Cell {
            fn from(value: $ty) -> Self {
                Self::$variant(value.into())
            }
        })+)+
    };
}

cell_of! {
    Int: i8, i16, i32, i64, u8, u16, u32;
    Float: f32, f64;
    Bool: bool;
    Timestamp: Timestamp;
    Text: &str, String, Box<str>;
}

/// More than `i64` holds is its largest number.
impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// More than `i64` holds is its largest number.
impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// All rows of a measurement as they are now, each with a value for each column in
/// the order of the measurement's file; or why there are none.
pub type CollectedRows = Result<Vec<Vec<Cell>>, Box<dyn Error + Send + Sync>>;

/// Rows for [`AgentBuilder::collect`](crate::AgentBuilder::collect): numbers, texts, times,
/// truth values, and `Option`s of them.
///
/// ```
/// use pganalytics_collect::{figures::Cell, rows};
///
/// let rows = rows![["mail", 3, 0.5], ["invoices", 0, None::<f64>]];
/// assert_eq!(rows[1], [Cell::from("invoices"), Cell::Int(0), Cell::Null]);
/// ```
#[macro_export]
macro_rules! rows {
    ($([$($cell:expr),* $(,)?]),* $(,)?) => {
        vec![$(vec![$($crate::figures::Cell::from($cell)),*]),*]
    };
}

type Function = Box<dyn FnMut(CollectContext) -> BoxFuture<'static, CollectedRows> + Send>;

/// Collects what a function brings; made by [`AgentBuilder::collect`](crate::AgentBuilder::collect).
pub(crate) struct FunctionCollector {
    measurement: Arc<Measurement>,
    source: Source,
    function: Function,
}

impl fmt::Debug for FunctionCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionCollector").field("measurement", self.measurement.name()).finish_non_exhaustive()
    }
}

impl FunctionCollector {
    /// `measurement` is the text of its catalog file.
    ///
    /// # Errors
    /// When that is wrong.
    pub(crate) fn new<F, R>(measurement: &str, source: Source, mut rows: F) -> Result<Self, CollectError>
    where
        F: FnMut(CollectContext) -> R + Send + 'static,
        R: Future<Output = CollectedRows> + Send + 'static,
    {
        let measurement = Arc::new(Measurement::parse(measurement, "the measurement given to the agent")?);
        Ok(Self { measurement, source, function: Box::new(move |cx| Box::pin(rows(cx))) })
    }

    fn batch(&self, rows: &[Vec<Cell>], now: Timestamp) -> Result<Batch, Outcome> {
        let schema = self.measurement.schema();
        let mut builder = RowsBuilder::new(schema);
        let mut values = Vec::with_capacity(schema.columns().len());
        for (at, row) in rows.iter().take(self.measurement.max_rows()).enumerate() {
            if row.len() != schema.columns().len() {
                let (has, columns) = (row.len(), schema.columns().len());
                let message = format!("row {} has {has} values, the measurement {columns} columns", at + 1);
                return Err(Outcome::Failed { message });
            }
            values.clear();
            values.extend(row.iter().map(Cell::value));
            builder.push(&values).map_err(Outcome::failed)?;
        }
        Ok(keyframe(&self.measurement, self.source.clone(), now, builder.finish()))
    }
}

#[async_trait]
impl Collector for FunctionCollector {
    fn name(&self) -> &str {
        self.measurement.name().as_str()
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        vec![Arc::clone(&self.measurement)]
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let began = Instant::now();
        let found = match (self.function)(cx.clone()).await {
            Ok(rows) => self.batch(&rows, cx.now),
            Err(error) => Err(Outcome::failed(error)),
        };
        let mut collected = Collected::default();
        collected.add(&self.measurement, &self.source, began.elapsed(), found);
        Ok(collected)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Agent, MemorySink};

    const FILE: &str = "name = \"app_queue\"\nscope = \"agent\"\n[[column]]\nname = \"queue\"\nkind = \"key\"\n\
                        type = \"text\"\n[[column]]\nname = \"waiting\"\nkind = \"gauge\"\ntype = \"int\"\n";

    async fn visit(rows: CollectedRows) -> Outcome {
        let mut rows = Some(rows);
        let function = move |_| {
            let rows = rows.take().unwrap();
            async move { rows }
        };
        let mut collector = FunctionCollector::new(FILE, Source::host("shop"), function).unwrap();
        let due = vec![collector.measurement.name().clone()];
        let cx = CollectContext { due, now: Timestamp::from_secs(1), deadline: Instant::now(), only_visit: true };
        collector.collect(&cx).await.unwrap().reports.remove(0).outcome
    }

    #[tokio::test]
    async fn what_goes_wrong_is_a_report() {
        assert_eq!(visit(Ok(rows![["mail", 3], ["invoices", None::<i64>]])).await, Outcome::Collected { rows: 2 });
        let failed = |message: &str| Outcome::Failed { message: message.to_owned() };
        assert_eq!(visit(Ok(rows![["mail"]])).await, failed("row 1 has 1 values, the measurement 2 columns"));
        assert_eq!(visit(Err("the queue is away".into())).await, failed("the queue is away"));
        assert!(matches!(visit(Ok(rows![["mail", "three"]])).await, Outcome::Failed { .. }));
    }

    #[test]
    fn a_measurement_that_is_wrong_is_told_when_the_agent_is_built() {
        let agent = Agent::builder().collect("name = 3", Source::host("shop"), async |_| Ok(Vec::new()));
        assert!(matches!(agent.sink(MemorySink::new()).build(), Err(CollectError::Catalog(_))));
    }
}
