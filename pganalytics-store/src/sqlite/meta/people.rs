//! Users, tokens, collectors, settings.

use async_trait::async_trait;
use pganalytics_core::{CollectorId, TenantId, Timestamp};
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::{
    SqliteMetaStore,
    rows::{
        API_TOKEN, COLLECTOR, USER, api_token_of, collector_of, end_sessions, exists, insert_api_token,
        insert_collector, insert_refresh_token, insert_user, revoke_family, rotate, user_of,
    },
};
use crate::{
    error::StoreError,
    meta_store::{ApiToken, CollectorRecord, MetaStore, RefreshToken, Rotated, User},
    sqlite::value::Id,
};

/// Most sessions that are dropped in one transaction.
const DROP_ROWS: usize = 1000;

#[async_trait]
impl MetaStore for SqliteMetaStore {
    async fn add_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.write("adding a user", move |connection| {
            if exists(
                connection,
                "SELECT 1 FROM users WHERE username = ?1 OR id = ?2",
                params![user.username, Id(user.id)],
            )? {
                return Ok(Err(StoreError::Exists { what: "user", name: user.username }));
            }
            insert_user(connection, &user).map(Ok)
        })
        .await
    }

    async fn add_first_user(&self, user: &User) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write("adding the first user", move |connection| {
            if exists(connection, "SELECT 1 FROM users", [])? {
                return Ok(Ok(false));
            }
            insert_user(connection, &user).map(|()| Ok(true))
        })
        .await
    }

    async fn has_users(&self) -> Result<bool, StoreError> {
        self.read("looking for users", |connection| exists(connection, "SELECT 1 FROM users", [])).await
    }

    async fn user_by_name(&self, username: &str) -> Result<Option<User>, StoreError> {
        let username = username.to_owned();
        let sql = format!("{USER} WHERE username = ?1");
        self.read("reading a user", move |connection| {
            connection.prepare_cached(&sql)?.query_row([username], user_of).optional()
        })
        .await
    }

    async fn user(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        let sql = format!("{USER} WHERE id = ?1");
        self.read("reading a user", move |connection| {
            connection.prepare_cached(&sql)?.query_row([Id(id)], user_of).optional()
        })
        .await
    }

    async fn set_password(&self, id: Uuid, password_hash: &str) -> Result<(), StoreError> {
        let password_hash = password_hash.to_owned();
        self.write("setting a password", move |connection| {
            Ok(found(end_sessions(connection, id, Some(&password_hash))?, "user", id))
        })
        .await
    }

    async fn end_sessions(&self, id: Uuid) -> Result<(), StoreError> {
        self.write("ending sessions", move |connection| Ok(found(end_sessions(connection, id, None)?, "user", id)))
            .await
    }

    async fn add_refresh_token(&self, token: &RefreshToken, version: i64) -> Result<bool, StoreError> {
        let token = token.clone();
        let sql = format!("{USER} WHERE id = ?1");
        self.write("adding a refresh token", move |connection| {
            if exists(connection, "SELECT 1 FROM refresh_tokens WHERE hash = ?1", [token.hash])? {
                return Ok(Err(StoreError::Exists { what: "refresh token", name: token.family.to_string() }));
            }
            let user = connection.prepare_cached(&sql)?.query_row([Id(token.user)], user_of).optional()?;
            let Some(user) = user else { return Ok(Err(no_such("user", token.user))) };
            if user.version != version {
                return Ok(Ok(false));
            }
            insert_refresh_token(connection, &token.hash, token.family, &user, token.expires_at)?;
            Ok(Ok(true))
        })
        .await
    }

    async fn rotate_refresh_token(
        &self,
        old: &[u8; 32],
        new: &[u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Rotated, StoreError> {
        let (old, new) = (*old, *new);
        self.write("rotating a refresh token", move |connection| rotate(connection, &old, &new, expires_at, now)).await
    }

    async fn revoke_family(&self, family: Uuid) -> Result<(), StoreError> {
        self.write("revoking refresh tokens", move |connection| revoke_family(connection, family).map(Ok)).await
    }

    async fn drop_ended_sessions(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut all = 0;
        // Some at a time, so that nobody waits for it.
        loop {
            let dropped = self
                .write("dropping sessions that ended", move |connection| {
                    let sql = "DELETE FROM refresh_tokens WHERE hash IN
                                   (SELECT hash FROM refresh_tokens WHERE expires_at < ?1 LIMIT ?2)";
                    connection.prepare_cached(sql)?.execute(params![now.as_micros(), DROP_ROWS as i64]).map(Ok)
                })
                .await?;
            all += dropped as u64;
            if dropped < DROP_ROWS {
                return Ok(all);
            }
        }
    }

    async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        let token = token.clone();
        self.write("adding a token", move |connection| insert_api_token(connection, &token)).await
    }

    async fn api_token(&self, id: Uuid) -> Result<Option<ApiToken>, StoreError> {
        let sql = format!("{API_TOKEN} WHERE id = ?1");
        self.read("reading a token", move |connection| {
            connection.prepare_cached(&sql)?.query_row([Id(id)], api_token_of).optional()
        })
        .await
    }

    async fn api_tokens(&self, tenant: TenantId) -> Result<Vec<ApiToken>, StoreError> {
        let sql = format!("{API_TOKEN} WHERE tenant = ?1 ORDER BY created_at DESC, id");
        self.read("reading tokens", move |connection| {
            connection.prepare_cached(&sql)?.query_map([Id(tenant.as_uuid())], api_token_of)?.collect()
        })
        .await
    }

    async fn remove_api_token(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError> {
        self.write("removing a token", move |connection| {
            let removed = connection
                .execute("DELETE FROM api_tokens WHERE tenant = ?1 AND id = ?2", [Id(tenant.as_uuid()), Id(id)])?;
            Ok(Ok(removed > 0))
        })
        .await
    }

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

    async fn setting_or_insert(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (name, candidate) = (name.to_owned(), candidate.to_owned());
        self.write("reading a setting", move |connection| {
            connection.execute(
                "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![name, candidate],
            )?;
            connection.query_row("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0)).map(Ok)
        })
        .await
    }
}

fn found(there: bool, what: &'static str, id: Uuid) -> Result<(), StoreError> {
    if there { Ok(()) } else { Err(no_such(what, id)) }
}

fn no_such(what: &'static str, id: Uuid) -> StoreError {
    StoreError::NotFound { what, name: id.to_string() }
}
