//! Agents that are registered.

use async_trait::async_trait;
use pganalytics_core::{CollectorId, TenantId, Timestamp};

use super::tokens::ApiToken;
use crate::error::StoreError;

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

/// Keeps collectors. Every method is one step, whoever calls at once on however many servers, and
/// cancel-safe.
///
/// All methods fail with [`StoreError`] when the store can't be read or written.
#[async_trait]
pub trait Enrolment: Send + Sync {
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
}
