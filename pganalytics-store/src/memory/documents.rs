//! What people leave in the UI, in memory.

use std::{cmp::Reverse, ops::Range};

use async_trait::async_trait;
use pganalytics_core::{TenantId, Timestamp};
use uuid::Uuid;

use super::MemoryStore;
use crate::{
    document_store::{Document, DocumentStore},
    error::StoreError,
};

#[async_trait]
impl DocumentStore for MemoryStore {
    async fn put_document(&self, document: &Document, most: u64) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        let same =
            |old: &Document| (old.tenant, old.owner, &old.kind) == (document.tenant, document.owner, &document.kind);
        match meta.documents.get(&document.id) {
            Some(old) if !same(old) => {
                return Err(StoreError::Exists { what: "document", name: document.id.to_string() });
            }
            Some(_) => {}
            None if meta.documents.values().filter(|old| same(old)).count() as u64 >= most => return Ok(false),
            None => {}
        }
        meta.documents.insert(document.id, document.clone());
        Ok(true)
    }

    async fn document(&self, tenant: TenantId, id: Uuid) -> Result<Option<Document>, StoreError> {
        Ok(self.meta().documents.get(&id).filter(|document| document.tenant == tenant).cloned())
    }

    async fn documents(
        &self,
        tenant: TenantId,
        kind: &str,
        during: Range<Timestamp>,
        limit: u64,
    ) -> Result<Vec<Document>, StoreError> {
        let meta = self.meta();
        let fits =
            |document: &&Document| document.tenant == tenant && document.kind == kind && document.touches(&during);
        let mut found: Vec<Document> = meta.documents.values().filter(fits).cloned().collect();
        found.sort_by_key(|document| (Reverse(document.time.0), document.id));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn remove_document(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        let is_theirs = meta.documents.get(&id).is_some_and(|document| document.tenant == tenant);
        Ok(is_theirs && meta.documents.remove(&id).is_some())
    }
}
