//! Streaming standbys.
//!
//! The base backup is made by hand (backup mode through SQL, a copy of the files, the backup
//! label), because not every build of PostgreSQL comes with `pg_basebackup`. The standby fetches
//! all WAL from its primary; a slot made before the copy keeps it there.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::builder::{append, quoted};
use crate::cluster::Cluster;
use crate::port;
use crate::process::Process;
use crate::user::Account;

/// Folders whose content belongs to the running primary; a standby makes its own.
const EMPTIED: [&str; 9] = [
    "log",
    "pg_wal",
    "pg_replslot",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
];
const LEFT_OUT: [&str; 3] = ["current_logfiles", "postmaster.pid", "postmaster.opts"];

impl Cluster {
    /// A streaming standby of this cluster, with a port of its own and the same roles and password;
    /// returns when it streams. Its replication slot `replica_…` stays when it is dropped.
    ///
    /// # Errors
    /// When the backup fails or the standby does not start or stream.
    pub async fn replica(&self) -> anyhow::Result<Self> {
        let process = Process::prepare(Signal::QUIT, "QUIT")?;
        let name = format!("replica_{:08x}", port::random() >> 32);
        let data = process.folder().join("data");

        let client = self.client("postgres").await?;
        client
            .execute("SELECT pg_create_physical_replication_slot($1::text::name, true)", &[&name])
            .await
            .context("make a replication slot")?;
        let (begin, end) = if self.version() >= 15 {
            ("SELECT pg_backup_start('replica', true)", "SELECT labelfile FROM pg_backup_stop(false)")
        } else {
            ("SELECT pg_start_backup('replica', true, false)", "SELECT labelfile FROM pg_stop_backup(false, false)")
        };
        // Backup mode lasts as long as this session, so both calls must come from it.
        client.execute(begin, &[]).await.context("begin the backup")?;
        let (from, to, account) = (self.data_dir().to_owned(), data.clone(), process.account());
        tokio::task::spawn_blocking(move || copy(&from, &to, account, true)).await??;
        let label: String = client.query_one(end, &[]).await.context("end the backup")?.get(0);

        for (file, text) in [("backup_label", label.as_str()), ("standby.signal", "")] {
            let path = data.join(file);
            std::fs::write(&path, text)?;
            account.give(&path)?;
        }
        let folder = process.folder().to_str().context("temporary folder is not UTF-8")?;
        let primary = format!(
            "host=127.0.0.1 port={} user=postgres password={} application_name={name}",
            self.port(),
            self.password()
        );
        let text = format!(
            "\n# The standby's own\nunix_socket_directories = {}\nprimary_conninfo = {}\nprimary_slot_name = '{name}'\n",
            quoted(folder),
            quoted(&primary)
        );
        append(&data.join("postgresql.conf"), &text)?;

        let standby = Self::run(self.binaries().clone(), process, self.password().to_owned()).await?;
        let start = Instant::now();
        let streams = "SELECT count(*) FROM pg_stat_replication \
                       WHERE application_name = $1 AND state = 'streaming'";
        while client.query_one(streams, &[&name]).await?.get::<_, i64>(0) == 0 {
            if start.elapsed() > Duration::from_secs(60) {
                bail!("the standby does not stream; its log:\n{}", standby.log()?);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(standby)
    }
}

pub(crate) fn copy(from: &Path, to: &Path, account: Account, top: bool) -> anyhow::Result<()> {
    std::fs::create_dir(to).with_context(|| format!("make {}", to.display()))?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700))?;
    account.give(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let is = |names: &[&str]| names.iter().any(|n| name.to_str() == Some(*n));
        let (source, target) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            if top && is(&EMPTIED) {
                std::fs::create_dir(&target)?;
                std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o700))?;
                account.give(&target)?;
            } else {
                copy(&source, &target, account, false)?;
            }
        } else if !(top && is(&LEFT_OUT)) {
            match copy_file(&source, &target) {
                Ok(()) => account.give(&target)?,
                // The primary is at work and may remove files while they are copied.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).context(format!("copy {}", source.display())),
            }
        }
    }
    Ok(())
}

/// Leaves out what is zero: WAL is mostly that, and it would cost more than all other files.
fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    const BLOCK: u64 = 256 * 1024;
    let mut source = File::open(from)?;
    let meta = source.metadata()?;
    if meta.len() <= BLOCK {
        return std::fs::copy(from, to).map(drop);
    }
    let target = File::create(to)?;
    target.set_permissions(meta.permissions())?;
    let mut block = Vec::new();
    let mut at = 0;
    while source.by_ref().take(BLOCK).read_to_end(&mut block)? > 0 {
        if block.iter().any(|byte| *byte != 0) {
            target.write_all_at(&block, at)?;
        }
        at += block.len() as u64;
        block.clear();
    }
    target.set_len(at)
}
