//! Gathers settings and remembers where each came from.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use pganalytics_core::Secret;

use super::keys::{KEYS, Key};
use crate::error::ServerError;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The settings file.
    File(PathBuf),
    /// An environment variable.
    Environment(&'static str),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// The values of all settings.
#[derive(Debug, Clone)]
pub struct Gathered {
    values: BTreeMap<&'static str, (Vec<Secret<String>>, Origin)>,
}

/// Values by name, as the command line gave them.
pub type Flags = BTreeMap<&'static str, Vec<String>>;

impl Gathered {
    /// Gathers the settings; `file` is the settings file with its text.
    ///
    /// # Errors
    /// When the file is no TOML, or has a key that there is not.
    pub fn read(
        flags: &Flags,
        environment: &dyn Fn(&str) -> Option<String>,
        file: Option<&(PathBuf, String)>,
    ) -> Result<Self, ServerError> {
        let mut in_file = match file {
            Some((path, text)) => parse(path, text)?,
            None => BTreeMap::new(),
        };
        let mut values = BTreeMap::new();
        for key in KEYS {
            let from_flag = flags.get(key.name).map(|values| (values.clone(), Origin::Flag));
            let from_environment = || {
                // An empty variable is one that is not set: compose files write them so.
                let set =
                    |name: &&'static str| environment(name).filter(|text| !text.is_empty()).map(|text| (text, *name));
                let (text, name) = key.env.iter().find_map(set)?;
                Some((split(key, text), Origin::Environment(name)))
            };
            let from_file = in_file.remove(key.name).zip(file);
            let from_file = from_file.map(|(values, (path, _))| (values, Origin::File(path.clone())));
            let default = || {
                let default = if key.default.is_empty() { vec![] } else { vec![key.default.to_owned()] };
                (default, Origin::Default)
            };
            let (texts, origin) = from_flag.or_else(from_environment).or(from_file).unwrap_or_else(default);
            values.insert(key.name, (texts.into_iter().map(Secret::new).collect(), origin));
        }
        Ok(Self { values })
    }

    /// The value of a setting; the last one where there are several.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.0.last().map(|value| value.expose().as_str()).filter(|text| !text.is_empty())
    }

    /// All values of a setting.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<Secret<String>> {
        self.values.get(name).map(|(values, _)| values.clone()).unwrap_or_default()
    }

    /// Where a setting came from.
    #[must_use]
    pub fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Name, value as it may be shown, and origin of every setting.
    pub fn show(&self) -> impl Iterator<Item = (&'static Key, String, Origin)> + '_ {
        KEYS.iter().map(|key| {
            let values = self.all(key.name);
            let shown = if key.secret && !values.is_empty() {
                "***".to_owned()
            } else {
                values.iter().map(|value| value.expose().as_str()).collect::<Vec<_>>().join(", ")
            };
            (key, shown, self.origin(key.name))
        })
    }

    /// An error about a setting, naming where it came from.
    #[must_use]
    pub fn error(&self, name: &str, message: impl fmt::Display) -> ServerError {
        let variable = Key::find(name).and_then(|key| key.env.first().copied()).unwrap_or(name);
        let origin = match self.origin(name) {
            Origin::Default => String::new(),
            origin => format!(" (from {origin})"),
        };
        ServerError::setting(format!("{variable}{origin}"), message.to_string())
    }
}

fn split(key: &Key, text: String) -> Vec<String> {
    let separators: &[char] = match key.name {
        "cors_allowed_origins" | "trusted_proxies" => &[',', ' '],
        // Addresses hold no blanks; settings as `host=… user=…` do.
        "monitor" if text.split_whitespace().all(|word| word.contains("://")) => &[' ', '\n', '\t'],
        _ => return vec![text],
    };
    text.split(separators).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn parse(path: &std::path::Path, text: &str) -> Result<BTreeMap<String, Vec<String>>, ServerError> {
    let name = path.display();
    let table: toml::Table =
        text.parse().map_err(|error| ServerError::setting(name.to_string(), format!("{error}")))?;
    let mut values = BTreeMap::new();
    for (field, value) in table {
        let bad = |why: &str| ServerError::setting(format!("{name}: {field}"), why.to_owned());
        let Some(key) = Key::find(&field) else {
            return Err(bad("there is no such setting; `pganalytics-server config` lists them"));
        };
        let texts = match value {
            toml::Value::String(text) => split(key, text),
            toml::Value::Integer(number) => vec![number.to_string()],
            toml::Value::Boolean(yes) => vec![yes.to_string()],
            toml::Value::Array(items) if key.is_list() => {
                let texts = items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>();
                texts.ok_or_else(|| bad("it must be a list of texts"))?
            }
            _ => return Err(bad("it must be a text, a whole number, or true or false")),
        };
        values.insert(field, texts);
    }
    Ok(values)
}
