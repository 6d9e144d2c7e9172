//! Your own SQL: a folder of catalog files, read again when something in it
//! changes.
//!
//! [`CatalogFolder`] reads the folder, [`LiveCatalog`] is the catalog of a running
//! agent, which can be exchanged. What stays true:
//!
//! - **Each file for itself.** A bad file is an error of its own; all others hold.
//!   A file that was good and is bad now goes on as it last was.
//! - **Whole files.** A file is taken when two looks in a row saw it unchanged, so
//!   that nobody's editor is caught in the middle of saving.
//! - **Nothing else moves.** A new catalog starts, changes and ends the measurements
//!   that differ, and no others; sessions stay open, ticks keep their rhythm.
//! - **The end is told.** The rows of a measurement that is gone are gone: an empty
//!   keyframe says so.
//! - **Bounds.** [`MAX_FILES`] files, [`MAX_FILE_BYTES`] each. Only regular files are
//!   read, and links to such files in the same folder (so a mounted ConfigMap works).
//!
//! How the files go is a measurement itself (`agent_catalog`).

mod files;
mod folder;
mod live;
mod report;
mod watch;

pub use folder::{CatalogFile, CatalogFolder, MAX_FILE_BYTES, MAX_FILES, Reloader};
pub(crate) use live::CatalogFollower;
pub use live::{CatalogChange, LiveCatalog};
pub(crate) use watch::WatchedFolder;

#[cfg(test)]
mod tests;
