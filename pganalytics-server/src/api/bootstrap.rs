//! `GET /ui/bootstrap`: what the UI needs before its first page.

use axum::{Json, extract::State};
use pganalytics_core::Timestamp;
use pganalytics_store::meta_store::Role;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    batch::MAX_QUERIES,
    preferences::{self, Preferences},
    servers::{ServerView, group},
    version::Version,
};
use crate::{
    auth::{permission::Permission, random},
    error::ApiResult,
    principal::Principal,
    state::{App, now},
};

/// What the UI needs before its first page.
#[derive(Serialize, ToSchema)]
pub(crate) struct Bootstrap {
    user: UiUser,
    version: Version,
    /// The server's clock: a browser's may be wrong.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
    servers: Vec<ServerView>,
    /// Changes when the catalog does: what was kept of it is stale then.
    catalog_hash: String,
    limits: UiLimits,
}

/// Who looks.
#[derive(Serialize, ToSchema)]
pub(crate) struct UiUser {
    username: Option<String>,
    #[schema(value_type = String)]
    role: Role,
    /// What the UI may offer: `query`, `manage_collectors`, `annotate`.
    permissions: Vec<&'static str>,
    /// What the person has chosen for the UI.
    preferences: Preferences,
}

/// What the UI has to keep to.
#[derive(Serialize, ToSchema)]
pub(crate) struct UiLimits {
    /// Most rows of an answer.
    max_rows: usize,
    /// Most queries of a batch.
    batch_queries: usize,
    /// Longest time of a query.
    query_timeout_seconds: u64,
    /// Time between two scrapes, as agents are told.
    collection_interval_seconds: u64,
}

/// What the UI needs before its first page
#[utoipa::path(get, path = "/api/v1/ui/bootstrap", tag = "ui",
    responses((status = 200, description = "User, servers, limits", body = Bootstrap)))]
pub(crate) async fn bootstrap(State(app): State<App>, principal: Principal) -> ApiResult<Json<Bootstrap>> {
    let offered = [
        ("query", Permission::Query),
        ("manage_collectors", Permission::ManageCollectors),
        ("annotate", Permission::Annotate),
    ];
    let permissions =
        offered.into_iter().filter_map(|(name, permission)| permission.allows(&principal).then_some(name)).collect();
    let query = &app.settings.query;
    Ok(Json(Bootstrap {
        user: UiUser {
            username: principal.username().map(ToOwned::to_owned),
            role: principal.role,
            permissions,
            preferences: preferences::of(&app, &principal).await?,
        },
        version: Version::here(),
        now: now(),
        servers: group(principal.within(&app).sources().await?),
        catalog_hash: catalog_hash(&app),
        limits: UiLimits {
            max_rows: query.max_rows,
            batch_queries: MAX_QUERIES,
            query_timeout_seconds: query.timeout.as_secs(),
            collection_interval_seconds: app.settings.collection_interval.as_secs(),
        },
    }))
}

fn catalog_hash(app: &App) -> String {
    let mut text = String::new();
    for known in app.catalog.iter() {
        text += &format!("{} {} {}\n", known.name(), known.interval().as_secs(), known.schema().columns().len());
    }
    let hash = random::hash(text.as_bytes());
    random::hex(hash.get(..8).unwrap_or_default())
}
