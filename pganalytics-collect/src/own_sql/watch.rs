//! Looks at the folder of a running agent again and again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pganalytics_core::Source;
use tokio::{task::spawn_blocking, time::sleep};
use tracing::{error, info, warn};

use super::{
    folder::CatalogFolder,
    live::LiveCatalog,
    report::{FileReports, Files},
};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// A folder whose catalog an agent follows.
#[derive(Debug)]
pub(crate) struct WatchedFolder {
    folder: CatalogFolder,
    live: LiveCatalog,
    files: Files,
}

impl WatchedFolder {
    pub(crate) fn new(folder: CatalogFolder) -> Self {
        let live = LiveCatalog::new(Arc::clone(folder.catalog()));
        let files = Arc::new(Mutex::new(folder.files()));
        Self { folder, live, files }
    }

    pub(crate) fn live(&self) -> &LiveCatalog {
        &self.live
    }

    /// The collector that says how its files go.
    pub(crate) fn reports(&self, source: Source) -> FileReports {
        FileReports { source, files: Arc::clone(&self.files) }
    }

    /// Looks until it is dropped. A folder on a file system that hangs holds up
    /// nothing but itself.
    pub(crate) async fn watch(self) {
        let Self { mut folder, live, files } = self;
        let reload = folder.reload_wanted();
        let mut said = LoggedState::of(&folder);
        loop {
            let at_once = tokio::select! {
                () = reload.notified() => true,
                () = sleep(EVERY) => false,
            };
            let looked = spawn_blocking(move || {
                let changed = folder.look(at_once);
                (folder, changed)
            });
            let changed = match looked.await {
                Ok((back, changed)) => {
                    folder = back;
                    changed
                }
                Err(fault) => {
                    error!(%fault, "the folder of catalog files is not looked at any more; restart the agent");
                    return;
                }
            };
            if at_once {
                info!(folder = %folder.path().display(), files = folder.files().len(), changed, "catalog files are read again");
            }
            if changed {
                said.changes(&folder);
                *files.lock().unwrap_or_else(PoisonError::into_inner) = folder.files();
                live.replace(Arc::clone(folder.catalog()));
            }
        }
    }
}

/// What was said of the files, so that each change is said once.
struct LoggedState {
    trouble: Option<String>,
    errors: BTreeMap<String, String>,
}

impl LoggedState {
    fn of(folder: &CatalogFolder) -> Self {
        let error = |file: super::CatalogFile| Some((file.name, file.error?));
        Self {
            trouble: folder.trouble().map(str::to_owned),
            errors: folder.files().into_iter().filter_map(error).collect(),
        }
    }

    fn changes(&mut self, folder: &CatalogFolder) {
        let new = Self::of(folder);
        if let Some(trouble) = new.trouble.as_deref().filter(|_| new.trouble != self.trouble) {
            warn!(folder = %folder.path().display(), "the folder of catalog files can't be read, what was read goes on: {trouble}");
        }
        for file in folder.files() {
            let (before, now) = (self.errors.get(&file.name), new.errors.get(&file.name));
            let goes_on = file.measurement.is_some();
            match now {
                Some(error) if before != Some(error) => {
                    warn!(file = file.name, goes_on, "a catalog file is bad: {error}");
                }
                None if before.is_some() => info!(file = file.name, "a catalog file is good again"),
                _ => {}
            }
        }
        *self = new;
    }
}
