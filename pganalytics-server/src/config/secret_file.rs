//! Secrets in files of their own, as images and units are given them.

use std::{fs::File, io::Read, os::unix::fs::PermissionsExt, path::Path};

/// More is no secret but a mistake.
const MOST_BYTES: u64 = 64 << 10;

pub(super) struct SecretFile {
    pub(super) text: String,
    pub(super) others_may_read: bool,
}

/// Reads a secret. What goes wrong names the file, and nothing that is in it.
pub(super) fn read(path: &Path) -> Result<SecretFile, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; `pganalytics-server secrets init` makes what is missing",
            std::io::ErrorKind::PermissionDenied => "; give it to the server's user",
            _ => "",
        };
        format!("{shown}: {error}{hint}")
    };
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(format!("{shown} is a folder; name the file in it"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("{shown} has more than {MOST_BYTES} bytes, which is no secret"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(format!("{shown} is empty"));
    }
    Ok(SecretFile { text, others_may_read: about.permissions().mode() & 0o007 != 0 })
}
