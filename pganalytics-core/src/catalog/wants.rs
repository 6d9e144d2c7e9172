//! What a measurement wants of a server to be whole.

use super::{error::CatalogError, table::Table, version::VersionRange};

pub(super) const WANTS: &[&str] = &["setting", "value", "role", "function", "without", "postgres"];

/// Something without which a measurement works in part only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Want {
    /// What it is.
    pub what: Wanted,
    /// What is missing or wrong without it.
    pub without: String,
    /// Versions that want it.
    pub postgres: VersionRange,
}

/// What a [`Want`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// A setting has one of these values; the first is advised.
    Setting {
        /// Its name.
        name: String,
        /// The values.
        values: Vec<String>,
    },
    /// A setting has at least this value, in the unit of `pg_settings`.
    AtLeast {
        /// Its name.
        name: String,
        /// The least value.
        value: i64,
    },
    /// The watching role is a member of this one, and has its rights.
    Role(String),
    /// The watching role may call this function; with its arguments' types.
    Function(String),
}

impl Want {
    /// The setting that it is about.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        match &self.what {
            Wanted::Setting { name, .. } | Wanted::AtLeast { name, .. } => Some(name),
            Wanted::Role(_) | Wanted::Function(_) => None,
        }
    }

    /// Whether a setting of this value is as wanted; true for what is no setting.
    #[must_use]
    pub fn is_met_by(&self, setting: &str) -> bool {
        match &self.what {
            Wanted::Setting { values, .. } => values.iter().any(|value| value.eq_ignore_ascii_case(setting.trim())),
            Wanted::AtLeast { value, .. } => setting.trim().parse::<i64>().is_ok_and(|setting| setting >= *value),
            Wanted::Role(_) | Wanted::Function(_) => true,
        }
    }
}

/// The tables `[[wants]]`.
pub(super) fn wants(top: &Table<'_>) -> Result<Vec<Want>, CatalogError> {
    top.tables("wants", "setting", WANTS)?.iter().map(want).collect()
}

fn want(table: &Table<'_>) -> Result<Want, CatalogError> {
    let what = match (table.text("setting")?, table.text("role")?, table.text("function")?) {
        (Some(_), None, None) => setting(table)?,
        (None, Some(_), None) => Wanted::Role(table.required("role")?.to_owned()),
        (None, None, Some(_)) => {
            let function = table.required("function")?;
            if !function.ends_with(')') {
                return Err(table.error("function", "write it with its arguments' types, as pg_catalog.pg_ls_waldir()"));
            }
            Wanted::Function(function.to_owned())
        }
        _ => return Err(table.error("setting", "there is one of setting, role and function; split or complete it")),
    };
    if table.text("value")?.is_some() && !matches!(what, Wanted::Setting { .. } | Wanted::AtLeast { .. }) {
        return Err(table.error("value", "only a setting has a value; remove it"));
    }
    Ok(Want {
        what,
        without: table.required("without")?.trim().to_owned(),
        postgres: table.parsed("postgres")?.unwrap_or(VersionRange::ALL),
    })
}

fn setting(table: &Table<'_>) -> Result<Wanted, CatalogError> {
    let name = table.required("setting")?;
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b)) {
        return Err(table.error("setting", "a setting's name has small letters, digits, _ and ."));
    }
    let value = table.required("value")?.trim();
    if let Some(least) = value.strip_prefix(">=") {
        let value = least.trim().parse();
        let value = value.map_err(|_| table.error("value", format!("{least:?} is not a whole number")))?;
        return Ok(Wanted::AtLeast { name: name.to_owned(), value });
    }
    let values: Vec<String> =
        value.split(',').map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect();
    if values.is_empty() {
        return Err(table.error("value", "it names no value"));
    }
    Ok(Wanted::Setting { name: name.to_owned(), values })
}
