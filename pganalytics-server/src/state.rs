//! What all requests share.

use std::{
    sync::{Arc, Once, atomic::AtomicBool},
    time::Instant,
};

use pganalytics_core::{CollectorId, Secret, TenantId, Timestamp, catalog::Catalog};
use pganalytics_store::{
    MetaStore, MetricStore, Origin,
    sql::{SqlGuard, SqlRunner},
};

use crate::{
    api::answer::Answers,
    auth::{access_token::Signer, authenticate::TokenCache, lockout::Lockout, password::Passwords},
    ingest::{
        admission::Admission, decoders::Decoders, numbers::KnownNumbers, schemas::KnownSchemas, senders::Senders,
    },
    prometheus::Counters,
    rate::Rates,
    settings::Settings,
};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// For ingest and what is of no tenant; handlers take [`Tenant`](crate::tenant::Tenant).
    pub(crate) metrics: Arc<dyn MetricStore>,
    /// For log-in and ingest; handlers take the same.
    pub(crate) meta: Arc<dyn MetaStore>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) signer: Signer,
    pub(crate) passwords: Passwords,
    pub(crate) lockout: Lockout,
    pub(crate) tokens: TokenCache,
    pub(crate) rates: Rates,
    pub(crate) admission: Admission,
    pub(crate) decoders: Decoders,
    pub(crate) senders: Senders,
    pub(crate) schemas: KnownSchemas,
    pub(crate) numbers: KnownNumbers,
    pub(crate) guard: SqlGuard,
    /// Runs people's SQL; each of them has some turns.
    pub(crate) sql: Arc<dyn SqlRunner>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) counters: Counters,
    pub(crate) health: crate::api::health::HealthCache,
    pub(crate) started: Instant,
    /// It is about to stop: balancers shall turn away.
    pub(crate) draining: AtomicBool,
    /// What `/auth/setup` asks for; `None`: it is off.
    pub(crate) setup_token: Option<Secret<String>>,
    pub(crate) proxy_warning: Once,
}

pub(crate) type App = Arc<Shared>;

impl Shared {
    /// Where frames come from, with what their collector may have.
    pub(crate) fn origin(&self, tenant: TenantId, collector: CollectorId, received_at: Timestamp) -> Origin {
        Origin { quotas: self.settings.ingest.quotas, ..Origin::new(tenant, collector, received_at) }
    }
}

/// The present, by the wall clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}
