//! What people keep: small JSON documents, each of one owner and of one kind.

use pganalytics_core::Timestamp;
use pganalytics_store::{Document, meta_store::Role};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    error::{ApiResult, Problem},
    principal::Principal,
    state::App,
};

/// A kind of documents.
pub(super) struct Kind {
    /// What the store knows it as.
    pub(super) name: &'static str,
    /// What people call one of them.
    pub(super) noun: &'static str,
    /// Most that one user has.
    pub(super) most: u64,
}

impl Kind {
    /// Keeps one in the place of the one with its id; false, and nothing done, when its owner
    /// has too many.
    pub(super) async fn keep(
        &self,
        app: &App,
        principal: &Principal,
        (owner, id): (Uuid, Uuid),
        time: (Timestamp, Timestamp),
        content: &impl Serialize,
    ) -> ApiResult<bool> {
        let document = Document {
            id,
            tenant: principal.tenant,
            kind: self.name.to_owned(),
            owner,
            time,
            body: serde_json::to_string(content).map_err(|error| Problem::internal(&error))?,
        };
        Ok(principal.within(app).put_document(&document, self.most).await?)
    }

    /// One of the principal's tenant.
    pub(super) async fn find(&self, app: &App, principal: &Principal, id: Uuid) -> ApiResult<Document> {
        let found = principal.within(app).document(id).await?.filter(|document| document.kind == self.name);
        found.ok_or_else(|| self.not_found(id))
    }

    /// There is none, or none that the principal may see.
    pub(super) fn not_found(&self, id: Uuid) -> Problem {
        Problem::not_found(self.noun, &id.to_string())
    }
}

/// What a document says.
pub(super) fn content<T: DeserializeOwned>(document: &Document) -> ApiResult<T> {
    serde_json::from_str(&document.body).map_err(|error| Problem::internal(&error))
}

/// Whether a document is the principal's own.
pub(super) fn is_own(principal: &Principal, document: &Document) -> bool {
    principal.user() == Some(document.owner)
}

/// Whether the principal may remove it: one's own; an admin any.
pub(super) fn may_remove(principal: &Principal, document: &Document) -> bool {
    is_own(principal, document) || principal.role >= Role::Admin
}
