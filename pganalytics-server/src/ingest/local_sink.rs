//! The sink of an agent in this process: straight to the store, without HTTP.

use async_trait::async_trait;
use http::StatusCode;
use pganalytics_collect::{Delivery, FrameGroup, Sink, SinkError};
use pganalytics_core::{CollectorId, PushReply, TenantId};
use pganalytics_store::meta_store::Role;
use uuid::Uuid;

use super::{frames, senders::Claim};
use crate::{
    auth::scope::{Scope, Scopes},
    error::{ApiResult, Problem},
    principal::{Principal, PrincipalKind},
    state::{App, now},
};

/// Takes the frames of an agent in the server's own process. They pass the same
/// checks as pushed ones and are as durable; see
/// [`Server::local_sink`](crate::Server::local_sink).
#[derive(Clone)]
pub struct LocalSink {
    app: App,
    principal: Principal,
    collector: CollectorId,
    claim: Claim,
}

impl std::fmt::Debug for LocalSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSink").field("collector", &self.collector).finish_non_exhaustive()
    }
}

impl LocalSink {
    /// A sink that speaks for this collector.
    pub(crate) fn new(app: App, collector: CollectorId, name: &str) -> Self {
        let principal = Principal {
            tenant: TenantId::DEFAULT,
            // No token: nobody comes in from outside as this one.
            kind: PrincipalKind::Collector { id: collector, token: Uuid::nil() },
            role: Role::Viewer,
            scopes: std::iter::once(Scope::Push).collect::<Scopes>(),
        };
        let claim = Claim {
            id: Some(name.to_owned()),
            hostname: Some(name.to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        Self { app, principal, collector, claim }
    }

    async fn take(&self, group: FrameGroup) -> Result<Delivery, SinkError> {
        let reply = self.push(&group).await.map_err(sink_error)?;
        Delivery::of_reply(&group, &reply).map_err(|message| SinkError::BadReply { message })
    }

    async fn push(&self, group: &FrameGroup) -> ApiResult<PushReply> {
        let received_at = now();
        let app = &self.app;
        app.senders.admit(app, &self.principal, self.collector, &self.claim, received_at).await?;
        let place = app.admission.admit(self.collector.as_uuid(), group.bytes())?;
        app.counters.ingested(group.bytes());
        let (checked, place) = frames::verify(app, group.frames.clone(), Vec::new(), received_at, place).await?;
        let origin = app.origin(self.principal.tenant, self.collector, received_at);
        let reply = checked.store(app, &origin, group.stream).await?;
        drop(place);
        app.senders.touch(app, self.collector, received_at).await;
        Ok(reply)
    }
}

/// What the sender should do about a refusal.
fn sink_error(problem: Problem) -> SinkError {
    let message = problem.detail;
    match problem.status {
        StatusCode::PAYLOAD_TOO_LARGE => SinkError::TooLarge { message },
        StatusCode::CONFLICT if problem.code == "fork" => SinkError::Forked { message },
        StatusCode::FORBIDDEN | StatusCode::CONFLICT => SinkError::Refused { message },
        _ => {
            let retry_after = problem.retry_after_secs.map(std::time::Duration::from_secs);
            SinkError::Unavailable { message, retry_after }
        }
    }
}

#[async_trait]
impl Sink for LocalSink {
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError> {
        self.take(frames).await
    }
}
