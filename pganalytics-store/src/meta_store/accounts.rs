//! People who may log in.

use async_trait::async_trait;
use pganalytics_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::StoreError;

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

/// Keeps users. Every method is one step, whoever calls at once on however many servers, and
/// cancel-safe.
///
/// All methods fail with [`StoreError`] when the store can't be read or written.
#[async_trait]
pub trait Accounts: Send + Sync {
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
}
