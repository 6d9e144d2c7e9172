//! What `pgbackrest info` says, in rows. Pure. Keys that are not known are
//! passed over, keys that a version does not have are NULL.

use serde::Deserialize;

/// A stanza, as pgBackRest writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stanza {
    name: String,
    status: Status,
    cipher: Option<String>,
    repo: Vec<Repo>,
    db: Vec<Database>,
    archive: Vec<Archive>,
    backup: Vec<Backup>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: i64,
    message: String,
    lock: Locks,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Locks {
    backup: Lock,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Lock {
    held: bool,
    size: Option<i64>,
    #[serde(rename = "size-cplt")]
    size_done: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct Repo {
    key: i64,
    cipher: Option<String>,
    status: Status,
}

impl Default for Repo {
    fn default() -> Self {
        Self { key: 1, cipher: None, status: Status::default() }
    }
}

/// A history of the cluster; upgrades begin a new one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Database {
    id: i64,
    #[serde(rename = "repo-key")]
    repo_key: Option<i64>,
    #[serde(rename = "system-id")]
    system_id: Option<u64>,
    version: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct DatabaseRef {
    id: i64,
    #[serde(rename = "repo-key")]
    repo_key: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Archive {
    database: DatabaseRef,
    min: Option<String>,
    max: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Backup {
    label: String,
    #[serde(rename = "type")]
    kind: String,
    prior: Option<String>,
    error: Option<bool>,
    database: DatabaseRef,
    archive: Span,
    lsn: Span,
    timestamp: Times,
    info: Sizes,
    backrest: Program,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Span {
    start: Option<String>,
    stop: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Times {
    start: Option<i64>,
    stop: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sizes {
    size: Option<i64>,
    delta: Option<i64>,
    repository: RepositorySizes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RepositorySizes {
    size: Option<i64>,
    delta: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Program {
    version: Option<String>,
}

/// A row of `pgbackrest_backup`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct BackupRow {
    pub(super) stanza: String,
    pub(super) repo: String,
    pub(super) label: String,
    pub(super) kind: String,
    pub(super) prior: Option<String>,
    /// Seconds since 1970.
    pub(super) started: Option<i64>,
    pub(super) stopped: Option<i64>,
    pub(super) error: Option<bool>,
    pub(super) size: Option<i64>,
    pub(super) delta: Option<i64>,
    pub(super) repo_size: Option<i64>,
    pub(super) repo_delta: Option<i64>,
    pub(super) wal_start: Option<String>,
    pub(super) wal_stop: Option<String>,
    pub(super) lsn_start: Option<String>,
    pub(super) lsn_stop: Option<String>,
    pub(super) pg_version: Option<String>,
    pub(super) backrest_version: Option<String>,
}

impl BackupRow {
    /// How long it took, in seconds.
    pub(super) fn duration(&self) -> Option<i64> {
        Some(self.stopped?.saturating_sub(self.started?))
    }
}

/// A row of `pgbackrest_info`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct InfoRow {
    pub(super) stanza: String,
    pub(super) repo: String,
    pub(super) status_code: i64,
    pub(super) status: String,
    pub(super) cipher: Option<String>,
    pub(super) pg_version: Option<String>,
    pub(super) system_identifier: Option<String>,
    pub(super) backup_running: bool,
    pub(super) backup_done: Option<i64>,
    pub(super) backup_total: Option<i64>,
    pub(super) wal_min: Option<String>,
    pub(super) wal_max: Option<String>,
    pub(super) wal_covers_backups: Option<bool>,
    /// Newest first.
    pub(super) backups: Vec<BackupRow>,
}

impl InfoRow {
    pub(super) fn last(&self) -> Option<&BackupRow> {
        self.backups.first()
    }

    /// End of the last backup of a type.
    pub(super) fn last_of(&self, kind: &str) -> Option<i64> {
        self.backups.iter().find(|backup| backup.kind == kind)?.stopped
    }

    pub(super) fn count(&self, is: impl Fn(&BackupRow) -> bool) -> usize {
        self.backups.iter().filter(|backup| is(backup)).count()
    }
}

/// Reads the answer: a row for each stanza and repository.
pub(super) fn read(json: &[u8]) -> Result<Vec<InfoRow>, String> {
    let stanzas: Vec<Stanza> = serde_json::from_slice(json).map_err(|error| {
        // Only the place: the text may be anything.
        format!(
            "what it wrote is not what pgbackrest info writes (line {}, column {}); is this pgBackRest 2.23 or later?",
            error.line(),
            error.column()
        )
    })?;
    let mut rows: Vec<InfoRow> = stanzas.into_iter().flat_map(rows_of).collect();
    rows.sort_by(|a, b| (&a.stanza, &a.repo).cmp(&(&b.stanza, &b.repo)));
    Ok(rows)
}

fn rows_of(mut stanza: Stanza) -> Vec<InfoRow> {
    if stanza.repo.is_empty() {
        // Before 2.32 there was one repository and no list.
        stanza.repo.push(Repo { status: stanza.status.clone(), cipher: stanza.cipher.clone(), ..Repo::default() });
    }
    let backups: Vec<(i64, i64, BackupRow)> = std::mem::take(&mut stanza.backup)
        .into_iter()
        .map(|backup| {
            let (repo, id) = (backup.database.repo_key.unwrap_or(1), backup.database.id);
            let version = stanza.db.iter().find(|db| db.repo_key.unwrap_or(1) == repo && db.id == id);
            let version = version.and_then(|db| db.version.clone());
            (repo, id, backup_row(&stanza.name, repo, version, backup))
        })
        .collect();
    stanza.repo.iter().map(|repo| info_row(&stanza, repo, &backups)).collect()
}

fn info_row(stanza: &Stanza, repo: &Repo, all: &[(i64, i64, BackupRow)]) -> InfoRow {
    let here = |key: Option<i64>| key.unwrap_or(1) == repo.key;
    let database = stanza.db.iter().filter(|db| here(db.repo_key)).max_by_key(|db| db.id);
    let archive = stanza.archive.iter().filter(|archive| here(archive.database.repo_key));
    let archive = archive.max_by_key(|archive| archive.database.id);
    let mut backups: Vec<BackupRow> =
        all.iter().filter(|(key, ..)| *key == repo.key).map(|(.., row)| row.clone()).collect();
    backups.sort_by(|a, b| (b.stopped, &b.label).cmp(&(a.stopped, &a.label)));
    let current = archive.map(|archive| archive.database.id);
    let needed = all.iter().filter(|(key, id, _)| *key == repo.key && Some(*id) == current).map(|(.., row)| row);
    InfoRow {
        stanza: stanza.name.clone(),
        repo: repo.key.to_string(),
        status_code: repo.status.code,
        status: repo.status.message.clone(),
        cipher: repo.cipher.clone(),
        pg_version: database.and_then(|db| db.version.clone()),
        system_identifier: database.and_then(|db| db.system_id).map(|id| id.to_string()),
        backup_running: stanza.status.lock.backup.held,
        backup_done: stanza.status.lock.backup.size_done,
        backup_total: stanza.status.lock.backup.size,
        wal_min: archive.and_then(|archive| archive.min.clone()),
        wal_max: archive.and_then(|archive| archive.max.clone()),
        wal_covers_backups: archive.and_then(|archive| covers(archive, needed)),
        backups,
    }
}

/// Whether the archive reaches from the first segment that a backup needs to the
/// last; `None` without backups.
fn covers<'b>(archive: &Archive, backups: impl Iterator<Item = &'b BackupRow> + Clone) -> Option<bool> {
    let first = backups.clone().filter_map(|backup| segment(backup.wal_start.as_deref()?)).min()?;
    let last = backups.filter_map(|backup| segment(backup.wal_stop.as_deref()?)).max()?;
    let bounds = archive.min.as_deref().and_then(segment).zip(archive.max.as_deref().and_then(segment));
    Some(bounds.is_some_and(|(min, max)| min <= first && last <= max))
}

/// A segment's place in the WAL, whatever its timeline: the last 16 of its 24
/// digits.
fn segment(name: &str) -> Option<&str> {
    let is_name = name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_name { name.get(8..) } else { None }
}

fn backup_row(stanza: &str, repo: i64, pg_version: Option<String>, backup: Backup) -> BackupRow {
    BackupRow {
        stanza: stanza.to_owned(),
        repo: repo.to_string(),
        label: backup.label,
        kind: backup.kind,
        prior: backup.prior,
        started: backup.timestamp.start,
        stopped: backup.timestamp.stop,
        error: backup.error,
        size: backup.info.size,
        delta: backup.info.delta,
        repo_size: backup.info.repository.size,
        repo_delta: backup.info.repository.delta,
        wal_start: backup.archive.start,
        wal_stop: backup.archive.stop,
        lsn_start: backup.lsn.start,
        lsn_stop: backup.lsn.stop,
        pg_version,
        backrest_version: backup.backrest.version,
    }
}

#[cfg(test)]
#[path = "info_tests.rs"]
mod tests;
