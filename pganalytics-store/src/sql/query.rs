//! A query: its text and tree, for whom it runs, and what it may take.

use std::{sync::Arc, time::Duration};

use datafusion::sql::parser::Statement;
use pganalytics_core::{Schema, TenantId, Timestamp};

#[cfg(target_os = "linux")]
use super::{
    error::SqlError,
    guard::{only_reads, parse},
};

/// A value for `$1`, `$2`….
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SqlParam {
    /// NULL.
    Null,
    /// `boolean`.
    Bool(bool),
    /// `bigint`.
    Int(i64),
    /// `double precision`.
    Float(f64),
    /// `text`; becomes a time or number where one is compared with it.
    Text(String),
    /// `timestamptz`.
    Timestamp(Timestamp),
}

/// For whom a query runs; decides what it sees.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlPrincipal {
    /// Only this tenant's rows are seen.
    pub tenant: TenantId,
    /// Who it is, for [`PerPrincipal`](super::PerPrincipal): who has the same name
    /// shares one's turns. `None`: nobody in particular, who is not counted.
    pub name: Option<Arc<str>>,
}

impl SqlPrincipal {
    /// Somebody who may see all of a tenant.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant, name: None }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Self { name: Some(name.into()), ..self }
    }
}

/// A query that the guard has let through.
#[derive(Debug, Clone)]
pub struct SqlQuery {
    pub(super) text: String,
    pub(super) statement: Statement,
    pub(super) params: Vec<SqlParam>,
    pub(super) principal: SqlPrincipal,
    pub(super) known: Arc<[Arc<Schema>]>,
    pub(super) max_rows: usize,
    pub(super) max_columns: usize,
    /// How deep its text may nest, for who parses it again.
    pub(super) max_depth: usize,
    pub(super) timeout: Duration,
}

impl SqlQuery {
    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Values for `$1`, `$2`….
    #[must_use]
    pub fn params(&self) -> &[SqlParam] {
        &self.params
    }

    /// For whom it runs.
    #[must_use]
    pub fn principal(&self) -> &SqlPrincipal {
        &self.principal
    }

    /// Measurements that are tables also where nobody has sent them yet; see
    /// [`SqlGuard::knowing`](super::SqlGuard::knowing).
    #[must_use]
    pub fn known(&self) -> &[Arc<Schema>] {
        &self.known
    }

    /// Most rows of the answer.
    #[must_use]
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Longest time that it may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks for fewer rows; never for more than the guard allows.
    #[must_use]
    pub fn with_max_rows(mut self, rows: usize) -> Self {
        self.max_rows = self.max_rows.min(rows);
        self
    }

    /// Asks for a shorter time; never for a longer one than the guard allows.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = self.timeout.min(timeout);
        self
    }

    /// Whole seconds that it may take, for messages.
    pub(super) fn seconds(&self) -> u64 {
        // What waiting for a turn took off is not worth a second less.
        (self.timeout + Duration::from_millis(50)).as_secs()
    }

    /// What another process needs to know of it.
    #[cfg(target_os = "linux")]
    pub(super) fn parts(&self) -> QueryParts<'_> {
        QueryParts {
            text: &self.text,
            params: &self.params,
            principal: &self.principal,
            max_rows: self.max_rows,
            max_columns: self.max_columns,
            max_depth: self.max_depth,
            timeout: self.timeout,
        }
    }

    /// The query that the guard of another process let through.
    #[cfg(target_os = "linux")]
    pub(super) fn of_parts(parts: &QueryParts<'_>, known: Arc<[Arc<Schema>]>) -> Result<Self, SqlError> {
        let statement = parse(parts.text, parts.max_depth)?;
        only_reads(&statement)?;
        Ok(Self {
            text: parts.text.to_owned(),
            statement,
            params: parts.params.to_vec(),
            principal: parts.principal.clone(),
            known,
            max_rows: parts.max_rows,
            max_columns: parts.max_columns,
            max_depth: parts.max_depth,
            timeout: parts.timeout,
        })
    }

    #[cfg(target_os = "linux")]
    pub(super) fn shared_known(&self) -> &Arc<[Arc<Schema>]> {
        &self.known
    }

    pub(super) fn max_columns(&self) -> usize {
        self.max_columns
    }

    pub(super) fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// What a query is made of, without its tree.
#[cfg(target_os = "linux")]
pub(super) struct QueryParts<'a> {
    pub(super) text: &'a str,
    pub(super) params: &'a [SqlParam],
    pub(super) principal: &'a SqlPrincipal,
    pub(super) max_rows: usize,
    pub(super) max_columns: usize,
    pub(super) max_depth: usize,
    pub(super) timeout: Duration,
}
