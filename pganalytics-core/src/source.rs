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
