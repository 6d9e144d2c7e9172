//! Which PostgreSQL versions there are, and where their programs live.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The major versions that the project supports.
pub const VERSIONS: [u16; 5] = [14, 15, 16, 17, 18];

/// The programs of one PostgreSQL version.
///
/// Looked for in `$PGANALYTICS_PG_DIR/<major>`, `/var/cache/pganalytics/postgres/<major>`,
/// `~/.cache/pganalytics/postgres/<major>` (`fetch-postgres.sh` fills one of these), and last where
/// Debian's packages put them.
#[derive(Debug, Clone)]
pub struct Binaries {
    version: u16,
    bin: PathBuf,
}

impl Binaries {
    /// The programs of this major version.
    ///
    /// # Errors
    /// When they are in none of the places; the message lists these.
    pub fn find(version: u16) -> anyhow::Result<Self> {
        let places = places(version);
        let found = places.iter().find(|bin| ["initdb", "postgres"].iter().all(|name| bin.join(name).is_file()));
        if let Some(bin) = found {
            let bin = bin.clone();
            return Ok(Self { version, bin });
        }
        let places: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
        bail!("PostgreSQL {version} is not in {}; run pganalytics-testkit/fetch-postgres.sh", places.join(", "))
    }

    /// The major version.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// One of the programs, such as `postgres`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

fn places(version: u16) -> Vec<PathBuf> {
    let version = version.to_string();
    let chosen = env::var_os("PGANALYTICS_PG_DIR").filter(|dir| !dir.is_empty());
    let own = env::var_os("HOME").map(|home| Path::new(&home).join(".cache/pganalytics/postgres"));
    chosen
        .map(PathBuf::from)
        .into_iter()
        .chain([PathBuf::from("/var/cache/pganalytics/postgres")])
        .chain(own)
        .chain([PathBuf::from("/usr/lib/postgresql")])
        .map(|root| root.join(&version).join("bin"))
        .collect()
}

/// The versions to test against: those named in `PGANALYTICS_TEST_PG` (such as `15,17`), else all
/// of [`VERSIONS`]. Versions without programs on this machine are left out, and it says so on stderr.
///
/// # Panics
/// When a version is missing and `PGANALYTICS_REQUIRE_PG=1`, which CI sets so that a test can't
/// pass by testing nothing; also when `PGANALYTICS_TEST_PG` can't be read.
pub fn versions() -> Vec<u16> {
    let named = env::var("PGANALYTICS_TEST_PG").unwrap_or_default();
    let wanted = match parse(&named) {
        Ok(wanted) => wanted,
        Err(error) => panic!("PGANALYTICS_TEST_PG={named}: {error:#}"),
    };
    let required = env::var("PGANALYTICS_REQUIRE_PG").is_ok_and(|value| value == "1");
    let mut present = Vec::new();
    for version in wanted {
        match Binaries::find(version) {
            Ok(_) => present.push(version),
            Err(error) if required => panic!("PGANALYTICS_REQUIRE_PG=1: {error:#}"),
            Err(error) => eprintln!("!!! NOT TESTED on PostgreSQL {version}: {error:#}"),
        }
    }
    present
}

/// A program that some tests run beside ours, as `promtool`: from `PATH`, `$PGANALYTICS_TOOLS_DIR`,
/// `/var/cache/pganalytics/tools` or `~/.cache/pganalytics/tools` (`deploy/setup/fetch-tools.sh` fills
/// one of these). `None` when it is nowhere, which is said on stderr: the caller tests nothing then.
///
/// # Panics
/// When it is nowhere and `PGANALYTICS_REQUIRE_PG=1`.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let chosen = env::var_os("PGANALYTICS_TOOLS_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let own = env::var_os("HOME").map(|home| Path::new(&home).join(".cache/pganalytics/tools"));
    let cached = chosen.into_iter().chain([PathBuf::from("/var/cache/pganalytics/tools")]).chain(own);
    let found = env::split_paths(&path).chain(cached).map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        let required = env::var("PGANALYTICS_REQUIRE_PG").is_ok_and(|value| value == "1");
        assert!(!required, "PGANALYTICS_REQUIRE_PG=1: {name} is not on this machine; run `make deps`");
        eprintln!("!!! NOT TESTED: {name} is not on this machine; run `make deps`");
    }
    found
}

fn parse(named: &str) -> anyhow::Result<Vec<u16>> {
    if named.trim().is_empty() {
        return Ok(VERSIONS.to_vec());
    }
    named
        .split(',')
        .map(|word| {
            let version = word.trim().parse().with_context(|| format!("{word:?} is no major version such as 17"))?;
            if !VERSIONS.contains(&version) {
                bail!("{version} is not supported; choose from {VERSIONS:?}");
            }
            Ok(version)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_versions_is_read_and_nonsense_refused() {
        assert_eq!(parse("").ok(), Some(VERSIONS.to_vec()));
        assert_eq!(parse("15, 17").ok(), Some(vec![15, 17]));
        assert!(parse("seventeen").is_err());
        assert!(parse("9").is_err());
    }
}
