//! Visits pgBackRest.

use std::sync::Arc;

use async_trait::async_trait;
use pganalytics_core::{
    Batch, InstanceId, ModelError, ServerId, Source, Timestamp, Value,
    catalog::{Catalog, Measurement},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    info::{self, BackupRow, InfoRow},
    program::{self, Fault},
    settings::PgBackRestConfig,
};
use crate::{
    collector::{CollectContext, Collected, Collector, Outcome},
    error::CollectError,
    scrape::full_scrape,
};

const MEASUREMENTS: &[&str] = &["pgbackrest_info", "pgbackrest_backup"];

/// Collects `pgbackrest_info` and `pgbackrest_backup`.
#[derive(Debug)]
pub struct PgBackRestCollector {
    name: String,
    config: PgBackRestConfig,
    source: Source,
}

impl PgBackRestCollector {
    /// A collector whose figures stand under the host, or under a name of their
    /// own where the settings have one.
    #[must_use]
    pub fn new(config: PgBackRestConfig, host: &Source) -> Self {
        let mut source = host.clone();
        if let Some(name) = &config.name {
            source.server_id =
                ServerId::from_uuid(Uuid::new_v5(&host.server_id.as_uuid(), format!("pgbackrest {name}").as_bytes()));
            source.instance_id = InstanceId::of_address(source.server_id, name);
            source.server = name.as_str().into();
        }
        Self { name: format!("pgbackrest {}", source.server), config, source }
    }

    /// The source of its batches.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    async fn rows(&self) -> Result<Vec<InfoRow>, Fault> {
        let json = program::run(&self.config).await?;
        let rows = info::read(&json).map_err(Fault::Failed)?;
        if rows.is_empty() {
            let message =
                "pgBackRest knows of no stanza; name one in pgbackrest.conf, or the file in the setting config";
            return Err(Fault::Failed(message.to_owned()));
        }
        Ok(rows)
    }

    fn batch(&self, measurement: &Measurement, now: Timestamp, rows: &[InfoRow]) -> Result<Batch, ModelError> {
        if measurement.name().as_str() == "pgbackrest_info" {
            return full_scrape(measurement, self.source.clone(), now, rows, of_info);
        }
        let mut backups: Vec<&BackupRow> = rows.iter().flat_map(|row| &row.backups).collect();
        // What is beyond the limit is oldest.
        backups.sort_by_key(|backup| std::cmp::Reverse(backup.stopped));
        full_scrape(measurement, self.source.clone(), now, &backups, |backup, column| of_backup(backup, column))
    }
}

fn text(value: Option<&String>) -> Option<Value<'_>> {
    value.map(|value| Value::Text(value))
}

fn time(seconds: Option<i64>) -> Option<Value<'static>> {
    seconds.map(|seconds| Value::Timestamp(Timestamp::from_secs(seconds).as_micros()))
}

#[expect(clippy::cast_precision_loss, reason = "a backup takes less than millions of years")]
fn length(seconds: Option<i64>) -> Option<Value<'static>> {
    seconds.map(|seconds| Value::Float(seconds as f64))
}

fn count(rows: usize) -> Option<Value<'static>> {
    i64::try_from(rows).ok().map(Value::Int)
}

fn of_info<'a>(row: &'a InfoRow, column: &str) -> Option<Value<'a>> {
    let last = row.last();
    match column {
        "stanza" => Some(Value::Text(&row.stanza)),
        "repo" => Some(Value::Text(&row.repo)),
        "status_code" => Some(Value::Int(row.status_code)),
        "status" => Some(Value::Text(&row.status)),
        "cipher" => text(row.cipher.as_ref()),
        "pg_version" => text(row.pg_version.as_ref()),
        "system_identifier" => text(row.system_identifier.as_ref()),
        "backup_running" => Some(Value::Bool(row.backup_running)),
        "backup_done_bytes" => row.backup_done.map(Value::Int),
        "backup_total_bytes" => row.backup_total.map(Value::Int),
        "backups" => count(row.backups.len()),
        "full_backups" => count(row.count(|backup| backup.kind == "full")),
        "failed_backups" => count(row.count(|backup| backup.error == Some(true))),
        "last_backup" => time(last?.stopped),
        "last_full" => time(row.last_of("full")),
        "last_diff" => time(row.last_of("diff")),
        "last_incr" => time(row.last_of("incr")),
        "last_type" => Some(Value::Text(&last?.kind)),
        "last_duration" => length(last?.duration()),
        "last_size" => last?.size.map(Value::Int),
        "last_delta" => last?.delta.map(Value::Int),
        "last_repo_size" => last?.repo_size.map(Value::Int),
        "last_repo_delta" => last?.repo_delta.map(Value::Int),
        "last_error" => last?.error.map(Value::Bool),
        "wal_min" => text(row.wal_min.as_ref()),
        "wal_max" => text(row.wal_max.as_ref()),
        "wal_covers_backups" => row.wal_covers_backups.map(Value::Bool),
        _ => None,
    }
}

fn of_backup<'a>(row: &'a BackupRow, column: &str) -> Option<Value<'a>> {
    match column {
        "stanza" => Some(Value::Text(&row.stanza)),
        "repo" => Some(Value::Text(&row.repo)),
        "label" => Some(Value::Text(&row.label)),
        "type" => Some(Value::Text(&row.kind)),
        "prior" => text(row.prior.as_ref()),
        "started_at" => time(row.started),
        "stopped_at" => time(row.stopped),
        "duration" => length(row.duration()),
        "error" => row.error.map(Value::Bool),
        "size" => row.size.map(Value::Int),
        "delta" => row.delta.map(Value::Int),
        "repo_size" => row.repo_size.map(Value::Int),
        "repo_delta" => row.repo_delta.map(Value::Int),
        "wal_start" => text(row.wal_start.as_ref()),
        "wal_stop" => text(row.wal_stop.as_ref()),
        "lsn_start" => text(row.lsn_start.as_ref()),
        "lsn_stop" => text(row.lsn_stop.as_ref()),
        "pg_version" => text(row.pg_version.as_ref()),
        "backrest_version" => text(row.backrest_version.as_ref()),
        _ => None,
    }
}

#[async_trait]
impl Collector for PgBackRestCollector {
    fn name(&self) -> &str {
        &self.name
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        MEASUREMENTS.iter().filter_map(|name| Catalog::builtin().get(name).cloned()).collect()
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let began = Instant::now();
        let mut collected = Collected::default();
        let rows = Box::pin(self.rows()).await;
        for measurement in self.measurements().iter().filter(|measurement| cx.due.contains(measurement.name())) {
            let found = match &rows {
                Ok(rows) => self.batch(measurement, cx.now, rows).map_err(Outcome::failed),
                Err(Fault::Missing(reason)) => Err(Outcome::Unsupported { reason: reason.clone() }),
                Err(Fault::Failed(message)) => Err(Outcome::failed(message)),
            };
            collected.add(measurement, &self.source, began.elapsed(), found);
        }
        Ok(collected)
    }
}
