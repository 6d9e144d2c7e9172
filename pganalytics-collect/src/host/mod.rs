//! Figures of the host, from `/proc`, `/sys/fs/cgroup` and `statvfs()`.
//!
//! Counters travel as the kernel counts them, since boot; readers compute
//! increases and percentages. What a kernel does not say is NULL.

mod cgroup;
mod devices;
mod folders;
pub(crate) mod foreign;
mod identity;
mod inventory;
mod kernel;
mod mounts;
mod pg_processes;
pub(crate) mod process;
mod servers;
mod sysstat;
mod title;
mod usage;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use pganalytics_core::{
    Batch, Epoch, ModelError, Source, Timestamp, Value,
    catalog::{Catalog, Measurement},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

pub use folders::Folders;
#[cfg(feature = "postgres")]
pub(crate) use folders::ServerFolders;
pub use identity::HostIdentity;

use self::{
    folders::{Finder, Roles},
    inventory::Inventory,
    kernel::boot_time,
    mounts::{Mount, real_mounts},
    pg_processes::{ProcessAccounts, Scan},
    servers::Postmaster,
    usage::{Answer, Prober},
};
use crate::{
    collector::{CollectContext, Collected, Collector, Outcome},
    error::CollectError,
    scrape::full_scrape,
};

const MEASUREMENTS: &[&str] =
    &["sysstat", "sysstat_disk", "sysstat_net", "disk_usage", "cgroup", "pg_processes", "host_inventory"];
/// Longest wait for the kernel's files.
const READING: Duration = Duration::from_secs(5);
/// Those that want to know which servers run here.
const OF_PROCESSES: &[&str] = &["disk_usage", "cgroup", "pg_processes", "host_inventory"];

/// Collects `sysstat`, `sysstat_disk`, `sysstat_net`, `disk_usage`, `cgroup`,
/// `pg_processes` and `host_inventory`.
pub struct HostCollector {
    root: PathBuf,
    source: Source,
    /// Read once: no process outlives a boot, but the kernel's figure moves when
    /// the clock is set.
    booted: Option<Timestamp>,
    hertz: u64,
    roles: Roles,
    /// What servers tell of theirs.
    folders: Folders,
    finder: Finder,
    prober: Prober,
    /// Held while files are read that may not answer: a process that hangs in the kernel holds
    /// up who reads its command line.
    accounts: Arc<Mutex<ProcessAccounts>>,
}

impl std::fmt::Debug for HostCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostCollector").field("root", &self.root).field("source", &self.source).finish_non_exhaustive()
    }
}

impl Default for HostCollector {
    fn default() -> Self {
        Self::new("/")
    }
}

impl HostCollector {
    /// Collects from the files below `root`: `/` for this host, another folder
    /// where a container sees its host's files.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let source = HostIdentity::read(&root).source();
        let stat = foreign::read_text(root.join("proc/stat")).unwrap_or_default();
        Self {
            source,
            booted: boot_time(&stat).map(Timestamp::from_secs),
            hertz: rustix::param::clock_ticks_per_second(),
            roles: Roles::new(),
            folders: Folders::default(),
            finder: Finder::default(),
            prober: Prober::new(),
            accounts: Arc::default(),
            root,
        }
    }

    /// Calls the host something else than it calls itself.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.source.server = name.into();
        self
    }

    /// Says what PostgreSQL keeps below a path (`data`, `wal`, `log`,
    /// `tablespace`); `disk_usage` shows it at the mount that holds the path.
    #[must_use]
    pub fn role(mut self, path: impl Into<PathBuf>, role: &str) -> Self {
        self.roles.push((path.into(), role.to_owned()));
        self
    }

    /// Takes what servers tell of their folders; give the same to
    /// [`PostgresServer::reporting_folders_to`](crate::postgres::PostgresServer::reporting_folders_to).
    /// Data directories of servers that run here are found without.
    #[must_use]
    pub fn folders_from(mut self, folders: &Folders) -> Self {
        self.folders = folders.clone();
        self
    }

    /// The source of its batches.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    fn read(&self, file: &str) -> Result<String, CollectError> {
        self.read_bytes(file).map(foreign::text)
    }

    fn read_bytes(&self, file: &str) -> Result<Vec<u8>, CollectError> {
        let path = self.root.join(file);
        std::fs::read(&path).map_err(|source| CollectError::Host { path: path.display().to_string(), source })
    }

    fn batch<'a, R>(
        &self,
        measurement: &Measurement,
        now: Timestamp,
        rows: &'a [R],
        value: impl Fn(&'a R, &str) -> Option<Value<'a>>,
    ) -> Result<Batch, ModelError> {
        let mut batch = full_scrape(measurement, self.source.clone(), now, rows, value)?;
        batch.scrape.epoch.stamp = self.booted;
        Ok(batch)
    }

    /// The batch, and what is wrong with some mounts.
    async fn disk_usage(
        &mut self,
        measurement: &Measurement,
        now: Timestamp,
        heads: &Arc<[Postmaster]>,
        deadline: Instant,
    ) -> Result<(Batch, Vec<String>), CollectError> {
        let mounts = real_mounts(&self.read_bytes("proc/self/mountinfo")?);
        let roles = self.all_roles(heads).await;
        let below_root = |mount: &Mount| match mount.path.strip_prefix("/") {
            Ok(path) => self.root.join(path),
            Err(_) => mount.path.clone(),
        };
        let paths: Vec<PathBuf> = mounts.iter().map(below_root).collect();
        let answers = self.prober.ask(&paths, deadline).await;
        let faults = mounts.iter().zip(&answers).filter_map(|(mount, answer)| match answer {
            Answer::Space(_) => None,
            Answer::Failed(error) => Some(format!("{}: {error}", mount.path.display())),
            Answer::Silent => Some(format!("{}: no answer in time; is {} gone?", mount.path.display(), mount.device)),
        });
        let faults = faults.collect();
        let rows: Vec<Row> = mounts
            .iter()
            .zip(answers)
            .map(|(mount, answer)| Row {
                path: mount.path.display().to_string(),
                role: roles_of(mount, &mounts, &roles),
                mount,
                answer,
            })
            .collect();
        let mut batch = self.batch(measurement, now, &rows, |row, column| {
            let space = match &row.answer {
                Answer::Space(space) => Some(space),
                _ => None,
            };
            match column {
                "mount" => Some(Value::Text(&row.path)),
                "device" => Some(Value::Text(&row.mount.device)),
                "fstype" => Some(Value::Text(&row.mount.fstype)),
                "role" => Some(Value::Text(&row.role)),
                "read_only" => Some(Value::Bool(row.mount.read_only)),
                "ok" => Some(Value::Bool(space.is_some())),
                "size" => space.map(|space| int(space.size)),
                "free" => space.map(|space| int(space.free)),
                "available" => space.map(|space| int(space.available)),
                "inodes" => space.map(|space| int(space.inodes)),
                "inodes_free" => space.map(|space| int(space.inodes_free)),
                _ => None,
            }
        })?;
        batch.scrape.epoch = Epoch::default();
        Ok((batch, faults))
    }

    /// Folders of servers with their roles: those that were set and those found.
    async fn all_roles(&mut self, heads: &Arc<[Postmaster]>) -> Roles {
        let mut roles = self.finder.find(&self.root, heads, &self.folders).await;
        roles.splice(0..0, self.roles.iter().cloned());
        roles
    }

    /// Runs something that reads many files, beside the tasks of the runtime. What has no
    /// answer in time is not waited for, and not joined by another until it has one.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Path, &mut ProcessAccounts) -> T + Send + 'static,
    ) -> Result<T, CollectError> {
        let failed = |source| CollectError::Host { path: self.root.join("proc").display().to_string(), source };
        let no_answer = || {
            let why =
                format!("no answer within {} s; a process that hangs in the kernel holds it up", READING.as_secs());
            failed(io::Error::new(io::ErrorKind::TimedOut, why))
        };
        let mut accounts = Arc::clone(&self.accounts).try_lock_owned().map_err(|_| no_answer())?;
        let root = self.root.clone();
        let reading = tokio::task::spawn_blocking(move || read(&root, &mut accounts));
        let read = timeout(READING, reading).await.map_err(|_| no_answer())?;
        read.map_err(|error| failed(io::Error::other(error)))
    }

    /// The processes of PostgreSQL as they are now.
    async fn scan(&self) -> Result<Arc<Scan>, CollectError> {
        self.reading(|root, accounts| Arc::new(accounts.scan(root))).await
    }

    async fn cgroup(
        &self,
        measurement: &Measurement,
        now: Timestamp,
        heads: &Arc<[Postmaster]>,
    ) -> Result<Batch, CollectError> {
        let heads = Arc::clone(heads);
        let groups =
            self.reading(move |root, _| cgroup::groups(root, &heads)).await?.map_err(CollectError::Unsupported)?;
        Ok(full_scrape(measurement, self.source.clone(), now, &groups, cgroup::Group::value)?)
    }

    async fn pg_processes(
        &self,
        measurement: &Measurement,
        now: Timestamp,
        scan: Arc<Scan>,
    ) -> Result<Batch, CollectError> {
        let rows = self.reading(move |_, accounts| accounts.look(&scan, now)).await?;
        Ok(full_scrape(measurement, self.source.clone(), now, &rows, pg_processes::Row::value)?)
    }

    async fn host_inventory(
        &mut self,
        measurement: &Measurement,
        now: Timestamp,
        heads: &Arc<[Postmaster]>,
    ) -> Result<Batch, CollectError> {
        let mounts = real_mounts(&self.read_bytes("proc/self/mountinfo")?);
        let mut roles = self.all_roles(heads).await;
        roles.retain(|(_, role)| role == "data");
        let inventory = self
            .reading(move |root, _| {
                let holds = |mount: &&Mount| !roles_of(mount, &mounts, &roles).is_empty();
                Inventory::read(root, &mounts.iter().filter(holds).collect::<Vec<_>>())
            })
            .await?;
        let (hostname, booted) = (Arc::clone(&self.source.server), self.booted.map(Timestamp::as_micros));
        Ok(full_scrape(
            measurement,
            self.source.clone(),
            now,
            std::slice::from_ref(&inventory),
            |inventory, column| match column {
                "hostname" => Some(Value::Text(&hostname)),
                "boot_time" => booted.map(Value::Timestamp),
                column => inventory.value(column),
            },
        )?)
    }
}

struct Row<'a> {
    path: String,
    role: String,
    mount: &'a Mount,
    answer: Answer,
}

#[async_trait]
impl Collector for HostCollector {
    fn name(&self) -> &'static str {
        "host"
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        MEASUREMENTS.iter().filter_map(|name| Catalog::builtin().get(name).cloned()).collect()
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let mut collected = Collected::default();
        // All of a visit see the same processes; to find them is the dearest part.
        let (mut scan, mut fault) = (Arc::<Scan>::default(), None);
        if OF_PROCESSES.iter().any(|name| cx.is_due(name)) {
            match self.scan().await {
                Ok(found) => scan = found,
                Err(error) => fault = Some(Outcome::failed(error)),
            }
        }
        for measurement in self.measurements().iter().filter(|measurement| cx.is_due(measurement.name().as_str())) {
            let started = Instant::now();
            if let Some(fault) = fault.clone().filter(|_| OF_PROCESSES.contains(&measurement.name().as_str())) {
                collected.add(measurement, &self.source, started.elapsed(), Err(fault));
                continue;
            }
            let mut faults = Vec::new();
            let batch = match measurement.name().as_str() {
                "sysstat" => self.sysstat(measurement, cx.now),
                "sysstat_disk" => self.sysstat_disk(measurement, cx.now),
                "sysstat_net" => self.sysstat_net(measurement, cx.now),
                "cgroup" => self.cgroup(measurement, cx.now, &scan.heads).await,
                "pg_processes" => self.pg_processes(measurement, cx.now, Arc::clone(&scan)).await,
                "host_inventory" => self.host_inventory(measurement, cx.now, &scan.heads).await,
                _ => self.disk_usage(measurement, cx.now, &scan.heads, cx.deadline).await.map(|(batch, found)| {
                    faults = found;
                    batch
                }),
            };
            for fault in faults {
                tracing::debug!(measurement = "disk_usage", "{fault}");
            }
            collected.add(measurement, &self.source, started.elapsed(), batch.map_err(outcome_of));
        }
        Ok(collected)
    }
}

/// What it means that a measurement brought nothing.
fn outcome_of(error: CollectError) -> Outcome {
    match error {
        CollectError::Host { ref source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Outcome::Unsupported { reason: format!("{error}; figures of the host need Linux and its /proc") }
        }
        CollectError::Unsupported(reason) => Outcome::Unsupported { reason },
        error => Outcome::failed(error),
    }
}

/// What PostgreSQL keeps on a mount: the roles of the paths that it holds.
fn roles_of(mount: &Mount, mounts: &[Mount], roles: &[(PathBuf, String)]) -> String {
    let holder = |path: &Path| {
        let holds = mounts.iter().filter(|mount| path.starts_with(&mount.path));
        holds.max_by_key(|mount| mount.path.components().count())
    };
    let mut held: Vec<&str> =
        roles.iter().filter(|(path, _)| holder(path) == Some(mount)).map(|(_, role)| role.as_str()).collect();
    held.sort_unstable();
    held.dedup();
    held.join(",")
}

fn int(value: u64) -> Value<'static> {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A time that is counted in parts of a second.
#[expect(clippy::cast_precision_loss, reason = "two hundred years of microseconds fit a float exactly")]
pub(crate) fn seconds(count: u64, per_second: u64) -> f64 {
    count as f64 / per_second.max(1) as f64
}

#[cfg(test)]
#[path = "hang_tests.rs"]
mod hang_tests;
