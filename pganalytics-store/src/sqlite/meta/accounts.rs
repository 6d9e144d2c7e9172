//! Users.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::{
    SqliteMetaStore, found,
    rows::{USER, end_sessions, exists, insert_user, user_of},
};
use crate::{
    error::StoreError,
    meta_store::{Accounts, User},
    sqlite::value::Id,
};

#[async_trait]
impl Accounts for SqliteMetaStore {
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
}
