//! Log-ins: refresh tokens, each of which is spent once for the next.

use async_trait::async_trait;
use pganalytics_core::Timestamp;
use uuid::Uuid;

use super::accounts::User;
use crate::error::StoreError;

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

/// Keeps refresh tokens. Every method is one step, whoever calls at once on however many servers, and
/// cancel-safe.
///
/// All methods fail with [`StoreError`] when the store can't be read or written.
#[async_trait]
pub trait Sessions: Send + Sync {
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
}
