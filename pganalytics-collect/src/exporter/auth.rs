//! Who may read the figures.

use std::path::PathBuf;

use base64::Engine as _;
use pganalytics_core::Secret;
use subtle::ConstantTimeEq as _;

/// What a scraper has to show. Files are read for each request, so a rotated
/// secret needs no restart.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Auth {
    /// `Authorization: Bearer …`, with the text of this file.
    TokenFile(PathBuf),
    /// `Authorization: Basic …`, with this name and the password of this file.
    Basic {
        /// The user's name.
        user: String,
        /// File with the password and nothing else.
        password_file: PathBuf,
    },
    /// The same with a password that was given.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret<String>,
    },
}

impl Auth {
    /// Whether a request with this `Authorization` is let in. An error says why
    /// nobody can be, for the log only.
    pub(super) fn admits(&self, header: Option<&[u8]>) -> Result<bool, String> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let text = text.trim_end_matches(['\r', '\n']).to_owned();
            if text.is_empty() { Err(format!("{} is empty: nobody is let in", path.display())) } else { Ok(text) }
        };
        let basic = |user: &str, password: &str| {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
        };
        let expected = match self {
            Self::TokenFile(path) => format!("Bearer {}", read(path)?),
            Self::Basic { user, password_file } => basic(user, &read(password_file)?),
            Self::Password { user, password } => basic(user, password.expose()),
        };
        Ok(header.is_some_and(|header| header.ct_eq(expected.as_bytes()).into()))
    }

    /// What to ask for.
    pub(super) fn challenge(&self) -> &'static str {
        match self {
            Self::TokenFile(_) => "Bearer",
            Self::Basic { .. } | Self::Password { .. } => "Basic realm=\"pganalytics\", charset=\"UTF-8\"",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_the_right_secret_is_let_in() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let token = Auth::TokenFile(file.path().to_owned());
        assert_eq!(token.admits(Some(b"Bearer s3cret")), Ok(true));
        for wrong in [None, Some(&b"Bearer s3cre"[..]), Some(b"Bearer s3cret2"), Some(b"Basic s3cret"), Some(b"")] {
            assert_eq!(token.admits(wrong), Ok(false));
        }
        let basic = Auth::Basic { user: String::from("prom"), password_file: file.path().to_owned() };
        assert_eq!(basic.admits(Some(b"Basic cHJvbTpzM2NyZXQ=")), Ok(true));
        // An empty or missing file lets nobody in.
        std::fs::write(file.path(), "\n").unwrap();
        assert!(token.admits(Some(b"Bearer ")).is_err());
        assert!(Auth::TokenFile("/no/such/file".into()).admits(Some(b"Bearer ")).is_err());
    }
}
