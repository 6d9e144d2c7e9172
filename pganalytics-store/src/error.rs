//! Errors of stores.

use crate::sql::SqlError;

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store can't be reached or is shutting down; try again later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The disk is full. Nothing of the request was written.
    #[error("the store's disk is full: {0}")]
    DiskFull(String),
    /// A chunk can't be read: its checksum is wrong, or it makes no sense. Without it all
    /// else can ([`MetricStore::set_aside`](crate::MetricStore::set_aside)).
    #[error("chunk {chunk} is damaged: {why}")]
    Damaged {
        /// Its number.
        chunk: u64,
        /// What is wrong with it.
        why: String,
    },
    /// What the store holds can't be read.
    #[error("the store holds something it can't read: {0}")]
    Corrupt(String),
    /// The store was made by a newer version.
    #[error("the store has schema version {found}, this program knows up to {known}; start a newer version of it")]
    TooNew {
        /// Version found.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The store was made before the first release, in a format that is read no more.
    #[error(
        "the store was made before the first release, in a format that is read no more ({0}); \
         move it away and begin with an empty folder"
    )]
    TooOld(String),
    /// Something of that name is there already.
    #[error("{what} {name:?} is there already")]
    Exists {
        /// What it is, as `user`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// What it is, as `user`.
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// The SQL could not be run.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The adapter's own error.
    #[error("{context}")]
    Backend {
        /// What was being done.
        context: String,
        /// The error of the database driver.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Wraps a driver's error with what was being done.
    pub fn backend(context: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        let context = context.into();
        Self::Backend { context: format!("{context}: {source}"), source }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::DiskFull(_))
    }
}
