//! What pgAnalytics collects: one file a measurement.
//!
//! A catalog file (`catalog/<measurement>.toml`) holds everything about one
//! measurement: the SQL for each server version, the columns with their kinds,
//! units and words, how often it is taken, how long it is kept, how its
//! counters behave. Schemas, tables, Prometheus names and the reference page
//! are derived from it. The files of this crate are checked when it is built: a
//! bad one does not compile. Users' files follow the same rules; a bad one is a
//! [`CatalogError`] that names file, line and field, and the others go on.
//!
//! # The file
//!
//! ```toml
//! name       = "app_orders"       # for ever; also the name of its SQL table
//! title      = "Orders"           # default: the name
//! doc        = "Orders by state"
//! scope      = "database"         # cluster | database | host | pooler | agent
//! interval   = "60s"              # ms, s, m, h, d; default 60s
//! retention  = "7d"               # default 7d
//! hypertable = "metrics_app_orders" # default: metrics_<name>
//! enabled    = true               # default
//! source     = "app.orders"       # view or file it comes from; default: the name
//! role       = "any"              # any | primary | standby; default any
//! max_rows   = 1000               # the rest is cut off and reported; default 100000
//! presence   = "state"            # state | append (rows are facts, sent once)
//!
//! [counters]                      # without it: family = "none"
//! family    = "cumulative"        # cumulative | shared | statements | host | process | none
//! stamp     = "stats_reset"       # shared: timestamp column whose first row stamps the batch
//! row_stamp = "stats_since"       # timestamp column that stamps each row by itself
//!
//! [[query]]                       # scopes cluster and database: each of 14-18 once
//! postgres = ">=14, <17"          # default: every version
//! sql = "select state::text, count(*)::int8 as orders from app.orders group by 1"
//! requires_extension = "pg_stat_statements"
//! requires_execute = "pg_catalog.pg_hba_file_rules()" # a right beyond pg_monitor
//!
//! [[query]]
//! postgres = ">=17"
//! unsupported = "because app.orders went away"   # instead of sql
//!
//! [follow]                        # the query gets $1: a bigint[] of keys that are
//! measurement = "pg_stat_statements" # new in another measurement
//! key = "queryid"
//! resend = "1d"                   # a key counts as new again after this time
//!
//! [[wants]]                       # without it the measurement works in part
//! setting  = "track_io_timing"    # setting and value, or role, or function
//! value    = "on"                 # "pl, all": one of these, the first is advised;
//!                                 # ">=4096": at least, in the unit of pg_settings
//! without  = "the times stay 0"   # what is missing then
//! postgres = ">=14"               # versions that want it; default: every version
//!
//! [[wants]]
//! role     = "pg_monitor"         # the watching role is a member of it
//! without  = "other roles' sessions are hidden"
//!
//! [[wants]]
//! function = "pg_catalog.pg_control_system()" # the watching role may call it
//! without  = "the server is known by its address only"
//!
//! [[column]]
//! name = "state"                  # the name that PostgreSQL uses
//! kind = "key"                    # key | counter | gauge | info
//! type = "text"                   # text | int | float | bool | timestamp
//! unit = "orders"                 # where there is one
//! doc  = "State of the orders"
//! aggregate = "sum"               # gauges: how several rows become one: sum | avg | max |
//!                                 # last; default by unit (ages max, ratios avg, else sum)
//! derived = false                 # true: a counter that other objects keep, as a table's
//!                                 # idx_scan, which its indexes keep; they are dropped and
//!                                 # reset by themselves
//! postgres = ">=16"               # versions that have it; NULL on others
//! ```
//!
//! # The SQL
//!
//! `@extschema@` stands for the schema of the extension that a query requires.
//! A query returns its columns by name, in any order, cast to `text`, `int8`,
//! `float8`, `bool` or `timestamptz`. A column whose `postgres` leaves a version
//! out is not returned there and is NULL. Queries read only, need no more than
//! the role `pg_monitor`, do not sort, and wait for no lock.

mod builtin;
mod epoch;
mod error;
mod file;
mod measurement;
mod set;
mod table;
mod version;
mod wants;

pub use epoch::{epoch_sql, statements_epoch_sql};
pub use error::CatalogError;
pub use measurement::{
    CatalogColumn, DEFAULT_MAX_ROWS, Follow, Measurement, Query, QueryChoice, RESERVED_COLUMNS, Requires, Role, Scope,
};
pub use set::Catalog;
pub use version::VersionRange;
pub use wants::{Want, Wanted};

#[cfg(test)]
mod sql_rules;
#[cfg(test)]
mod tests;
