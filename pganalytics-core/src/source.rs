//! Where a sample comes from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, ServerId};

/// Which server, which member of it and which database a batch speaks of.
///
/// In SQL these are the columns `server_id`, `instance_id`, `server` and
/// `database_name` of every measurement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The cluster, or the host for measurements of a host.
    pub server_id: ServerId,
    /// The member of the cluster.
    pub instance_id: InstanceId,
    /// The name that people gave to the server.
    pub server: Arc<str>,
    /// The database, for measurements that are taken in each database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
}

impl Source {
    /// What belongs to a host or an application as a whole, by its name.
    ///
    /// ```
    /// use pganalytics_core::{ServerId, Source};
    ///
    /// let shop = Source::host("shop");
    /// assert_eq!((shop.server_id, &*shop.server), (ServerId::of_host("shop"), "shop"));
    /// ```
    #[must_use]
    pub fn host(name: &str) -> Self {
        let server_id = ServerId::of_host(name);
        let instance_id = InstanceId::of_address(server_id, name);
        Self { server_id, instance_id, server: name.into(), database: None }
    }
}
