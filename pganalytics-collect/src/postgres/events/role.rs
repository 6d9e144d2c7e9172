//! A server that was promoted, or became a standby.

use std::collections::BTreeMap;

use pganalytics_core::{Batch, InstanceId, Value};

use super::{Event, Watcher};

/// Remembers whether each server was in recovery.
#[derive(Default)]
pub(super) struct RoleWatcher {
    in_recovery: BTreeMap<InstanceId, bool>,
}

impl Watcher for RoleWatcher {
    fn measurement(&self) -> &'static str {
        "pg_server"
    }

    fn see(&mut self, batch: &Batch) -> Vec<Event> {
        let column = batch.schema.position("in_recovery");
        let Some(Value::Bool(now)) = column.filter(|_| !batch.rows.is_empty()).map(|at| batch.rows.get(0, at)) else {
            return Vec::new();
        };
        match self.in_recovery.insert(batch.source.instance_id, now) {
            Some(before) if before != now => {
                let (old, new) = (Some(role(before).to_owned()), Some(role(now).to_owned()));
                vec![Event { kind: "role", object: String::new(), old, new }]
            }
            _ => Vec::new(),
        }
    }
}

fn role(in_recovery: bool) -> &'static str {
    if in_recovery { "standby" } else { "primary" }
}
