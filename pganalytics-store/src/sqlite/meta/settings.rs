//! Values of the installation.

use async_trait::async_trait;
use rusqlite::params;

use super::SqliteMetaStore;
use crate::{error::StoreError, meta_store::Settings};

#[async_trait]
impl Settings for SqliteMetaStore {
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

    async fn replace_setting(&self, name: &str, expected: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let (name, expected, value) = (name.to_owned(), expected.to_owned(), value.to_owned());
        self.write("changing a setting", move |connection| {
            let changed = connection.execute(
                "UPDATE settings SET value = ?3 WHERE name = ?1 AND value = ?2",
                params![name, expected, value],
            )?;
            Ok(Ok(changed > 0))
        })
        .await
    }
}
