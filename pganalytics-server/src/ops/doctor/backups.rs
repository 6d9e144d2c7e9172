//! Backups: whether there are any, of late, that were read again, and not on the same disk.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Outcome, Patient, Report};
use crate::ops::backup;

/// A day, and what a day's backup may be late.
const OLD: Duration = Duration::from_hours(26);
const VERIFIED_WARN: Duration = Duration::from_hours(7 * 24);
const VERIFIED_FAIL: Duration = Duration::from_hours(30 * 24);

pub(super) fn look(patient: &Patient<'_>, report: &mut Report) {
    let ids = ["backup.age", "backup.verified", "backup.elsewhere"];
    let skip = |report: &mut Report, ids: &[&'static str], why: &str| {
        for id in ids {
            report.add(id, Outcome::Skip, why);
        }
    };
    let Ok(config) = patient.config else { return skip(report, &ids, "the settings are wrong") };
    let Some(folder) = &config.backup_dir else {
        let outcome = if patient.production { Outcome::Fail } else { Outcome::Skip };
        report.add("backup.age", outcome, "PGANALYTICS_BACKUP_DIR names no folder of backups");
        return skip(report, &["backup.verified", "backup.elsewhere"], "no folder of backups is named");
    };
    let shown = folder.display();
    let all = match backup::list(folder) {
        Ok(all) => all,
        Err(error) => {
            report.add("backup.age", Outcome::Fail, format!("{shown}: {error}"));
            return skip(report, &["backup.verified", "backup.elsewhere"], "the folder can't be read");
        }
    };
    let newest = all.iter().filter_map(|file| age(file)).min();
    match newest {
        None => report.add("backup.age", Outcome::Fail, format!("{shown} holds no backup")),
        Some(age) => {
            let outcome = if age > OLD { Outcome::Fail } else { Outcome::Pass };
            report.add("backup.age", outcome, format!("the newest of {} is {} h old", all.len(), hours(age)));
        }
    }
    let verified: Vec<&PathBuf> = all.iter().filter(|file| backup::is_verified(file)).collect();
    let (outcome, seen) = match verified.iter().filter_map(|file| age(file)).min() {
        None => (Outcome::Fail, "none was made with --verify".to_owned()),
        Some(age) => {
            let outcome = match age {
                age if age > VERIFIED_FAIL => Outcome::Fail,
                age if age > VERIFIED_WARN => Outcome::Warn,
                _ => Outcome::Pass,
            };
            (outcome, format!("the newest that was read again is {} h old", hours(age)))
        }
    };
    report.add("backup.verified", outcome, seen);
    let device = |path: &Path| fs::metadata(path).ok().map(|about| about.dev());
    match (device(folder), device(&config.data_dir)) {
        (Some(one), Some(other)) if one == other => {
            report.add("backup.elsewhere", Outcome::Warn, format!("{shown} is on the disk of the store"));
        }
        (Some(_), Some(_)) => report.add("backup.elsewhere", Outcome::Pass, format!("{shown} is on another disk")),
        _ => report.add("backup.elsewhere", Outcome::Skip, "there is no store yet"),
    }
}

/// A file from the future is as good as new.
fn age(file: &Path) -> Option<Duration> {
    let changed = fs::metadata(file).and_then(|about| about.modified()).ok()?;
    Some(SystemTime::now().duration_since(changed).unwrap_or_default())
}

fn hours(age: Duration) -> u64 {
    age.as_secs() / 3600
}
