//! How pgBackRest is run, as people write it.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::{error::CollectError, postgres::Length};

/// The table `[[pgbackrest]]` of the agent's settings; everything may be left
/// out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PgBackRestSettings {
    /// What the figures stand under; default: the host.
    pub name: Option<String>,
    /// The program and its first arguments; default `["pgbackrest"]`.
    pub command: Option<Vec<String>>,
    /// Its settings file; default: its own default.
    pub config: Option<PathBuf>,
    /// The only stanza to look at; default: all.
    pub stanza: Option<String>,
    /// Longest time for an answer; default 60 s.
    pub timeout: Option<Length>,
}

/// How pgBackRest is run, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PgBackRestConfig {
    /// What the figures stand under; `None` for the host.
    pub name: Option<String>,
    /// The program and all its arguments, never empty.
    pub command: Vec<String>,
    /// Longest time for an answer.
    pub timeout: Duration,
}

impl PgBackRestSettings {
    /// The command that these settings describe.
    ///
    /// # Errors
    /// The setting that is wrong, and what to do.
    pub fn resolve(self) -> Result<PgBackRestConfig, CollectError> {
        let bad = |key: &str, message: &str| CollectError::Config {
            key: format!("pgbackrest.{key}"),
            message: message.to_owned(),
        };
        let mut command = self.command.unwrap_or_else(|| vec![String::from("pgbackrest")]);
        if command.first().is_none_or(String::is_empty) {
            return Err(bad("command", "it is empty; write the program and its first arguments, as [\"pgbackrest\"]"));
        }
        if command.iter().any(|word| word == "info" || word.starts_with("--output")) {
            return Err(bad("command", "info and its options are added by the agent; leave them out"));
        }
        if self.stanza.as_ref().is_some_and(String::is_empty) {
            return Err(bad("stanza", "it is empty; leave it out for all stanzas"));
        }
        let Length(timeout) = self.timeout.unwrap_or(Length(Duration::from_secs(60)));
        if timeout.is_zero() {
            return Err(bad("timeout", "0 would mean no limit; set a time"));
        }
        command.extend(self.config.map(|path| format!("--config={}", path.display())));
        command.extend(self.stanza.map(|stanza| format!("--stanza={stanza}")));
        // What goes wrong is for the agent; nothing is written on the way.
        let own =
            ["--log-level-console=off", "--log-level-file=off", "--log-level-stderr=warn", "--output=json", "info"];
        command.extend(own.map(str::to_owned));
        Ok(PgBackRestConfig { name: self.name, command, timeout })
    }
}

impl PgBackRestConfig {
    /// Its settings in words.
    #[cfg(feature = "config")]
    pub(crate) fn shown(&self) -> [(&'static str, String); 2] {
        [("command", self.command.join(" ")), ("timeout", format!("{:?}", self.timeout))]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn resolve(toml: &str) -> Result<PgBackRestConfig, CollectError> {
        toml::from_str::<PgBackRestSettings>(toml).unwrap().resolve()
    }

    #[test]
    fn a_command_comes_out() {
        let config = resolve(
            "command = ['sudo', '-n', '-u', 'postgres', 'pgbackrest']\nstanza = 'main'\nconfig = '/etc/b.conf'\ntimeout = '5s'",
        );
        let config = config.unwrap();
        let command = config.command.join(" ");
        assert!(
            command.starts_with("sudo -n -u postgres pgbackrest --config=/etc/b.conf --stanza=main --log-level"),
            "{command}"
        );
        assert!(command.ends_with("--output=json info"), "{command}");
        assert_eq!(config.timeout, Duration::from_secs(5));
        assert_eq!(resolve("").unwrap().command.first().unwrap(), "pgbackrest");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (toml, key) in [
            ("command = []", "command"),
            ("command = ['']", "command"),
            ("command = ['pgbackrest', 'info']", "command"),
            ("stanza = ''", "stanza"),
            ("timeout = 0", "timeout"),
        ] {
            let error = resolve(toml).unwrap_err().to_string();
            assert!(error.starts_with(&format!("pgbackrest.{key}: ")), "{error}");
        }
        assert!(toml::from_str::<PgBackRestSettings>("comand = []").is_err());
    }
}
