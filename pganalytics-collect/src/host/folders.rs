//! Where the PostgreSQL servers of a host keep what.
//!
//! Data directories are known from the postmasters; their WAL and tablespaces
//! from the links in them, where the agent may look. What only a server can say
//! (its log's folder, and the rest where the agent may not look) the collectors
//! of servers tell by way of [`Folders`].

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::servers::Postmaster;

/// Longest time for looking: a folder may lie on a file system that is gone.
const PATIENCE: Duration = Duration::from_secs(3);
/// Tablespaces of one server that are looked at.
const MOST_LINKS: usize = 1_000;

/// What servers reported of their folders; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Folders(Arc<Mutex<BTreeMap<Arc<str>, ServerFolders>>>);

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerFolders {
    pub(crate) data: PathBuf,
    /// Further folders with their roles; relative to the data directory.
    pub(crate) others: Vec<(PathBuf, &'static str)>,
}

impl Folders {
    /// Takes what a server on this host says of itself.
    #[cfg(feature = "postgres")]
    pub(crate) fn report(&self, server: &Arc<str>, reported: ServerFolders) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(server), reported);
    }

    fn reported(&self) -> Vec<ServerFolders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Paths with their roles.
pub(super) type Roles = Vec<(PathBuf, String)>;

/// Finds out which folders there are, without waiting for dead file systems.
#[derive(Debug, Default)]
pub(super) struct Finder {
    /// What was found last.
    last: Roles,
    /// A look that has not come back.
    out: Option<Arc<AtomicBool>>,
}

impl Finder {
    /// What servers keep below `root`; what was found before when a look hangs.
    pub(super) async fn find(&mut self, root: &Path, heads: &Arc<[Postmaster]>, folders: &Folders) -> Roles {
        if self.out.as_ref().is_some_and(|came_back| !came_back.load(Ordering::Acquire)) {
            return self.last.clone();
        }
        let (sender, answer) = oneshot::channel();
        let came_back = Arc::new(AtomicBool::new(false));
        let (root, heads, reported) = (root.to_owned(), Arc::clone(heads), folders.reported());
        let flag = Arc::clone(&came_back);
        // Not a thread of the runtime's pool: that would keep it from shutting down.
        let thread = std::thread::Builder::new().name("folders".to_owned()).spawn(move || {
            let _ = sender.send(look(&root, &heads, &reported));
            flag.store(true, Ordering::Release);
        });
        if thread.is_ok() {
            self.out = Some(came_back);
            if let Ok(Ok(found)) = timeout(PATIENCE, answer).await {
                self.last = found;
            }
        }
        self.last.clone()
    }
}

/// All folders of the servers that run here, each once.
fn look(root: &Path, heads: &[Postmaster], reported: &[ServerFolders]) -> Roles {
    let mut roles = Roles::new();
    for head in heads.iter().filter(|head| !head.data_directory.is_empty()) {
        roles.extend(folders_of(root, Path::new(&head.data_directory)));
    }
    // A server that only seems to be here (a port that is passed on) names
    // folders of elsewhere; then no postmaster has them.
    let is_here = |reported: &&ServerFolders| {
        let data = resolve(root, &reported.data).ok();
        heads.iter().any(|head| {
            let folder = Path::new(&head.data_directory);
            folder == reported.data || (data.is_some() && resolve(root, folder).ok() == data)
        })
    };
    for reported in reported.iter().filter(is_here) {
        for (folder, role) in &reported.others {
            if let Some(folder) = existing(root, &reported.data.join(folder)) {
                roles.push((folder, (*role).to_owned()));
            }
        }
    }
    roles.sort();
    roles.dedup();
    roles
}

/// A data directory, and where its links lead to.
fn folders_of(root: &Path, data: &Path) -> Roles {
    let Some(found) = existing(root, data) else { return Roles::new() };
    let mut roles = vec![(found, String::from("data"))];
    if let Ok(wal) = resolve(root, &data.join("pg_wal")) {
        roles.push((wal, String::from("wal")));
    }
    let links = fs::read_dir(below(root, &data.join("pg_tblspc")));
    for link in links.into_iter().flatten().flatten().take(MOST_LINKS) {
        if let Ok(folder) = resolve(root, &data.join("pg_tblspc").join(link.file_name())) {
            roles.push((folder, String::from("tablespace")));
        }
    }
    roles
}

/// Where a path really leads to; itself where the agent may not look, nothing
/// where there is nothing.
fn existing(root: &Path, path: &Path) -> Option<PathBuf> {
    match resolve(root, path) {
        Ok(path) => Some(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(path.to_owned()),
        Err(_) => None,
    }
}

/// Follows links. Those of a host whose files are elsewhere are followed one
/// step only: they are the host's.
fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    if root == Path::new("/") {
        return fs::canonicalize(path);
    }
    match fs::read_link(below(root, path)) {
        Ok(target) => Ok(path.parent().unwrap_or(path).join(target)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(path.to_owned()),
        Err(error) => Err(error),
    }
}

/// A path of the host as it is seen from here.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::servers::{postmasters, processes};

    fn host() -> tempfile::TempDir {
        let host = tempfile::tempdir().unwrap();
        for folder in ["data/main/pg_tblspc", "fast/wal", "big/space", "var/log/pg", "proc/100"] {
            fs::create_dir_all(host.path().join(folder)).unwrap();
        }
        symlink("/fast/wal", host.path().join("data/main/pg_wal")).unwrap();
        symlink("/big/space", host.path().join("data/main/pg_tblspc/16400")).unwrap();
        let stat = "100 (postgres) S 1 1 1 0 -1 0 0 0 0 0 1 0 0 0 20 0 1 0 5 4096 2 0";
        fs::write(host.path().join("proc/100/stat"), stat).unwrap();
        fs::write(host.path().join("proc/100/cmdline"), "postgres\0-D\0/data/main\0").unwrap();
        host
    }

    fn heads(root: &Path) -> Arc<[Postmaster]> {
        postmasters(&processes(root)).into()
    }

    fn roles(found: &Roles) -> Vec<(&str, &str)> {
        found.iter().map(|(path, role)| (path.to_str().unwrap(), role.as_str())).collect()
    }

    #[tokio::test]
    async fn links_are_followed_and_servers_of_elsewhere_are_not_believed() {
        let host = host();
        let folders = Folders::default();
        let reported = |data: &str| ServerFolders {
            data: data.into(),
            others: vec![("/var/log/pg".into(), "log"), ("/no/such".into(), "log"), ("pg_wal".into(), "wal")],
        };
        folders.report(&"main".into(), reported("/data/main"));
        folders.report(&"in a container".into(), reported("/var/lib/postgresql/data"));
        let heads = heads(host.path());
        let found = Finder::default().find(host.path(), &heads, &folders).await;
        let expected =
            [("/big/space", "tablespace"), ("/data/main", "data"), ("/fast/wal", "wal"), ("/var/log/pg", "log")];
        assert_eq!(roles(&found), expected);
        let nowhere = Path::new("/no/such/root");
        assert!(Finder::default().find(nowhere, &self::heads(nowhere), &folders).await.is_empty());
    }

    #[tokio::test]
    async fn while_a_look_hangs_no_other_begins() {
        let host = host();
        let stuck = Arc::new(AtomicBool::new(false));
        let last = vec![(PathBuf::from("/data/main"), String::from("data"))];
        let mut finder = Finder { last: last.clone(), out: Some(Arc::clone(&stuck)) };
        let heads = heads(host.path());
        assert_eq!(finder.find(host.path(), &heads, &Folders::default()).await, last);
        stuck.store(true, Ordering::Release);
        assert_eq!(finder.find(host.path(), &heads, &Folders::default()).await.len(), 3);
    }
}
