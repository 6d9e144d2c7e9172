//! Stands before every route: who is it, may it, not too often.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Method, request::Parts},
    middleware::Next,
    response::Response,
};

use super::{
    authenticate::{AuthError, Authenticator, Credential},
    cookie::{CSRF_HEADER, is_foreign},
    device::Device,
    permission::{AnonymousAccess, Permission},
    random,
};
use crate::{
    error::{ApiResult, Problem},
    peer::{Peer, Relation},
    principal::{Principal, PrincipalKind},
    rate::{Class, RateKey},
    serve::activity::Activity,
    state::App,
};

/// The registration secret's header.
pub(crate) const REGISTRATION_HEADER: &str = "x-registration-secret";

/// The answer to a page that is not ours and uses our cookies.
pub(crate) fn foreign() -> Problem {
    Problem::forbidden("foreign_page", "another site's page made this request; cookies are for this server's own page")
}

/// What a route's guard knows.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) app: App,
    pub(crate) permission: Permission,
    pub(crate) class: Class,
}

pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let known = parts.extensions.get::<Peer>().copied();
    let peer = known.unwrap_or_else(|| Peer::of(&guard.app.settings, &parts));
    let principal = guard.admit(&parts, &peer).await?;
    parts.extensions.insert(principal);
    parts.extensions.insert(peer);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

fn stranger(peer: &Peer) -> RateKey {
    RateKey::Address(peer.network(), peer.relation())
}

impl Guard {
    async fn admit(&self, parts: &Parts, peer: &Peer) -> ApiResult<Principal> {
        let app = &*self.app;
        // Open routes look at no credential: a stale cookie must not hinder a log-in.
        if self.permission.anonymous_access() == AnonymousAccess::Open {
            self.count_open(parts, peer)?;
            return Ok(Principal::anonymous());
        }
        if self.permission.anonymous_access() == AnonymousAccess::RegistrationSecret {
            self.count_stranger(peer, self.class)?;
            self.check_registration_secret(parts)?;
            return Ok(Principal::anonymous());
        }
        let credential = Credential::of(&parts.headers);
        if self.passes_without_login(&credential, peer) {
            self.count_stranger(peer, self.class)?;
            return Ok(Principal::anonymous());
        }
        let connection = parts.extensions.get::<Arc<Activity>>();
        let principal = self.authenticate(credential, peer, connection).await?;
        if let Some(connection) = connection {
            connection.prove();
        }
        if let Some(id) = principal.rate_key() {
            app.rates.take(RateKey::Principal(id), self.class)?;
        }
        self.check_csrf(parts, &principal)?;
        if !self.permission.allows(&principal) {
            return Err(Problem::forbidden("not_allowed", self.permission.needs()));
        }
        Ok(principal)
    }

    /// Finds out who it is. What needs the store is counted before it is asked,
    /// and not counted after all when the credential is good. Where somebody
    /// has proven who they are on this connection before, nobody else from
    /// their address can be in their way.
    async fn authenticate(
        &self,
        credential: Credential<'_>,
        peer: &Peer,
        connection: Option<&Arc<Activity>>,
    ) -> ApiResult<Principal> {
        let app = &*self.app;
        let who = Authenticator { meta: &*app.meta, signer: &app.signer, cache: &app.tokens };
        let is_proven = connection.is_some_and(|connection| connection.is_proven());
        let counted = !is_proven && who.needs_lookup(credential);
        if counted {
            self.count_stranger(peer, Class::Public)?;
        }
        let found = who.authenticate(credential).await;
        if counted && !matches!(found, Ok(None) | Err(AuthError::Refused(_))) {
            app.rates.give_back(stranger(peer), Class::Public);
        }
        let refused = match found {
            Ok(Some(principal)) => return Ok(principal),
            Ok(None) => Problem::unauthorized("login_required", self.permission.needs()),
            Err(AuthError::Refused(problem)) => problem,
            Err(AuthError::Store(error)) => return Err(error.into()),
        };
        if !counted {
            self.count_stranger(peer, Class::Public)?;
        }
        Err(refused)
    }

    fn count_stranger(&self, peer: &Peer, class: Class) -> ApiResult<()> {
        self.app.rates.take(stranger(peer), class)
    }

    fn count_open(&self, parts: &Parts, peer: &Peer) -> ApiResult<()> {
        match self.class {
            // A balancer looks as often as it is told to.
            Class::Health if peer.relation() == Relation::TrustedProxy => Ok(()),
            // Whoever shares an address with a guesser can still log in where
            // they did before.
            Class::Login => match Device::read(&self.app.signer, &parts.headers) {
                Some(device) => self.app.rates.take(RateKey::Device(device.id), Class::Login),
                None => self.count_stranger(peer, Class::Login),
            },
            class => self.count_stranger(peer, class),
        }
    }

    fn passes_without_login(&self, credential: &Credential<'_>, peer: &Peer) -> bool {
        match (self.permission.anonymous_access(), credential) {
            (AnonymousAccess::Local | AnonymousAccess::LocalOrScrapeToken, Credential::None) => peer.is_local(),
            (AnonymousAccess::LocalOrScrapeToken, Credential::Bearer(text)) => {
                let expected = self.app.settings.scrape_token.as_ref();
                expected.is_some_and(|expected| random::same(expected.expose().as_bytes(), text.as_bytes()))
            }
            _ => false,
        }
    }

    fn check_registration_secret(&self, parts: &Parts) -> ApiResult<()> {
        let Some(expected) = &self.app.settings.registration_secret else {
            return Err(Problem::forbidden(
                "registration_disabled",
                "registration is off: set REGISTRATION_SECRET on the server to let collectors register",
            ));
        };
        let given = parts.headers.get(REGISTRATION_HEADER).map_or(&[][..], |value| value.as_bytes());
        if random::same(expected.expose().as_bytes(), given) {
            return Ok(());
        }
        Err(Problem::unauthorized("bad_registration_secret", "X-Registration-Secret is missing or wrong"))
    }

    fn check_csrf(&self, parts: &Parts, principal: &Principal) -> ApiResult<()> {
        let PrincipalKind::User { session, cookie: true, .. } = &principal.kind else { return Ok(()) };
        if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        if is_foreign(&parts.headers) {
            return Err(foreign());
        }
        let expected = self.app.signer.csrf(*session).map_err(|error| Problem::internal(&error))?;
        let given = parts.headers.get(CSRF_HEADER).map_or(&[][..], |value| value.as_bytes());
        if random::same(expected.as_bytes(), given) {
            return Ok(());
        }
        Err(Problem::forbidden("bad_csrf_token", "X-CSRF-Token is missing or not that of this session"))
    }
}
