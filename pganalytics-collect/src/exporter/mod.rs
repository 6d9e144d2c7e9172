//! Answers Prometheus: `/metrics` of PostgreSQL, host and agent, and of PgBouncer.
//!
//! ```text
//! scheduler -> Latest -> a view for each server -> groups, made families -> Page -> HTTP
//!     ^                                                                              |
//!     +---------------- ask: what is too old is visited again <--------- scrape -----+
//! ```
//!
//! What stays true:
//!
//! - **Load.** A scrape takes what was last collected when it is younger than
//!   `max_age`. What is older is visited by the collector's own task, so there
//!   are never two visits at once, and any number of scrapers cost as much as
//!   one. What the catalog takes more rarely than every 60 s (sizes) may be as
//!   old as its own interval.
//! - **Honesty.** `pg_up` is 1 only when the server answered this scrape's visit,
//!   or one younger than `max_age`. A measurement that failed has no series.
//!   What nobody renewed for five minutes, or twice its interval, has none.
//! - **Time.** A server that hangs can't hold a scrape beyond `timeout`, or what
//!   Prometheus says that it waits: it gets what there is, `pg_up` 0, and
//!   `pg_exporter_last_scrape_error` 1.
//! - **Bounds.** A family has at most `max_series` series; the rest is summed up
//!   in one. No series stands twice. A family that two would bring with
//!   different types is the first one's: the drop-in names come first.
//!
//! There are two sets of names: [native](self), derived from the catalog, and
//! drop-in, those of `postgres_exporter` and `pgbouncer_exporter`, for dashboards
//! and rules that there are already. With one watched server, series have the
//! labels that those have; with several, each has a label `server` besides.
//!
//! ```no_run
//! use pganalytics_collect::exporter::{Exporter, ExporterSettings, Listen};
//! use pganalytics_core::catalog::Catalog;
//!
//! let mut settings = ExporterSettings::default();
//! settings.listen = Some(Listen { address: ([127, 0, 0, 1], 9187).into(), required: true });
//! let exporter = Exporter::new(settings, Catalog::builtin()).server("main", "db1:5432");
//! // Agent::builder().server(…).exporter(exporter).build()?.run(stop)
//! ```

mod auth;
mod drop_in;
mod group;
mod http;
pub(crate) mod names;
mod native;
mod own;
mod page;
mod page_contents;
mod scrape;
mod server_view;
mod settings;
mod text;

use pganalytics_core::catalog::Measurement;

pub use crate::latest::Latest;
pub use auth::Auth;
pub use http::Listener;
pub use scrape::Exporter;
pub use settings::{DEFAULT_EXCLUDE, ExporterSettings, Listen};

/// Names of the parts that the drop-in names have, for settings.
#[must_use]
pub fn collectors() -> Vec<String> {
    page_contents::collectors().into_iter().collect()
}

/// The native name of a column's family; `None` where it has none, as texts.
///
/// ```
/// use pganalytics_collect::exporter::native_name;
/// use pganalytics_core::catalog::Catalog;
///
/// let disks = Catalog::builtin().get("disk_usage").unwrap();
/// assert_eq!(native_name(disks, "available").as_deref(), Some("pg_disk_usage_available_bytes"));
/// ```
#[must_use]
pub fn native_name(measurement: &Measurement, column: &str) -> Option<String> {
    native::name_of(measurement, column)
}
