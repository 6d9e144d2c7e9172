//! Schemas that frames only name.
//!
//! Agents send a schema once and then its fingerprint. What was sent is
//! remembered here as long as there is room; a frame whose schema is forgotten is
//! rejected with `unknown_schema`, and its agent sends the schema again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use pganalytics_core::{Position, Schema, TenantId, frame};

/// Most columns of all schemas that are remembered, some 20 MiB; past it all
/// are forgotten.
const MAX_COLUMNS: usize = 200_000;

/// Schemas by tenant and fingerprint.
#[derive(Debug, Default)]
pub(crate) struct KnownSchemas(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    schemas: HashMap<(TenantId, u64), Arc<Schema>>,
    columns: usize,
}

impl KnownSchemas {
    /// The schemas that a push brings, and those that its frames name and that
    /// were brought before.
    pub(crate) fn of_push(
        &self,
        tenant: TenantId,
        mut brought: Vec<Arc<Schema>>,
        frames: &[(Position, Bytes)],
    ) -> Vec<Arc<Schema>> {
        let mut named: HashSet<u64> =
            frames.iter().filter_map(|(_, bytes)| frame::schema_fingerprint(bytes).ok().flatten()).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for schema in &brought {
            let fingerprint = schema.fingerprint();
            named.remove(&fingerprint);
            known.learn((tenant, fingerprint), schema);
        }
        brought.extend(named.into_iter().filter_map(|fingerprint| known.schemas.get(&(tenant, fingerprint)).cloned()));
        brought
    }
}

impl Known {
    fn learn(&mut self, key: (TenantId, u64), schema: &Arc<Schema>) {
        if self.schemas.contains_key(&key) {
            return;
        }
        let columns = schema.columns().len();
        if self.columns + columns > MAX_COLUMNS {
            self.schemas.clear();
            self.columns = 0;
        }
        self.columns += columns;
        self.schemas.insert(key, Arc::clone(schema));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use pganalytics_core::{Seq, catalog::Catalog};

    use super::*;

    #[test]
    fn a_schema_is_known_to_its_tenant_once_it_was_brought() {
        let known = KnownSchemas::default();
        let (one, other) = (TenantId::DEFAULT, TenantId::random());
        let schema = Catalog::builtin().get("pg_stat_database").unwrap().schema();
        let mut head = b"PGAF\x02\x00\x00\x40".to_vec();
        head.extend(schema.fingerprint().to_le_bytes());
        let frames: [(Position, Bytes); 1] = [(Seq(1).into(), head.into())];
        assert!(known.of_push(one, Vec::new(), &frames).is_empty());
        assert_eq!(known.of_push(one, vec![Arc::clone(schema)], &[]).len(), 1);
        assert_eq!(known.of_push(one, Vec::new(), &frames), [Arc::clone(schema)]);
        assert!(known.of_push(one, Vec::new(), &[]).is_empty(), "frames do not name it");
        assert!(known.of_push(other, Vec::new(), &frames).is_empty(), "another tenant brought none");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = KnownSchemas::default();
        let schema = Catalog::builtin().get("pg_stat_database").unwrap().schema();
        for seconds in 0..10_000 {
            let own = Schema::clone(schema).with_retention(Some(std::time::Duration::from_secs(seconds)));
            known.of_push(TenantId::DEFAULT, vec![Arc::new(own)], &[]);
            assert!(known.0.lock().unwrap().columns <= MAX_COLUMNS);
        }
        assert!(known.0.lock().unwrap().schemas.len() < 10_000);
    }
}
