//! The measurements that come with this crate.

use std::sync::LazyLock;

use super::{error::CatalogError, set::Catalog};

include!(concat!(env!("OUT_DIR"), "/catalog_files.rs"));

static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| {
    // build.rs has put the same files through the same code.
    let (catalog, errors) = Catalog::default().with_files(FILES.iter().copied());
    debug_assert!(errors.is_empty(), "{errors:?}");
    catalog
});

impl Catalog {
    /// The measurements that come with this crate.
    ///
    /// ```
    /// use pganalytics_core::catalog::Catalog;
    /// let tables = Catalog::builtin().get("pg_stat_user_tables").unwrap();
    /// assert_eq!(tables.hypertable(), "metrics_pg_stats_table");
    /// ```
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The measurements that come with this crate and users' files, as
    /// `(file, text)`. Each bad file is an error and the others are taken. A
    /// user's file can't take the name of a measurement that is there.
    #[must_use]
    pub fn load_files<F, T>(files: impl IntoIterator<Item = (F, T)>) -> (Self, Vec<CatalogError>)
    where
        F: AsRef<str>,
        T: AsRef<str>,
    {
        Self::builtin().clone().with_files(files)
    }
}
