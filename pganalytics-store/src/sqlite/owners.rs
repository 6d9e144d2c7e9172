//! Handing instances over from one collector to another.

use pganalytics_core::{CollectorId, TenantId, Timestamp};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{error::Doing, names::Memory, value::Id};
use crate::{error::StoreError, metric_store::Owned};

/// Gives what is `owned` to a collector, or to whoever comes first.
pub(super) fn hand_over(
    connection: &Connection,
    memory: &mut Memory,
    tenant: TenantId,
    owned: Owned,
    to: Option<CollectorId>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let (column, id): (_, Uuid) = match owned {
        Owned::By(collector) => ("collector", collector.as_uuid()),
        Owned::Server(server) => ("server_id", server.as_uuid()),
    };
    let write = || match to {
        Some(to) => connection.execute(
            &format!("UPDATE owners SET collector = ?3, heard_at = ?4 WHERE tenant = ?1 AND {column} = ?2"),
            params![Id(tenant.as_uuid()), Id(id), Id(to.as_uuid()), now.as_micros()],
        ),
        None => connection.execute(
            &format!("DELETE FROM owners WHERE tenant = ?1 AND {column} = ?2"),
            params![Id(tenant.as_uuid()), Id(id)],
        ),
    };
    memory.forget_owners();
    let changed = write().doing("handing over")?;
    Ok(changed as u64)
}
