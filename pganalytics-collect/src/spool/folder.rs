//! The files of a spool.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use pganalytics_core::StreamId;
use uuid::Uuid;

use super::SpoolError;

const LOCK: &str = "lock";
const STREAM: &str = "stream";
const DONE: &str = "done";
const SEGMENT: &str = ".segment";

/// A spool's folder, which is this process's alone.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) stream: StreamId,
    /// Held as long as this lives; the kernel lets go of it when a process ends.
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        make_private(path, &fs::metadata(path).map_err(failed)?)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let name = name.strip_suffix(".new").unwrap_or(&name);
            if [LOCK, STREAM, DONE].contains(&name) || name.ends_with(SEGMENT) {
                // What a link names is not ours to change.
                make_private(&entry.path(), &fs::symlink_metadata(entry.path()).map_err(failed)?)?;
            }
        }
        let mut folder = Self { path: path.to_owned(), stream: StreamId::random(), _lock: lock };
        folder.stream = match fs::read_to_string(path.join(STREAM)) {
            Ok(text) => text
                .trim()
                .parse::<Uuid>()
                .map(StreamId::from_uuid)
                .map_err(|_| SpoolError::Foreign { path: path.join(STREAM) })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !folder.segments().map_err(failed)?.is_empty() {
                    return Err(SpoolError::Foreign { path: path.join(STREAM) });
                }
                folder.replace(STREAM, folder.stream.to_string().as_bytes(), true).map_err(failed)?;
                folder.stream
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder is there, with the stream that it had.
    pub(super) fn is_there(&self) -> bool {
        fs::read_to_string(self.path.join(STREAM)).is_ok_and(|text| text.trim() == self.stream.to_string())
    }

    /// Where the segment lies that begins with this frame.
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.path.join(format!("{first:020}{SEGMENT}"))
    }

    /// First frames of the segments, in order.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        let mut firsts = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            firsts.extend(name.to_str().and_then(|name| name.strip_suffix(SEGMENT)?.parse::<u64>().ok()));
        }
        firsts.sort_unstable();
        Ok(firsts)
    }

    /// A new segment that begins with these bytes; it is there as a whole or
    /// not at all.
    pub(super) fn create_segment(&self, first: u64, bytes: &[u8]) -> io::Result<File> {
        self.replace(&format!("{first:020}{SEGMENT}"), bytes, true)?;
        OpenOptions::new().read(true).append(true).open(self.segment(first))
    }

    pub(super) fn remove_segment(&self, first: u64) {
        if let Err(error) = fs::remove_file(self.segment(first)) {
            tracing::warn!(path = %self.segment(first).display(), %error, "a segment that is not needed stays");
        }
    }

    /// The ranges of frames that are done with; none when it can't be read, for
    /// then they are delivered again and the server knows them.
    pub(super) fn done(&self) -> Vec<(u64, u64)> {
        let text = fs::read_to_string(self.path.join(DONE)).unwrap_or_default();
        let range = |line: &str| line.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        // A line without its end may be half a number.
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).filter_map(range).collect()
    }

    /// Not synced: at worst some frames are delivered again.
    pub(super) fn set_done(&self, ranges: &[(u64, u64)]) -> io::Result<()> {
        let text: String = ranges.iter().map(|(first, last)| format!("{first}-{last}\n")).collect();
        self.replace(DONE, text.as_bytes(), false)
    }

    fn replace(&self, name: &str, bytes: &[u8], sync: bool) -> io::Result<()> {
        let temporary = self.path.join(format!("{name}.new"));
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        fs::rename(&temporary, self.path.join(name))?;
        if sync {
            File::open(&self.path)?.sync_all()?;
        }
        Ok(())
    }
}

/// Makes sure that a folder or file is for its owner alone, and that this is us.
/// Statements and log lines are in it.
fn make_private(path: &Path, found: &Metadata) -> Result<(), SpoolError> {
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(SpoolError::NotOurs { path: path.to_owned(), owner, user });
    }
    if found.is_symlink() {
        return Err(SpoolError::Foreign { path: path.to_owned() });
    }
    let private = if found.is_dir() { 0o700 } else { 0o600 };
    if found.mode() & 0o777 != private {
        fs::set_permissions(path, Permissions::from_mode(private))
            .map_err(|source| SpoolError::Io { path: path.to_owned(), source })?;
        if found.mode() & 0o077 != 0 {
            let mode = format!("{:o}", found.mode() & 0o777);
            tracing::warn!(path = %path.display(), mode, "it was open to others; now it is the agent's alone");
        }
    }
    Ok(())
}
