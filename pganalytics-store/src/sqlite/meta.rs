//! Users, tokens, collectors, settings.
//!
//! Writes go through the writer, so they share its commits; reads go through
//! the pool.

use async_trait::async_trait;
use pganalytics_core::{CollectorId, TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{SqliteStore, append::Memory, error::Doing, value::Id};
use crate::{
    error::StoreError,
    meta_store::{ApiToken, CollectorRecord, MetaStore, Redeemed, RefreshToken, Role, User},
};

/// A row's text or number that this program never writes.
fn unreadable(what: &str) -> rusqlite::Error {
    rusqlite::Error::InvalidParameterName(format!("unreadable {what}"))
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::User => "user",
        Role::Admin => "admin",
    }
}

fn user_of(row: &Row<'_>) -> rusqlite::Result<User> {
    let role: String = row.get(4)?;
    Ok(User {
        id: row.get::<_, Id>(0)?.0,
        tenant: TenantId::from_uuid(row.get::<_, Id>(1)?.0),
        username: row.get(2)?,
        password_hash: row.get(3)?,
        role: match role.as_str() {
            "viewer" => Role::Viewer,
            "user" => Role::User,
            "admin" => Role::Admin,
            _ => return Err(unreadable("role")),
        },
        version: row.get(5)?,
        created_at: Timestamp::from_micros(row.get(6)?),
    })
}

const USER: &str = "SELECT id, tenant, username, password_hash, role, version, created_at FROM users";

fn api_token_of(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    let scopes: String = row.get(6)?;
    Ok(ApiToken {
        id: row.get::<_, Id>(0)?.0,
        hash: row.get(1)?,
        tenant: TenantId::from_uuid(row.get::<_, Id>(2)?.0),
        name: row.get(3)?,
        collector: row.get::<_, Option<Id>>(4)?.map(|id| CollectorId::from_uuid(id.0)),
        user: row.get::<_, Option<Id>>(5)?.map(|id| id.0),
        scopes: serde_json::from_str(&scopes).map_err(|_| unreadable("scopes"))?,
        created_at: Timestamp::from_micros(row.get(7)?),
        expires_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
    })
}

const API_TOKEN: &str =
    "SELECT id, hash, tenant, name, collector, user, scopes, created_at, expires_at FROM api_tokens";

fn collector_of(row: &Row<'_>) -> rusqlite::Result<CollectorRecord> {
    Ok(CollectorRecord {
        id: CollectorId::from_uuid(row.get::<_, Id>(0)?.0),
        tenant: TenantId::from_uuid(row.get::<_, Id>(1)?.0),
        name: row.get(2)?,
        hostname: row.get(3)?,
        version: row.get(4)?,
        registered_at: Timestamp::from_micros(row.get(5)?),
        last_seen: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_micros),
        revoked: row.get(7)?,
    })
}

const COLLECTOR: &str = "SELECT id, tenant, name, hostname, version, registered_at, last_seen, revoked FROM collectors";

/// Whether there is a row.
fn exists(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<bool> {
    connection.prepare_cached(sql)?.exists(parameters)
}

fn insert_user(connection: &Connection, user: &User) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO users (id, tenant, username, password_hash, role, version, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            Id(user.id),
            Id(user.tenant.as_uuid()),
            user.username,
            user.password_hash,
            role_name(user.role),
            user.version,
            user.created_at.as_micros()
        ],
    )?;
    Ok(())
}

/// Counts a user's version up, sets the password when one is given, and
/// revokes the refresh tokens; false when there is no such user.
fn end_sessions(connection: &Connection, id: Uuid, password_hash: Option<&str>) -> rusqlite::Result<bool> {
    let changed = connection.execute(
        "UPDATE users SET version = version + 1, password_hash = ifnull(?2, password_hash) WHERE id = ?1",
        params![Id(id), password_hash],
    )?;
    connection.execute("UPDATE refresh_tokens SET state = 'revoked' WHERE user = ?1", [Id(id)])?;
    Ok(changed > 0)
}

fn redeem(connection: &Connection, hash: &[u8; 32], now: Timestamp) -> rusqlite::Result<Redeemed> {
    let found = connection
        .prepare_cached("SELECT family, user, expires_at, state FROM refresh_tokens WHERE hash = ?1")?
        .query_row([hash], |row| {
            let (family, user): (Id, Id) = (row.get(0)?, row.get(1)?);
            let expires_at = Timestamp::from_micros(row.get(2)?);
            Ok((RefreshToken { hash: *hash, family: family.0, user: user.0, expires_at }, row.get::<_, String>(3)?))
        })
        .optional()?;
    let Some((token, state)) = found else { return Ok(Redeemed::Unknown) };
    match state.as_str() {
        "spent" => {
            revoke_family(connection, token.family)?;
            Ok(Redeemed::Reused)
        }
        "good" if token.expires_at > now => {
            connection.execute("UPDATE refresh_tokens SET state = 'spent' WHERE hash = ?1", [hash])?;
            Ok(Redeemed::Good(token))
        }
        _ => Ok(Redeemed::Unknown),
    }
}

fn revoke_family(connection: &Connection, family: Uuid) -> rusqlite::Result<()> {
    connection
        .execute("UPDATE refresh_tokens SET state = 'revoked' WHERE family = ?1 AND state <> 'revoked'", [Id(family)])
        .map(|_| ())
}

impl SqliteStore {
    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.call(256, move |connection, _: &mut Memory| work(connection).doing(doing)?).await
    }

    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.readers.run(move |connection| read(connection).doing(doing)).await
    }
}

#[async_trait]
impl MetaStore for SqliteStore {
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

    async fn add_refresh_token(&self, token: &RefreshToken) -> Result<(), StoreError> {
        let token = token.clone();
        self.write("adding a refresh token", move |connection| {
            if exists(connection, "SELECT 1 FROM refresh_tokens WHERE hash = ?1", [token.hash])? {
                return Ok(Err(StoreError::Exists { what: "refresh token", name: token.family.to_string() }));
            }
            let added = connection.execute(
                "INSERT INTO refresh_tokens (hash, tenant, family, user, expires_at, state)
                 SELECT ?1, tenant, ?2, id, ?4, 'good' FROM users WHERE id = ?3",
                params![token.hash, Id(token.family), Id(token.user), token.expires_at.as_micros()],
            )?;
            Ok(found(added > 0, "user", token.user))
        })
        .await
    }

    async fn redeem_refresh_token(&self, hash: &[u8; 32], now: Timestamp) -> Result<Redeemed, StoreError> {
        let hash = *hash;
        self.write("spending a refresh token", move |connection| redeem(connection, &hash, now).map(Ok)).await
    }

    async fn revoke_family(&self, family: Uuid) -> Result<(), StoreError> {
        self.write("revoking refresh tokens", move |connection| revoke_family(connection, family).map(Ok)).await
    }

    async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        let token = token.clone();
        let scopes =
            serde_json::to_string(&token.scopes).map_err(|error| StoreError::backend("adding a token", error))?;
        self.write("adding a token", move |connection| {
            if exists(connection, "SELECT 1 FROM api_tokens WHERE id = ?1", [Id(token.id)])? {
                return Ok(Err(StoreError::Exists { what: "token", name: token.id.to_string() }));
            }
            connection.execute(
                "INSERT INTO api_tokens (id, hash, tenant, name, collector, user, scopes, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    Id(token.id),
                    token.hash,
                    Id(token.tenant.as_uuid()),
                    token.name,
                    token.collector.map(|id| Id(id.as_uuid())),
                    token.user.map(Id),
                    scopes,
                    token.created_at.as_micros(),
                    token.expires_at.map(Timestamp::as_micros)
                ],
            )?;
            Ok(Ok(()))
        })
        .await
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

    async fn put_collector(&self, collector: &CollectorRecord) -> Result<(), StoreError> {
        let collector = collector.clone();
        self.write("writing a collector", move |connection| {
            let changed = connection.execute(
                "INSERT INTO collectors (id, tenant, name, hostname, version, registered_at, last_seen, revoked)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT DO UPDATE SET name = excluded.name, hostname = excluded.hostname,
                     version = excluded.version WHERE tenant = excluded.tenant",
                params![
                    Id(collector.id.as_uuid()),
                    Id(collector.tenant.as_uuid()),
                    collector.name,
                    collector.hostname,
                    collector.version,
                    collector.registered_at.as_micros(),
                    collector.last_seen.map(Timestamp::as_micros),
                    collector.revoked
                ],
            )?;
            let taken = || StoreError::Exists { what: "collector", name: collector.id.to_string() };
            Ok(if changed > 0 { Ok(()) } else { Err(taken()) })
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
        self.write("noting a collector", move |connection| {
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
    if there { Ok(()) } else { Err(StoreError::NotFound { what, name: id.to_string() }) }
}
