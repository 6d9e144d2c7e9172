//! Who makes a request.

use pganalytics_core::{CollectorId, TenantId};
use pganalytics_store::meta_store::{Role, User};
use uuid::Uuid;

use crate::auth::scope::Scopes;

/// Who makes a request, as far as the server could prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// The tenant; no row of another one is ever shown or written.
    pub tenant: TenantId,
    /// A person, a program that acts for one, or an agent.
    pub kind: PrincipalKind,
    /// What the role allows.
    pub role: Role,
    /// What the credential was made for.
    pub scopes: Scopes,
}

/// Kinds of principals.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// A person who logged in.
    User {
        /// Id.
        id: Uuid,
        /// Login name.
        username: String,
        /// The login that the session comes from.
        session: Uuid,
        /// Whether the session travels in a cookie.
        cookie: bool,
    },
    /// A program with an API token of a user.
    Token {
        /// Public part of the token.
        token: Uuid,
        /// The user that it acts as.
        user: Uuid,
        /// The user's login name.
        username: String,
    },
    /// An agent with its own token.
    Collector {
        /// The agent.
        id: CollectorId,
        /// Public part of the token.
        token: Uuid,
    },
    /// Nobody in particular: a request that needs no login.
    Anonymous,
}

impl Principal {
    pub(crate) fn anonymous() -> Self {
        Self {
            tenant: TenantId::DEFAULT,
            kind: PrincipalKind::Anonymous,
            role: Role::Viewer,
            scopes: Scopes::default(),
        }
    }

    pub(crate) fn session(user: &User, session: Uuid, cookie: bool) -> Self {
        let username = user.username.clone();
        Self {
            tenant: user.tenant,
            kind: PrincipalKind::User { id: user.id, username, session, cookie },
            role: user.role,
            scopes: Scopes::ALL,
        }
    }

    /// The user that it is or acts for.
    #[must_use]
    pub fn user(&self) -> Option<Uuid> {
        match &self.kind {
            PrincipalKind::User { id, .. } => Some(*id),
            PrincipalKind::Token { user, .. } => Some(*user),
            PrincipalKind::Collector { .. } | PrincipalKind::Anonymous => None,
        }
    }

    /// Login name of that user.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        match &self.kind {
            PrincipalKind::User { username, .. } | PrincipalKind::Token { username, .. } => Some(username),
            PrincipalKind::Collector { .. } | PrincipalKind::Anonymous => None,
        }
    }

    /// The agent that it is.
    #[must_use]
    pub fn collector(&self) -> Option<CollectorId> {
        match &self.kind {
            PrincipalKind::Collector { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// What its requests are counted under.
    pub(crate) fn rate_key(&self) -> Option<Uuid> {
        match &self.kind {
            PrincipalKind::User { id, .. } => Some(*id),
            PrincipalKind::Token { token, .. } => Some(*token),
            PrincipalKind::Collector { id, .. } => Some(id.as_uuid()),
            PrincipalKind::Anonymous => None,
        }
    }
}
