//! Giving free pages back to the system.

use rusqlite::Connection;

use super::{error::Doing, inner::Inner, names::Memory, writer::Step};
use crate::error::StoreError;

/// Pages that are given back in one step: 512 KiB.
const STEP_PAGES: i64 = 32;
/// Free pages that stay for what comes next are one in so many, ...
const SPARE_SHARE: i64 = 20;
/// ... and pages are given back once there are so many times more of them.
const SURPLUS: i64 = 2;
/// That few are not worth the work: 1 MiB.
const FEW_PAGES: i64 = 64;

/// Free pages of the file, and all of them.
fn pages(connection: &Connection) -> Result<(i64, i64), StoreError> {
    let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0)).doing("counting pages");
    Ok((read("PRAGMA freelist_count")?, read("PRAGMA page_count")?))
}

fn spare(all: i64) -> i64 {
    (all / SPARE_SHARE).max(FEW_PAGES)
}

/// Gives free pages back, but for a share that is written again soon anyway.
pub(super) async fn shrink(inner: &Inner) -> Result<(), StoreError> {
    let many = inner.readers.run(|connection| pages(connection).map(|(free, all)| free > SURPLUS * spare(all))).await?;
    if many {
        inner.writer.sliced(true, step).await?;
        inner.writer.truncate_log().await;
    }
    Ok(())
}

/// Gives back all free pages.
#[cfg(test)]
pub(super) async fn shrink_all(inner: &Inner) -> Result<(), StoreError> {
    inner.writer.sliced(false, step).await?;
    inner.writer.truncate_log().await;
    Ok(())
}

fn step(connection: &Connection, _: &mut Memory, keep_spare: &mut bool) -> Result<Step, StoreError> {
    let (free, all) = pages(connection)?;
    let surplus = free - if *keep_spare { spare(all) } else { 0 };
    if surplus <= 0 {
        return Ok(Step::Done);
    }
    let pages = surplus.min(STEP_PAGES);
    let vacuum = || {
        let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    };
    vacuum().doing("giving free pages back")?;
    Ok(Step::More(512 << 10))
}
