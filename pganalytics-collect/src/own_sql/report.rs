//! How the files of the folder go, as samples (`agent_catalog`).

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pganalytics_core::{
    Source, Value,
    catalog::{Catalog, Measurement},
};
use tokio::time::Instant;

use super::folder::CatalogFile;
use crate::{
    collector::{CollectContext, Collected, Collector},
    error::CollectError,
    scrape::full_scrape,
};

/// How each file goes, for whoever asks.
pub(super) type Files = Arc<Mutex<Vec<CatalogFile>>>;

/// The collector of `agent_catalog`.
pub(crate) struct FileReports {
    pub(super) source: Source,
    pub(super) files: Files,
}

#[async_trait]
impl Collector for FileReports {
    fn name(&self) -> &'static str {
        "catalog files"
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        Catalog::builtin().get("agent_catalog").cloned().into_iter().collect()
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let started = Instant::now();
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut collected = Collected::default();
        for measurement in self.measurements() {
            let batch = full_scrape(&measurement, self.source.clone(), cx.now, &files, |file, column| match column {
                "file" => Some(Value::Text(&file.name)),
                "ok" => Some(Value::Bool(file.error.is_none())),
                "error" => file.error.as_deref().map(Value::Text),
                "measurement" => file.measurement.as_ref().map(|name| Value::Text(name.as_str())),
                "loaded_at" => file.loaded_at.map(|at| Value::Timestamp(at.as_micros())),
                _ => None,
            })?;
            collected.add(&measurement, &self.source, started.elapsed(), Ok(batch));
        }
        Ok(collected)
    }
}
