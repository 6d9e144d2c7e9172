//! Leaves out rows that are as they were in the scrape before.
//!
//! Most tables and indexes of a real database are idle between two scrapes. The
//! filter remembers, for each measurement and source, the keys of the last
//! scrape and a 64-bit hash of each row, and makes of each full scrape either
//!
//! * a **keyframe**: all rows, or
//! * a **delta**: rows that are new or changed, and a *gone* row for each key
//!   that is no longer there. A delta without rows still says that the scrape
//!   happened.
//!
//! # What must stay true
//!
//! * Applying keyframe and deltas in order gives exactly the full scrapes.
//! * A keyframe comes first, after a change of schema, after counters began anew or
//!   may have
//!   ([`Continuity::BeganAnew`], [`Continuity::Unsure`]), after
//!   [`ChangeFilter::force_keyframe`] (which
//!   the agent calls after any loss), and at least every
//!   [`keyframe_period`].
//! * No key occurs twice in what leaves: of duplicates the last one counts, and
//!   [`Filtered::duplicates`] says how many were left out.
//! * Batches of [`Presence::Append`] pass untouched.
//!
//! # Hashes
//!
//! Hashes are seeded at random in each process, so nobody can prepare rows that
//! collide. Two *keys* of one hash do no harm: keys are kept and compared
//! exactly. Two versions of one *row* of the same hash would hide the change
//! until the next keyframe; versions that differ in a single number can't
//! collide by construction, others do with a chance of 2⁻⁶⁴ for each changed row
//! (once in ten thousand years at 50 million changed rows a second).

mod hash;
mod track;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use pganalytics_core::{
    Batch, ColumnData, ColumnKind, MeasurementName, ModelError, Presence, Rows, ScrapeKind, Source, Value,
    epoch::Continuity,
};
use tokio::time::Instant;
use uuid::Uuid;

use self::track::Track;

/// Least number of scrapes between two keyframes, where [`LONGEST_PERIOD`]
/// allows. Measured: a keyframe every 10 scrapes costs 0.2 bytes a value more.
const SCRAPES_PER_KEYFRAME: u32 = 60;
/// Least time between two keyframes.
const SHORTEST_PERIOD: Duration = Duration::from_secs(600);
/// Most time between two keyframes: so much history is needed to know a state.
const LONGEST_PERIOD: Duration = Duration::from_secs(3600);
/// A source that was not seen for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(86_400);

/// Time between two keyframes of a measurement: ten minutes or sixty scrapes,
/// whichever is longer, but at most an hour.
#[must_use]
pub fn keyframe_period(interval: Duration) -> Duration {
    interval.saturating_mul(SCRAPES_PER_KEYFRAME).clamp(SHORTEST_PERIOD, LONGEST_PERIOD)
}

/// What the filter made of a scrape.
#[derive(Debug)]
#[non_exhaustive]
pub struct Filtered {
    /// The keyframe or delta.
    pub batch: Batch,
    /// Rows left out because a later row of the scrape has the same key. More
    /// than 0 is a mistake of the collector or its query.
    pub duplicates: usize,
}

/// Makes keyframes and deltas of full scrapes; see the [module](self).
#[derive(Debug)]
pub struct ChangeFilter {
    seed: u64,
    tracks: HashMap<(MeasurementName, Source), Track>,
    tidied: Option<Instant>,
}

impl Default for ChangeFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl ChangeFilter {
    /// A filter that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self { seed: high ^ low.rotate_left(32), tracks: HashMap::new(), tidied: None }
    }

    /// Makes a keyframe or delta of a full scrape. `now` only decides when the
    /// next keyframe is due.
    ///
    /// # Errors
    /// When the rows do not fit the batch's schema.
    pub fn apply(&mut self, mut batch: Batch, now: Instant) -> Result<Filtered, ModelError> {
        if batch.schema.presence() == Presence::Append {
            return Ok(Filtered { batch, duplicates: 0 });
        }
        self.tidy(now);
        if let Some(gone) = batch.rows.gone() {
            // A full scrape has no gone rows; a key that is not there is gone.
            let there = (0..).take(batch.rows.len()).filter(|&row| !gone.get(row as usize));
            batch.rows = batch.rows.take(&there.collect::<Vec<u32>>());
        }
        let place = (batch.schema.measurement().clone(), batch.source.clone());
        let (kind, mut track) = match self.tracks.remove(&place) {
            Some(track) if !track.needs_keyframe(&batch, now) => (ScrapeKind::Delta, track),
            Some(_) => (ScrapeKind::Keyframe, Track::new(&batch, period_of(&batch), now)),
            None => (ScrapeKind::Keyframe, Track::new(&batch, self.first_period_of(&batch, &place), now)),
        };
        batch.scrape.kind = kind;
        let keys: Vec<usize> = batch.schema.positions_of(ColumnKind::Key).collect();
        let change = track.update(&batch, &keys, self.seed, now);
        let all = change.rows.len() == batch.rows.len();
        if !all || change.gone.is_some() {
            batch.rows = changed_rows(&batch, &keys, &change)?;
        }
        self.tracks.insert(place, track);
        Ok(Filtered { batch, duplicates: change.duplicates })
    }

    /// Makes the next batch of everything a keyframe: something sent was lost.
    pub fn force_keyframe(&mut self) {
        self.tracks.clear();
    }

    /// Makes the next batch of a series a keyframe: something of it was lost.
    pub fn force_keyframe_of(&mut self, measurement: &MeasurementName, source: &Source) {
        self.tracks.remove(&(measurement.clone(), source.clone()));
    }

    /// Forgets a measurement, which is not taken any more.
    pub fn forget(&mut self, measurement: &MeasurementName) {
        self.tracks.retain(|(of, _), _| of != measurement);
    }

    /// Keyframes of many sources that began together are spread over time: the
    /// second follows after half a period to a whole one.
    fn first_period_of(&self, batch: &Batch, place: &(MeasurementName, Source)) -> Duration {
        let mut hash = DefaultHasher::new();
        (self.seed, place).hash(&mut hash);
        let period = period_of(batch);
        let part = u32::try_from(hash.finish() % 1000).unwrap_or_default();
        period / 2 + period / 2 * part / 1000
    }

    fn tidy(&mut self, now: Instant) {
        let tidied = *self.tidied.get_or_insert(now);
        if now.saturating_duration_since(tidied) >= FORGET_AFTER / 24 {
            self.tracks.retain(|_, track| now.saturating_duration_since(track.seen()) < FORGET_AFTER);
            self.tidied = Some(now);
        }
    }
}

fn period_of(batch: &Batch) -> Duration {
    keyframe_period(Duration::from_micros(batch.scrape.interval_micros))
}

/// The changed rows of a batch, and after them a row for each key that is gone.
fn changed_rows(batch: &Batch, keys: &[usize], change: &track::Change) -> Result<Rows, ModelError> {
    let rows = batch.rows.take(&change.rows);
    let Some(gone_keys) = &change.gone else { return Ok(rows) };
    let count = gone_keys.first().map_or(1, ColumnData::len);
    let mut columns = rows.columns().to_vec();
    for (position, column) in columns.iter_mut().enumerate() {
        let key = keys.iter().position(|&key| key == position).and_then(|key| gone_keys.get(key));
        for row in 0..count {
            let value = key.map_or(Value::Null, |key| key.get(row));
            column.push(value).map_err(|_| ModelError::TextTooLong {
                column: batch.schema.columns().get(position).map_or_else(String::new, |column| column.name.clone()),
            })?;
        }
    }
    let gone = (0..change.rows.len() + count).map(|row| row >= change.rows.len()).collect();
    Rows::new(&batch.schema, columns, Some(gone))
}

impl Track {
    /// Whether the next batch can't be told as a difference to this state.
    fn needs_keyframe(&self, batch: &Batch, now: Instant) -> bool {
        !self.is_of(&batch.schema)
            || self.keyframe_is_due(now)
            || matches!(
                self.epoch().until(&batch.scrape.epoch, batch.schema.family()),
                // A counter may have fallen and come back to where it was.
                Continuity::BeganAnew | Continuity::Unsure
            )
    }
}
