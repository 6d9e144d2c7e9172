//! The file of a backup: a tar archive, compressed with zstd. `tar --zstd -xf` opens it too,
//! so that what is in it can be had without this program.
//!
//! It holds the files of the store, and last `manifest.json` with the size and SHA-256 of
//! each: a file that was cut has no manifest, one that was changed does not fit it. Names are
//! plain ones; whatever else comes is refused, as is more than fits on the disk.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, Entry as TarEntry, Header};

use super::BackupError;

const MANIFEST: &str = "manifest.json";
const FORMAT: u32 = 1;
/// An archive ends with two empty blocks; the first one ends the list of its files.
const BLOCK: u64 = 512;
/// Most bytes of a manifest.
const MOST_MANIFEST: u64 = 1 << 20;
/// Most files: a store has a few.
const MOST_FILES: usize = 64;
/// What is left free when one is unpacked.
const SPARE: u64 = 64 << 20;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// When it was begun (RFC 3339); the store is as it was then, or a moment later.
    pub made_at: String,
    /// Version of the program that made it.
    pub version: String,
    /// The store's files.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Its name, without folders.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// Passes bytes on and hashes them.
struct Hashed<T> {
    inner: T,
    hash: Sha256,
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    fn digits(self) -> String {
        crate::auth::random::hex(&self.hash.finalize())
    }
}

/// Writes an archive of these files; it is on the disk when this returns.
pub(super) fn write(out: File, files: &[impl AsRef<Path>], made_at: jiff::Timestamp) -> io::Result<Manifest> {
    let mut packed = zstd::Encoder::new(BufWriter::with_capacity(1 << 20, out), 3)?;
    packed.include_checksum(true)?;
    let mut tar = Builder::new(packed);
    let time = u64::try_from(made_at.as_second()).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut manifest = Manifest { format: FORMAT, made_at: made_at.to_string(), version, files: Vec::new() };
    for path in files {
        let path = path.as_ref();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut hashed = Hashed::new(file.take(bytes));
        tar.append(&header(name, bytes, time)?, &mut hashed)?;
        if hashed.inner.limit() != 0 {
            return Err(io::Error::other(format!("{name} became shorter while it was read")));
        }
        manifest.files.push(Entry { name: name.to_owned(), bytes, sha256: hashed.digits() });
    }
    let text = serde_json::to_vec_pretty(&manifest)?;
    tar.append(&header(MANIFEST, text.len() as u64, time)?, text.as_slice())?;
    let out = tar.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.sync_all()?;
    Ok(manifest)
}

fn header(name: &str, bytes: u64, time: u64) -> io::Result<Header> {
    if !is_plain(name) {
        return Err(io::Error::other(format!("{name:?} is no name for a file of a backup")));
    }
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_cksum();
    Ok(header)
}

fn is_plain(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() < 100 && !name.starts_with('.') && name.chars().all(known)
}

/// Name of a file of an archive; links, folders and names that are none of ours are refused.
fn name_of(entry: &TarEntry<'_, impl Read>) -> Result<String, BackupError> {
    let header = entry.header();
    let is_file = header.as_ustar().is_some() && header.entry_type().is_file();
    match String::from_utf8(entry.path_bytes().into_owned()) {
        Ok(name) if is_file && is_plain(&name) => Ok(name),
        _ => Err(BackupError::Damaged("it is no backup of this program".to_owned())),
    }
}

/// Unpacks an archive into a folder that is there and empty, and checks every byte of it.
pub(super) fn unpack(archive: &Path, to: &Path) -> Result<Manifest, BackupError> {
    let failed = |error: io::Error| BackupError::io(archive, error);
    let damaged = |error: io::Error| BackupError::Damaged(format!("it can't be read: {error}"));
    let file = File::open(archive).map_err(failed)?;
    let packed = zstd::Decoder::with_buffer(BufReader::with_capacity(1 << 20, file)).map_err(damaged)?;
    let mut tar = Archive::new(packed);
    let (mut found, mut manifest) = (Vec::new(), None);
    // Raw: headers that give the next file another name or size are none of ours.
    for entry in tar.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let (name, bytes) = (name_of(&entry)?, entry.size());
        if name == MANIFEST {
            if bytes > MOST_MANIFEST {
                return Err(BackupError::Damaged("its manifest is too long".to_owned()));
            }
            let mut text = vec![0; usize::try_from(bytes).unwrap_or_default()];
            entry.read_exact(&mut text).map_err(damaged)?;
            manifest = Some(text);
        } else {
            if found.len() >= MOST_FILES {
                return Err(BackupError::Damaged("it has too many files".to_owned()));
            }
            super::need_room(to, bytes.saturating_add(SPARE))?;
            found.push(unpack_file(&mut entry, &to.join(&name), name, bytes)?);
        }
    }
    // To its end: the checksum of the whole comes last.
    let behind = io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(damaged)?;
    if behind != BLOCK {
        return Err(BackupError::Damaged("it ends too early, or something comes behind its end".to_owned()));
    }
    let text = manifest.ok_or_else(|| BackupError::Damaged("it has no manifest".to_owned()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| BackupError::Damaged(format!("its manifest: {error}")))?;
    // They are shown to people.
    let shown = [&manifest.made_at, &manifest.version];
    if shown.iter().any(|text| text.len() > 64 || text.chars().any(|c| !c.is_ascii_graphic())) {
        return Err(BackupError::Damaged("its manifest holds what nobody writes there".to_owned()));
    }
    if manifest.format != FORMAT {
        return Err(BackupError::Refused(format!(
            "its format is {}, this program knows {FORMAT}; use the program of version {} that made it",
            manifest.format, manifest.version
        )));
    }
    if manifest.files != found || found.is_empty() {
        return Err(BackupError::Damaged("its files are not those that were written".to_owned()));
    }
    Ok(manifest)
}

fn unpack_file(content: &mut impl Read, path: &Path, name: String, bytes: u64) -> Result<Entry, BackupError> {
    let failed = |error: io::Error| BackupError::io(path, error);
    let mut file = super::private(path).map_err(failed)?;
    let mut hashed = Hashed::new(content);
    let mut buffer = vec![0; 1 << 20];
    let mut written = 0;
    loop {
        // Apart, so that a damaged archive is told from a full disk.
        let read = hashed.read(&mut buffer).map_err(|error| BackupError::Damaged(format!("{name}: {error}")))?;
        if read == 0 {
            break;
        }
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(failed)?;
        written += read as u64;
    }
    if written != bytes {
        return Err(BackupError::Damaged(format!("{name} ends too early")));
    }
    file.sync_all().map_err(failed)?;
    Ok(Entry { name, bytes, sha256: hashed.digits() })
}
