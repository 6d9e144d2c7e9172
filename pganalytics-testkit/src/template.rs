//! Data directories that `initdb` makes once for each process, and copies of them.
//!
//! A copy costs a fraction of what `initdb` costs. It gets a system identifier of its own, as if
//! `initdb` had made it, because servers are told apart by that.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::sync::OnceCell;

use crate::binaries::Binaries;
use crate::port;
use crate::process::Process;
use crate::replica::copy;

/// A data directory, and the password that the superuser has in it.
struct Template {
    process: Process,
    password: String,
}

/// A version, and whether connections need a password.
type Kind = (u16, bool);

/// Never dropped; the watchdogs remove the folders when this process ends.
static TEMPLATES: LazyLock<Mutex<HashMap<Kind, Arc<OnceCell<Template>>>>> = LazyLock::new(Mutex::default);

/// Makes the data directory in the folder of `process` and returns the superuser's password, which
/// is the same in all clusters of this kind until it is altered.
pub(crate) async fn make_data(binaries: &Binaries, process: &Process, password_needed: bool) -> anyhow::Result<String> {
    let cell = {
        let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(templates.entry((binaries.version(), password_needed)).or_default())
    };
    let template = cell.get_or_try_init(|| initdb(binaries, password_needed)).await?;
    let (from, to, account) = (data(&template.process), data(process), process.account());
    tokio::task::spawn_blocking(move || {
        copy(&from, &to, account, false)?;
        renew_identifier(&to).with_context(|| format!("give {} an identifier of its own", to.display()))
    })
    .await??;
    Ok(template.password.clone())
}

fn data(process: &Process) -> std::path::PathBuf {
    process.folder().join("data")
}

async fn initdb(binaries: &Binaries, password_needed: bool) -> anyhow::Result<Template> {
    let process = Process::prepare(Signal::QUIT, "QUIT")?;
    let password = format!("{:016x}", port::random());
    let secret = process.folder().join("password");
    std::fs::write(&secret, &password)?;
    process.account().give(&secret)?;
    let auth = if password_needed { "scram-sha-256" } else { "trust" };
    let data = data(&process);
    let mut command = process.command(&binaries.program("initdb"))?;
    command
        .args(["--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .arg(format!("--auth={auth}"))
        .arg("--pwfile")
        .arg(&secret)
        .arg("--pgdata")
        .arg(&data);
    process.spawn(command)?;
    process.ended(Duration::from_secs(120)).await?;
    std::fs::remove_file(&secret)?;
    // The last thing that initdb writes is this file; its exit status went to nobody.
    if !data.join("pg_hba.conf").is_file() || !process.log()?.contains("Success.") {
        bail!("initdb of PostgreSQL {} failed:\n{}", binaries.version(), process.tail());
    }
    Ok(Template { process, password })
}

/// The identifier stands at the start of `pg_control`, which ends with a checksum of what is before
/// it, and in the header of each file of WAL. Half of it is the time, as in PostgreSQL.
fn renew_identifier(data: &Path) -> anyhow::Result<()> {
    let path = data.join("global/pg_control");
    let mut control = std::fs::read(&path)?;
    let end = end_of_control(&control).context("pg_control has no checksum where one is known to be")?;
    let (content, rest) = control.split_at_mut(end);
    let (identifier, checksum) =
        content.first_chunk_mut::<8>().zip(rest.first_chunk_mut::<4>()).context("pg_control is too short")?;
    let old = *identifier;
    let random = port::random() & u64::from(u32::MAX);
    let new = (u64::from_ne_bytes(old) & !u64::from(u32::MAX) | random).to_ne_bytes();
    *identifier = new;
    *checksum = crc32c::crc32c(content).to_ne_bytes();
    std::fs::write(&path, control)?;

    for entry in std::fs::read_dir(data.join("pg_wal"))? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let file = OpenOptions::new().read(true).write(true).open(entry.path())?;
        let mut there = [0; 8];
        // Behind the header that all pages have. A file made in advance has none yet.
        file.read_exact_at(&mut there, 24)?;
        if there == old {
            file.write_all_at(&new, 24)?;
        }
    }
    Ok(())
}

/// Where the checksum of `pg_control` stands: versions differ.
fn end_of_control(control: &[u8]) -> Option<usize> {
    (64..512).step_by(4).find(|&end| {
        let parts = control.split_at_checked(end);
        parts.is_some_and(|(content, rest)| rest.first_chunk() == Some(&crc32c::crc32c(content).to_ne_bytes()))
    })
}
