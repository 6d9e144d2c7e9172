//! A session in one database, and what is known of the server behind it.
//!
//! Straight at a server, statements are prepared once and each is a transaction
//! of its own. Behind a pooler neither settings nor prepared statements stay, so
//! there each visit to a measurement is one short transaction that sets its
//! settings itself, with unnamed statements: [`Session::begin`] and
//! [`Session::end`] do nothing in the first case and everything in the second.

pub(super) mod connect;
pub(super) mod fault;
mod lifetime;
pub(super) mod pool;
mod stream;
mod tls;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::TryStreamExt;
use pganalytics_core::{InstanceId, ServerId, Source};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tokio_postgres::{Client, Row, Statement, types::Type};
use uuid::Uuid;

use self::{
    connect::{Link, session_settings},
    fault::{ConnectFault, ConnectProblem},
};
use super::{
    query::{
        fault::QueryFault,
        text::{Lossy, ServerEncoding},
    },
    settings::PostgresConfig,
};

/// What a server said of itself when the session began.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// `server_version_num`.
    pub(crate) version: u32,
    /// `server_version`.
    pub(crate) version_text: String,
    /// Whether the library of `pg_stat_statements` is loaded.
    pub(crate) statements_loaded: bool,
    /// Whether our role is a member of `pg_monitor` and has its rights.
    pub(crate) monitors: bool,
    /// Whether our role is a superuser.
    pub(crate) superuser: bool,
    /// The cluster's `system_identifier`, where we may know it.
    pub(crate) system_identifier: Option<i64>,
    /// The encoding of the database.
    pub(crate) encoding: ServerEncoding,
}

/// An extension of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) schema: String,
}

impl Extension {
    /// Whether its SQL side is of this version or a later one. After an upgrade
    /// of the server it stays what it was until `ALTER EXTENSION … UPDATE`.
    pub(crate) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.version.split('.').map(|part| part.parse().unwrap_or_default());
        let mut part = || parts.next().unwrap_or_default();
        (part(), part()) >= (major, minor)
    }
}

/// A session.
pub(crate) struct Session {
    client: Client,
    pub(crate) database: Arc<str>,
    pub(crate) facts: Facts,
    /// Whether a pooler stands between.
    pub(crate) pooled: bool,
    pub(crate) server_id: ServerId,
    pub(crate) instance_id: InstanceId,
    pub(crate) born: Instant,
    statements: HashMap<String, Statement>,
    settings: String,
    limit: Duration,
    broken: bool,
    ended: Arc<OnceLock<String>>,
    _in_use: oneshot::Sender<()>,
}

const FACTS: &str = "
select current_setting('server_version_num')::int4,
       current_setting('server_version'),
       current_setting('search_path') = 'pg_catalog' and current_setting('default_transaction_read_only') = 'on',
       current_setting('pg_stat_statements.max', true) is not null,
       pg_catalog.pg_has_role('pg_monitor', 'usage'),
       current_setting('is_superuser') = 'on',
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute'),
       current_setting('server_encoding'),
       coalesce(current_setting('transaction_timeout', true), '0') <> '0',
       coalesce(current_setting('stats_fetch_consistency', true), 'cache') <> 'cache'";

const EXTENSIONS: &str = "
select e.extname::text, e.extversion::text, n.nspname::text
from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname::text = any ($1::text[])";

const MAY_EXECUTE: &str = "
select coalesce(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure($1), 'execute'), false)";

/// Beyond the server's own limit, for the way there and back.
const GRACE: Duration = Duration::from_secs(5);

impl Session {
    /// Asks a fresh connection who is there.
    pub(crate) async fn begin_on(
        link: Link,
        database: Arc<str>,
        config: &PostgresConfig,
    ) -> Result<Self, ConnectProblem> {
        let failed =
            |error: &tokio_postgres::Error| ConnectProblem::from_login(error, config, &link.host, &database, true);
        let row = match timeout(config.connect_timeout, link.client.query_typed(FACTS, &[])).await {
            Ok(rows) => rows.map_err(|error| failed(&error))?.into_iter().next(),
            Err(_) => return Err(ConnectProblem::timeout(config, &link.host, "the first answer")),
        };
        let row = row.ok_or_else(|| ConnectProblem::new(ConnectFault::Other, format!("{}: no answer", link.host)))?;
        let text = |at: usize| row.try_get::<_, Lossy>(at).unwrap_or_default().0;
        let yes = |at: usize| row.try_get::<_, bool>(at).unwrap_or_default();
        let may_identify = yes(6);
        let mut facts = Facts {
            version: row.try_get::<_, i32>(0).ok().and_then(|version| u32::try_from(version).ok()).unwrap_or_default(),
            version_text: text(1),
            statements_loaded: yes(3),
            monitors: yes(4),
            superuser: yes(5),
            system_identifier: None,
            encoding: ServerEncoding::named(&text(7)),
        };
        // Settings that not every version has, and a database of another encoding is asked for its
        // bytes as they are.
        let mut more = Vec::new();
        if !facts.encoding.is_utf8 {
            more.push(("client_encoding", "SQL_ASCII"));
        }
        if yes(8) {
            more.push(("transaction_timeout", "0"));
        }
        if yes(9) {
            more.push(("stats_fetch_consistency", "cache"));
        }
        let pooled = !(link.took_options && yes(2));
        if !pooled && !more.is_empty() {
            let sql: String = more.iter().map(|(name, value)| format!("SET {name} = '{value}'; ")).collect();
            link.client.batch_execute(&sql).await.map_err(|error| failed(&error))?;
        }
        if may_identify {
            let sql = "select system_identifier from pg_catalog.pg_control_system()";
            let rows = link.client.query_typed(sql, &[]).await.map_err(|error| failed(&error))?;
            facts.system_identifier = rows.first().and_then(|row| row.try_get(0).ok());
        }
        let address = link.host.to_string();
        let server_id = facts.system_identifier.map_or_else(|| unidentified(config), ServerId::of_cluster);
        let settings = session_settings(config);
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str())).chain(more);
        let settings: String = settings.map(|(name, value)| format!("SET LOCAL {name} = '{value}'; ")).collect();
        Ok(Self {
            pooled,
            client: link.client,
            database,
            facts,
            server_id,
            instance_id: InstanceId::of_address(server_id, &address),
            born: Instant::now(),
            statements: HashMap::new(),
            settings: format!("BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE; {settings}"),
            limit: config.statement_timeout + GRACE,
            broken: false,
            ended: link.ended,
            _in_use: link.in_use,
        })
    }

    /// Whether it can't be used any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken || self.client.is_closed()
    }

    /// Where its samples come from.
    pub(crate) fn source(&self, config: &PostgresConfig, database: Option<Arc<str>>) -> Source {
        Source { server_id: self.server_id, instance_id: self.instance_id, server: Arc::clone(&config.name), database }
    }

    /// Before the statements of a measurement.
    pub(crate) async fn begin(&mut self) -> Result<(), QueryFault> {
        if !self.pooled {
            return Ok(());
        }
        let settings = self.settings.clone();
        self.command(&settings).await
    }

    /// After them, however they went.
    pub(crate) async fn end(&mut self) -> Result<(), QueryFault> {
        if !self.pooled || self.is_broken() {
            return Ok(());
        }
        self.command("ROLLBACK").await
    }

    async fn command(&mut self, sql: &str) -> Result<(), QueryFault> {
        match timeout(self.limit, self.client.batch_execute(sql)).await {
            Ok(result) => result.map_err(|error| self.fault(&error)),
            Err(_) => Err(self.no_answer()),
        }
    }

    /// Runs a statement and hands over its rows one by one. An error of `take`
    /// ends the reading.
    pub(crate) async fn read<F>(&mut self, sql: &str, keys: Option<&[i64]>, mut take: F) -> Result<(), QueryFault>
    where
        F: FnMut(&Row) -> Result<(), QueryFault> + Send,
    {
        let limit = self.limit;
        let reading = async {
            let rows = if self.pooled {
                let keys = keys.map(|keys| (keys, Type::INT8_ARRAY));
                self.client.query_typed_raw(sql, keys).await
            } else {
                let statement = match self.statements.get(sql) {
                    Some(statement) => statement.clone(),
                    None => {
                        let statement = self.client.prepare(sql).await.map_err(|error| self.fault(&error))?;
                        self.statements.insert(sql.to_owned(), statement.clone());
                        statement
                    }
                };
                self.client.query_raw(&statement, keys).await
            };
            let mut rows = std::pin::pin!(rows.map_err(|error| self.fault(&error))?);
            while let Some(row) = rows.try_next().await.map_err(|error| self.fault(&error))? {
                take(&row)?;
            }
            Ok(())
        };
        let result = match timeout(limit, reading).await {
            Ok(result) => result,
            Err(_) => Err(self.no_answer()),
        };
        if result.is_err() {
            // It may have been prepared for tables that look different now.
            self.statements.remove(sql);
        }
        result
    }

    /// The first row of a statement without parameters.
    pub(crate) async fn first<T: Send>(
        &mut self,
        sql: &str,
        mut of: impl FnMut(&Row) -> T + Send,
    ) -> Result<Option<T>, QueryFault> {
        let mut first = None;
        self.read(sql, None, |row| {
            if first.is_none() {
                first = Some(of(row));
            }
            Ok(())
        })
        .await?;
        Ok(first)
    }

    /// Those of these extensions that the database has.
    pub(crate) async fn extensions(&mut self, names: &[&str]) -> Result<Vec<Extension>, QueryFault> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let rows = match timeout(self.limit, self.client.query_typed(EXTENSIONS, &[(&names, Type::TEXT_ARRAY)])).await {
            Ok(rows) => rows.map_err(|error| self.fault(&error))?,
            Err(_) => return Err(self.no_answer()),
        };
        let extension = |row: &Row| Extension {
            name: row.try_get(0).unwrap_or_default(),
            version: row.try_get(1).unwrap_or_default(),
            schema: row.try_get(2).unwrap_or_default(),
        };
        Ok(rows.iter().map(extension).collect())
    }

    /// Whether our role may execute this function; false where there is none.
    pub(crate) async fn may_execute(&mut self, function: &str) -> Result<bool, QueryFault> {
        let rows = match timeout(self.limit, self.client.query_typed(MAY_EXECUTE, &[(&function, Type::TEXT)])).await {
            Ok(rows) => rows.map_err(|error| self.fault(&error))?,
            Err(_) => return Err(self.no_answer()),
        };
        Ok(rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or_default())
    }

    fn fault(&self, error: &tokio_postgres::Error) -> QueryFault {
        if self.client.is_closed() || error.is_closed() {
            return QueryFault::Lost(self.ended.get().cloned().unwrap_or_else(|| String::from("it was closed")));
        }
        QueryFault::from(error)
    }

    fn no_answer(&mut self) -> QueryFault {
        self.broken = true;
        QueryFault::Lost(format!("no answer within {:?}", self.limit))
    }
}

/// The id of a server that has never said who it is: of its name and address
/// in the settings. It is replaced as soon as the system identifier is known.
pub(crate) fn unidentified(config: &PostgresConfig) -> ServerId {
    let text = format!("postgres server {} at {}", config.name, config.address());
    ServerId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::Extension;

    #[test]
    fn versions_are_compared_by_number() {
        let at_least = |version: &str| {
            let version = version.to_owned();
            Extension { name: String::new(), version, schema: String::new() }.is_at_least(1, 9)
        };
        assert!(at_least("1.9") && at_least("1.10") && at_least("1.12") && at_least("2"));
        assert!(!at_least("1.8") && !at_least("1") && !at_least("") && !at_least("unknown"));
    }
}
