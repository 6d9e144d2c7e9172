//! `log_line_prefix`.

/// A compiled `log_line_prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefix {
    text: String,
}

impl Prefix {
    /// From the setting's value. Any value will do: PostgreSQL itself leaves out
    /// escapes that it does not know.
    #[must_use]
    pub fn new(setting: &str) -> Self {
        Self { text: setting.to_owned() }
    }

    /// The setting's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
