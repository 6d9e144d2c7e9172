//! The REST API: one file a resource.

pub(crate) mod annotations;
pub(crate) mod answer;
pub(crate) mod auth;
pub(crate) mod batch;
pub(crate) mod bootstrap;
pub(crate) mod collectors;
pub(crate) mod docs;
pub(crate) mod health;
mod kept;
pub(crate) mod measurements;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod preferences;
pub(crate) mod register;
pub(crate) mod saved_queries;
pub(crate) mod series;
pub(crate) mod servers;
pub(crate) mod setup;
pub(crate) mod signing_keys;
pub(crate) mod sql;
pub(crate) mod tokens;
pub(crate) mod version;

use utoipa_axum::routes;

use crate::{
    auth::{permission::Permission as Needs, routes::Routes},
    ingest::push,
    prometheus,
    rate::Class,
    state::App,
    ui,
};

/// Every route, with what it needs and what it is counted as.
#[rustfmt::skip]
pub(crate) fn routes(app: App) -> Routes {
    Routes::new(app, openapi::base())
        .route(Needs::Public, Class::Health, routes!(health::health))
        .route(Needs::Public, Class::Probe, routes!(health::live))
        .route(Needs::Public, Class::Probe, routes!(health::ready))
        .route(Needs::Public, Class::Public, routes!(version::version))
        .route(Needs::Public, Class::Login, routes!(auth::login))
        .route(Needs::Public, Class::Login, routes!(auth::refresh))
        .route(Needs::Public, Class::Login, routes!(setup::setup))
        .route(Needs::Session, Class::Write, routes!(auth::logout))
        .route(Needs::Session, Class::Login, routes!(auth::change_password))
        .route(Needs::Identified, Class::Read, routes!(auth::me))
        .route(Needs::ManageInstallation, Class::Read, routes!(signing_keys::list))
        .route(Needs::ManageInstallation, Class::Write, routes!(signing_keys::rotate))
        .route(Needs::Session, Class::Read, routes!(tokens::list))
        .route(Needs::Session, Class::Write, routes!(tokens::create))
        .route(Needs::Session, Class::Read, routes!(tokens::get))
        .route(Needs::Session, Class::Write, routes!(tokens::remove))
        .route(Needs::Register, Class::Login, routes!(register::register))
        .route(Needs::Read, Class::Read, routes!(collectors::list))
        .route(Needs::Read, Class::Read, routes!(collectors::get))
        .route(Needs::ManageCollectors, Class::Write, routes!(collectors::remove))
        .route(Needs::ManageCollectors, Class::Write, routes!(collectors::revoke))
        .route(Needs::Push, Class::Push, routes!(push::push))
        .route(Needs::Read, Class::Read, routes!(metrics::metrics))
        .route(Needs::ReadOrLocal, Class::Read, routes!(metrics::count))
        .route(Needs::Read, Class::Read, routes!(servers::list))
        .route(Needs::Read, Class::Read, routes!(servers::get))
        .route(Needs::ManageCollectors, Class::Write, routes!(servers::hand_over))
        .route(Needs::Query, Class::Query, routes!(series::series))
        .route(Needs::Read, Class::Read, routes!(measurements::list))
        .route(Needs::Read, Class::Read, routes!(measurements::get))
        .route(Needs::Query, Class::Query, routes!(sql::sql))
        .route(Needs::Query, Class::Query, routes!(batch::batch))
        .route(Needs::Read, Class::Read, routes!(bootstrap::bootstrap))
        .route(Needs::Read, Class::Read, routes!(annotations::list))
        .route(Needs::Annotate, Class::Write, routes!(annotations::create))
        .route(Needs::Annotate, Class::Write, routes!(annotations::remove))
        .route(Needs::Session, Class::Read, routes!(preferences::get))
        .route(Needs::Session, Class::Write, routes!(preferences::put))
        .route(Needs::Session, Class::Read, routes!(saved_queries::list))
        .route(Needs::Session, Class::Write, routes!(saved_queries::create))
        .route(Needs::Session, Class::Write, routes!(saved_queries::change))
        .route(Needs::Session, Class::Write, routes!(saved_queries::remove))
}

/// The routes beside the API: its documents, the page, the server's own metrics.
pub(crate) fn pages(routes: Routes) -> Routes {
    let routes = openapi::route(routes);
    let routes = docs::routes(routes);
    let routes = routes.page(Needs::Scrape, Class::Read, "/metrics", axum::routing::get(prometheus::exposition));
    ui::routes(routes)
}
