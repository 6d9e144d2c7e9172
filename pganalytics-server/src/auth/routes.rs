//! Registers routes, each with the permission that it needs.
//!
//! This is the only place that makes a router: a route without a permission
//! does not compile, and a handler never runs before its guard.

use axum::{Router, middleware::from_fn_with_state, routing::MethodRouter};
use http::Method;
use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, ResponseBuilder,
    path::{Operation, PathItem},
    security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{
    guard::{Guard, guard},
    permission::{AnonymousAccess, Permission},
};
use crate::{rate::Class, state::App};

/// A route and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteEntry {
    /// Method.
    pub method: Method,
    /// Path with its parameters in braces.
    pub path: String,
    /// What it needs.
    pub permission: Permission,
    /// What it is counted as.
    pub class: Class,
}

/// Routes being collected.
pub(crate) struct Routes {
    app: App,
    router: OpenApiRouter<App>,
    entries: Vec<RouteEntry>,
}

impl Routes {
    pub(crate) fn new(app: App, document: OpenApi) -> Self {
        Self { app, router: OpenApiRouter::with_openapi(document), entries: Vec::new() }
    }

    /// A documented route.
    pub(crate) fn route(
        mut self,
        permission: Permission,
        class: Class,
        (schemas, mut paths, methods): UtoipaMethodRouter<App>,
    ) -> Self {
        for (path, item) in &mut paths.paths {
            for (method, operation) in operations(item) {
                describe(operation, permission);
                self.entries.push(RouteEntry { method, path: path.clone(), permission, class });
            }
        }
        let methods = self.guarded(permission, class, methods);
        self.router = self.router.routes((schemas, paths, methods));
        self
    }

    /// A GET that is no part of the API: the page, its files.
    pub(crate) fn page(mut self, permission: Permission, class: Class, path: &str, methods: MethodRouter<App>) -> Self {
        self.entries.push(RouteEntry { method: Method::GET, path: path.to_owned(), permission, class });
        let methods = self.guarded(permission, class, methods);
        self.router = self.router.route(path, methods);
        self
    }

    fn guarded(&self, permission: Permission, class: Class, methods: MethodRouter<App>) -> MethodRouter<App> {
        let state = Guard { app: self.app.clone(), permission, class };
        methods.route_layer(from_fn_with_state(state, guard))
    }

    pub(crate) fn document(&self) -> OpenApi {
        self.router.get_openapi().clone()
    }

    pub(crate) fn finish(self) -> (Router, Vec<RouteEntry>) {
        (Router::from(self.router).with_state(self.app), self.entries)
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, item.get.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// Puts into the document what the permission means.
fn describe(operation: &mut Operation, permission: Permission) {
    let scheme = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    operation.security = Some(match permission.anonymous_access() {
        AnonymousAccess::Open => vec![],
        AnonymousAccess::RegistrationSecret => vec![scheme("registration_secret")],
        AnonymousAccess::Local | AnonymousAccess::LocalOrScrapeToken => {
            vec![SecurityRequirement::default(), scheme("bearer"), scheme("cookie")]
        }
        AnonymousAccess::Closed => vec![scheme("bearer"), scheme("cookie")],
    });
    let problem = |text: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDocument"))).build();
        ResponseBuilder::new().description(text).content("application/problem+json", content).build()
    };
    let mut answers = vec![("400", "The request makes no sense"), ("429", "Too many requests; see Retry-After")];
    if permission.anonymous_access() != AnonymousAccess::Open {
        answers.push(("401", "No login, or one that has ended"));
        answers.push(("403", "The login does not allow this"));
    }
    if operation.request_body.is_some() {
        answers.push(("413", "The body is too large"));
        answers.push(("415", "The body is of another kind than the operation takes"));
        answers.push(("422", "The body has another form than the operation takes"));
    }
    answers.push(("503", "The store is not available; see Retry-After"));
    for (status, text) in answers {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem(text).into());
    }
}
