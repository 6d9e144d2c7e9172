//! Which files of a folder are logs.

use std::path::{Path, PathBuf};

/// A path whose last part may hold `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    folder: PathBuf,
    name: String,
}

impl Pattern {
    /// From a path as people write it; `None` when it is not absolute, or has
    /// wildcards in its folders.
    pub(crate) fn new(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/')?;
        let absolute = path.starts_with('/') && !name.is_empty() && !folder.contains(['*', '?']);
        let folder = if folder.is_empty() { "/" } else { folder };
        absolute.then(|| Self { folder: folder.into(), name: name.to_owned() })
    }

    /// The files of `log_filename` in `log_directory`; the collector puts another
    /// ending in place of `.log` for csvlog and jsonlog.
    pub(crate) fn of_settings(folder: PathBuf, log_filename: &str, ending: Option<&str>) -> Self {
        let mut name = String::new();
        let mut letters = log_filename.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => match letters.next() {
                    Some('%') => name.push('%'),
                    _ => name.push('*'),
                },
                letter => name.push(letter),
            }
        }
        if let Some(ending) = ending {
            let plain = name.strip_suffix(".log").unwrap_or(&name);
            name = format!("{plain}{ending}");
        }
        Self { folder, name }
    }

    /// Where it looks.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it means this file. What is compressed it never means.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let compressed = [".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z"];
        path.parent() == Some(&self.folder)
            && path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
                !compressed.iter().any(|ending| name.ends_with(ending))
                    && wildcards(self.name.as_bytes(), name.as_bytes())
            })
    }
}

/// `*` is any text, `?` one byte. Linear: it goes back to the last star only.
fn wildcards(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(t) {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(&wanted), _) if wanted == byte || wanted == b'?' => {
                p += 1;
                t += 1;
            }
            (_, Some((at, from))) => {
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
            _ => return false,
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|&rest| rest == b'*')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_as_the_collector_makes_them() {
        let name = |given: &str, ending| Pattern::of_settings("/l".into(), given, ending).name;
        assert_eq!(name("postgresql-%Y-%m-%d_%H%M%S.log", None), "postgresql-*-*-*_***.log");
        assert_eq!(name("postgresql-%a.log", Some(".csv")), "postgresql-*.csv");
        assert_eq!(name("log", Some(".json")), "log.json");
        assert_eq!(name("100%%", None), "100%");
    }

    #[test]
    fn paths_as_people_write_them() {
        let pattern = Pattern::new("/var/log/postgresql/*-main.log").unwrap();
        assert!(pattern.matches(Path::new("/var/log/postgresql/postgresql-15-main.log")));
        assert!(!pattern.matches(Path::new("/var/log/postgresql/postgresql-15-other.log")));
        assert!(!pattern.matches(Path::new("/var/log/postgresql-15-main.log")));
        assert!(!Pattern::new("/l/*").unwrap().matches(Path::new("/l/a.log.1.gz")));
        assert!(Pattern::new("*.log").is_none() && Pattern::new("/var/*/a.log").is_none());
        assert!(Pattern::new("/l/").is_none());
    }
}
