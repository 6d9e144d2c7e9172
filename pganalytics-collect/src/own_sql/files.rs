//! Reading the files of a folder, within bounds.

use std::{
    fs::{self, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::folder::{MAX_FILE_BYTES, MAX_FILES};

/// What tells a version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// A file that should be a catalog file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Why it is not even looked into.
    pub(super) stamp: Result<Stamp, String>,
}

/// The catalog files of a folder, by name: those that end in `.toml` and do not
/// begin with a dot. Folders are passed over.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut root = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if hidden || path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(Entry { name, stamp: Err(String::from("its name is not UTF-8; rename it")) });
            continue;
        };
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_link && root.is_none() {
            root = Some(fs::canonicalize(folder)?);
        }
        match look(&path, root.as_deref().filter(|_| is_link)) {
            Ok(None) => {}
            Ok(Some(stamp)) => entries.push(Entry { name, stamp: Ok(stamp) }),
            Err(problem) => entries.push(Entry { name, stamp: Err(problem) }),
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries.iter_mut().skip(MAX_FILES) {
        entry.stamp = Err(format!("there are more than {MAX_FILES} files; the last in the alphabet are left out"));
    }
    Ok(entries)
}

/// The stamp of a regular file; `None` for what is none. A link may lead to a
/// file below `root`, and nowhere else: what it leads to would be read with the
/// agent's rights.
fn look(path: &Path, root: Option<&Path>) -> Result<Option<Stamp>, String> {
    if let Some(root) = root {
        let target: PathBuf =
            fs::canonicalize(path).map_err(|error| format!("where it leads can't be found: {error}"))?;
        if !target.starts_with(root) {
            return Err(String::from("it is a link out of the folder; put the file itself here"));
        }
    }
    let found = fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Ok(None);
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(format!("it has {} bytes, more than the {MAX_FILE_BYTES} that are allowed", found.len()));
    }
    Ok(Some(Stamp::from(&found)))
}

/// The text of a file that was seen with this stamp.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut file = fs::File::open(path).map_err(|error| error.to_string())?.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than the {MAX_FILE_BYTES} bytes that are allowed"));
    }
    String::from_utf8(bytes).map_err(|_| String::from("it is not UTF-8; save it as UTF-8"))
}
