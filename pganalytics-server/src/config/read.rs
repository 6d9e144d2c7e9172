//! Gathers settings and remembers where each came from.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use pganalytics_core::Secret;

use super::{
    keys::{KEYS, Key},
    secret_file::{self, SecretFile},
};
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
    /// A file that holds a secret.
    SecretFile {
        /// The file.
        path: PathBuf,
        /// The setting that named it, as `JWT_SECRET_FILE`.
        named_by: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
            Self::SecretFile { path, named_by } => write!(f, "{} ({named_by})", path.display()),
        }
    }
}

/// The values of all settings.
#[derive(Debug, Clone)]
pub struct Gathered {
    values: BTreeMap<&'static str, (Vec<Secret<String>>, Origin)>,
    readable_by_others: Vec<(&'static str, PathBuf)>,
}

/// Values by name, as the command line gave them; of a secret `x` also `x_file`.
pub type Flags = BTreeMap<String, Vec<String>>;

/// What one layer says of a setting.
#[derive(Default)]
struct LayerValue {
    texts: Option<(Vec<String>, Origin)>,
    /// The file that a secret is in, and the name that it was given by.
    file: Option<(PathBuf, String)>,
}

impl Gathered {
    /// Gathers the settings; `file` is the settings file with its text. Every
    /// secret can be in a file of its own, which the same name with `_FILE`
    /// behind it gives; one line break at its end does not count.
    ///
    /// # Errors
    /// When the file is no TOML, or has a key that there is not; when a secret
    /// is given both ways at once, or its file can't be read.
    pub fn read(
        flags: &Flags,
        environment: &dyn Fn(&str) -> Option<String>,
        file: Option<&(PathBuf, String)>,
    ) -> Result<Self, ServerError> {
        let in_file = match file {
            Some((path, text)) => parse(path, text)?,
            None => BTreeMap::new(),
        };
        let path = file.map(|(path, _)| path.as_path());
        let mut gathered = Self { values: BTreeMap::new(), readable_by_others: Vec::new() };
        for key in KEYS {
            let layers = [of_flags(key, flags), of_environment(key, environment), of_file(key, &in_file, path)];
            let mut found = None;
            for said in layers {
                found = gathered.settle(key, said)?;
                if found.is_some() {
                    break;
                }
            }
            let (texts, origin) = found.unwrap_or_else(|| {
                let default = if key.default.is_empty() { vec![] } else { vec![key.default.to_owned()] };
                (default, Origin::Default)
            });
            gathered.values.insert(key.name, (texts.into_iter().map(Secret::new).collect(), origin));
        }
        Ok(gathered)
    }

    /// One layer's word on a setting; a secret's file is read here.
    fn settle(&mut self, key: &'static Key, given: LayerValue) -> Result<Option<(Vec<String>, Origin)>, ServerError> {
        match (given.texts, given.file) {
            (Some(_), Some((_, named_by))) => {
                Err(ServerError::setting(named_by, "the secret itself is set too; choose one of them"))
            }
            (None, Some((path, named_by))) => {
                let SecretFile { text, others_may_read } =
                    secret_file::read(&path).map_err(|why| ServerError::setting(&named_by, why))?;
                if others_may_read {
                    self.readable_by_others.push((key.name, path.clone()));
                }
                Ok(Some((split(key, text), Origin::SecretFile { path, named_by })))
            }
            (texts, None) => Ok(texts),
        }
    }

    /// Files with secrets that every user of this machine can read.
    #[must_use]
    pub fn readable_by_others(&self) -> &[(&'static str, PathBuf)] {
        &self.readable_by_others
    }

    /// Names of the settings whose values differ from those of `other`.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static Key> + 'a {
        let texts = |gathered: &'a Self, name: &str| {
            gathered
                .values
                .get(name)
                .map(|(values, _)| values.iter().map(|value| value.expose().as_str()).collect::<Vec<_>>())
        };
        KEYS.iter().filter(move |key| texts(self, key.name) != texts(other, key.name))
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

fn of_flags(key: &Key, flags: &Flags) -> LayerValue {
    let file = flags.get(&key.file_name()).filter(|_| key.secret);
    LayerValue {
        texts: flags.get(key.name).map(|values| (values.clone(), Origin::Flag)),
        file: file.and_then(|paths| Some((paths.last()?.into(), format!("--{}-file", key.flag())))),
    }
}

fn of_environment(key: &Key, environment: &dyn Fn(&str) -> Option<String>) -> LayerValue {
    // An empty variable is one that is not set: compose files write them so.
    let set = |name: &str| environment(name).filter(|text| !text.is_empty());
    let texts = key.env.iter().find_map(|name| Some((split(key, set(name)?), Origin::Environment(name))));
    let files = key.env.iter().filter(|_| key.secret).map(|name| format!("{name}_FILE"));
    LayerValue { texts, file: files.into_iter().find_map(|name| Some((set(&name)?.into(), name))) }
}

fn of_file(key: &Key, in_file: &BTreeMap<String, Vec<String>>, path: Option<&Path>) -> LayerValue {
    let Some(path) = path else { return LayerValue::default() };
    let name = key.file_name();
    let file = in_file.get(&name).filter(|_| key.secret).and_then(|paths| paths.last());
    LayerValue {
        texts: in_file.get(key.name).map(|values| (values.clone(), Origin::File(path.to_owned()))),
        file: file.map(|secret| (secret.into(), format!("{}: {name}", path.display()))),
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
        let secret = field.strip_suffix("_file").and_then(Key::find).filter(|key| key.secret);
        if secret.is_some() {
            let path = value.as_str().ok_or_else(|| bad("it must be the name of a file"))?;
            values.insert(field, vec![path.to_owned()]);
            continue;
        }
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
