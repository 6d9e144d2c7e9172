//! API tokens.

use async_trait::async_trait;
use pganalytics_core::TenantId;
use rusqlite::OptionalExtension;
use uuid::Uuid;

use super::{
    SqliteMetaStore,
    rows::{API_TOKEN, api_token_of, insert_api_token},
};
use crate::{
    error::StoreError,
    meta_store::{ApiToken, ApiTokens},
    sqlite::value::Id,
};

#[async_trait]
impl ApiTokens for SqliteMetaStore {
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
}
