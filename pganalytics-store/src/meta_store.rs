//! The trait that stores of metadata implement: users, tokens, collectors.

use async_trait::async_trait;
use pganalytics_core::{CollectorId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{document_store::DocumentStore, error::StoreError};

/// What somebody may do; `pganalytics_server::auth::permission` has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees.
    Viewer,
    /// Sees and changes what is not users or secrets.
    User,
    /// Does everything in its tenant.
    Admin,
}

/// A person who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Id.
    pub id: Uuid,
    /// Tenant.
    pub tenant: TenantId,
    /// Login name, unique in the installation.
    pub username: String,
    /// argon2id hash in PHC form. Never leaves the server.
    pub password_hash: String,
    /// Role.
    pub role: Role,
    /// Counts up when sessions must end: log-out, change of role or password.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A refresh token's row. The token itself is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// All tokens that came from one login.
    pub family: Uuid,
    /// The user.
    pub user: Uuid,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What became of a refresh token that was spent for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// It was good; the new one of its family is good now.
    Good {
        /// The user, as of the moment of the rotation: what is signed with this
        /// `version` ends with whatever ends the new token.
        user: User,
        /// The family.
        family: Uuid,
    },
    /// It was spent before: somebody has a copy. The family is revoked, and the
    /// new token was not kept.
    Reused,
    /// Unknown, ended or revoked.
    Unknown,
}

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

/// A registered agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorRecord {
    /// Id.
    pub id: CollectorId,
    /// Tenant.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// Its host.
    pub hostname: String,
    /// Its version.
    pub version: String,
    /// When it was first seen.
    pub registered_at: Timestamp,
    /// When it last pushed.
    pub last_seen: Option<Timestamp>,
    /// Whether its tokens are refused.
    pub revoked: bool,
}

/// Keeps users, tokens, collectors, and what people leave in the UI. Every method is atomic, whoever calls at
/// once on however many servers, and cancel-safe.
///
/// All methods fail with [`StoreError`] when the store can't be read or written.
#[async_trait]
pub trait MetaStore: DocumentStore {
    /// Adds a user; [`StoreError::Exists`] when the name is taken.
    async fn add_user(&self, user: &User) -> Result<(), StoreError>;
    /// Adds the first user; false, and nothing done, when there is any user.
    async fn add_first_user(&self, user: &User) -> Result<bool, StoreError>;
    /// Whether there is any user.
    async fn has_users(&self) -> Result<bool, StoreError>;
    /// A user by login name.
    async fn user_by_name(&self, username: &str) -> Result<Option<User>, StoreError>;
    /// A user by id.
    async fn user(&self, id: Uuid) -> Result<Option<User>, StoreError>;
    /// Sets a new password hash, counts `version` up and revokes the user's
    /// refresh tokens.
    async fn set_password(&self, id: Uuid, password_hash: &str) -> Result<(), StoreError>;
    /// Counts `version` up and revokes the user's refresh tokens.
    async fn end_sessions(&self, id: Uuid) -> Result<(), StoreError>;

    /// Keeps the first refresh token of a login, as long as the user's `version`
    /// is still this one; false, and nothing done, when sessions were ended
    /// since the password was looked at.
    async fn add_refresh_token(&self, token: &RefreshToken, version: i64) -> Result<bool, StoreError>;
    /// Spends the refresh token with the hash `old` and keeps the next one of
    /// its family in its place, in one step: nothing that ends sessions comes
    /// between. One that is spent twice revokes its family.
    async fn rotate_refresh_token(
        &self,
        old: &[u8; 32],
        new: &[u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Rotated, StoreError>;
    /// Revokes all tokens of one login.
    async fn revoke_family(&self, family: Uuid) -> Result<(), StoreError>;

    /// Forgets the refresh tokens that ended before this time; says how many.
    async fn drop_ended_sessions(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Keeps an API token.
    async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError>;
    /// An API token by its public part.
    async fn api_token(&self, id: Uuid) -> Result<Option<ApiToken>, StoreError>;
    /// The API tokens of a tenant, newest first.
    async fn api_tokens(&self, tenant: TenantId) -> Result<Vec<ApiToken>, StoreError>;
    /// Removes an API token; false when there was none.
    async fn remove_api_token(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError>;

    /// Adds a collector, or changes the name, host and version of the one with
    /// its id. False, and nothing done, when it is new and its tenant has `most`
    /// already. A collector of another tenant is [`StoreError::Exists`].
    async fn put_collector(&self, collector: &CollectorRecord, most: u64) -> Result<bool, StoreError>;
    /// Adds a new collector together with its token; false, and nothing done,
    /// when its tenant has `most` already. [`StoreError::Exists`] when there is
    /// a collector or token with its id.
    async fn register_collector(
        &self,
        collector: &CollectorRecord,
        token: &ApiToken,
        most: u64,
    ) -> Result<bool, StoreError>;
    /// A collector by id, of any tenant.
    async fn collector(&self, id: CollectorId) -> Result<Option<CollectorRecord>, StoreError>;
    /// A page of a tenant's collectors by name, and how many there are in all.
    async fn collectors(
        &self,
        tenant: TenantId,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<CollectorRecord>, u64), StoreError>;
    /// Notes that a collector has pushed; for one that is not registered it does
    /// nothing. The store may forget it when the power fails.
    async fn touch_collector(&self, id: CollectorId, now: Timestamp) -> Result<(), StoreError>;
    /// Revokes a collector, or lets it in again; false when there is none.
    async fn set_collector_revoked(&self, tenant: TenantId, id: CollectorId, revoked: bool)
    -> Result<bool, StoreError>;
    /// Removes a collector and the tokens that speak for it; false when there is
    /// none. What it sent stays, and so does the ledger of it: frames that are
    /// sent again by the same collector are still duplicates.
    async fn remove_collector(&self, tenant: TenantId, id: CollectorId) -> Result<bool, StoreError>;

    /// A named value of the installation (as a signing key). When it is not
    /// there yet it becomes `candidate`, at most once whoever asks at once.
    async fn setting_or_insert(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError>;
}
