//! What is wrong with a catalog file.

/// What is wrong with a catalog file, where, and what to do about it.
///
/// ```
/// use pganalytics_core::catalog::Measurement;
/// let error = Measurement::parse("name = \"Orders\"\n", "orders.toml").unwrap_err();
/// assert_eq!((error.file(), error.line(), error.field()), ("orders.toml", 1, "name"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {field}: {problem}")]
pub struct CatalogError {
    file: String,
    line: usize,
    field: String,
    problem: String,
}

impl CatalogError {
    /// That a field at a line of a file has this problem; lines count from 1.
    pub fn new(file: &str, line: usize, field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, field: field.into(), problem: problem.into() }
    }

    /// The file, as it was called when it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The field: `interval`, or `column seq_scan: kind`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong and what to write instead.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}
