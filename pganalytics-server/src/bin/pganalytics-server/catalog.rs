//! The user's own measurement files.

use std::path::Path;

use pganalytics_core::catalog::Catalog;

/// The built-in catalog and the files of the folder. What is wrong with a file
/// is logged, and the others are taken.
pub(crate) fn load(folder: Option<&Path>) -> Catalog {
    let Some(folder) = folder else { return Catalog::builtin().clone() };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!("catalog_dir: {}: {error}; only the built-in measurements are known", folder.display());
            return Catalog::builtin().clone();
        }
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let files = paths.into_iter().filter_map(|path| match std::fs::read_to_string(&path) {
        Ok(text) => Some((path.display().to_string(), text)),
        Err(error) => {
            tracing::error!("a catalog file is left out: {}: {error}", path.display());
            None
        }
    });
    let (catalog, faults) = Catalog::load_files(files);
    for fault in faults {
        tracing::error!("a catalog file is left out: {fault}");
    }
    catalog
}
