//! What stores of metadata keep, by subject: users, sessions, tokens, collectors, settings, and
//! what people leave in the UI.

mod accounts;
mod enrolment;
mod sessions;
mod settings;
mod tokens;

pub use self::{
    accounts::{Accounts, Role, User},
    enrolment::{CollectorRecord, Enrolment},
    sessions::{RefreshToken, Rotated, Sessions},
    settings::Settings,
    tokens::{ApiToken, ApiTokens},
};
use crate::document_store::DocumentStore;

/// Keeps all metadata: whatever keeps each of its subjects is one.
pub trait MetaStore: Accounts + Sessions + ApiTokens + Enrolment + Settings + DocumentStore {}

impl<S: Accounts + Sessions + ApiTokens + Enrolment + Settings + DocumentStore> MetaStore for S {}
