//! Reading a TOML table field by field, with errors that know where they are.

use std::time::Duration;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::CatalogError;

/// A file: its name and text, for errors.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl File<'_> {
    /// An error at a byte of the file.
    pub(super) fn error(self, at: usize, field: impl Into<String>, problem: impl Into<String>) -> CatalogError {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        CatalogError::new(self.name, line, field, problem)
    }
}

/// A table of the file.
pub(super) struct Table<'a> {
    file: File<'a>,
    /// What fields of it are called in errors: `column seq_scan: `.
    prefix: String,
    at: usize,
    map: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// A table that may hold only these fields.
    pub(super) fn new(
        file: File<'a>,
        prefix: String,
        at: usize,
        map: &'a DeTable<'a>,
        known: &[&str],
    ) -> Result<Self, CatalogError> {
        let table = Self { file, prefix, at, map };
        match map.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            None => Ok(table),
            Some(key) => {
                let problem = format!("there is no such field; known are {}", known.join(", "));
                Err(table.error_at(key.span().start, key.get_ref(), problem))
            }
        }
    }

    fn error_at(&self, at: usize, field: &str, problem: impl Into<String>) -> CatalogError {
        self.file.error(at, format!("{}{field}", self.prefix), problem)
    }

    fn get(&self, field: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.map.get(field)
    }

    /// An error at a field, or at the table where the field is not there.
    pub(super) fn error(&self, field: &str, problem: impl Into<String>) -> CatalogError {
        let at = self.get(field).map_or(self.at, |value| value.span().start);
        self.error_at(at, field, problem)
    }

    fn expected(&self, field: &str, value: &DeValue<'_>, expected: &str) -> CatalogError {
        self.error(field, format!("{expected} is expected here, not {}", kind_of(value)))
    }

    /// A text.
    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, CatalogError> {
        match self.get(field).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.expected(field, other, "a text in quotes")),
        }
    }

    /// A text that must be there and not be empty.
    pub(super) fn required(&self, field: &str) -> Result<&'a str, CatalogError> {
        match self.text(field)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(self.error(field, "it is empty")),
            None => Err(self.error(field, "it is missing; add it")),
        }
    }

    /// True or false.
    pub(super) fn boolean(&self, field: &str) -> Result<Option<bool>, CatalogError> {
        match self.get(field).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::Boolean(value)) => Ok(Some(*value)),
            Some(other) => Err(self.expected(field, other, "true or false")),
        }
    }

    /// A number of things, at least 1.
    pub(super) fn count(&self, field: &str) -> Result<Option<usize>, CatalogError> {
        match self.get(field).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::Integer(number)) => usize::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|&count| count > 0)
                .map(Some)
                .ok_or_else(|| self.error(field, "it must be a whole number above 0")),
            Some(other) => Err(self.expected(field, other, "a whole number")),
        }
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, field: &str, words: &[(&str, T)]) -> Result<Option<T>, CatalogError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(self.error(field, format!("{text:?} is none of {}", known.join(", "))))
            }
        }
    }

    /// One of these words, which must be there.
    pub(super) fn required_word<T: Copy>(&self, field: &str, words: &[(&str, T)]) -> Result<T, CatalogError> {
        self.required(field)?;
        self.word(field, words)?.ok_or_else(|| self.error(field, "it is missing; add it"))
    }

    /// A text that means something.
    pub(super) fn parsed<T: std::str::FromStr<Err = String>>(&self, field: &str) -> Result<Option<T>, CatalogError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        text.parse().map(Some).map_err(|problem: String| self.error(field, problem))
    }

    /// A length of time.
    pub(super) fn duration(&self, field: &str) -> Result<Option<Duration>, CatalogError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let millis = match text.strip_prefix(digits).map(str::trim) {
            Some("ms") => Some(1),
            Some("s") => Some(1000),
            Some("m") => Some(60_000),
            Some("h") => Some(3_600_000),
            Some("d") => Some(86_400_000),
            _ => None,
        };
        // A hundred years are enough for anything and keep all arithmetic safe.
        let longest = 36_525 * 86_400_000;
        digits
            .parse::<u64>()
            .ok()
            .zip(millis)
            .and_then(|(number, millis)| number.checked_mul(millis))
            .filter(|millis| (1..=longest).contains(millis))
            .map(|millis| Some(Duration::from_millis(millis)))
            .ok_or_else(|| self.error(field, format!("{text:?} is not a length of time; write as \"60s\" or \"7d\"")))
    }

    /// A table inside, which may hold only these fields.
    pub(super) fn table(&self, field: &str, known: &[&str]) -> Result<Option<Self>, CatalogError> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => match value.get_ref() {
                DeValue::Table(map) => {
                    Self::new(self.file, format!("{field}: "), value.span().start, map, known).map(Some)
                }
                other => Err(self.expected(field, other, &format!("a table [{field}]"))),
            },
        }
    }

    /// The tables of a list, each of which may hold only these fields. They are
    /// called by their number, or by their `label` where they have it.
    pub(super) fn tables(&self, field: &str, label: &str, known: &[&str]) -> Result<Vec<Self>, CatalogError> {
        let Some(list) = self.get(field).map(Spanned::get_ref) else { return Ok(Vec::new()) };
        let DeValue::Array(list) = list else {
            return Err(self.expected(field, list, &format!("a list of tables [[{field}]]")));
        };
        let table = |(number, value): (usize, &'a Spanned<DeValue<'a>>)| {
            let DeValue::Table(map) = value.get_ref() else {
                return Err(self.expected(field, value.get_ref(), &format!("a list of tables [[{field}]]")));
            };
            let prefix = match map.get(label).map(Spanned::get_ref) {
                Some(DeValue::String(name)) => format!("{field} {name}: "),
                _ => format!("{field} {}: ", number + 1),
            };
            Self::new(self.file, prefix, value.span().start, map, known)
        };
        list.iter().enumerate().map(table).collect()
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
