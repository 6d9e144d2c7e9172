//! Batches as JSON, the format for people: so that `curl` works.
//!
//! ```json
//! {"collector_id": "col_001", "metrics": [
//!   {"type": "pg_stat_user_tables", "database": "shop",
//!    "rows": [{"schemaname": "public", "relname": "orders", "seq_scan": 17}]},
//!   {"type": "app_queue", "queue": "mail", "waiting": 3}
//! ]}
//! ```
//!
//! # A document
//! `metrics`, and if you like `collector_id`, `hostname`, `version` (texts) and
//! `timestamp`, which holds for all metrics that have none of their own.
//!
//! # A metric
//! | field | meaning | without it |
//! |---|---|---|
//! | `type` | name of the measurement | required |
//! | `rows` | the rows: objects by column name, or arrays in the order of the columns | the fields that are not in this table are the one row |
//! | `timestamp` | when the values were read, RFC 3339 | the document's, else the time of arrival |
//! | `interval` | time between two scrapes: `"60s"`, `"500ms"`, `"5m"`, or a number of seconds | 60 s |
//! | `kind` | `keyframe`: these are all rows; `delta`: rows that are missing are as they were | `delta` |
//! | `server`, `server_id`, `instance_id` | where the values come from | the collector's own server; a `server` without ids gets ids made of its name |
//! | `database` | the database, or null | the collector's |
//! | `columns` | the schema: `[{"name","kind","type","unit"?,"aggregate"?,"derived"?}]`; kinds `key counter gauge info`, types `text int float bool timestamp`; `aggregate`: how values of several rows of a gauge become one, `sum` (default) `avg` `max` `last`; `derived`: true for a counter that other objects keep | that of the measurement if it is known, else inferred |
//! | `family`, `presence`, `row_stamp` | the rest of a schema given by `columns` | `none`, `state`, none |
//! | `epoch` | when counters began: `{"stamp"?,"started"?,"evictions"?}` | not known |
//! | `gone` | positions of rows that only say that their key is gone | none |
//!
//! Times are RFC 3339 texts to the microsecond. Floats that JSON lacks are the
//! texts `"NaN"`, `"Infinity"`, `"-Infinity"`.
//!
//! # Documents of version 3
//! Agents of version 3 send nested documents, as `{"type": "pg_stats", "tables": [{…}], …}`. Each
//! becomes several batches: `former/table.rs` says which field becomes which column. What none of our
//! measurements has a column for is a measurement of its own, `v3_pg_stats_indexes` for example.
//!
//! # Inferred schemas
//! Columns are the fields of all rows, in the order of the alphabet. Texts are
//! keys, unless every one of them is a time: then they are info. Numbers are
//! gauges: int when all are whole, else float. Bools are gauges. A field that has
//! texts beside numbers, or texts where it had numbers in earlier pushes, is a text that is no
//! key: one `"n/a"` makes no series of its own. A field that is
//! always null, or has bools beside something else, rejects the metric; say
//! `columns` then. Who wants counters says `columns` too.

mod error;
mod former;
mod metric;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod write;

pub use self::{
    error::{JsonError, MetricError},
    read::{Defaults, JsonLimits, PushDocument, ReadMetric},
    write::{push_document, to_metric},
};

/// How NaNs other than the usual one begin, before their bits.
const NAN_PREFIX: &str = "NaN:";
