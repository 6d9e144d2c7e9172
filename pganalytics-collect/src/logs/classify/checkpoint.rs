//! Checkpoints and restartpoints.

use crate::logs::{
    class::Class,
    facts::{Checkpoint, Facts},
    scan::{number_after, number_before},
};

pub(super) fn checkpoint(message: &str) -> Option<(Class, Facts<'_>)> {
    let (kind, rest) = message.split_once(' ')?;
    let restartpoint = kind == "restartpoint";
    if let Some(reason) = rest.strip_prefix("starting:") {
        return Some((Class::CheckpointStart, Facts::CheckpointStart { restartpoint, reason: reason.trim_start() }));
    }
    let numbers = rest.strip_prefix("complete: ")?;
    Some((Class::Checkpoint, Facts::Checkpoint(complete(restartpoint, numbers))))
}

fn complete(restartpoint: bool, text: &str) -> Checkpoint {
    let bytes = |mark| number_after::<i64>(text, mark).and_then(|kilobytes| kilobytes.checked_mul(1_024));
    Checkpoint {
        restartpoint,
        buffers: number_after(text, "wrote "),
        buffers_percent: number_before(text, "%)"),
        slru_buffers: number_before(text, " SLRU buffers"),
        wal_added: number_before(text, " WAL file(s) added"),
        wal_removed: number_before(text, " removed"),
        wal_recycled: number_before(text, " recycled"),
        write_s: number_after(text, "write="),
        sync_s: number_after(text, "sync="),
        total_s: number_after(text, "total="),
        sync_files: number_after(text, "sync files="),
        longest_s: number_after(text, "longest="),
        average_s: number_after(text, "average="),
        distance_bytes: bytes("distance="),
        estimate_bytes: bytes("estimate="),
        lsn: lsn(text, "; lsn="),
        redo_lsn: lsn(text, "redo lsn="),
    }
}

/// `0/15E4A60`
fn lsn(text: &str, mark: &str) -> Option<u64> {
    let (_, behind) = text.split_once(mark)?;
    let (high, low) = behind.split_once('/')?;
    let len = low.bytes().take_while(u8::is_ascii_hexdigit).count();
    let low = u32::from_str_radix(low.get(..len)?, 16).ok()?;
    Some(u64::from(u32::from_str_radix(high, 16).ok()?) << 32 | u64::from(low))
}
