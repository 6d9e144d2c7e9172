//! `GET /version`.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// What runs here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    /// Version of the server.
    version: &'static str,
    /// Commit that it was built from; empty where the build did not say.
    git_hash: &'static str,
    /// Parts that were built in.
    features: Vec<&'static str>,
}

impl Version {
    pub(crate) fn here() -> Self {
        let parts =
            [("agent", cfg!(feature = "agent")), ("sqlite", cfg!(feature = "sqlite")), ("tls", cfg!(feature = "tls"))];
        Self {
            version: env!("CARGO_PKG_VERSION"),
            git_hash: option_env!("PGANALYTICS_GIT_HASH").unwrap_or_default(),
            features: parts.into_iter().filter_map(|(name, built)| built.then_some(name)).collect(),
        }
    }
}

/// Version of the server
#[utoipa::path(get, path = "/api/v1/version", tag = "server",
    responses((status = 200, description = "Version, commit, features", body = Version)))]
pub(crate) async fn version() -> Json<Version> {
    Json(Version::here())
}
