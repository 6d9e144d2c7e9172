//! The account that servers run as.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// PostgreSQL refuses to run as root, so root hands its servers to an unprivileged account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account(Option<Ids>);

#[derive(Debug, Clone, Copy)]
struct Ids {
    user: u32,
    group: u32,
}

impl Account {
    pub(crate) fn for_servers() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let accounts = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let ids = ["postgres", "nobody"]
            .iter()
            .find_map(|name| lookup(&accounts, name))
            .context("PostgreSQL can't run as root, and there is no user postgres or nobody")?;
        Ok(Self(Some(ids)))
    }

    pub(crate) fn run(self, command: &mut Command) {
        if let Some(ids) = self.0 {
            // For root this also drops the supplementary groups.
            command.uid(ids.user).gid(ids.group);
        }
    }

    pub(crate) fn give(self, path: &Path) -> anyhow::Result<()> {
        match self.0 {
            Some(ids) => {
                chown(path, Some(ids.user), Some(ids.group)).with_context(|| format!("chown {}", path.display()))
            }
            None => Ok(()),
        }
    }
}

fn lookup(accounts: &str, name: &str) -> Option<Ids> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Ids { user, group })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_from_the_line_of_that_account() {
        let accounts = "root:x:0:0::/:/bin/sh\npostgres:x:101:104:PostgreSQL:/x:/bin/bash\n";
        let ids = lookup(accounts, "postgres").map(|ids| (ids.user, ids.group));
        assert_eq!(ids, Some((101, 104)));
        assert!(lookup(accounts, "postgre").is_none());
    }
}
