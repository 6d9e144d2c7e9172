//! The trait that keeps what people leave in the UI: notes, preferences, saved queries.

use std::ops::Range;

use async_trait::async_trait;
use pganalytics_core::{TenantId, Timestamp};
use uuid::Uuid;

use crate::error::StoreError;

/// A small text of somebody's. What is in it is the server's affair; who sees it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Id, unique in the installation.
    pub id: Uuid,
    /// Tenant.
    pub tenant: TenantId,
    /// What it is, as `annotation`.
    pub kind: String,
    /// The user that it belongs to.
    pub owner: Uuid,
    /// The time that it is about: when that began, and when it ended; the end is not before the
    /// beginning.
    pub time: (Timestamp, Timestamp),
    /// What it says.
    pub body: String,
}

impl Document {
    /// Whether it is about a moment of the range.
    #[must_use]
    pub fn touches(&self, during: &Range<Timestamp>) -> bool {
        self.time.0 < during.end && self.time.1 >= during.start
    }
}

/// Keeps documents. Every method is atomic, whoever calls at once on however many
/// servers, and cancel-safe.
///
/// All methods fail with [`StoreError`] when the store can't be read or written.
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// Keeps a document in the place of the one with its id. False, and nothing done,
    /// when it is new and its owner has `most` of this kind already. One of another
    /// tenant, owner or kind with its id is [`StoreError::Exists`].
    async fn put_document(&self, document: &Document, most: u64) -> Result<bool, StoreError>;
    /// A document of a tenant by id.
    async fn document(&self, tenant: TenantId, id: Uuid) -> Result<Option<Document>, StoreError>;
    /// A tenant's documents of a kind that [touch](Document::touches) a range, those that
    /// began last first, at most `limit`.
    async fn documents(
        &self,
        tenant: TenantId,
        kind: &str,
        during: Range<Timestamp>,
        limit: u64,
    ) -> Result<Vec<Document>, StoreError>;
    /// Removes a document; false when there was none.
    async fn remove_document(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError>;
}
