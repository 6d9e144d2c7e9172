//! What a measurement looks like.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    epoch::CounterFamily,
    error::ModelError,
    id::{MeasurementName, check_identifier},
};

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Part of the row's identity.
    Key,
    /// Counts up from the beginning of its epoch.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Describes; seldom changes.
    Info,
}

/// Type of a column's values. Every type may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// 64-bit signed integer.
    Int,
    /// 64-bit float.
    Float,
    /// True or false.
    Bool,
    /// Microseconds since 1970-01-01 UTC.
    Timestamp,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Timestamp => "timestamp",
        })
    }
}

/// What it means that a row is not in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Rows stay until they are said to be gone: missing from a delta means
    /// unchanged, missing from a keyframe means gone.
    #[default]
    State,
    /// Each row is a fact of its own that stays true (a query's text, an
    /// event); batches carry only new ones.
    Append,
}

/// How the values that several rows have of a gauge become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// They add up: connections, bytes.
    #[default]
    Sum,
    /// Their average says most: ratios.
    Avg,
    /// The largest says most: ages, lags, durations.
    Max,
    /// None stands for the others but the newest: states, versions.
    Last,
}

impl Aggregate {
    /// What suits a gauge of this type and unit.
    ///
    /// ```
    /// use pganalytics_core::{Aggregate, ColumnType};
    /// assert_eq!(Aggregate::of_unit(ColumnType::Int, "connections"), Aggregate::Sum);
    /// assert_eq!(Aggregate::of_unit(ColumnType::Float, "ratio"), Aggregate::Avg);
    /// assert_eq!(Aggregate::of_unit(ColumnType::Float, "s"), Aggregate::Max);
    /// ```
    #[must_use]
    pub fn of_unit(ty: ColumnType, unit: &str) -> Self {
        match (ty, unit) {
            (ColumnType::Text, _) | (_, "code") => Self::Last,
            (ColumnType::Bool | ColumnType::Timestamp, _) => Self::Max,
            (_, "ratio" | "%" | "bytes/s") => Self::Avg,
            // PostgreSQL counts ages in transactions and multixacts, too.
            (_, "s" | "ms" | "transactions" | "multixacts") => Self::Max,
            _ => Self::Sum,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One column of a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// The name that PostgreSQL uses.
    pub name: String,
    /// What it is for.
    pub kind: ColumnKind,
    /// Type of its values.
    #[serde(rename = "type")]
    pub ty: ColumnType,
    /// Unit of its values (`bytes`, `ms`, `scans`…), empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// How its values over several rows become one; means something for gauges
    /// only.
    #[serde(default, skip_serializing_if = "Aggregate::is_default")]
    pub aggregate: Aggregate,
}

impl Column {
    /// A column without a unit, whose values add up.
    #[must_use]
    pub fn new(name: &str, kind: ColumnKind, ty: ColumnType) -> Self {
        Self { name: name.to_owned(), kind, ty, unit: String::new(), aggregate: Aggregate::Sum }
    }
}

/// The shape of a measurement: its name, its columns and how its counters
/// behave. It travels with every batch, so a store needs no other knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Schema {
    measurement: MeasurementName,
    columns: Vec<Column>,
    family: CounterFamily,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_stamp: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    derived: Vec<usize>,
    presence: Presence,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_secs: Option<u64>,
}

/// Most columns that a schema may have.
pub const MAX_COLUMNS: usize = 512;

/// Longest unit that catalog files and JSON may give a column.
pub(crate) const MAX_UNIT_BYTES: usize = 63;

impl Schema {
    /// A schema of these columns, without a row stamp, of [`Presence::State`].
    ///
    /// # Errors
    /// When a name is not an identifier, a column stands twice, or there are no
    /// columns or more than [`MAX_COLUMNS`].
    pub fn new(measurement: MeasurementName, family: CounterFamily, columns: Vec<Column>) -> Result<Self, ModelError> {
        if columns.is_empty() || columns.len() > MAX_COLUMNS {
            return Err(ModelError::ColumnCount {
                measurement: measurement.to_string(),
                count: columns.len(),
                max: MAX_COLUMNS,
            });
        }
        let mut seen = std::collections::HashSet::with_capacity(columns.len());
        for column in &columns {
            check_identifier("column", &column.name)?;
            if !seen.insert(column.name.as_str()) {
                return Err(ModelError::DuplicateColumn {
                    measurement: measurement.to_string(),
                    column: column.name.clone(),
                });
            }
        }
        Ok(Self {
            measurement,
            columns,
            family,
            row_stamp: None,
            derived: Vec::new(),
            presence: Presence::State,
            retention_secs: None,
        })
    }

    /// Names the timestamp column that says when a row's counters began
    /// (`stats_since`, `stats_reset`).
    ///
    /// # Errors
    /// [`ModelError::BadRowStamp`] when there is no such timestamp column.
    pub fn with_row_stamp(mut self, column: &str) -> Result<Self, ModelError> {
        let found = self.columns.iter().position(|c| c.name == column && c.ty == ColumnType::Timestamp);
        self.row_stamp = Some(found.ok_or_else(|| ModelError::BadRowStamp {
            measurement: self.measurement.to_string(),
            column: column.to_owned(),
        })?);
        Ok(self)
    }

    /// Names counters that are derived from counters of other objects, as a
    /// table's `idx_scan` from those of its indexes. Those objects are dropped
    /// and reset by themselves: when such a counter falls its increase is
    /// unknown, its value is not the increase, and it says nothing of the row's
    /// other counters, nor they of it.
    ///
    /// # Errors
    /// [`ModelError::BadDerived`] when there is no such counter.
    pub fn with_derived<'a>(mut self, columns: impl IntoIterator<Item = &'a str>) -> Result<Self, ModelError> {
        for column in columns {
            let found = self.columns.iter().position(|c| c.name == column && c.kind == ColumnKind::Counter);
            self.derived.push(found.ok_or_else(|| ModelError::BadDerived {
                measurement: self.measurement.to_string(),
                column: column.to_owned(),
            })?);
        }
        self.derived.sort_unstable();
        self.derived.dedup();
        Ok(self)
    }

    /// Says what a missing row means.
    #[must_use]
    pub fn with_presence(mut self, presence: Presence) -> Self {
        self.presence = presence;
        self
    }

    /// Says how long stores keep the rows, in whole seconds; `None`: as long as
    /// they keep what says nothing of it.
    #[must_use]
    pub fn with_retention(mut self, retention: Option<Duration>) -> Self {
        self.retention_secs = retention.map(|retention| retention.as_secs());
        self
    }

    /// The measurement's name.
    #[must_use]
    pub fn measurement(&self) -> &MeasurementName {
        &self.measurement
    }

    /// The columns, in the order of their values.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The family that the counters belong to.
    #[must_use]
    pub fn family(&self) -> CounterFamily {
        self.family
    }

    /// Position of the row stamp's column.
    #[must_use]
    pub fn row_stamp(&self) -> Option<usize> {
        self.row_stamp
    }

    /// Positions of the counters derived from other objects, see [`Schema::with_derived`].
    #[must_use]
    pub fn derived(&self) -> &[usize] {
        &self.derived
    }

    /// Positions of the counters that the row's own object keeps: all but the
    /// derived ones. When one of them falls the object was reset.
    pub fn own_counters(&self) -> impl Iterator<Item = usize> + '_ {
        self.positions_of(ColumnKind::Counter).filter(|at| self.derived.binary_search(at).is_err())
    }

    /// What a missing row means.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.presence
    }

    /// How long stores keep the rows, where the measurement says it.
    #[must_use]
    pub fn retention(&self) -> Option<Duration> {
        self.retention_secs.map(Duration::from_secs)
    }

    /// Position of a column by its name.
    #[must_use]
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    /// Positions of the columns of one kind, in order.
    pub fn positions_of(&self, kind: ColumnKind) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().enumerate().filter(move |(_, c)| c.kind == kind).map(|(at, _)| at)
    }

    /// A number that stands for the schema: the beginning of a SHA-256 over all
    /// of it, so that nobody can make another schema of the same number as one
    /// that is there. It stays the same across versions of this crate.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Sha256::new();
        let mut put = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        put(self.measurement.as_str());
        for column in &self.columns {
            put(&column.name);
            put(&column.unit);
        }
        for column in &self.columns {
            hash.update([column.kind as u8, column.ty as u8, column.aggregate as u8]);
        }
        hash.update([self.family as u8, self.presence as u8]);
        hash.update(self.row_stamp.map_or(u64::MAX, |at| at as u64).to_le_bytes());
        hash.update([u8::from(self.retention_secs.is_some())]);
        hash.update(self.retention_secs.unwrap_or_default().to_le_bytes());
        for &at in &self.derived {
            hash.update((at as u64).to_le_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}
