//! The secrets of an installation: what is missing is made at random, what is
//! there stays.
//!
//! Below the folder there is one folder for each program that reads secrets,
//! so that each can be mounted alone. A secret that two programs share lies in
//! both folders with the same value. Values hold letters, digits, `-` and `_`
//! only, so that no shell and no URL has to quote them.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use pganalytics_core::Secret;

use super::private_file::{self, Owner};
use crate::auth::random;

/// A program that reads secrets, and the user that it runs as in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// Name of its folder.
    pub name: &'static str,
    /// Its user and group.
    pub owner: Owner,
}

const fn reader(name: &'static str, id: u32) -> Reader {
    Reader { name, owner: Owner { uid: id, gid: id } }
}

/// All readers.
pub const READERS: &[Reader] = &[
    reader("server", 10_001),
    reader("collector", 10_001),
    reader("postgres", 999),
    reader("timescale", 70),
    reader("grafana", 472),
];

/// Secret and the readers that share it.
const SECRETS: &[(&str, &[&str])] = &[
    ("jwt_secret", &["server"]),
    ("backup_key", &["server"]),
    ("admin_password", &["server"]),
    ("scrape_token", &["server"]),
    ("registration_secret", &["server", "collector"]),
    ("postgres_password", &["postgres"]),
    ("monitor_password", &["postgres", "collector"]),
    ("timescale_password", &["timescale"]),
    ("grafana_password", &["grafana"]),
];

/// Words for `secrets show` and the secrets that they mean.
const SHORT: &[(&str, &str)] = &[("admin", "admin_password"), ("grafana", "grafana_password")];

/// What goes wrong with secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// A file or folder.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
    /// Two readers of a secret have different ones.
    #[error("{name} differs between {a} and {b}; keep the right one and remove the other", a = .a.display(), b = .b.display())]
    Differ {
        /// The secret.
        name: &'static str,
        /// One file.
        a: PathBuf,
        /// The other one.
        b: PathBuf,
    },
    /// There is no such secret or reader.
    #[error("there is no {what} {word:?}; there are {known}")]
    Unknown {
        /// `secret` or `reader`.
        what: &'static str,
        /// What was asked for.
        word: String,
        /// All that there are.
        known: String,
    },
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

/// A file of a secret, and whether it was made just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// `reader/name`.
    pub name: String,
    /// It was missing, and has been made.
    pub is_new: bool,
}

/// Makes what is missing for these readers (none named: for all of them).
/// Files are given to their reader when this runs as root, or to `owner`.
///
/// # Errors
/// When a folder can't be written, or files that must be equal are not. What is
/// there is never changed.
pub fn init(folder: &Path, readers: &[String], owner: Option<Owner>) -> Result<Vec<Kept>, SecretsError> {
    for word in readers {
        if !READERS.iter().any(|reader| reader.name == word) {
            let known = READERS.iter().map(|reader| reader.name).collect::<Vec<_>>().join(", ");
            return Err(SecretsError::Unknown { what: "reader", word: word.clone(), known });
        }
    }
    let wanted = |reader: &Reader| readers.is_empty() || readers.iter().any(|name| name == reader.name);
    let is_root = rustix::process::geteuid().is_root();
    for reader in READERS.iter().filter(|reader| wanted(reader)) {
        let path = folder.join(reader.name);
        let owner = owner.or(is_root.then_some(reader.owner));
        make_folder(&path, owner).map_err(|source| SecretsError::File { path, source })?;
    }
    let mut kept = Vec::new();
    for (name, of) in SECRETS {
        let files: Vec<_> = READERS.iter().filter(|reader| of.contains(&reader.name) && wanted(reader)).collect();
        let known = agreed(folder, name, of)?;
        let text = match known {
            Some(text) => text,
            None if files.is_empty() => continue,
            None => fresh()?,
        };
        for reader in files {
            let path = folder.join(reader.name).join(name);
            let is_new = !path.exists();
            if is_new {
                let owner = owner.or(is_root.then_some(reader.owner));
                private_file::write(&path, text.expose(), 0o400, owner)
                    .map_err(|source| SecretsError::File { path, source })?;
            }
            kept.push(Kept { name: format!("{}/{name}", reader.name), is_new });
        }
    }
    Ok(kept)
}

/// A secret that was made.
///
/// # Errors
/// When there is no such secret, or it has not been made.
pub fn show(folder: &Path, word: &str) -> Result<Secret<String>, SecretsError> {
    let name = SHORT.iter().find(|(short, _)| *short == word).map_or(word, |(_, name)| name);
    let Some((name, of)) = SECRETS.iter().find(|(known, _)| *known == name) else {
        let known = SECRETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        return Err(SecretsError::Unknown { what: "secret", word: word.to_owned(), known });
    };
    agreed(folder, name, of)?.ok_or_else(|| SecretsError::File {
        path: folder.join(of.first().copied().unwrap_or_default()).join(name),
        source: io::ErrorKind::NotFound.into(),
    })
}

/// The value that all readers have which have one.
fn agreed(folder: &Path, name: &'static str, of: &[&str]) -> Result<Option<Secret<String>>, SecretsError> {
    let mut first: Option<(PathBuf, Secret<String>)> = None;
    for reader in of {
        let path = folder.join(reader).join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(SecretsError::File { path, source }),
        };
        match &first {
            Some((a, known)) if known.expose() != text.expose() => {
                return Err(SecretsError::Differ { name, a: a.clone(), b: path });
            }
            Some(_) => {}
            None => first = Some((path, text)),
        }
    }
    Ok(first.map(|(_, text)| text))
}

fn make_folder(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    fs::create_dir_all(path)?;
    if let Some(Owner { uid, gid }) = owner {
        std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn fresh() -> Result<Secret<String>, SecretsError> {
    random::token().map(Secret::new).map_err(|error| SecretsError::Random(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::collections::BTreeSet;

    use super::*;

    fn own() -> Option<Owner> {
        Some(Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() })
    }

    fn values(folder: &Path) -> BTreeSet<String> {
        SECRETS.iter().filter_map(|(name, _)| show(folder, name).ok()).map(|text| text.expose().clone()).collect()
    }

    #[test]
    fn all_are_made_once_and_differ() {
        let folder = tempfile::tempdir().unwrap();
        let made = init(folder.path(), &[], own()).unwrap();
        assert!(made.iter().all(|kept| kept.is_new));
        let first = values(folder.path());
        assert_eq!(first.len(), SECRETS.len());
        assert!(first.iter().all(|text| text.len() == 43));
        let again = init(folder.path(), &[], own()).unwrap();
        assert!(again.iter().all(|kept| !kept.is_new) && again.len() == made.len());
        assert_eq!(values(folder.path()), first);
        let another = tempfile::tempdir().unwrap();
        init(another.path(), &[], own()).unwrap();
        assert!(values(another.path()).is_disjoint(&first));
    }

    #[test]
    fn only_their_reader_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        init(folder.path(), &[], own()).unwrap();
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode("server"), mode("server/jwt_secret"), mode("grafana/grafana_password")),
            (0o700, 0o400, 0o400)
        );
    }

    #[test]
    fn a_missing_one_is_made_anew_and_a_shared_one_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        init(folder.path(), &["postgres".to_owned()], own()).unwrap();
        let password = show(folder.path(), "monitor_password").unwrap();
        assert!(!folder.path().join("server").exists());
        init(folder.path(), &["collector".to_owned()], own()).unwrap();
        let copy = fs::read_to_string(folder.path().join("collector/monitor_password")).unwrap();
        assert_eq!(&copy, password.expose());
    }

    #[test]
    fn shared_ones_that_differ_are_a_mistake_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        init(folder.path(), &[], own()).unwrap();
        let path = folder.path().join("collector/monitor_password");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        let error = init(folder.path(), &[], own()).unwrap_err().to_string();
        assert!(error.contains("collector/monitor_password") && !error.contains("mine"), "{error}");
    }

    #[test]
    fn unknown_words_are_answered_with_the_known_ones() {
        let folder = tempfile::tempdir().unwrap();
        assert!(init(folder.path(), &["redis".to_owned()], None).unwrap_err().to_string().contains("grafana"));
        assert!(show(folder.path(), "root").unwrap_err().to_string().contains("jwt_secret"));
        assert!(show(folder.path(), "admin").unwrap_err().to_string().contains("server/admin_password"));
    }
}
