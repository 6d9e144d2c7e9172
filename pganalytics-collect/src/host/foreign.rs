//! Text that others wrote: names in it may be any bytes.

use std::{fs, io, path::Path};

/// A file as text; bytes that are not UTF-8 are replaced, so that one odd name costs itself and
/// nothing beside it.
///
/// # Errors
/// When the file can't be read.
pub(crate) fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    fs::read(path).map(text)
}

/// The same of bytes.
pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
