//! The OpenAPI document, made from the handlers.

use axum::{http::header, routing};
use bytes::Bytes;
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{
    auth::{permission::Permission, routes::Routes},
    error::ProblemDocument,
    rate::Class,
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "pgAnalytics", description = "Ingest, query and administration of pgAnalytics."),
    components(schemas(ProblemDocument)),
    tags(
        (name = "server", description = "How the server is"),
        (name = "auth", description = "Logging in"),
        (name = "tokens", description = "API tokens"),
        (name = "collectors", description = "Registered agents"),
        (name = "metrics", description = "Sending metrics, and how much is stored"),
        (name = "servers", description = "What is watched"),
        (name = "measurements", description = "What is measured"),
        (name = "query", description = "SQL over every measurement"),
    )
)]
struct Base;

/// What the document begins with.
pub(crate) fn base() -> OpenApi {
    let mut document = Base::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token of /auth/login, or an API token"))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("pga_access"))));
    let secret = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Registration-Secret")));
    components.add_security_scheme("registration_secret", secret);
    document
}

/// Serves the document of the routes so far.
pub(crate) fn route(routes: Routes) -> Routes {
    let document = Bytes::from(routes.document().to_json().unwrap_or_default());
    let serve = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    };
    routes.page(Permission::Public, Class::Page, "/api/v1/openapi.json", routing::get(serve))
}
