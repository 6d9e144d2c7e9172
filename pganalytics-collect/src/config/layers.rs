//! Settings from flags, environment, file and defaults, each with its origin.

use std::{cell::RefCell, collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use pganalytics_core::Secret;
use toml::Value;

use super::{file::ConfigFile, keys};
use crate::{delivery::Backlog, error::CollectError, postgres::Environment};

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A setting as it holds now; secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name, as `collector.interval`.
    pub key: String,
    /// Its value in words; empty when it is not set, `***` when it is secret.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// The layers, the first that has a setting wins.
pub(super) struct Layers<'a> {
    pub flags: &'a BTreeMap<String, String>,
    pub environment: &'a Environment<'a>,
    pub file: Option<&'a ConfigFile>,
    seen: RefCell<Vec<Setting>>,
}

/// A mistake in a setting: where it stands, and what to do.
pub(super) fn wrong(origin: &Origin, key: &str, message: impl Into<String>) -> CollectError {
    let key = match origin {
        Origin::Default => key.to_owned(),
        Origin::Environment(variable) => variable.clone(),
        Origin::Flag(flag) => flag.clone(),
        Origin::File { .. } => format!("{origin}: {key}"),
    };
    CollectError::Config { key, message: message.into() }
}

impl<'a> Layers<'a> {
    pub(super) fn new(
        flags: &'a BTreeMap<String, String>,
        environment: &'a Environment<'a>,
        file: Option<&'a ConfigFile>,
    ) -> Self {
        Self { flags, environment, file, seen: RefCell::default() }
    }

    /// All settings that were asked for, and those noted.
    pub(super) fn into_settings(self) -> Vec<Setting> {
        self.seen.into_inner()
    }

    /// Remembers a setting for `config`.
    pub(super) fn note(&self, key: impl Into<String>, value: impl Into<String>, origin: &Origin) {
        self.seen.borrow_mut().push(Setting { key: key.into(), value: value.into(), origin: origin.clone() });
    }

    /// What the environment says of a setting, and the variable that does.
    fn of_environment(&self, key: &keys::Key) -> Option<(String, String)> {
        key.variables().find_map(|variable| Some((self.environment.variable(&variable)?, variable)))
    }

    /// The value of a setting and its origin; noted.
    fn get(&self, path: &str) -> Option<(Value, Origin)> {
        let key = keys::find(path)?;
        let found = if let Some(text) = self.flags.get(path) {
            Some((Value::String(text.clone()), Origin::Flag(flag_of(path))))
        } else if let Some((text, variable)) = self.of_environment(key) {
            Some((Value::String(text), Origin::Environment(variable)))
        } else if let Some((value, origin)) = self.file.and_then(|file| file.value(path)) {
            Some((value.clone(), origin))
        } else if key.default.is_empty() {
            None
        } else {
            Some((Value::String(key.default.to_owned()), Origin::Default))
        };
        let shown = match &found {
            Some(_) if key.secret => String::from("***"),
            Some((Value::String(text), _)) => text.clone(),
            Some((value, _)) => value.to_string(),
            None => String::new(),
        };
        self.note(path, shown, found.as_ref().map_or(&Origin::Default, |(_, origin)| origin));
        found
    }

    /// Where a setting comes from, without noting it.
    pub(super) fn origin(&self, path: &str) -> Origin {
        let env = keys::find(path).and_then(|key| self.of_environment(key));
        if self.flags.contains_key(path) {
            Origin::Flag(flag_of(path))
        } else if let Some((_, variable)) = env {
            Origin::Environment(variable)
        } else {
            self.file.and_then(|file| file.value(path)).map_or(Origin::Default, |(_, origin)| origin)
        }
    }

    fn typed<T>(
        &self,
        path: &str,
        parse: impl Fn(&Value) -> Result<T, &'static str>,
    ) -> Result<Option<T>, CollectError> {
        let Some((value, origin)) = self.get(path) else { return Ok(None) };
        parse(&value).map(Some).map_err(|expected| {
            // A secret of the wrong type must not be shown either.
            let shown =
                if keys::find(path).is_some_and(|key| key.secret) { String::from("it") } else { value.to_string() };
            wrong(&origin, path, format!("{shown} is not {expected}"))
        })
    }

    pub(super) fn text(&self, path: &str) -> Result<Option<String>, CollectError> {
        self.typed(path, |value| match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err("text in quotes"),
        })
    }

    pub(super) fn secret(&self, path: &str) -> Result<Option<Secret<String>>, CollectError> {
        Ok(self.text(path)?.map(Secret::new))
    }

    /// A secret that stands in the settings or in the file that `PATH_file`
    /// names; one line break at the file's end does not count.
    pub(super) fn secret_or_file(&self, path: &str) -> Result<Option<Secret<String>>, CollectError> {
        let file_path = format!("{path}_file");
        let (secret, file) = (self.secret(path)?, self.path(&file_path)?);
        let Some(file) = file else { return Ok(secret) };
        let bad = |message: String| wrong(&self.origin(&file_path), &file_path, message);
        if secret.is_some() {
            return Err(bad(format!("there is also {path}; remove one of them")));
        }
        let text = self.environment.file(&file).map_err(|error| bad(format!("{}: {error}", file.display())))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(bad(format!("{} is empty", file.display())));
        }
        Ok(Some(Secret::new(text.to_owned())))
    }

    pub(super) fn path(&self, path: &str) -> Result<Option<PathBuf>, CollectError> {
        Ok(self.text(path)?.map(PathBuf::from))
    }

    /// A list of words: a list of texts, or one text with commas.
    pub(super) fn words(&self, path: &str) -> Result<Vec<String>, CollectError> {
        const EXPECTED: &str = "a list of words, as [\"a\", \"b\"]";
        let words = self.typed(path, |value| match value {
            Value::String(text) => Ok(text.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>()),
            Value::Array(words) => {
                words.iter().map(|word| word.as_str().map(str::to_owned).ok_or(EXPECTED)).collect::<Result<_, _>>()
            }
            _ => Err(EXPECTED),
        })?;
        Ok(words.unwrap_or_default().into_iter().filter(|word| !word.is_empty()).collect())
    }

    pub(super) fn boolean(&self, path: &str) -> Result<bool, CollectError> {
        Ok(self.typed(path, boolean)?.unwrap_or_default())
    }

    pub(super) fn duration(&self, path: &str) -> Result<Duration, CollectError> {
        Ok(self.typed(path, duration)?.unwrap_or_default())
    }

    pub(super) fn backlog(&self, path: &str) -> Result<Backlog, CollectError> {
        let backlog = self.typed(path, |value| match value.as_str() {
            Some("oldest_first") => Ok(Backlog::OldestFirst),
            Some("newest_first") => Ok(Backlog::NewestFirst),
            _ => Err("oldest_first or newest_first"),
        })?;
        Ok(backlog.unwrap_or_default())
    }

    pub(super) fn bytes(&self, path: &str) -> Result<usize, CollectError> {
        let bytes = self.typed(path, |value| match value {
            Value::Integer(bytes) => usize::try_from(*bytes).map_err(|_| "a number of bytes"),
            Value::String(text) => text.trim().parse().map_err(|_| "a number of bytes"),
            _ => Err("a number of bytes"),
        })?;
        Ok(bytes.unwrap_or_default())
    }
}

/// Settings without a flag of their own are set by `--set`.
fn flag_of(path: &str) -> String {
    match path {
        "backend.url" => String::from("--backend-url"),
        "collector.log_level" => String::from("--log-level"),
        _ => format!("--set {path}"),
    }
}

pub(super) fn boolean(value: &Value) -> Result<bool, &'static str> {
    match value {
        Value::Boolean(yes) => Ok(*yes),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("true or false"),
        },
        _ => Err("true or false"),
    }
}

/// A length of time: seconds, or text as `"500ms"`, `"30s"`, `"5m"`, `"1h"`.
pub(super) fn duration(value: &Value) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "a length of time from 0.1 s to a day; write as 60 or \"500ms\"";
    let seconds = match value {
        #[expect(clippy::cast_precision_loss, reason = "longer times are refused below")]
        Value::Integer(seconds) => *seconds as f64,
        Value::Float(seconds) => *seconds,
        Value::String(text) => {
            let text = text.trim();
            let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
            let unit = match text.strip_prefix(number).map(str::trim) {
                Some("ms") => 0.001,
                Some("" | "s") => 1.0,
                Some("m" | "min") => 60.0,
                Some("h") => 3600.0,
                _ => return Err(EXPECTED),
            };
            number.parse::<f64>().map_err(|_| EXPECTED)? * unit
        }
        _ => return Err(EXPECTED),
    };
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err(EXPECTED);
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| EXPECTED)
}
