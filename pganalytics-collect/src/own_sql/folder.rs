//! A folder of catalog files, and what holds of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use pganalytics_core::{
    MeasurementName, Timestamp,
    catalog::{Catalog, CatalogError, Measurement},
};
use tokio::sync::Notify;

use super::files::{self, Stamp};
use crate::error::CollectError;
#[cfg(feature = "exporter")]
use crate::exporter::names::{Conflict, Names};

/// Most files of a folder.
pub const MAX_FILES: usize = 500;

/// Most bytes of a file.
pub const MAX_FILE_BYTES: u64 = 64 * 1024;

/// How a file of the folder goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogFile {
    /// Its name in the folder.
    pub name: String,
    /// What is wrong with it as it stands on disk: where, what to do.
    pub error: Option<String>,
    /// The measurement that is taken from it, as it stands or as it last was good.
    pub measurement: Option<MeasurementName>,
    /// When the version that holds was read.
    pub loaded_at: Option<Timestamp>,
}

/// A version of a file that holds.
#[derive(Debug, Clone)]
struct ValidVersion {
    text: Arc<str>,
    measurement: MeasurementName,
    loaded_at: Timestamp,
}

/// What is known of a file.
#[derive(Debug, Clone)]
struct Known {
    stamp: Result<Stamp, String>,
    text: Result<Arc<str>, String>,
    good: Option<ValidVersion>,
    fault: Option<Fault>,
}

/// What is wrong with a file.
#[derive(Debug, Clone)]
enum Fault {
    /// It can't be read.
    File(String),
    /// What it says is wrong.
    Line(CatalogError),
}

/// A folder of catalog files, read again when something in it changes.
///
/// It does nothing by itself: an agent that was given it
/// ([`AgentBuilder::catalog_folder`](crate::AgentBuilder::catalog_folder)) looks
/// every two seconds.
///
/// ```no_run
/// use pganalytics_collect::{
///     Agent,
///     own_sql::CatalogFolder,
///     postgres::{PostgresConfig, PostgresServer},
/// };
///
/// let folder = CatalogFolder::open("/etc/pganalytics/measurements");
/// for file in folder.files().iter().filter(|file| file.error.is_some()) {
///     eprintln!("{}: {}", file.name, file.error.as_deref().unwrap_or_default());
/// }
/// let main = PostgresConfig::from_url("postgres://monitor@db1/postgres")?;
/// let agent = Agent::builder()
///     .server(PostgresServer::new(main, folder.catalog().iter().cloned()))
///     .catalog_folder(folder);
/// # Ok::<(), pganalytics_collect::CollectError>(())
/// ```
#[derive(Debug, Clone)]
pub struct CatalogFolder {
    path: PathBuf,
    known: BTreeMap<String, Known>,
    /// What the last look saw where it differs from what was read: it is read
    /// when the next look sees the same.
    unsettled: BTreeMap<String, Result<Stamp, String>>,
    /// Why the folder itself can't be read.
    trouble: Option<String>,
    catalog: Arc<Catalog>,
    reload: Arc<Notify>,
}

/// Makes the agent look at its folder at once, as on SIGHUP.
#[derive(Debug, Clone)]
pub struct Reloader(Arc<Notify>);

impl Reloader {
    /// Look now, and take what is there as it is.
    pub fn reload(&self) {
        self.0.notify_one();
    }
}

impl CatalogFolder {
    /// Reads a folder: its files and the built-in catalog. What is wrong is in
    /// [`files`](Self::files) and [`errors`](Self::errors).
    #[must_use]
    pub fn open(path: impl Into<PathBuf>) -> Self {
        let mut folder = Self {
            path: path.into(),
            known: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            trouble: None,
            catalog: Arc::new(Catalog::builtin().clone()),
            reload: Arc::new(Notify::new()),
        };
        folder.look(true);
        folder
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The built-in catalog and the measurements of the files that hold.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// How each file goes, by name.
    #[must_use]
    pub fn files(&self) -> Vec<CatalogFile> {
        let file = |(name, known): (&String, &Known)| CatalogFile {
            name: name.clone(),
            error: known.fault.as_ref().map(|fault| match fault {
                Fault::File(problem) => problem.clone(),
                Fault::Line(error) => format!("line {}: {}: {}", error.line(), error.field(), error.problem()),
            }),
            measurement: known.good.as_ref().map(|good| good.measurement.clone()),
            loaded_at: known.good.as_ref().map(|good| good.loaded_at),
        };
        self.known.iter().map(file).collect()
    }

    /// What is wrong, file by file.
    #[must_use]
    pub fn errors(&self) -> Vec<CollectError> {
        let host = |path: PathBuf, message: &str| CollectError::Host {
            path: path.display().to_string(),
            source: io::Error::other(message.to_owned()),
        };
        let folder = self.trouble.iter().map(|trouble| host(self.path.clone(), trouble));
        let files = self.known.iter().filter_map(|(name, known)| match known.fault.as_ref()? {
            Fault::File(problem) => Some(host(self.path.join(name), problem)),
            Fault::Line(error) => Some(CollectError::from(error.clone())),
        });
        folder.chain(files).collect()
    }

    /// Makes the agent that has it look at once.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.reload))
    }

    pub(super) fn reload_wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Why the folder itself can't be read.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Looks at the folder and says whether something that holds, or an error,
    /// is different now. A file that was saved since the last look is taken at the
    /// next one, unless it shall be taken `at_once`.
    pub fn look(&mut self, at_once: bool) -> bool {
        let entries = match files::list(&self.path) {
            Ok(entries) => entries,
            Err(error) => {
                // A folder that can't be read says nothing of its files: they go on.
                let trouble = Some(error.to_string());
                let new = self.trouble != trouble;
                self.trouble = trouble;
                return new;
            }
        };
        let mut changed = self.trouble.take().is_some();
        let before = self.known.len();
        let there: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        self.known.retain(|name, _| there.contains(name.as_str()));
        changed |= self.known.len() != before;

        let seen = std::mem::take(&mut self.unsettled);
        for entry in entries {
            if self.known.get(&entry.name).is_some_and(|known| known.stamp == entry.stamp) {
                continue;
            }
            if !at_once && seen.get(&entry.name) != Some(&entry.stamp) {
                self.unsettled.insert(entry.name, entry.stamp);
                continue;
            }
            changed = true;
            let path = self.path.join(&entry.name);
            let text = entry.stamp.clone().and_then(|_| files::read(&path).map(Arc::from));
            let good = self.known.remove(&entry.name).and_then(|known| known.good);
            self.known.insert(entry.name, Known { stamp: entry.stamp, text, good, fault: None });
        }
        if changed {
            self.judge();
        }
        changed
    }

    /// Finds what holds: each file as it stands, or else as it last was good.
    fn judge(&mut self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let mut faults: BTreeMap<String, Fault> = BTreeMap::new();
        for (name, known) in &self.known {
            if let Err(problem) = &known.text {
                faults.insert(name.clone(), Fault::File(problem.clone()));
            }
        }
        let (mut catalog, bad) = self.catalog_of(|_, known| known.text.as_ref().ok());
        let mut without = BTreeSet::new();
        faults.extend(bad);
        if !faults.is_empty() {
            let (again, bad) = self.catalog_of(|name, known| {
                let good = known.good.as_ref().map(|good| &good.text);
                if faults.contains_key(name) { good } else { known.text.as_ref().ok() }
            });
            catalog = again;
            // A last good version may be of no use any more, or in the way of
            // another file.
            without.extend(bad.keys().cloned());
            for (name, fault) in bad {
                faults.entry(name).or_insert(fault);
            }
        }
        for (name, known) in &mut self.known {
            known.fault = faults.remove(name);
            if without.contains(name) {
                known.good = None;
            }
            if let (None, Ok(text)) = (&known.fault, &known.text)
                && known.good.as_ref().is_none_or(|good| good.text != *text)
                && let Ok(measurement) = Measurement::parse(text, name)
            {
                let measurement = measurement.name().clone();
                known.good = Some(ValidVersion { text: Arc::clone(text), measurement, loaded_at: now });
            }
        }
        self.catalog = Arc::new(catalog);
    }

    /// The catalog that these texts of the files make, and what is wrong by file.
    /// Files that hold already come first: a new one can't take their names.
    fn catalog_of<'a>(
        &'a self,
        text: impl Fn(&str, &'a Known) -> Option<&'a Arc<str>>,
    ) -> (Catalog, BTreeMap<String, Fault>) {
        let mut order: Vec<_> = self.known.iter().collect();
        order.sort_by_key(|(_, known)| known.good.is_none());
        let texts = order
            .into_iter()
            .filter_map(|(name, known)| Some((self.path.join(name).display().to_string(), text(name, known)?)));
        let mut conflicts = Vec::new();
        #[cfg(feature = "exporter")]
        let texts: Vec<_> = {
            let mut names = Names::builtin();
            texts
                .filter(|(file, text)| conflict(&mut names, file, text).map(|found| conflicts.push(found)).is_none())
                .collect()
        };
        let (catalog, mut errors) = Catalog::load_files(texts);
        errors.append(&mut conflicts);
        let by_file: BTreeMap<String, CatalogError> =
            errors.into_iter().map(|error| (error.file().to_owned(), error)).collect();
        let fault = |name: &String| {
            let error = by_file.get(&self.path.join(name).display().to_string())?;
            Some((name.clone(), Fault::Line(error.clone())))
        };
        (catalog, self.known.keys().filter_map(fault).collect())
    }
}

/// What of a file would be called for Prometheus as something else is.
#[cfg(feature = "exporter")]
fn conflict(names: &mut Names, file: &str, text: &str) -> Option<CatalogError> {
    let measurement = Measurement::parse(text, file).ok()?;
    // Said by the catalog itself.
    if Catalog::builtin().get(measurement.name().as_str()).is_some() {
        return None;
    }
    let Conflict { column, problem } = names.add(&measurement).err()?;
    let named = |line: &str, value: &str| {
        line.split_once('=')
            .is_some_and(|(key, text)| key.trim() == "name" && text.split(['"', '\'']).nth(1) == Some(value))
    };
    let value = column.as_deref().unwrap_or(measurement.name().as_str());
    let line = text.lines().position(|line| named(line, value)).map_or(1, |at| at + 1);
    let field = column.as_ref().map_or_else(|| String::from("name"), |column| format!("column {column}: name"));
    Some(CatalogError::new(file, line, field, problem))
}
