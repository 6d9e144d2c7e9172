//! Rows of users, tokens and collectors, read and written on one connection.

use pganalytics_core::{CollectorId, TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::{
    error::StoreError,
    meta_store::{ApiToken, CollectorRecord, Role, Rotated, User},
    sqlite::value::Id,
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

pub(super) fn user_of(row: &Row<'_>) -> rusqlite::Result<User> {
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

pub(super) const USER: &str = "SELECT id, tenant, username, password_hash, role, version, created_at FROM users";

pub(super) fn api_token_of(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
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

pub(super) const API_TOKEN: &str =
    "SELECT id, hash, tenant, name, collector, user, scopes, created_at, expires_at FROM api_tokens";

pub(super) fn collector_of(row: &Row<'_>) -> rusqlite::Result<CollectorRecord> {
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

pub(super) const COLLECTOR: &str =
    "SELECT id, tenant, name, hostname, version, registered_at, last_seen, revoked FROM collectors";

/// Whether there is a row.
pub(super) fn exists(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<bool> {
    connection.prepare_cached(sql)?.exists(parameters)
}

pub(super) fn insert_user(connection: &Connection, user: &User) -> rusqlite::Result<()> {
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
pub(super) fn end_sessions(connection: &Connection, id: Uuid, password_hash: Option<&str>) -> rusqlite::Result<bool> {
    let changed = connection.execute(
        "UPDATE users SET version = version + 1, password_hash = ifnull(?2, password_hash) WHERE id = ?1",
        params![Id(id), password_hash],
    )?;
    connection.execute("UPDATE refresh_tokens SET state = 'revoked' WHERE user = ?1", [Id(id)])?;
    Ok(changed > 0)
}

/// Spends a refresh token for the next one.
pub(super) fn rotate(
    connection: &Connection,
    old: &[u8; 32],
    new: &[u8; 32],
    expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Result<Rotated, StoreError>> {
    if exists(connection, "SELECT 1 FROM refresh_tokens WHERE hash = ?1", [new])? {
        return Ok(Err(StoreError::Exists { what: "refresh token", name: "the new one".to_owned() }));
    }
    let found = connection
        .prepare_cached("SELECT family, user, expires_at, state FROM refresh_tokens WHERE hash = ?1")?
        .query_row([old], |row| {
            let (family, user): (Id, Id) = (row.get(0)?, row.get(1)?);
            Ok((family.0, user.0, Timestamp::from_micros(row.get(2)?), row.get::<_, String>(3)?))
        })
        .optional()?;
    let Some((family, user, ends, state)) = found else { return Ok(Ok(Rotated::Unknown)) };
    if state == "spent" {
        revoke_family(connection, family)?;
        return Ok(Ok(Rotated::Reused));
    }
    if state != "good" || ends <= now {
        return Ok(Ok(Rotated::Unknown));
    }
    let user =
        connection.prepare_cached(&format!("{USER} WHERE id = ?1"))?.query_row([Id(user)], user_of).optional()?;
    let Some(user) = user else { return Ok(Ok(Rotated::Unknown)) };
    connection.execute("UPDATE refresh_tokens SET state = 'spent' WHERE hash = ?1", [old])?;
    insert_refresh_token(connection, new, family, &user, expires_at)?;
    Ok(Ok(Rotated::Good { user, family }))
}

pub(super) fn insert_refresh_token(
    connection: &Connection,
    hash: &[u8; 32],
    family: Uuid,
    user: &User,
    expires_at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO refresh_tokens (hash, tenant, family, user, expires_at, state)
             VALUES (?1, ?2, ?3, ?4, ?5, 'good')",
        )?
        .execute(params![hash, Id(user.tenant.as_uuid()), Id(family), Id(user.id), expires_at.as_micros()])?;
    Ok(())
}

pub(super) fn revoke_family(connection: &Connection, family: Uuid) -> rusqlite::Result<()> {
    connection
        .execute("UPDATE refresh_tokens SET state = 'revoked' WHERE family = ?1 AND state <> 'revoked'", [Id(family)])
        .map(|_| ())
}

pub(super) fn insert_api_token(connection: &Connection, token: &ApiToken) -> rusqlite::Result<Result<(), StoreError>> {
    let Ok(scopes) = serde_json::to_string(&token.scopes) else { return Err(unreadable("scopes")) };
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
}

/// Adds a collector; false when its tenant has `most` already.
pub(super) fn insert_collector(
    connection: &Connection,
    collector: &CollectorRecord,
    most: u64,
) -> rusqlite::Result<Result<bool, StoreError>> {
    let (id, tenant) = (Id(collector.id.as_uuid()), Id(collector.tenant.as_uuid()));
    if exists(connection, "SELECT 1 FROM collectors WHERE id = ?1", [id])? {
        return Ok(Err(StoreError::Exists { what: "collector", name: collector.id.to_string() }));
    }
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM collectors WHERE tenant = ?1")?
        .query_row([tenant], |row| row.get(0))?;
    if u64::try_from(count).unwrap_or_default() >= most {
        return Ok(Ok(false));
    }
    connection.execute(
        "INSERT INTO collectors (id, tenant, name, hostname, version, registered_at, last_seen, revoked)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            id,
            tenant,
            collector.name,
            collector.hostname,
            collector.version,
            collector.registered_at.as_micros(),
            collector.last_seen.map(Timestamp::as_micros),
            collector.revoked
        ],
    )?;
    Ok(Ok(true))
}
