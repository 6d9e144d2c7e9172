//! Frames that were refused or damaged, kept for people to look at. Not more than
//! some, oldest out first; that they can't be kept stops nothing.

use super::disk::Disk;

const FOLDER: &str = "quarantine";
/// Most files that are kept.
const MOST_FILES: usize = 100;
/// Larger ones are cut.
const MOST_BYTES: usize = 1 << 20;

/// Keeps a frame, and why it is here.
pub(super) fn keep(disk: &dyn Disk, seq: u64, frame: &[u8], why: &str) {
    if !disk.lasts() {
        return;
    }
    let name = |end: &str| format!("{FOLDER}/{seq:020}.{end}");
    let _ = disk.create(&name("frame"), frame.get(..frame.len().min(MOST_BYTES)).unwrap_or_default());
    let _ = disk.create(&name("why"), why.as_bytes());
    let Ok(mut files) = disk.list(FOLDER) else { return };
    files.sort_unstable();
    let surplus = files.len().saturating_sub(2 * MOST_FILES);
    for file in files.into_iter().take(surplus) {
        let _ = disk.remove(&format!("{FOLDER}/{file}"));
    }
}
