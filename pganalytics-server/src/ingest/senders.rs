//! The collectors that send: known ones, new ones, revoked ones.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use pganalytics_core::{CollectorId, TenantId, Timestamp};
use pganalytics_store::meta_store::CollectorRecord;

use crate::{
    error::{ApiResult, Problem},
    principal::{Principal, PrincipalKind},
    state::App,
};

/// What was revoked on another server is seen after this time.
const FRESH: Duration = Duration::from_secs(2);
/// `last_seen` is at most this much behind.
const TOUCH_EVERY: Duration = Duration::from_secs(10);
const MOST_KNOWN: usize = 100_000;

struct Known {
    tenant: TenantId,
    revoked: bool,
    read: Instant,
    touched: Option<Instant>,
}

/// What this server remembers of collectors.
#[derive(Default)]
pub(crate) struct Senders {
    known: Mutex<HashMap<CollectorId, Known>>,
}

/// What a push says of its sender.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    pub(crate) id: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) version: Option<String>,
}

/// The collector that a push may speak for, by what its principal is: a
/// collector's token for itself, a user's for the one that it names, and so for
/// what that one owns in the store.
pub(crate) fn speaks_for(principal: &Principal, claimed: Option<&str>) -> ApiResult<CollectorId> {
    let claimed = claimed.filter(|id| !id.is_empty()).map(CollectorId::from_human).transpose();
    let claimed = claimed.map_err(|error| Problem::invalid("bad_collector_id", error.to_string()))?;
    match (&principal.kind, claimed) {
        (PrincipalKind::Collector { id, .. }, Some(other)) if *id != other => Err(Problem::forbidden(
            "not_your_collector",
            format!("this token speaks for collector {id} only; register {other} and use its own token"),
        )),
        (PrincipalKind::Collector { id, .. }, _) => Ok(*id),
        (_, Some(id)) => Ok(id),
        // A sender that does not say who it is, is its token.
        (PrincipalKind::User { id, .. }, None) => Ok(CollectorId::from_uuid(*id)),
        (PrincipalKind::Token { token, .. }, None) => Ok(CollectorId::from_uuid(*token)),
        (PrincipalKind::Anonymous, None) => Err(Problem::invalid("no_collector_id", "say which collector sends")),
    }
}

impl Senders {
    /// Makes sure that a collector may send; the first push of one that is not
    /// known records it.
    pub(crate) async fn admit(
        &self,
        app: &App,
        principal: &Principal,
        id: CollectorId,
        claim: &Claim,
        now: Timestamp,
    ) -> ApiResult<()> {
        if let Some((tenant, revoked)) = self.fresh(id) {
            return check(principal, tenant, revoked);
        }
        let record = match app.meta.collector(id).await? {
            Some(record) => record,
            None => record_new(app, principal, id, claim, now).await?,
        };
        self.remember(id, &record);
        check(principal, record.tenant, record.revoked)
    }

    fn fresh(&self, id: CollectorId) -> Option<(TenantId, bool)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&id)?;
        (known.read.elapsed() < FRESH).then_some((known.tenant, known.revoked))
    }

    fn remember(&self, id: CollectorId, record: &CollectorRecord) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        let entry = known.entry(id).or_insert_with(|| Known {
            tenant: record.tenant,
            revoked: record.revoked,
            read: Instant::now(),
            touched: None,
        });
        (entry.tenant, entry.revoked, entry.read) = (record.tenant, record.revoked, Instant::now());
    }

    /// Notes that a collector has pushed, now and then.
    pub(crate) async fn touch(&self, app: &App, id: CollectorId, now: Timestamp) {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(known) = known.get_mut(&id) else { return };
            if known.touched.is_some_and(|touched| touched.elapsed() < TOUCH_EVERY) {
                return;
            }
            known.touched = Some(Instant::now());
        }
        if let Err(error) = app.meta.touch_collector(id, now).await {
            tracing::warn!(%error, collector = %id, "could not note that a collector has pushed");
        }
    }

    /// A collector was changed here.
    pub(crate) fn forget(&self, id: CollectorId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(&id)
            && let Some(past) = Instant::now().checked_sub(FRESH)
        {
            known.read = past;
        } else {
            known.remove(&id);
        }
    }
}

fn check(principal: &Principal, tenant: TenantId, revoked: bool) -> ApiResult<()> {
    if tenant != principal.tenant {
        return Err(Problem::forbidden("not_your_collector", "this collector belongs to somebody else"));
    }
    if revoked {
        return Err(Problem::forbidden(
            "collector_revoked",
            "this collector was revoked; an admin can let it in again",
        ));
    }
    Ok(())
}

async fn record_new(
    app: &App,
    principal: &Principal,
    id: CollectorId,
    claim: &Claim,
    now: Timestamp,
) -> ApiResult<CollectorRecord> {
    let own_name = match &principal.kind {
        PrincipalKind::User { username, .. } | PrincipalKind::Token { username, .. } => username.clone(),
        _ => id.to_string(),
    };
    let record = CollectorRecord {
        id,
        tenant: principal.tenant,
        name: claim.id.clone().unwrap_or(own_name),
        hostname: short(claim.hostname.as_deref()),
        version: short(claim.version.as_deref()),
        registered_at: now,
        last_seen: None,
        revoked: false,
    };
    if !app.meta.put_collector(&record, app.settings.max_collectors).await? {
        return Err(too_many(app));
    }
    tracing::info!(collector = %id, name = %record.name, "a collector pushed for the first time");
    Ok(record)
}

fn short(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().filter(|c| !c.is_control()).take(255).collect()
}

/// Another collector is one too many.
pub(crate) fn too_many(app: &App) -> Problem {
    let most = app.settings.max_collectors;
    let detail = format!("MAX_CONCURRENT_COLLECTORS is {most}, and there are as many; remove some, or set it higher");
    Problem::conflict("too_many_collectors", detail)
}
