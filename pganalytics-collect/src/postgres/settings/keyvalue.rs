//! libpq's `key=value` form: `host=db1 password='it''s \' fine'`.

use super::values::{PostgresSettings, bad};
use crate::error::CollectError;

pub(super) fn parse(text: &str) -> Result<PostgresSettings, CollectError> {
    let mut settings = PostgresSettings::default();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(settings);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|&c| c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.next() != Some('=') {
            // What stands here may be the rest of a password that was not quoted.
            return Err(bad(
                "url",
                "a word is not followed by \"=\"; write key=value, and values with spaces in quotes",
            ));
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut value = String::new();
        if chars.next_if_eq(&'\'').is_some() {
            loop {
                match chars.next() {
                    Some('\\') => value.extend(chars.next()),
                    Some('\'') => break,
                    Some(c) => value.push(c),
                    None => {
                        let problem = "a quote ' is not closed; write \\' for a quote inside a value";
                        return Err(bad(&safe(&key), problem));
                    }
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                if c == '\\' {
                    value.extend(chars.next());
                } else {
                    value.push(c);
                }
            }
        }
        settings.set(&key, &value)?;
    }
}

/// A key as it may be shown: one that is no plain word may be part of a secret.
pub(super) fn safe(key: &str) -> String {
    if key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && key.len() < 30 {
        key.to_owned()
    } else {
        String::from("url")
    }
}
