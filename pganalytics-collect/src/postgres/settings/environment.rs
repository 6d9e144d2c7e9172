//! What surrounds the process.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

type Variable<'a> = Box<dyn Fn(&str) -> Option<String> + Send + Sync + 'a>;
type File<'a> = Box<dyn Fn(&Path) -> io::Result<String> + Send + Sync + 'a>;

/// Variables and files, as the process sees them or as a test makes them up.
pub struct Environment<'a> {
    variable: Variable<'a>,
    file: File<'a>,
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

impl Environment<'static> {
    /// The variables and files of this process.
    #[must_use]
    pub fn process() -> Self {
        Self::new(|name| std::env::var(name).ok(), |path| std::fs::read_to_string(path))
    }

    /// No variables, no files.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(|_| None, |_| Err(io::ErrorKind::NotFound.into()))
    }
}

impl<'a> Environment<'a> {
    /// Variables and files from functions.
    pub fn new(
        variable: impl Fn(&str) -> Option<String> + Send + Sync + 'a,
        file: impl Fn(&Path) -> io::Result<String> + Send + Sync + 'a,
    ) -> Self {
        Self { variable: Box::new(variable), file: Box::new(file) }
    }

    /// A variable; `None` when it is unset or empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// The text of a file.
    ///
    /// # Errors
    /// The system's.
    pub fn file(&self, path: &Path) -> io::Result<String> {
        (self.file)(path)
    }

    /// A file in the home folder.
    pub(super) fn home(&self, name: &str) -> Option<PathBuf> {
        self.variable("HOME").map(|home| Path::new(&home).join(name))
    }
}
