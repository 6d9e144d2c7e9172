//! Errors of SQL queries: what is wrong, and what to do.

use std::borrow::Cow;

use datafusion::{
    arrow::error::ArrowError,
    common::{DataFusionError, SchemaError},
};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;

/// Why a query was refused or ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The text is not SQL.
    #[error("SQL syntax: {0}")]
    Syntax(String),
    /// There is not exactly one statement.
    #[error("{0} statements given; send exactly one")]
    StatementCount(usize),
    /// The statement would change something.
    #[error("{0} is not allowed: only SELECT, WITH, VALUES, EXPLAIN, SHOW and DESCRIBE are")]
    NotReadOnly(String),
    /// The statement is too long or too deeply nested.
    #[error("the query is too complex: {what}: {given}, at most {limit} are allowed; split it into smaller queries")]
    TooComplex {
        /// What there is too much of.
        what: Cow<'static, str>,
        /// How much was given.
        given: usize,
        /// The limit.
        limit: usize,
    },
    /// There is no such table.
    #[error("there is no table {name:?}{}", near_names(near))]
    UnknownTable {
        /// The name as written.
        name: String,
        /// Tables with similar names.
        near: Vec<String>,
    },
    /// There is no such column.
    #[error("there is no column {name:?}{}", near_names(near))]
    UnknownColumn {
        /// The name as written.
        name: String,
        /// Columns with similar names.
        near: Vec<String>,
    },
    /// The statement makes no sense, as a function that does not exist.
    #[error("{0}")]
    Invalid(String),
    /// Parameters do not fit the statement.
    #[error("parameters: {0}")]
    Parameters(String),
    /// Something went wrong with the values, as a division by zero.
    #[error("{0}")]
    Failed(String),
    /// The deadline came first.
    #[error("the query took longer than {seconds} s; ask for a shorter time range, fewer servers, or aggregate more")]
    Timeout {
        /// Seconds allowed.
        seconds: u64,
    },
    /// Too many queries of one principal wait for their turn.
    #[error("{running} of your queries run and {waiting} wait, no more are taken; wait for their answers")]
    TooManyOfYours {
        /// How many of one principal may run at once.
        running: usize,
        /// How many may wait.
        waiting: usize,
    },
    /// Other queries kept the engine busy until the deadline.
    #[error("{running} queries are running, no more are allowed at once; try again later")]
    Busy {
        /// How many may run at once.
        running: usize,
    },
    /// The query needs more memory than it may have.
    #[error(
        "the query needs more than the {megabytes} MiB of memory that it may have; \
         ask for a shorter time range, fewer columns, or fewer groups"
    )]
    OutOfMemory {
        /// Megabytes allowed.
        megabytes: usize,
    },
    /// The query took more processor time than it may.
    #[error(
        "the query took more than the {seconds} s of processor time that it may have; \
         ask for a shorter time range, fewer servers, or aggregate more"
    )]
    OutOfCpu {
        /// Seconds allowed.
        seconds: u64,
    },
    /// The system ended the process that ran the query.
    #[error(
        "the system ended the process that ran the query, as it does when the machine has no memory left; \
         try again later, or ask for less"
    )]
    Killed,
    /// A fault of the engine itself.
    #[error("the query engine failed: {0}; please report it")]
    Internal(String),
}

fn near_names(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; there is: {}", near.join(", ")) }
}

impl SqlError {
    /// A short name that stays the same, for APIs and counters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "syntax_error",
            Self::StatementCount(_) => "one_statement_only",
            Self::NotReadOnly(_) => "not_read_only",
            Self::TooComplex { .. } => "too_complex",
            Self::UnknownTable { .. } => "unknown_table",
            Self::UnknownColumn { .. } => "unknown_column",
            Self::Invalid(_) => "invalid_query",
            Self::Parameters(_) => "bad_parameters",
            Self::Failed(_) => "query_failed",
            Self::Timeout { .. } => "timeout",
            Self::TooManyOfYours { .. } => "too_many_of_yours",
            Self::Busy { .. } => "too_many_queries",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::OutOfCpu { .. } => "out_of_cpu",
            Self::Killed => "query_killed",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the query's author can do something about it.
    #[must_use]
    pub fn is_users(&self) -> bool {
        !matches!(self, Self::Internal(_) | Self::Busy { .. } | Self::Killed)
    }
}

/// What the engine's error means to the one who asked.
pub(super) fn translate(error: DataFusionError, memory_limit: usize) -> StoreError {
    let sql = match error {
        DataFusionError::External(source) => match source.downcast::<StoreError>() {
            Ok(store) => return *store,
            Err(source) => match source.downcast::<DataFusionError>() {
                Ok(inner) => return translate(*inner, memory_limit),
                Err(source) => SqlError::Failed(source.to_string()),
            },
        },
        DataFusionError::ArrowError(source, _) => match *source {
            ArrowError::ExternalError(source) => {
                return translate(DataFusionError::External(source), memory_limit);
            }
            ArrowError::MemoryError(_) => SqlError::OutOfMemory { megabytes: memory_limit >> 20 },
            ArrowError::DivideByZero => SqlError::Failed("division by zero".to_owned()),
            other => SqlError::Failed(other.to_string()),
        },
        DataFusionError::Context(_, source) | DataFusionError::Diagnostic(_, source) => {
            return translate(*source, memory_limit);
        }
        DataFusionError::Shared(source) => match std::sync::Arc::try_unwrap(source) {
            Ok(inner) => return translate(inner, memory_limit),
            Err(shared) => of_shared(&shared, memory_limit),
        },
        DataFusionError::Collection(mut all) if !all.is_empty() => return translate(all.remove(0), memory_limit),
        DataFusionError::SQL(source, _) => SqlError::Syntax(source.to_string()),
        DataFusionError::SchemaError(source, _) => of_schema(&source),
        DataFusionError::Plan(message) => SqlError::Invalid(message),
        DataFusionError::NotImplemented(message) => SqlError::Invalid(format!("not supported: {message}")),
        DataFusionError::ResourcesExhausted(_) => SqlError::OutOfMemory { megabytes: memory_limit >> 20 },
        DataFusionError::Execution(message) => SqlError::Failed(message),
        DataFusionError::ExecutionJoin(source) => SqlError::Internal(source.to_string()),
        other => SqlError::Internal(other.strip_backtrace()),
    };
    StoreError::Sql(sql)
}

/// Several readers may get one error; only its text can be had then.
fn of_shared(shared: &DataFusionError, memory_limit: usize) -> SqlError {
    match shared.find_root() {
        DataFusionError::ResourcesExhausted(_) => SqlError::OutOfMemory { megabytes: memory_limit >> 20 },
        DataFusionError::Execution(message) => SqlError::Failed(message.clone()),
        DataFusionError::ArrowError(source, _) => SqlError::Failed(source.to_string()),
        other => SqlError::Failed(other.strip_backtrace()),
    }
}

fn of_schema(error: &SchemaError) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names = valid_fields.iter().map(|column| column.name.as_str());
            SqlError::UnknownColumn { name: field.flat_name(), near: nearest(&field.name, names) }
        }
        other => SqlError::Invalid(other.to_string()),
    }
}

/// The names most like `wanted`, best first, at most five.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let limit = wanted.chars().count() / 3 + 1;
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let distance = distance(&wanted, name);
            let within = wanted.len() >= 4 && (name.contains(&wanted) || wanted.contains(name));
            (distance <= limit || within).then_some((distance, name))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(5).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters must be put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(128).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(128).enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let changed = corner + usize::from(from != *to);
            corner = *cell;
            left = changed.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["pg_stat_database", "pg_stat_user_tables", "pg_stat_statements"];
        assert_eq!(nearest("pg_stat_databse", names.into_iter()), ["pg_stat_database"]);
        assert_eq!(nearest("statements", names.into_iter()), ["pg_stat_statements"]);
        assert!(nearest("zebra", names.into_iter()).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
