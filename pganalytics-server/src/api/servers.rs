//! `GET /servers`, `/servers/{id}`, `POST /servers/{id}/hand-over`.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State};
use pganalytics_core::{InstanceId, ServerId, Timestamp};
use pganalytics_store::{Owned, SeenSource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    error::{ApiResult, Problem},
    extract::{Body, List, PageParams, Params, Path},
    principal::Principal,
    state::{App, now},
};

/// A server that sent nothing for this long is silent.
const SILENT_AFTER_MICROS: i64 = 180 * 1_000_000;

/// A server that samples have spoken of: a PostgreSQL cluster, or a host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerView {
    /// Id.
    id: Uuid,
    /// The name that people gave its member that is known longest.
    name: String,
    /// `reporting`, or `silent` when nothing came for three minutes.
    state: &'static str,
    /// Its first sample.
    #[schema(value_type = String, format = DateTime)]
    first_seen: Timestamp,
    /// Its newest sample.
    #[schema(value_type = String, format = DateTime)]
    last_seen: Timestamp,
    /// Its members: primary and standbys.
    instances: BTreeSet<Uuid>,
    /// Its databases.
    databases: BTreeSet<String>,
    /// The collectors that speak of it.
    collectors: BTreeSet<Uuid>,
}

pub(crate) fn group(sources: Vec<SeenSource>) -> Vec<ServerView> {
    let now = now();
    let mut servers: BTreeMap<ServerId, ServerView> = BTreeMap::new();
    // The newest name of each instance, and since when it is known.
    let mut names: BTreeMap<(ServerId, InstanceId), (Timestamp, Timestamp, String)> = BTreeMap::new();
    for seen in sources {
        let id = seen.source.server_id;
        let view = servers.entry(id).or_insert_with(|| ServerView {
            id: id.as_uuid(),
            name: String::new(),
            state: "silent",
            first_seen: seen.first_seen,
            last_seen: seen.last_seen,
            instances: BTreeSet::new(),
            databases: BTreeSet::new(),
            collectors: BTreeSet::new(),
        });
        let name = names
            .entry((id, seen.source.instance_id))
            .or_insert_with(|| (seen.first_seen, seen.last_seen, seen.source.server.to_string()));
        name.0 = name.0.min(seen.first_seen);
        if seen.last_seen > name.1 {
            (name.1, name.2) = (seen.last_seen, seen.source.server.to_string());
        }
        view.first_seen = view.first_seen.min(seen.first_seen);
        view.last_seen = view.last_seen.max(seen.last_seen);
        view.instances.insert(seen.source.instance_id.as_uuid());
        view.databases.extend(seen.source.database.iter().map(ToString::to_string));
        view.collectors.insert(seen.collector.as_uuid());
    }
    for (id, view) in &mut servers {
        // Of several members the one that is known longest names the server, so
        // that its name is the same each time.
        let of_server = names.iter().filter(|((server, _), _)| server == id);
        if let Some((_, (_, _, name))) = of_server.min_by_key(|((_, instance), (first, _, _))| (*first, *instance)) {
            view.name.clone_from(name);
        }
        if now.micros_since(view.last_seen) < SILENT_AFTER_MICROS {
            view.state = "reporting";
        }
    }
    let mut views: Vec<ServerView> = servers.into_values().collect();
    views.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    views
}

/// List servers
#[utoipa::path(get, path = "/api/v1/servers", tag = "servers", params(PageParams),
    responses((status = 200, description = "A page of servers by name", body = List<ServerView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
    Params(page): Params<PageParams>,
) -> ApiResult<Json<List<ServerView>>> {
    let page = page.checked()?;
    Ok(Json(page.cut(group(principal.within(&app).sources().await?))))
}

/// A server
#[utoipa::path(get, path = "/api/v1/servers/{id}", tag = "servers", params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 200, description = "The server", body = ServerView),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<ServerView>> {
    let servers = group(principal.within(&app).sources().await?);
    let found = servers.into_iter().find(|server| server.id == id);
    found.map(Json).ok_or_else(|| Problem::not_found("server", &id.to_string()))
}

/// Who is to watch a server.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct HandOver {
    /// The collector, a UUID or a human id; null: the first that speaks of it
    /// from now on.
    #[serde(default)]
    collector_id: Option<String>,
}

/// What was handed over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HandedOver {
    /// Instances of the server that had an owner.
    instances: u64,
}

/// Hand a server over
///
/// An instance belongs to the collector that spoke of it first; what others say
/// of it is rejected as `source_belongs_to_another_collector` until the owner is
/// silent for a while, revoked or removed. This gives the instances of a server
/// to another collector at once.
#[utoipa::path(post, path = "/api/v1/servers/{id}/hand-over", tag = "servers",
    params(("id" = Uuid, Path, description = "Its id")),
    request_body = HandOver,
    responses(
        (status = 200, description = "Handed over", body = HandedOver),
        (status = 404, description = "There is no such server or collector", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 409, description = "The collector is revoked", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn hand_over(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<Uuid>,
    Body(request): Body<HandOver>,
) -> ApiResult<Json<HandedOver>> {
    let to = match &request.collector_id {
        None => None,
        Some(name) => {
            let record = super::collectors::find(&app, &principal, name).await?;
            if record.revoked {
                return Err(Problem::conflict(
                    "collector_revoked",
                    "this collector was revoked; let it in again first",
                ));
            }
            Some(record.id)
        }
    };
    let server = ServerId::from_uuid(id);
    if !principal.within(&app).sources().await?.iter().any(|seen| seen.source.server_id == server) {
        return Err(Problem::not_found("server", &id.to_string()));
    }
    let instances = principal.within(&app).hand_over(Owned::Server(server), to).await?;
    tracing::info!(%server, to = to.map(tracing::field::display), instances, "handed a server over");
    Ok(Json(HandedOver { instances }))
}
