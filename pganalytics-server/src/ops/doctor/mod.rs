//! `doctor`: whether an installation is as it should be.
//!
//! Each check has an id, says what it saw, and what to do. It changes nothing,
//! works beside a running server, and names what it could not look at as
//! skipped: a skipped check is no good news.

mod backups;
mod live;
mod machine;
mod secrets;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;

use serde::Serialize;

use super::local::LocalServer;
use crate::{
    config::{Config, Gathered},
    error::ServerError,
};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// All is well.
    Pass,
    /// It could not be looked at.
    Skip,
    /// It works, and should be better.
    Warn,
    /// It has to be mended.
    Fail,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "ok",
            Self::Skip => "skip",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        })
    }
}

/// A check that there is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct About {
    /// Its name.
    pub id: &'static str,
    /// When it fails (and when it warns).
    pub fails_when: &'static str,
    /// What to do then.
    pub todo: &'static str,
}

const fn about(id: &'static str, fails_when: &'static str, todo: &'static str) -> About {
    About { id, fails_when, todo }
}

/// Every check, in the order in which they are shown.
#[rustfmt::skip]
pub const CHECKS: &[About] = &[
    about("settings.valid", "the server would refuse to start with these settings", "mend what is named; `pganalytics-server config` shows where each setting comes from"),
    about("secret.length", "a secret has fewer than 32 characters (an admin's password: 12), or could be guessed: fewer than 128 bits", "pganalytics-server secrets init, or openssl rand -base64 48"),
    about("secret.placeholder", "a secret is an example's", "pganalytics-server secrets init, or openssl rand -base64 48"),
    about("secret.reuse", "two secrets are equal", "give each its own"),
    about("secret.source", "a secret is on the command line, where every user sees it (in the environment: warns)", "put it into a file and name that: JWT_SECRET_FILE=/etc/pganalytics/secrets/server/jwt_secret"),
    about("secret.mode", "a file with a secret can be read by others", "chmod 0400 it, and give it to the server's user"),
    about("env.production", "ENVIRONMENT is not production", "ENVIRONMENT=production: weak settings are refused then"),
    about("env.loglevel", "(the log is on debug or trace)", "LOG_LEVEL=info"),
    about("tls.on", "plain HTTP is served to other machines", "set TLS_CERT and TLS_KEY, or listen on 127.0.0.1 behind a proxy"),
    about("tls.chain", "certificate and key do not belong together, or clients that trust ca.crt beside it do not take it", "pganalytics-server certs issue --renew"),
    about("tls.name", "the name given by --host is not in the certificate", "issue it with --host NAME"),
    about("tls.expiry", "the certificate ends within 7 days (30)", "pganalytics-server certs issue --renew, then reload the server"),
    about("listen.port", "another program has the port", "stop it, or set PORT"),
    about("store.space", "free space is less than 30 days of what comes in (60 days; under 30 GB in production)", "give the folder more disk, or keep less: PGANALYTICS_DEFAULT_RETENTION_DAYS"),
    about("store.fs", "the data folder is on a network file system", "move it to a local disk: locks of network file systems do not hold"),
    about("store.owner", "the data folder can be read by others, or not be written", "chmod 0700 it, and give it to the server's user"),
    about("store.quarantine", "(chunks of the store are damaged and were set aside; queries go on without them)", "look at the disk and the memory of the machine; they end by themselves with their retention, a backup from before has them"),
    about("backup.age", "the newest backup is more than 26 hours old, there is none, or no folder is named in production", "pganalytics-backup.timer, or pganalytics-server backup --keep 14 --verify every night; PGANALYTICS_BACKUP_DIR"),
    about("backup.verified", "no backup of the last 30 days (7) was read again", "pganalytics-server backup --verify, or restore --check"),
    about("backup.elsewhere", "(backups are on the disk of the store)", "a disk, or better a machine, of their own"),
    about("auth.jwt_life", "(access tokens live longer than an hour)", "JWT_EXPIRATION=900"),
    about("edge.ratelimit", "a class of requests has no limit", "unset its PGANALYTICS_RATE_LIMIT_…"),
    about("edge.cors", "pages of plain http origins may use the API", "name https origins only"),
    about("edge.proxy", "everybody is a trusted proxy", "PGANALYTICS_TRUSTED_PROXIES: the addresses of your proxies only"),
    about("edge.headers", "an answer lacks a header that protects browsers", "look at the proxy before the server: it takes them away"),
    about("live.ready", "the server does not answer, or a part of it is down", "journalctl -u pganalytics, docker logs pganalytics-backend"),
    about("flow.any", "(nothing has come in since the start)", "pganalytics-agent check on an agent's machine"),
    about("flow.errors", "more than 0.1 % of what comes in is refused", "the server's log names each reason; GET /metrics has them by code"),
    about("self.cpu", "the server takes more than 40 % of a processor", "docs/tuning.md: intervals of the dearest measurements first"),
    about("self.memory", "the server takes more than 200 MB, beside its SQL workers", "docs/tuning.md: PGANALYTICS_INGEST_MEMORY, query limits"),
    about("self.latency", "5 % of requests take more than 500 ms", "docs/tuning.md: the disk of the store first"),
    about("container.root", "it runs as root", "User= of the unit, or the image's own user 10001"),
    about("container.limits", "(it runs in a container without a memory limit)", "mem_limit: 512m"),
];

/// What a check saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Which check.
    pub id: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
}

impl Finding {
    /// What to do about it.
    #[must_use]
    pub fn todo(&self) -> &'static str {
        CHECKS.iter().find(|check| check.id == self.id).map_or("", |check| check.todo)
    }
}

/// What is looked at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Patient<'a> {
    /// The settings, as they were gathered.
    pub gathered: &'a Gathered,
    /// What they make.
    pub config: &'a Result<Config, ServerError>,
    /// What guides for production demand fails too.
    pub production: bool,
    /// What clients call the server.
    pub host: Option<&'a str>,
}

impl<'a> Patient<'a> {
    /// These settings, not for production.
    #[must_use]
    pub fn new(gathered: &'a Gathered, config: &'a Result<Config, ServerError>) -> Self {
        Self { gathered, config, production: false, host: None }
    }
}

/// Findings while they come.
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, id: &'static str, outcome: Outcome, seen: impl Into<String>) {
        self.findings.push(Finding { id, outcome, seen: seen.into() });
    }

    /// One finding of all that is wrong, or that nothing is.
    fn sum(&mut self, id: &'static str, outcome: Outcome, faults: &[String], well: &str) {
        if faults.is_empty() {
            self.add(id, Outcome::Pass, well);
        } else {
            self.add(id, outcome, faults.join("; "));
        }
    }
}

/// Looks at all, or at `only` one check. Blocks for some seconds at most.
#[must_use]
pub fn examine(patient: &Patient<'_>, only: Option<&str>) -> Vec<Finding> {
    let mut report = Report { findings: Vec::new() };
    match patient.config {
        Ok(_) => report.add("settings.valid", Outcome::Pass, "all settings are good"),
        Err(error) => report.add("settings.valid", Outcome::Fail, error.to_string()),
    }
    secrets::look(patient, &mut report);
    tls::look(patient, &mut report);
    let server = patient.config.as_ref().map_err(|_| "the settings are wrong".to_owned()).and_then(LocalServer::of);
    let seen = live::look(patient, server.as_ref(), &mut report);
    machine::look(patient, seen.as_ref(), &mut report);
    backups::look(patient, &mut report);
    let mut findings = report.findings;
    findings.retain(|finding| only.is_none_or(|id| finding.id == id || finding.id.starts_with(&format!("{id}."))));
    findings.sort_by_key(|finding| CHECKS.iter().position(|check| check.id == finding.id));
    findings
}
