//! Who may do what: the one table.
//!
//! Every route is registered with one [`Permission`] (see
//! [`RouteEntry`](super::routes::RouteEntry)); its guard asks
//! [`Permission::allows`] before anything else is done with a request. A test
//! walks every route with every kind of principal and compares the answers with
//! this table.

use pganalytics_store::meta_store::Role;

use super::scope::Scope;
use crate::principal::{Principal, PrincipalKind};

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// Nothing.
    Public,
    /// To come from this machine, or to be able to read.
    ReadOrLocal,
    /// To come from this machine, to have the scrape token, or to be able to read.
    Scrape,
    /// The registration secret.
    Register,
    /// To be somebody.
    Identified,
    /// To be a person who logged in, not a program.
    Session,
    /// To read metrics, inventory and catalog.
    Read,
    /// To run SQL.
    Query,
    /// To send metrics.
    Push,
    /// To revoke and remove collectors.
    ManageCollectors,
    /// To say on charts what happened.
    Annotate,
    /// To change what the whole installation stands on, as its keys.
    ManageInstallation,
}

/// What comes without a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnonymousAccess {
    /// Everybody.
    Open,
    /// Requests from this machine.
    Local,
    /// Requests from this machine, or with the scrape token.
    LocalOrScrapeToken,
    /// Requests with the registration secret.
    RegistrationSecret,
    /// Nobody.
    Closed,
}

/// A line of the table.
struct Line {
    without_login: AnonymousAccess,
    /// Least role of a person, or of the user that a token acts as.
    role: Role,
    /// Scope that a user's token needs; `None`: tokens can't.
    scope: Option<Scope>,
    /// Whether an agent's own token is enough.
    collector: bool,
}

impl Permission {
    /// All permissions.
    pub const EACH: [Self; 12] = [
        Self::Public,
        Self::ReadOrLocal,
        Self::Scrape,
        Self::Register,
        Self::Identified,
        Self::Session,
        Self::Read,
        Self::Query,
        Self::Push,
        Self::ManageCollectors,
        Self::Annotate,
        Self::ManageInstallation,
    ];

    #[rustfmt::skip]
    const fn line(self) -> Line {
        use AnonymousAccess::{Closed, Local, LocalOrScrapeToken, Open, RegistrationSecret};
        use Role::{Admin, User, Viewer};
        let (without_login, role, scope, collector) = match self {
            Self::Public           => (Open,               Viewer, Some(Scope::Read),  true),
            Self::ReadOrLocal      => (Local,              Viewer, Some(Scope::Read),  false),
            Self::Scrape           => (LocalOrScrapeToken, Viewer, Some(Scope::Read),  false),
            Self::Register         => (RegistrationSecret, Viewer, None,               false),
            Self::Identified       => (Closed,             Viewer, Some(Scope::Read),  true),
            Self::Session          => (Closed,             Viewer, None,               false),
            Self::Read             => (Closed,             Viewer, Some(Scope::Read),  false),
            Self::Query            => (Closed,             Viewer, Some(Scope::Read),  false),
            Self::Push             => (Closed,             User,   Some(Scope::Push),  true),
            Self::ManageCollectors => (Closed,             User,   Some(Scope::Write), false),
            Self::Annotate         => (Closed,             User,   Some(Scope::Annotate), false),
            Self::ManageInstallation => (Closed,           Admin,  Some(Scope::Admin), false),
        };
        Line { without_login, role, scope, collector }
    }

    pub(crate) const fn anonymous_access(self) -> AnonymousAccess {
        self.line().without_login
    }

    /// Whether somebody with a login may.
    #[must_use]
    pub fn allows(self, principal: &Principal) -> bool {
        let line = self.line();
        match line.without_login {
            AnonymousAccess::Open => return true,
            // A login is no registration secret.
            AnonymousAccess::RegistrationSecret => return false,
            AnonymousAccess::Local | AnonymousAccess::LocalOrScrapeToken | AnonymousAccess::Closed => {}
        }
        match &principal.kind {
            PrincipalKind::Anonymous => false,
            PrincipalKind::Collector { .. } => line.collector,
            PrincipalKind::User { .. } => principal.role >= line.role,
            PrincipalKind::Token { .. } => {
                // Who a token is, it may always ask.
                let scope = self == Self::Identified || line.scope.is_some_and(|scope| principal.scopes.has(scope));
                scope && principal.role >= line.role
            }
        }
    }

    /// What to say to somebody who may not.
    pub(crate) fn needs(self) -> String {
        let line = self.line();
        let role = match line.role {
            Role::Viewer => "any role",
            Role::User => "the role user or admin",
            Role::Admin => "the role admin",
        };
        let token = match line.scope {
            Some(scope) => format!("a user's token with the scope {scope}"),
            None => "no token: log in".to_owned(),
        };
        let collector = if line.collector { ", or a collector's token" } else { "" };
        format!("this needs a login with {role}, or {token}{collector}")
    }
}
