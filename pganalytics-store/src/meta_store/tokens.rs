//! Tokens of programs and collectors.

use async_trait::async_trait;
use pganalytics_core::{CollectorId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::StoreError;

/// A collector or API token's row. The token itself is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Public part, which stands in the token itself.
    pub id: Uuid,
    /// SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// Tenant.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// The collector that it speaks for; `None`: a user's own token.
    pub collector: Option<CollectorId>,
    /// The user that it acts as; `None` for collector tokens.
    pub user: Option<Uuid>,
    /// What it may be used for, as `push`, `read`.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// Keeps API tokens. Every method is one step, whoever calls at once on however many servers, and
/// cancel-safe.
///
/// All methods fail with [`StoreError`] when the store can't be read or written.
#[async_trait]
pub trait ApiTokens: Send + Sync {
    /// Keeps an API token.
    async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError>;
    /// An API token by its public part.
    async fn api_token(&self, id: Uuid) -> Result<Option<ApiToken>, StoreError>;
    /// The API tokens of a tenant, newest first.
    async fn api_tokens(&self, tenant: TenantId) -> Result<Vec<ApiToken>, StoreError>;
    /// Removes an API token; false when there was none.
    async fn remove_api_token(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError>;
}
