//! Errors of the data model.

use crate::schema::ColumnType;

/// Why values could not be put into the data model.
///
/// Codecs and the catalog have errors of their own:
/// [`FrameError`](crate::frame::FrameError), [`JsonError`](crate::json::JsonError)
/// and [`CatalogError`](crate::catalog::CatalogError).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A name breaks the rules of its kind.
    #[error("{what} {name:?} is not a valid name: {rule}")]
    BadName {
        /// What the name is for, as `measurement` or `column`.
        what: &'static str,
        /// The name as given, cut to 80 characters.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A schema holds two columns of one name.
    #[error("measurement {measurement}: column {column} stands twice in the schema")]
    DuplicateColumn {
        /// The measurement.
        measurement: String,
        /// The column.
        column: String,
    },
    /// A schema has no column, or too many.
    #[error("measurement {measurement}: {count} columns; a schema has 1 to {max}")]
    ColumnCount {
        /// The measurement.
        measurement: String,
        /// Columns given.
        count: usize,
        /// Most columns allowed.
        max: usize,
    },
    /// A schema names a row stamp that is not one of its timestamp columns.
    #[error("measurement {measurement}: row stamp {column} is not a timestamp column of the schema")]
    BadRowStamp {
        /// The measurement.
        measurement: String,
        /// The column named.
        column: String,
    },
    /// A schema calls a column derived that is not one of its counters.
    #[error("measurement {measurement}: derived column {column} is not a counter of the schema")]
    BadDerived {
        /// The measurement.
        measurement: String,
        /// The column named.
        column: String,
    },
    /// Columns given do not fit the schema.
    #[error("measurement {measurement}: {given} columns given, the schema has {expected}")]
    WrongWidth {
        /// The measurement.
        measurement: String,
        /// Columns of the schema.
        expected: usize,
        /// Columns given.
        given: usize,
    },
    /// A column has not as many rows as the others.
    #[error("column {column}: {given} rows, the others have {expected}")]
    WrongLength {
        /// The column.
        column: String,
        /// Rows of the first column.
        expected: usize,
        /// Rows of this one.
        given: usize,
    },
    /// A value has not the type of its column.
    #[error("column {column}: a value of type {given} in a column of type {expected}")]
    WrongType {
        /// The column.
        column: String,
        /// Type in the schema.
        expected: ColumnType,
        /// Type given.
        given: ColumnType,
    },
    /// A block's row points at a scrape that the block does not have, or its
    /// scrapes are not in order of time.
    #[error("block: {0}")]
    BadBlock(&'static str),
    /// A text column outgrew 4 GiB.
    #[error("column {column}: more than 4 GiB of text in one batch")]
    TextTooLong {
        /// The column.
        column: String,
    },
    /// A time could not be read.
    #[error("{0:?} is not a time; expected RFC 3339, as 2026-01-31T12:00:00Z")]
    BadTime(String),
    /// An id could not be read.
    #[error("{0:?} is not an id; expected a UUID or 1 to 128 characters of A-Z a-z 0-9 _ . : -")]
    BadId(String),
}
