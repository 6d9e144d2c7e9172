//! The file of a backup: a tar archive, compressed with zstd. `tar --zstd -xf` opens it too,
//! so that what is in it can be had without this program.
//!
//! It holds the files of the store, and last `manifest.json` with the size and SHA-256 of
//! each: a file that was cut has no manifest, one that was changed does not fit it. Names are
//! plain ones; whatever else comes is refused, as is more than fits on the disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupError;

const MANIFEST: &str = "manifest.json";
const FORMAT: u32 = 1;
const BLOCK: usize = 512;
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
    let mut tar = zstd::Encoder::new(BufWriter::with_capacity(1 << 20, out), 3)?;
    tar.include_checksum(true)?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut manifest = Manifest { format: FORMAT, made_at: made_at.to_string(), version, files: Vec::new() };
    for path in files {
        let path = path.as_ref();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut hashed = Hashed::new(file.take(bytes));
        tar.write_all(&header(name, bytes, made_at.as_second())?)?;
        if io::copy(&mut hashed, &mut tar)? != bytes {
            return Err(io::Error::other(format!("{name} became shorter while it was read")));
        }
        pad(&mut tar, bytes)?;
        manifest.files.push(Entry { name: name.to_owned(), bytes, sha256: hashed.digits() });
    }
    let text = serde_json::to_vec_pretty(&manifest)?;
    tar.write_all(&header(MANIFEST, text.len() as u64, made_at.as_second())?)?;
    tar.write_all(&text)?;
    pad(&mut tar, text.len() as u64)?;
    tar.write_all(&[0; 2 * BLOCK])?;
    let out = tar.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.sync_all()?;
    Ok(manifest)
}

fn pad(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    out.write_all([0; BLOCK].get(..padding(bytes)).unwrap_or_default())
}

fn padding(bytes: u64) -> usize {
    usize::try_from(bytes.next_multiple_of(BLOCK as u64) - bytes).unwrap_or_default()
}

/// Writes a field of a header.
fn put(header: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    if let Some(field) = header.get_mut(at..at + bytes.len()) {
        field.copy_from_slice(bytes);
    }
}

fn header(name: &str, bytes: u64, time: i64) -> io::Result<[u8; BLOCK]> {
    if !is_plain(name) {
        return Err(io::Error::other(format!("{name:?} is no name for a file of a backup")));
    }
    let mut header = [0; BLOCK];
    put(&mut header, 0, name.as_bytes());
    put(&mut header, 100, b"0000600\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    if bytes < 1 << 33 {
        put(&mut header, 124, format!("{bytes:011o}\0").as_bytes());
    } else {
        // What octal digits can't say, as GNU writes it.
        put(&mut header, 124, &[0x80, 0, 0, 0]);
        put(&mut header, 128, &bytes.to_be_bytes());
    }
    put(&mut header, 136, format!("{:011o}\0", time.clamp(0, (1 << 33) - 1)).as_bytes());
    put(&mut header, 156, b"0");
    put(&mut header, 257, b"ustar\x0000");
    let sum = sum_of(&header);
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// The sum of a header whose own field counts as blanks.
fn sum_of(header: &[u8; BLOCK]) -> u64 {
    let own = 148..156;
    header.iter().enumerate().map(|(at, byte)| if own.contains(&at) { 32 } else { u64::from(*byte) }).sum()
}

fn is_plain(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() < 100 && !name.starts_with('.') && name.chars().all(known)
}

/// Name and size of what comes next; `None` at the end.
fn next(tar: &mut impl Read) -> Result<Option<(String, u64)>, BackupError> {
    let mut header = [0; BLOCK];
    tar.read_exact(&mut header).map_err(|error| BackupError::Damaged(format!("it ends too early: {error}")))?;
    if header == [0; BLOCK] {
        return Ok(None);
    }
    let field = |at: usize, len: usize| header.get(at..at + len).unwrap_or_default();
    let text = |at, len| {
        let text = field(at, len).split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).trim().to_owned()
    };
    let octal = |at, len| u64::from_str_radix(&text(at, len), 8).ok();
    let no_backup = || BackupError::Damaged("it is no backup of this program".to_owned());
    if text(257, 5) != "ustar" || octal(148, 8) != Some(sum_of(&header)) {
        return Err(no_backup());
    }
    let bytes = match field(124, 12) {
        [0x80, 0, 0, 0, rest @ ..] => rest.try_into().map(u64::from_be_bytes).ok(),
        _ => octal(124, 12),
    };
    let name = text(0, 100);
    match bytes {
        Some(bytes) if field(156, 1) == b"0" && is_plain(&name) => Ok(Some((name, bytes))),
        _ => Err(no_backup()),
    }
}

/// Unpacks an archive into a folder that is there and empty, and checks every byte of it.
pub(super) fn unpack(archive: &Path, to: &Path) -> Result<Manifest, BackupError> {
    let failed = |error: io::Error| BackupError::io(archive, error);
    let damaged = |error: io::Error| BackupError::Damaged(format!("it can't be read: {error}"));
    let file = File::open(archive).map_err(failed)?;
    let mut tar = zstd::Decoder::with_buffer(BufReader::with_capacity(1 << 20, file)).map_err(damaged)?;
    let (mut found, mut manifest) = (Vec::new(), None);
    while let Some((name, bytes)) = next(&mut tar)? {
        if name == MANIFEST {
            if bytes > MOST_MANIFEST {
                return Err(BackupError::Damaged("its manifest is too long".to_owned()));
            }
            let mut text = vec![0; usize::try_from(bytes).unwrap_or_default()];
            tar.read_exact(&mut text).map_err(damaged)?;
            manifest = Some(text);
        } else {
            if found.len() >= MOST_FILES {
                return Err(BackupError::Damaged("it has too many files".to_owned()));
            }
            super::need_room(to, bytes.saturating_add(SPARE))?;
            found.push(unpack_file(&mut tar, &to.join(&name), name, bytes)?);
        }
        let mut rest = [0; BLOCK];
        tar.read_exact(rest.get_mut(..padding(bytes)).unwrap_or_default()).map_err(damaged)?;
    }
    // To its end: the checksum of the whole comes last.
    let behind = io::copy(&mut tar, &mut io::sink()).map_err(damaged)?;
    if behind != BLOCK as u64 {
        return Err(BackupError::Damaged("something comes behind its end".to_owned()));
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

fn unpack_file(tar: &mut impl Read, path: &Path, name: String, bytes: u64) -> Result<Entry, BackupError> {
    let failed = |error: io::Error| BackupError::io(path, error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let mut hashed = Hashed::new(tar.take(bytes));
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
