//! When to look at the schema out of turn: the catalogs were written to.

use std::time::Duration;

use tokio::time::Instant;

use crate::postgres::{query::fault::QueryFault, session::Session};

/// The measurement that is taken out of turn.
pub(crate) const SCHEMA: &str = "pg_schema";

/// Rows ever written to the catalogs that hold the schema. What analyze and
/// vacuum note there in place does not count; temporary tables do. A standby
/// does not count what it replays, so there the interval must do.
const WRITTEN: &str = "
select sum(pg_catalog.pg_stat_get_tuples_inserted(c) + pg_catalog.pg_stat_get_tuples_updated(c)
         + pg_catalog.pg_stat_get_tuples_deleted(c))::int8
from pg_catalog.unnest(array['pg_class', 'pg_attribute', 'pg_attrdef', 'pg_constraint', 'pg_index', 'pg_inherits',
                             'pg_rewrite', 'pg_trigger']) name
cross join lateral (select ('pg_catalog.' || name)::pg_catalog.regclass::pg_catalog.oid as c) catalog";

/// A look may cost this part of the time at most, where temporary tables come
/// and go all the time.
const SHARE: u32 = 100;

/// Watches the catalogs of one database.
#[derive(Debug, Default)]
pub(crate) struct CatalogWatch {
    written: Option<i64>,
    not_before: Option<Instant>,
}

impl CatalogWatch {
    /// Whether the schema should be looked at now. Costs a fraction of a
    /// millisecond.
    pub(crate) async fn is_time(&mut self, session: &mut Session) -> Result<bool, QueryFault> {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        let written = Self::written(session).await?;
        Ok(written != self.written)
    }

    /// Before a look, so that what is written meanwhile causes another one.
    pub(crate) async fn begin(&mut self, session: &mut Session) -> Result<(), QueryFault> {
        self.written = Self::written(session).await?;
        Ok(())
    }

    /// A look has taken so long.
    pub(crate) fn end(&mut self, took: Duration) {
        self.not_before = Some(Instant::now() + took * SHARE);
    }

    async fn written(session: &mut Session) -> Result<Option<i64>, QueryFault> {
        Ok(session.first(WRITTEN, |row| row.try_get::<_, Option<i64>>(0).ok().flatten()).await?.flatten())
    }
}
