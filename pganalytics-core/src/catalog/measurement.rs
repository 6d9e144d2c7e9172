//! One measurement of the catalog.

use std::{sync::Arc, time::Duration};

use super::{version::VersionRange, wants::Want};
use crate::{
    id::MeasurementName,
    schema::{Aggregate, ColumnKind, ColumnType, Schema},
};

/// Names that no column may have: stores put their own columns under them.
pub const RESERVED_COLUMNS: &[&str] =
    &["time", "tenant_id", "collector_id", "server_id", "instance_id", "server", "database_id", "database_name"];

/// Stands for the extension's schema in the SQL of queries that need one.
pub(super) const EXTENSION_SCHEMA: &str = "@extschema@";

/// Rows that a scrape may bring where the file does not say otherwise.
pub const DEFAULT_MAX_ROWS: usize = 100_000;

/// Where a measurement is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// Once in a cluster, in whichever database.
    Cluster,
    /// In each database.
    Database,
    /// Once on a host.
    Host,
    /// At a connection pooler's admin console.
    Pooler,
    /// By the agent, of itself and its work.
    Agent,
}

impl Scope {
    /// The word in catalog files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Database => "database",
            Self::Host => "host",
            Self::Pooler => "pooler",
            Self::Agent => "agent",
        }
    }

    /// Whether it is taken by SQL from a PostgreSQL server.
    #[must_use]
    pub fn is_postgres(self) -> bool {
        matches!(self, Self::Cluster | Self::Database)
    }
}

/// Which members of a cluster a measurement is taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Role {
    /// All.
    #[default]
    Any,
    /// Only the primary.
    Primary,
    /// Only standbys.
    Standby,
}

impl Role {
    /// Whether it is taken on a server that is, or is not, in recovery.
    #[must_use]
    pub fn includes(self, in_recovery: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Primary => !in_recovery,
            Self::Standby => in_recovery,
        }
    }
}

/// A column with all that the catalog knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogColumn {
    /// The name that PostgreSQL uses.
    pub name: String,
    /// What it is for.
    pub kind: ColumnKind,
    /// Type of its values.
    pub ty: ColumnType,
    /// Unit of its values, empty where there is none.
    pub unit: String,
    /// How its values over several rows become one; means something for gauges.
    pub aggregate: Aggregate,
    /// What it says.
    pub doc: String,
    /// A counter derived from counters of other objects, see
    /// [`Schema::with_derived`].
    pub derived: bool,
    /// Versions that have it, `None` for all; elsewhere it is NULL.
    pub postgres: Option<VersionRange>,
}

/// What a query needs beside the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Requires {
    /// An extension that must have been created in the database.
    pub extension: Option<String>,
    /// A function that the role must have the right to execute, with the types of
    /// its arguments. `pg_monitor` does not bring it along; without it the query is
    /// not run.
    pub execute: Option<String>,
}

/// How a measurement is read from a range of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// The versions.
    pub postgres: VersionRange,
    /// The statement as the file has it; empty where [`Query::unsupported`]
    /// says why there is none. Run [`Query::sql_in`] where it needs an extension.
    pub sql: String,
    /// Why these versions can't be asked.
    pub unsupported: Option<String>,
    /// What it needs.
    pub requires: Requires,
}

impl Query {
    /// The statement, with the extension's schema where the file says
    /// `@extschema@`, quoted.
    #[must_use]
    pub fn sql_in(&self, extension_schema: &str) -> String {
        self.sql.replace(EXTENSION_SCHEMA, &quoted(extension_schema))
    }
}

/// A name as a quoted SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What to do on a server of some version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryChoice<'a> {
    /// Run this query.
    Query(&'a Query),
    /// Nothing, for this reason.
    Unsupported(&'a str),
}

/// Keys that come from another measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Follow {
    /// The measurement whose new keys are followed.
    pub measurement: MeasurementName,
    /// Its integer column.
    pub key: String,
    /// After this time a key counts as new again; `None`: never.
    pub resend: Option<Duration>,
}

/// One measurement: what a catalog file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    pub(super) title: String,
    pub(super) doc: String,
    pub(super) scope: Scope,
    pub(super) interval: Duration,
    pub(super) retention: Duration,
    pub(super) hypertable: String,
    pub(super) enabled: bool,
    pub(super) source_view: String,
    pub(super) role: Role,
    pub(super) max_rows: usize,
    pub(super) stamp: Option<String>,
    pub(super) follow: Option<Follow>,
    pub(super) queries: Vec<Query>,
    pub(super) wants: Vec<Want>,
    pub(super) columns: Vec<CatalogColumn>,
    pub(super) schema: Arc<Schema>,
}

impl Measurement {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &MeasurementName {
        self.schema.measurement()
    }

    /// Its name for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What it says.
    #[must_use]
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// Where it is taken.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Planned time between two scrapes.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Planned time between two scrapes, in microseconds.
    #[must_use]
    pub fn interval_micros(&self) -> u64 {
        u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX)
    }

    /// How long it is kept.
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// Name of its table in SQL stores.
    #[must_use]
    pub fn hypertable(&self) -> &str {
        &self.hypertable
    }

    /// Whether it is taken unless settings say otherwise.
    #[must_use]
    pub fn enabled_by_default(&self) -> bool {
        self.enabled
    }

    /// Which members of a cluster it is taken on.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Most rows that a scrape may bring; the rest is cut off and reported.
    #[must_use]
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// The view or file that it comes from.
    #[must_use]
    pub fn source_view(&self) -> &str {
        &self.source_view
    }

    /// Shape of its rows; also says the counters' family, the row stamp and
    /// what a missing row means.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Its columns, in the schema's order.
    #[must_use]
    pub fn columns(&self) -> &[CatalogColumn] {
        &self.columns
    }

    /// The timestamp column whose value in the first row that has one is the
    /// batch's [`Epoch::stamp`](crate::Epoch::stamp), for counters that have a
    /// stamp of their own.
    #[must_use]
    pub fn epoch_stamp(&self) -> Option<&str> {
        self.stamp.as_deref()
    }

    /// Its queries; their versions do not overlap.
    #[must_use]
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// What it wants of a server to be whole.
    #[must_use]
    pub fn wants(&self) -> &[Want] {
        &self.wants
    }

    /// What to run on a server of this `server_version_num`.
    #[must_use]
    pub fn query_for(&self, server_version_num: u32) -> QueryChoice<'_> {
        match self.queries.iter().find(|query| query.postgres.contains(server_version_num)) {
            Some(Query { unsupported: Some(reason), .. }) => QueryChoice::Unsupported(reason),
            Some(query) => QueryChoice::Query(query),
            None if self.queries.is_empty() => QueryChoice::Unsupported("it is not read by SQL"),
            None => QueryChoice::Unsupported("its catalog file has no query for this version of PostgreSQL"),
        }
    }

    /// Where the query's `$1`, a `bigint[]` of new keys, comes from.
    #[must_use]
    pub fn follows(&self) -> Option<&Follow> {
        self.follow.as_ref()
    }
}
