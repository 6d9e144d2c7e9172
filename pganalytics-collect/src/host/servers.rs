//! The PostgreSQL servers that run on a host: postmasters and their children.

use std::{
    cell::OnceCell,
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{process::Status, title::prefix_of};

/// A process for ever: its id and when it started.
pub(super) type Id = (u32, u64);

/// A process of PostgreSQL.
pub(super) struct Found {
    pub(super) id: Id,
    pub(super) status: Status,
}

/// A server, as its postmaster shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: u32,
    /// Empty where it may not be known.
    pub(super) data_directory: String,
}

/// A postmaster and its children.
pub(super) struct Server<'a> {
    pub(super) data_directory: String,
    pub(super) head: &'a Found,
    pub(super) children: Vec<&'a Found>,
    prefix: OnceCell<Option<String>>,
}

impl Server<'_> {
    /// What stands before the type in titles.
    pub(super) fn prefix(&self) -> Option<&str> {
        // The one that says it is among the first, so few titles are read.
        let read = || prefix_of(self.children.iter().map(|child| title(&child.status)));
        self.prefix.get_or_init(read).as_deref()
    }
}

/// The postmasters among these processes.
pub(super) fn postmasters(found: &[Found]) -> Vec<Postmaster> {
    servers(found)
        .into_iter()
        .map(|server| Postmaster { pid: server.head.id.0, data_directory: server.data_directory })
        .collect()
}

/// All processes that are PostgreSQL's.
pub(super) fn processes(root: &Path) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir(root.join("proc")) else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let found = pids.filter_map(|pid| {
        let status = Status::read(root, pid).filter(|status| is_postgres(&status.name))?;
        Some(Found { id: (pid, status.start), status })
    });
    found.collect()
}

/// `postgres`, `postmaster`, and those of vendors as `edb-postgres`.
fn is_postgres(name: &str) -> bool {
    name.ends_with("postgres") || name.ends_with("postmaster")
}

/// Postmasters are those whose parent is no PostgreSQL.
pub(super) fn servers(found: &[Found]) -> Vec<Server<'_>> {
    let of: HashMap<u32, &Found> = found.iter().map(|found| (found.id.0, found)).collect();
    let mut children: HashMap<u32, Vec<&Found>> = HashMap::new();
    let mut heads = Vec::new();
    for process in found {
        match of.get(&process.status.parent) {
            Some(parent) => children.entry(parent.id.0).or_default().push(process),
            None => heads.push(process),
        }
    }
    heads.sort_by_key(|head| head.id.0);
    let mut servers: Vec<Server<'_>> = Vec::with_capacity(heads.len());
    for head in heads {
        let mut data_directory = data_directory(&head.status).unwrap_or_default();
        // Containers may call different folders the same.
        if servers.iter().any(|server| server.data_directory == data_directory) {
            data_directory = format!("{data_directory} (process {})", head.id.0);
        }
        let children = children.remove(&head.id.0).unwrap_or_default();
        servers.push(Server { data_directory, head, children, prefix: OnceCell::new() });
    }
    servers
}

/// The postmaster's working folder, or what its command line says.
fn data_directory(status: &Status) -> Option<String> {
    let given = || {
        let arguments = status.arguments();
        let at = arguments.iter().position(|argument| argument == "-D")?;
        Some(PathBuf::from(arguments.get(at + 1)?))
    };
    let folder = status.working_folder().or_else(given).filter(|folder| folder.is_absolute())?;
    Some(folder.to_string_lossy().into_owned())
}

/// What a process says that it is.
pub(super) fn title(status: &Status) -> String {
    status.arguments().into_iter().next().unwrap_or_default()
}
