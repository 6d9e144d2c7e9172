//! Collectors.

use async_trait::async_trait;
use pganalytics_core::{CollectorId, TenantId, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::{
    SqliteMetaStore,
    rows::{COLLECTOR, collector_of, insert_api_token, insert_collector},
};
use crate::{
    error::StoreError,
    meta_store::{ApiToken, CollectorRecord, Enrolment},
    sqlite::value::Id,
};

#[async_trait]
impl Enrolment for SqliteMetaStore {
    async fn put_collector(&self, collector: &CollectorRecord, most: u64) -> Result<bool, StoreError> {
        let collector = collector.clone();
        self.write("writing a collector", move |connection| {
            let changed = connection.execute(
                "UPDATE collectors SET name = ?3, hostname = ?4, version = ?5 WHERE id = ?1 AND tenant = ?2",
                params![
                    Id(collector.id.as_uuid()),
                    Id(collector.tenant.as_uuid()),
                    collector.name,
                    collector.hostname,
                    collector.version
                ],
            )?;
            if changed > 0 {
                return Ok(Ok(true));
            }
            insert_collector(connection, &collector, most)
        })
        .await
    }

    async fn register_collector(
        &self,
        collector: &CollectorRecord,
        token: &ApiToken,
        most: u64,
    ) -> Result<bool, StoreError> {
        let (collector, token) = (collector.clone(), token.clone());
        self.write("registering a collector", move |connection| match insert_collector(connection, &collector, most)? {
            // An error undoes the collector too: a call is one transaction.
            Ok(true) => Ok(insert_api_token(connection, &token)?.map(|()| true)),
            other => Ok(other),
        })
        .await
    }

    async fn collector(&self, id: CollectorId) -> Result<Option<CollectorRecord>, StoreError> {
        let sql = format!("{COLLECTOR} WHERE id = ?1");
        self.read("reading a collector", move |connection| {
            connection.prepare_cached(&sql)?.query_row([Id(id.as_uuid())], collector_of).optional()
        })
        .await
    }

    async fn collectors(
        &self,
        tenant: TenantId,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<CollectorRecord>, u64), StoreError> {
        let [offset, limit] = [offset, limit].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let sql = format!("{COLLECTOR} WHERE tenant = ?1 ORDER BY name, id LIMIT ?2 OFFSET ?3");
        self.read("reading collectors", move |connection| {
            let tenant = Id(tenant.as_uuid());
            let mut statement = connection.prepare_cached(&sql)?;
            let page = statement.query_map(params![tenant, limit, offset], collector_of)?.collect::<Result<_, _>>()?;
            let all: i64 = connection
                .prepare_cached("SELECT count(*) FROM collectors WHERE tenant = ?1")?
                .query_row([tenant], |row| row.get(0))?;
            Ok((page, u64::try_from(all).unwrap_or_default()))
        })
        .await
    }

    async fn touch_collector(&self, id: CollectorId, now: Timestamp) -> Result<(), StoreError> {
        self.note("noting a collector", move |connection| {
            connection
                .prepare_cached("UPDATE collectors SET last_seen = max(ifnull(last_seen, ?2), ?2) WHERE id = ?1")?
                .execute(params![Id(id.as_uuid()), now.as_micros()])?;
            Ok(Ok(()))
        })
        .await
    }

    async fn set_collector_revoked(
        &self,
        tenant: TenantId,
        id: CollectorId,
        revoked: bool,
    ) -> Result<bool, StoreError> {
        self.write("revoking a collector", move |connection| {
            let changed = connection.execute(
                "UPDATE collectors SET revoked = ?3 WHERE tenant = ?1 AND id = ?2",
                params![Id(tenant.as_uuid()), Id(id.as_uuid()), revoked],
            )?;
            Ok(Ok(changed > 0))
        })
        .await
    }

    async fn remove_collector(&self, tenant: TenantId, id: CollectorId) -> Result<bool, StoreError> {
        self.write("removing a collector", move |connection| {
            let (tenant, id) = (Id(tenant.as_uuid()), Id(id.as_uuid()));
            let removed = connection.execute("DELETE FROM collectors WHERE tenant = ?1 AND id = ?2", [tenant, id])?;
            if removed > 0 {
                connection.execute("DELETE FROM api_tokens WHERE tenant = ?1 AND collector = ?2", [tenant, id])?;
            }
            Ok(Ok(removed > 0))
        })
        .await
    }
}
