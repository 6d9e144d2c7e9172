//! Refresh tokens.

use async_trait::async_trait;
use pganalytics_core::Timestamp;
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::{
    SqliteMetaStore, no_such,
    rows::{USER, exists, insert_refresh_token, revoke_family, rotate, user_of},
};
use crate::{
    error::StoreError,
    meta_store::{RefreshToken, Rotated, Sessions},
    sqlite::value::Id,
};

/// Most sessions that are dropped in one transaction.
const DROP_ROWS: usize = 1000;

#[async_trait]
impl Sessions for SqliteMetaStore {
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
}
