//! Random secrets and their hashes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pganalytics_core::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ServerError;

/// Random bytes of the system's generator.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], ServerError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| ServerError::Crypto(format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// 256 random bits as text.
pub(crate) fn token() -> Result<String, ServerError> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>()?))
}

/// A password that nobody guesses and everybody can type: 24 characters that are
/// not mixed up, in groups.
pub(crate) fn password() -> Result<Secret<String>, ServerError> {
    const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut text = String::with_capacity(28);
    for (at, byte) in bytes::<24>()?.into_iter().enumerate() {
        if at > 0 && at % 6 == 0 {
            text.push('-');
        }
        let letter = ALPHABET.get(usize::from(byte) % ALPHABET.len()).copied().unwrap_or(b'x');
        text.push(char::from(letter));
    }
    Ok(Secret::new(text))
}

/// SHA-256, for secrets of at least 128 random bits.
pub(crate) fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether two secrets are equal, in a time that says nothing.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    hash(a).ct_eq(&hash(b)).into()
}

/// Bytes of lower-case hexadecimal.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
