//! What the processes of PostgreSQL cost, by server and type.
//!
//! Processes come and go, and what they used must not go with them. So each
//! look adds what each process used since the look before to the sum of its
//! type; sums never fall. What a process used between the last look at it and
//! its end is not lost either: the kernel adds it to the postmaster's figures of
//! children that ended, and what is in there beyond what was seen is the row
//! `ended`. It is what short connections cost.
//!
//! A process that was there at the first look counts from then on; one that came
//! later counts from its start.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use pganalytics_core::{Timestamp, Value};

use super::{
    int,
    process::{Moved, Status},
    servers::{Found, Id, Postmaster, Server, postmasters, processes, servers, title},
    title::backend_type,
};

/// Servers whose sums are kept while they are down.
const MOST_SERVERS: usize = 64;
/// Processes and bytes of their memory whose pages the kernel is made to walk at
/// a look.
const MOST_WALKED: usize = 64;
const MOST_WALKED_BYTES: u64 = 4 << 30;
/// Looks after which a process's share of memory is found out again.
const PSS_LASTS: u64 = 60;

/// Counters of a process, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) cpu_user: f64,
    pub(super) cpu_system: f64,
    pub(super) read: f64,
    pub(super) written: f64,
}

impl Sums {
    fn each(self, other: Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            cpu_user: with(self.cpu_user, other.cpu_user),
            cpu_system: with(self.cpu_system, other.cpu_system),
            read: with(self.read, other.read),
            written: with(self.written, other.written),
        }
    }

    fn plus(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }

    fn minus(self, other: Self) -> Self {
        self.each(other, |a, b| a - b)
    }

    fn risen_from(self, before: Self) -> Self {
        self.each(before, |now, before| (now - before).max(0.0))
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes of years fit a float exactly enough")]
    fn new(cpu_user: f64, cpu_system: f64, moved: Option<Moved>) -> Self {
        let moved = moved.unwrap_or_default();
        Self { cpu_user, cpu_system, read: moved.read as f64, written: moved.written as f64 }
    }
}

/// What was last seen of a process.
#[derive(Debug, Clone, Copy)]
struct Seen {
    postmaster: Id,
    kind: Option<&'static str>,
    used: Sums,
    /// Bytes, and the look at which they were found out.
    pss: Option<(u64, u64)>,
}

/// What is kept of a postmaster.
#[derive(Debug, Clone, Copy, Default)]
struct Children {
    /// What its children that ended had used at the last look.
    ended: Sums,
    /// What of that was not seen before, and is not in the sums yet; less than
    /// nothing for a moment when a child is gone whose end is not counted yet.
    owed: Sums,
}

/// Processes of one type of one server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) data_directory: String,
    pub(super) kind: &'static str,
    pub(super) started: Timestamp,
    pub(super) postmaster_pid: u32,
    pub(super) processes: u32,
    pub(super) running: u32,
    pub(super) blocked: u32,
    pub(super) used: Sums,
    /// Whether what was read and written is known.
    pub(super) knows_moved: bool,
    pub(super) rss: u64,
    pub(super) rss_private: u64,
    pub(super) pss: u64,
    pub(super) pss_processes: u32,
}

impl Row {
    pub(super) fn value(&self, column: &str) -> Option<Value<'_>> {
        let is_running = self.kind != "ended";
        let count = |count: u32| Some(Value::Int(i64::from(count)));
        match column {
            "data_directory" => Some(Value::Text(&self.data_directory)),
            "backend_type" => Some(Value::Text(self.kind)),
            "started_at" => Some(Value::Timestamp(self.started.as_micros())),
            "postmaster_pid" => count(self.postmaster_pid),
            "processes" => count(self.processes),
            "running" => count(self.running),
            "blocked" => count(self.blocked),
            "cpu_user" => Some(Value::Float(self.used.cpu_user)),
            "cpu_system" => Some(Value::Float(self.used.cpu_system)),
            "rss" if is_running => Some(int(self.rss)),
            "rss_private" if is_running => Some(int(self.rss_private)),
            "pss" => (self.pss_processes > 0).then(|| int(self.pss)),
            "pss_processes" if is_running => count(self.pss_processes),
            "read_bytes" => self.knows_moved.then(|| bytes(self.used.read)),
            "written_bytes" => self.knows_moved.then(|| bytes(self.used.written)),
            _ => None,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "sums of whole numbers; a float stops at the ends of the range")]
fn bytes(sum: f64) -> Value<'static> {
    Value::Int(sum as i64)
}

/// The processes of PostgreSQL at one moment.
#[derive(Default)]
pub(super) struct Scan {
    /// What children had used that had ended, of the postmasters known before.
    known: Vec<(Id, Sums)>,
    found: Vec<Found>,
    /// The servers among them.
    pub(super) heads: Arc<[Postmaster]>,
}

/// Keeps the sums from look to look.
#[derive(Debug, Default)]
pub(super) struct ProcessAccounts {
    /// When the sums began.
    started: Option<Timestamp>,
    looks: u64,
    processes: HashMap<Id, Seen>,
    postmasters: HashMap<Id, Children>,
    sums: BTreeMap<(String, &'static str), Sums>,
}

impl ProcessAccounts {
    /// The processes of the host below `root`.
    pub(super) fn scan(&self, root: &Path) -> Scan {
        // Before their children: one that ends in between is then counted at the
        // next look instead of twice at this one.
        let known = self
            .postmasters
            .keys()
            .filter_map(|&id| {
                Some((id, ended_children(&Status::read(root, id.0).filter(|status| status.start == id.1)?)))
            })
            .collect();
        let found = processes(root);
        Scan { known, heads: postmasters(&found).into(), found }
    }

    /// Looks at processes that were just found; rows by server and type.
    pub(super) fn look(&mut self, Scan { known, found, .. }: &Scan, now: Timestamp) -> Vec<Row> {
        let servers = servers(found);
        let mut rows: BTreeMap<(String, &'static str), Row> = BTreeMap::new();
        let mut alive = HashSet::new();
        self.looks += 1;
        let mut walk = Walk { look: self.looks, processes: MOST_WALKED, bytes: MOST_WALKED_BYTES };
        for server in &servers {
            let knows_moved = server.head.status.moved().is_some();
            for member in std::iter::once(server.head).chain(server.children.iter().copied()) {
                alive.insert(member.id);
                self.add(server, member, &mut walk, &mut rows);
            }
            // A type without a process at the moment keeps its row.
            let first = (server.data_directory.clone(), "");
            for ((folder, kind), sums) in
                self.sums.range(first..).take_while(|((folder, _), _)| *folder == server.data_directory)
            {
                let row = rows.entry((folder.clone(), kind)).or_default();
                row.used = *sums;
                row.knows_moved = knows_moved && *kind != "postmaster";
            }
        }
        for ((folder, kind), row) in &mut rows {
            row.data_directory.clone_from(folder);
            row.kind = kind;
            let server = servers.iter().find(|server| server.data_directory == *folder);
            row.postmaster_pid = server.map_or(0, |server| server.head.id.0);
        }
        self.settle(&servers, known, &alive, &mut rows);
        let started = *self.started.get_or_insert(now);
        rows.into_values().map(|row| Row { started, ..row }).collect()
    }

    /// Adds what a process used since the last look to the sums of its type.
    fn add(
        &mut self,
        server: &Server<'_>,
        member: &Found,
        walk: &mut Walk,
        rows: &mut BTreeMap<(String, &'static str), Row>,
    ) {
        let status = &member.status;
        let is_head = member.id == server.head.id;
        let before = self.processes.get(&member.id).copied();
        let moved = if is_head { None } else { status.moved() };
        let used = if is_head {
            // Its children that ended are counted by themselves.
            Sums::new(status.cpu_user, status.cpu_system, None)
        } else {
            Sums::new(status.cpu_user + status.ended_user, status.cpu_system + status.ended_system, moved)
        };
        let kind = before.and_then(|seen| seen.kind).or_else(|| match is_head {
            true => Some("postmaster"),
            false => backend_type(&title(status), server.prefix()),
        });
        let start = match before {
            Some(seen) => seen.used,
            None if self.started.is_some() => Sums::default(),
            None => used,
        };
        let mut seen = Seen { postmaster: server.head.id, kind, used, pss: before.and_then(|seen| seen.pss) };
        if kind.is_none() {
            // It is charged when it is known what it is.
            seen.used = start;
        }
        walk.visit(status, &mut seen);
        self.processes.insert(member.id, seen);
        let Some(kind) = kind else { return };
        let sums = self.sums.entry((server.data_directory.clone(), kind)).or_default();
        *sums = sums.plus(used.risen_from(start));
        let row = rows.entry((server.data_directory.clone(), kind)).or_default();
        row.processes += 1;
        row.running += u32::from(status.state == b'R');
        row.blocked += u32::from(status.state == b'D');
        row.rss = row.rss.saturating_add(status.rss);
        row.rss_private =
            row.rss_private.saturating_add(status.rss.saturating_sub(status.shared().unwrap_or(status.rss)));
        row.pss = row.pss.saturating_add(seen.pss.map_or(0, |(pss, _)| pss));
        row.pss_processes += u32::from(seen.pss.is_some());
    }

    /// Counts what ended, and forgets what is gone.
    fn settle(
        &mut self,
        servers: &[Server<'_>],
        known: &[(Id, Sums)],
        alive: &HashSet<Id>,
        rows: &mut BTreeMap<(String, &'static str), Row>,
    ) {
        let mut gone: HashMap<Id, Sums> = HashMap::new();
        self.processes.retain(|id, seen| {
            let lives = alive.contains(id);
            if !lives {
                let sum = gone.entry(seen.postmaster).or_default();
                *sum = sum.plus(seen.used);
            }
            lives
        });
        let before = std::mem::take(&mut self.postmasters);
        for server in servers {
            let id = server.head.id;
            let ended = known
                .iter()
                .find(|(known, _)| *known == id)
                .map_or_else(|| ended_children(&server.head.status), |(_, ended)| *ended);
            let children = match before.get(&id) {
                Some(children) => {
                    let unseen = ended.minus(children.ended).minus(gone.get(&id).copied().unwrap_or_default());
                    Children { ended, owed: children.owed.plus(unseen) }
                }
                // A server that came since the last look: all of it is new.
                None if self.started.is_some() => Children { ended, owed: ended },
                None => Children { ended, owed: Sums::default() },
            };
            let sums = self.sums.entry((server.data_directory.clone(), "ended")).or_default();
            *sums = sums.plus(children.owed.risen_from(Sums::default()));
            let owed = children.owed.each(Sums::default(), f64::min);
            let row = rows.entry((server.data_directory.clone(), "ended")).or_default();
            row.data_directory.clone_from(&server.data_directory);
            (row.kind, row.postmaster_pid, row.used) = ("ended", id.0, *sums);
            row.knows_moved = server.head.status.moved().is_some();
            self.postmasters.insert(id, Children { owed, ..children });
        }
        let folders: HashSet<&str> = self.sums.keys().map(|(folder, _)| folder.as_str()).collect();
        if folders.len() > MOST_SERVERS {
            let current: HashSet<&str> = servers.iter().map(|server| server.data_directory.as_str()).collect();
            self.sums.retain(|(folder, _), _| current.contains(folder.as_str()));
        }
    }
}

/// How much more may be walked at this look.
struct Walk {
    look: u64,
    processes: usize,
    bytes: u64,
}

impl Walk {
    /// Finds out the process's share of memory, if it is not known of late and
    /// not too much to ask.
    fn visit(&mut self, status: &Status, seen: &mut Seen) {
        let is_known = seen.pss.is_some_and(|(_, at)| at + PSS_LASTS > self.look);
        if is_known || self.processes == 0 || status.rss > self.bytes {
            return;
        }
        self.processes -= 1;
        self.bytes -= status.rss;
        match status.pss() {
            Ok(pss) => seen.pss = Some((pss, self.look)),
            // It is the same for all.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => self.processes = 0,
            Err(_) => {}
        }
    }
}

/// What children that ended had used.
fn ended_children(status: &Status) -> Sums {
    Sums::new(status.ended_user, status.ended_system, status.moved())
}

#[cfg(test)]
#[path = "pg_processes_tests.rs"]
mod tests;
