//! What handlers see of the stores: one tenant's.
//!
//! Its methods take no tenant, so that no handler can name another one. What is found by an
//! id of the whole installation is not found when it is another tenant's.

use std::ops::Range;

use pganalytics_core::{CollectorId, TenantId, Timestamp};
use pganalytics_store::{
    Document, Owned, SeenSource, StoreError, StoredMeasurement,
    meta_store::{ApiToken, CollectorRecord},
};
use uuid::Uuid;

use crate::{
    principal::Principal,
    state::{Shared, now},
};

/// A tenant's part of the stores.
#[derive(Clone, Copy)]
pub(crate) struct Tenant<'a> {
    id: TenantId,
    app: &'a Shared,
}

impl Principal {
    /// What it may see of the stores; what it may do with it is its permissions' affair.
    pub(crate) fn within<'a>(&self, app: &'a Shared) -> Tenant<'a> {
        Tenant { id: self.tenant, app }
    }
}

impl Tenant<'_> {
    pub(crate) async fn measurements(&self) -> Result<Vec<StoredMeasurement>, StoreError> {
        self.app.metrics.measurements(self.id).await
    }

    pub(crate) async fn sources(&self) -> Result<Vec<SeenSource>, StoreError> {
        self.app.metrics.sources(self.id).await
    }

    pub(crate) async fn hand_over(&self, what: Owned, to: Option<CollectorId>) -> Result<u64, StoreError> {
        self.app.metrics.hand_over(self.id, what, to, now()).await
    }

    pub(crate) async fn document(&self, id: Uuid) -> Result<Option<Document>, StoreError> {
        self.app.meta.document(self.id, id).await
    }

    pub(crate) async fn documents(
        &self,
        kind: &str,
        during: Range<Timestamp>,
        limit: u64,
    ) -> Result<Vec<Document>, StoreError> {
        self.app.meta.documents(self.id, kind, during, limit).await
    }

    /// Keeps a document, of this tenant whatever it says.
    pub(crate) async fn put_document(&self, document: &Document, most: u64) -> Result<bool, StoreError> {
        self.app.meta.put_document(&Document { tenant: self.id, ..document.clone() }, most).await
    }

    pub(crate) async fn remove_document(&self, id: Uuid) -> Result<bool, StoreError> {
        self.app.meta.remove_document(self.id, id).await
    }

    pub(crate) async fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.app.meta.api_tokens(self.id).await
    }

    pub(crate) async fn api_token(&self, id: Uuid) -> Result<Option<ApiToken>, StoreError> {
        Ok(self.app.meta.api_token(id).await?.filter(|token| token.tenant == self.id))
    }

    /// Keeps a token, of this tenant whatever it says.
    pub(crate) async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        self.app.meta.add_api_token(&ApiToken { tenant: self.id, ..token.clone() }).await
    }

    pub(crate) async fn remove_api_token(&self, id: Uuid) -> Result<bool, StoreError> {
        self.app.meta.remove_api_token(self.id, id).await
    }

    pub(crate) async fn collectors(&self, offset: u64, limit: u64) -> Result<(Vec<CollectorRecord>, u64), StoreError> {
        self.app.meta.collectors(self.id, offset, limit).await
    }

    pub(crate) async fn collector(&self, id: CollectorId) -> Result<Option<CollectorRecord>, StoreError> {
        Ok(self.app.meta.collector(id).await?.filter(|record| record.tenant == self.id))
    }

    pub(crate) async fn remove_collector(&self, id: CollectorId) -> Result<bool, StoreError> {
        self.app.meta.remove_collector(self.id, id).await
    }

    pub(crate) async fn set_collector_revoked(&self, id: CollectorId, revoked: bool) -> Result<bool, StoreError> {
        self.app.meta.set_collector_revoked(self.id, id, revoked).await
    }
}
