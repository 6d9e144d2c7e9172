//! `POST /collectors/register`.

use axum::{Json, extract::State, http::StatusCode};
use pganalytics_core::{CollectorId, TenantId, Timestamp};
use pganalytics_store::meta_store::{ApiToken, CollectorRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::api_token,
    error::{ApiResult, Problem},
    extract::Body,
    ingest::senders,
    state::{App, now},
};

/// What an agent says of itself.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Registration {
    /// What people call it.
    name: String,
    /// Its host.
    #[serde(default)]
    hostname: String,
    /// Its version.
    #[serde(default)]
    version: String,
    /// Its address; taken for later versions.
    #[serde(default)]
    #[expect(dead_code, reason = "part of the contract, kept with certificates later")]
    address: Option<String>,
    /// A certificate request; this version issues no certificates.
    #[serde(default)]
    #[expect(dead_code, reason = "part of the contract, answered with a certificate later")]
    csr: Option<String>,
}

/// What a registered agent gets, once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    collector_id: Uuid,
    /// Send it as `Authorization: Bearer …`; it is not shown again.
    token: String,
    /// This version has none: the token does not end.
    refresh_token: Option<String>,
    /// This version issues none.
    certificate: Option<String>,
    /// This version has none.
    ca: Option<String>,
    /// When the token ends; null: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    config: AgentConfig,
}

/// How an agent should work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentConfig {
    /// Seconds between two scrapes.
    collection_interval: u64,
}

/// Register a collector
///
/// Needs the registration secret in `X-Registration-Secret`.
#[utoipa::path(post, path = "/api/v1/collectors/register", tag = "collectors", request_body = Registration, responses(
    (status = 201, description = "Registered; the token is shown once", body = Registered),
    (status = 409, description = "There are as many collectors as are allowed", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 422, description = "The name is not usable", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn register(
    State(app): State<App>,
    Body(registration): Body<Registration>,
) -> ApiResult<(StatusCode, Json<Registered>)> {
    let fits = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
    let Registration { name, hostname, version, .. } = registration;
    if name.trim().is_empty() || !fits(&name, 128) || !fits(&hostname, 255) || !fits(&version, 64) {
        return Err(Problem::invalid(
            "bad_registration",
            "name has 1 to 128 characters, hostname at most 255, version 64",
        ));
    }
    // A registration secret will name its tenant; until then there is one.
    let tenant = TenantId::DEFAULT;
    let now = now();
    let id = CollectorId::random();
    let record = CollectorRecord {
        id,
        tenant,
        name: name.trim().to_owned(),
        hostname,
        version,
        registered_at: now,
        last_seen: None,
        revoked: false,
    };
    let token = api_token::issue().map_err(|error| Problem::internal(&error))?;
    let row = ApiToken {
        id: token.id,
        hash: token.hash,
        tenant,
        name: format!("collector {}", record.name),
        collector: Some(id),
        user: None,
        scopes: vec!["push".to_owned()],
        created_at: now,
        expires_at: None,
    };
    if !app.meta.register_collector(&record, &row, app.settings.max_collectors).await? {
        return Err(senders::too_many(&app));
    }
    tracing::info!(collector = %id, name = %record.name, "registered a collector");
    let registered = Registered {
        collector_id: id.as_uuid(),
        token: token.text.expose().clone(),
        refresh_token: None,
        certificate: None,
        ca: None,
        expires_at: None,
        config: AgentConfig { collection_interval: app.settings.collection_interval.as_secs() },
    };
    Ok((StatusCode::CREATED, Json(registered)))
}
