//! The catalog of a running agent.

use std::{collections::BTreeMap, sync::Arc};

use pganalytics_core::{
    MeasurementName,
    catalog::{Catalog, Measurement},
};
use tokio::sync::watch;

use crate::scheduler::Plan;

/// A catalog that can be exchanged while agents work with it. Clones are the same
/// catalog.
///
/// ```
/// use pganalytics_collect::own_sql::LiveCatalog;
/// use pganalytics_core::catalog::Catalog;
///
/// let live = LiveCatalog::new(Catalog::builtin().clone());
/// // Agent::builder().server(…).catalog(&live) follows it from now on.
/// let orders = "name = 'app_orders'\nscope = 'database'\n\
///               [[query]]\nsql = 'select count(*)::int8 as orders from app.orders'\n\
///               [[column]]\nname = 'orders'\nkind = 'gauge'\ntype = 'int'\n";
/// live.replace(Catalog::clone(&live.get()).with_file(orders, "app_orders.toml")?);
/// assert!(live.get().get("app_orders").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct LiveCatalog(Arc<watch::Sender<Arc<Catalog>>>);

impl LiveCatalog {
    /// A catalog to begin with.
    #[must_use]
    pub fn new(catalog: impl Into<Arc<Catalog>>) -> Self {
        Self(Arc::new(watch::Sender::new(catalog.into())))
    }

    /// The catalog as it is now.
    #[must_use]
    pub fn get(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.borrow())
    }

    /// Exchanges it. Agents that follow it start, change and end the measurements
    /// that differ, each collector after the visit that it is busy with.
    pub fn replace(&self, catalog: impl Into<Arc<Catalog>>) {
        self.0.send_replace(catalog.into());
    }

    /// A follower that takes the catalog as it is now for known.
    pub(crate) fn follow(&self) -> CatalogFollower {
        let mut receiver = self.0.subscribe();
        let known = Arc::clone(&receiver.borrow_and_update());
        CatalogFollower { known, receiver: Some(receiver) }
    }
}

/// What is different in a new catalog, of that what settings want.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CatalogChange {
    /// Measurements that are not taken any more.
    pub gone: Vec<MeasurementName>,
    /// Measurements that are new, or not as they were.
    pub new: Vec<Arc<Measurement>>,
}

impl CatalogChange {
    /// What is different between two catalogs.
    #[must_use]
    pub fn between(old: &Catalog, new: &Catalog, plan: &Plan) -> Self {
        let wanted = |catalog: &Catalog| -> BTreeMap<MeasurementName, Arc<Measurement>> {
            let wanted = catalog.iter().filter(|measurement| plan.interval_of(measurement).is_some());
            wanted.map(|measurement| (measurement.name().clone(), Arc::clone(measurement))).collect()
        };
        let (old, new) = (wanted(old), wanted(new));
        Self {
            gone: old.keys().filter(|name| !new.contains_key(*name)).cloned().collect(),
            new: new
                .into_iter()
                .filter(|(name, measurement)| old.get(name) != Some(measurement))
                .map(|(_, measurement)| measurement)
                .collect(),
        }
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }

    /// Whether a measurement is gone or not as it was.
    #[must_use]
    pub fn concerns(&self, name: &MeasurementName) -> bool {
        self.gone.contains(name) || self.new.iter().any(|measurement| measurement.name() == name)
    }
}

/// Somebody who goes along with a [`LiveCatalog`], or with none.
#[derive(Debug, Clone, Default)]
pub(crate) struct CatalogFollower {
    known: Arc<Catalog>,
    receiver: Option<watch::Receiver<Arc<Catalog>>>,
}

impl CatalogFollower {
    /// Whether there is a catalog that may change.
    pub(crate) fn is_live(&self) -> bool {
        self.receiver.is_some()
    }

    /// Waits for another catalog; for ever where there will be none. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if let Some(receiver) = &mut self.receiver {
            if receiver.changed().await.is_ok() {
                return;
            }
            self.receiver = None;
        }
        std::future::pending::<()>().await;
    }

    /// The catalog as it is now, where there is one that may change.
    #[cfg(feature = "exporter")]
    pub(crate) fn now(&self) -> Option<Arc<Catalog>> {
        self.receiver.as_ref().map(|receiver| Arc::clone(&receiver.borrow()))
    }

    /// What has changed since it was asked last.
    pub(crate) fn take(&mut self, plan: &Plan) -> CatalogChange {
        let Some(receiver) = &mut self.receiver else { return CatalogChange::default() };
        let new = Arc::clone(&receiver.borrow_and_update());
        let change = CatalogChange::between(&self.known, &new, plan);
        self.known = new;
        change
    }
}
