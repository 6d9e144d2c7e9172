//! The sink of an agent in this process: straight to the store, without HTTP.

use async_trait::async_trait;
use http::StatusCode;
use pganalytics_collect::{Delivery, FrameGroup, Sink, SinkError, sink::Rejected};
use pganalytics_core::{CollectorId, TenantId};
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

    async fn take(&self, group: FrameGroup) -> ApiResult<Delivery> {
        let received_at = now();
        let app = &self.app;
        app.senders.admit(app, &self.principal, self.collector, &self.claim, received_at).await?;
        let place = app.admission.admit(self.collector.as_uuid(), group.bytes())?;
        app.counters.ingested(group.bytes());
        let stream = group.stream;
        let seqs: Vec<_> = group.frames.iter().map(|(seq, _)| *seq).collect();
        let frames = group.frames.into_iter().map(|(seq, frame)| (seq.into(), frame)).collect();
        let (checked, place) = frames::verify(app, frames, Vec::new(), received_at, place).await?;
        let origin = app.origin(self.principal.tenant, self.collector, received_at);
        let answer = checked.store(app, &origin, stream).await?;
        drop(place);
        app.senders.touch(app, self.collector, received_at).await;
        let rejected = seqs.iter().enumerate().filter_map(|(index, seq)| {
            let refused = answer.refusal(stream, *seq).map(|refused| (&refused.code, &refused.error));
            let unreadable = answer.unreadable.iter().find(|item| item.index == index);
            let (code, message) = refused.or(unreadable.map(|item| (&item.code, &item.error)))?;
            Some(Rejected { seq: *seq, code: code.clone(), message: message.clone() })
        });
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let rejected = rejected.collect();
        Ok(Delivery { accepted: count(answer.accepted), duplicates: count(answer.duplicates), rejected })
    }
}

/// What the sender should do about a refusal.
fn sink_error(problem: Problem) -> SinkError {
    let message = problem.detail;
    match problem.status {
        StatusCode::PAYLOAD_TOO_LARGE => SinkError::TooLarge { message },
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
        self.take(frames).await.map_err(sink_error)
    }
}
