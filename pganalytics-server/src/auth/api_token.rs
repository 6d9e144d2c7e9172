//! Tokens of programs and agents: `pga_<id>_<secret>`. The id finds the row,
//! the secret's hash proves the token; nobody can read a token from the store.

use pganalytics_core::Secret;
use uuid::Uuid;

use super::random;
use crate::error::ServerError;

const PREFIX: &str = "pga_";

/// A token as its holder has it.
pub(crate) struct IssuedToken {
    pub(crate) id: Uuid,
    pub(crate) hash: [u8; 32],
    pub(crate) text: Secret<String>,
}

/// A fresh token.
pub(crate) fn issue() -> Result<IssuedToken, ServerError> {
    let id = Uuid::new_v4();
    let secret = random::hex(&random::bytes::<32>()?);
    let hash = random::hash(secret.as_bytes());
    Ok(IssuedToken { id, hash, text: Secret::new(format!("{PREFIX}{}_{secret}", id.simple())) })
}

/// Whether a text wants to be such a token.
pub(crate) fn looks_like_one(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The id and the hash of the secret of a token.
pub(crate) fn parse(text: &str) -> Option<(Uuid, [u8; 32])> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    if id.len() != 32 || secret.len() != 64 {
        return None;
    }
    Some((Uuid::parse_str(id).ok()?, random::hash(secret.as_bytes())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_finds_its_row() {
        let token = issue().unwrap();
        assert_eq!(parse(token.text.expose()), Some((token.id, token.hash)));
        assert!(parse("pga_").is_none());
        assert!(parse(&format!("{}0", token.text.expose())).is_none());
        assert!(parse(&token.text.expose().replace("pga_", "xyz_")).is_none());
    }
}
