//! The machine: disk, data folder, container.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use pganalytics_store::sqlite::SqliteReader;

use super::{Outcome, Patient, Report, live::Seen};
use crate::config::Config;

const GIGABYTE: f64 = 1e9;
const DAY_SECS: f64 = 86_400.0;
/// What guides want free in production.
const PRODUCTION_GIGABYTES: f64 = 30.0;
/// Of file systems whose locks do not hold: NFS, SMB, CIFS, 9p, Ceph, AFS.
const NETWORK: &[u64] = &[0x6969, 0x517b, 0xff53_4d42, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

pub(super) fn look(patient: &Patient<'_>, seen: Option<&Seen>, report: &mut Report) {
    match patient.config {
        Ok(config) => store(patient, config, seen, report),
        Err(_) => {
            for id in ["store.space", "store.fs", "store.owner", "store.quarantine", "auth.jwt_life"] {
                report.add(id, Outcome::Skip, "the settings are wrong");
            }
        }
    }
    let is_root = rustix::process::geteuid().is_root();
    let outcome = match (is_root, patient.production) {
        (true, true) => Outcome::Fail,
        (true, false) => Outcome::Warn,
        (false, _) => Outcome::Pass,
    };
    report.add("container.root", outcome, format!("user {}", rustix::process::geteuid().as_raw()));
    let in_container = Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists();
    if !in_container {
        report.add("container.limits", Outcome::Skip, "this is no container");
        return;
    }
    let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limit.iter().find_map(|path| fs::read_to_string(path).ok());
    // Version 1 says "none" with a number near 2^63.
    let bytes = limit.as_deref().and_then(|text| text.trim().parse::<u64>().ok()).filter(|bytes| *bytes < 1 << 62);
    match bytes {
        Some(bytes) => report.add("container.limits", Outcome::Pass, format!("{bytes} bytes of memory")),
        None => report.add("container.limits", Outcome::Warn, "no memory limit"),
    }
}

fn store(patient: &Patient<'_>, config: &Config, seen: Option<&Seen>, report: &mut Report) {
    let folder = &config.data_dir;
    let shown = folder.display();
    match rustix::fs::statfs(folder) {
        Err(error) => {
            let why = format!("{shown}: {error}");
            report.add("store.space", Outcome::Fail, why.clone());
            report.add("store.fs", Outcome::Skip, why);
        }
        Ok(about) => {
            #[expect(clippy::cast_precision_loss, reason = "shown in gigabytes")]
            let free = (about.f_bavail as f64) * (about.f_bsize as f64);
            space(patient, seen, free, report);
            #[expect(clippy::cast_sign_loss, reason = "a magic number")]
            let kind = about.f_type as u64 & 0xffff_ffff;
            let outcome = if NETWORK.contains(&kind) { Outcome::Fail } else { Outcome::Pass };
            report.add("store.fs", outcome, format!("{shown}, file system type {kind:#x}"));
        }
    }
    match fs::metadata(folder) {
        Err(error) => report.add("store.owner", Outcome::Fail, format!("{shown}: {error}")),
        Ok(about) => {
            let (mode, own) = (about.permissions().mode() & 0o777, rustix::process::geteuid().as_raw());
            let outcome = match (mode & 0o007, about.uid() == own || own == 0) {
                (0, true) => Outcome::Pass,
                (_, true) => Outcome::Fail,
                // Another user's, as seen by whoever examines the server of that user.
                (0, false) => Outcome::Skip,
                (_, false) => Outcome::Fail,
            };
            report.add("store.owner", outcome, format!("{shown}: mode {mode:04o}, owner {}", about.uid()));
        }
    }
    let (outcome, seen) = quarantine(folder);
    report.add("store.quarantine", outcome, seen);
    let life = config.settings.access_lifetime;
    let outcome = if life > Duration::from_secs(3600) { Outcome::Warn } else { Outcome::Pass };
    report.add("auth.jwt_life", outcome, format!("{} s", life.as_secs()));
}

/// Chunks that were set aside, beside the running server.
fn quarantine(folder: &Path) -> (Outcome, String) {
    let found = SqliteReader::open(folder).and_then(|store| store.quarantined_blocking());
    let all = match found {
        Ok(all) => all,
        Err(error) => return (Outcome::Skip, error.to_string()),
    };
    let Some(last) = all.first() else { return (Outcome::Pass, "nothing is set aside".to_owned()) };
    let rows: u64 = all.iter().map(|one| one.rows).sum();
    let seen = format!(
        "{} chunks with {rows} rows are damaged; the last one found: chunk {}, {} of {} from {} to {}: {}",
        all.len(),
        last.chunk,
        last.measurement,
        last.source.server,
        last.from,
        last.to,
        last.reason
    );
    (Outcome::Warn, seen)
}

fn space(patient: &Patient<'_>, seen: Option<&Seen>, free: f64, report: &mut Report) {
    let gigabytes = free / GIGABYTE;
    let rate = seen.and_then(|seen| seen.bytes_per_second);
    let days = rate.map(|rate| free / rate / DAY_SECS);
    let outcome = match days {
        Some(days) if days < 30.0 => Outcome::Fail,
        _ if gigabytes < 1.0 => Outcome::Fail,
        Some(days) if days < 60.0 => Outcome::Warn,
        _ if patient.production && gigabytes < PRODUCTION_GIGABYTES => Outcome::Warn,
        _ => Outcome::Pass,
    };
    let lasts =
        days.map_or("the rate is not known yet".to_owned(), |days| format!("{days:.0} days at the present rate"));
    report.add("store.space", outcome, format!("{gigabytes:.1} GB free; {lasts}"));
}
