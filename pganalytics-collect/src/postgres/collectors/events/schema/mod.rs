//! What DDL did to a database, from two looks at `pg_schema`.
//!
//! An object is found again by its name, so that a table that was dropped and
//! made anew is one change and not two; what has no counterpart by name is
//! looked for by its OID, which a rename keeps. Columns are compared by name.
//! A look that was cut off at the row limit can't be compared: it is forgotten,
//! and the next whole one is a first one again.
//!
//! Between two looks the rows of the last one are kept as a frame, a tenth of
//! their size: most of the time nothing is wanted of them.

mod compare;
mod look;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, error::Error};

use bytes::Bytes;
use pganalytics_core::{
    Batch, Source,
    frame::{self, Frame, Limits},
};

use self::{compare::compare, look::SchemaRows};
use super::{Event, Watcher};

/// Remembers the schema of each database.
pub(super) struct SchemaWatcher {
    max_rows: usize,
    looks: HashMap<Source, Bytes>,
}

impl SchemaWatcher {
    /// `max_rows`: from so many rows on a look may be cut off.
    pub(super) fn new(max_rows: usize) -> Self {
        Self { max_rows, looks: HashMap::new() }
    }

    /// Compares with the last look and keeps this one in its place.
    fn replace(&mut self, batch: &Batch) -> Result<Vec<Event>, Box<dyn Error>> {
        let Some(kept) = self.looks.remove(&batch.source) else {
            self.looks.insert(batch.source.clone(), frame::encode(batch)?.into());
            return Ok(Vec::new());
        };
        let changes = {
            let before = Frame::parse(kept.clone(), &Limits::default())?.to_batch()?;
            let before = SchemaRows::of(&before.schema, &before.rows).ok_or("a column is missing")?;
            let now = SchemaRows::of(&batch.schema, &batch.rows).ok_or("a column is missing")?;
            compare(&before, &now)
        };
        let kept = if changes.none() { kept } else { frame::encode(batch)?.into() };
        self.looks.insert(batch.source.clone(), kept);
        Ok(changes.events())
    }
}

impl Watcher for SchemaWatcher {
    fn measurement(&self) -> &'static str {
        "pg_schema"
    }

    fn see(&mut self, batch: &Batch) -> Vec<Event> {
        if batch.rows.len() >= self.max_rows {
            self.looks.remove(&batch.source);
            return Vec::new();
        }
        self.replace(batch).unwrap_or_else(|error| {
            let database = batch.source.database.as_deref().unwrap_or_default();
            tracing::error!(server = %batch.source.server, database, %error, "changes of the schema are lost");
            Vec::new()
        })
    }

    fn forget(&mut self, source: &Source) {
        self.looks.remove(source);
    }
}
