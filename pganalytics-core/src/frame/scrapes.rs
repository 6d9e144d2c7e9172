//! The scrapes of a frame: their number, then each as its difference to the one
//! before; of several they are a [`blob`](super::blob) with its length before and
//! after packing.
//!
//! The flags of a scrape that say both "the epoch is the same" and "a stamp follows"
//! are none: they say that the scrape is the last of the parts of a keyframe. Their
//! number follows, and then the flags.

use super::{
    FrameError, Limits,
    blob::{put_blob, read_blob},
    number::Effort,
    wire::{Reader, put_signed, put_slice, put_varint},
};
use crate::{
    batch::{Scrape, ScrapeClock, ScrapeKind},
    epoch::Epoch,
    time::Timestamp,
};

const DELTA: u8 = 1;
const SAME_INTERVAL: u8 = 2;
const SAME_EPOCH: u8 = 4;
const HAS_STAMP: u8 = 8;
const HAS_STARTED: u8 = 16;
const HAS_EVICTIONS: u8 = 32;
const STEPPED: u8 = 64;
const HAS_OFFSET: u8 = 128;
const LAST_PART: u8 = SAME_EPOCH | HAS_STAMP;

pub(super) fn put_scrapes(scrapes: &[Scrape], effort: Effort, out: &mut Vec<u8>) {
    put_varint(out, scrapes.len() as u64);
    if scrapes.len() == 1 {
        return put_each(out, scrapes);
    }
    let (mut plain, mut packed) = (Vec::new(), Vec::new());
    put_each(&mut plain, scrapes);
    put_blob(&plain, effort, &mut packed);
    put_varint(out, plain.len() as u64);
    put_slice(out, &packed);
}

fn put_each(out: &mut Vec<u8>, scrapes: &[Scrape]) {
    let mut before = Scrape {
        collected_at: Timestamp::default(),
        interval_micros: 0,
        kind: ScrapeKind::Keyframe,
        epoch: Epoch::default(),
        clock: ScrapeClock::default(),
    };
    for scrape in scrapes {
        let same_interval = scrape.interval_micros == before.interval_micros;
        let same_epoch = scrape.epoch == before.epoch;
        let mut flags = 0;
        let mut flag = |bit, on: bool| flags |= if on { bit } else { 0 };
        flag(DELTA, scrape.kind != ScrapeKind::Keyframe);
        flag(SAME_INTERVAL, same_interval);
        flag(SAME_EPOCH, same_epoch);
        flag(HAS_STAMP, scrape.epoch.stamp.is_some() && !same_epoch);
        flag(HAS_STARTED, scrape.epoch.started.is_some() && !same_epoch);
        flag(HAS_EVICTIONS, scrape.epoch.evictions.is_some() && !same_epoch);
        flag(STEPPED, scrape.clock.stepped);
        flag(HAS_OFFSET, scrape.clock.offset_micros.is_some());
        if let ScrapeKind::LastPart { parts } = scrape.kind {
            out.push(LAST_PART);
            put_varint(out, parts.into());
        }
        out.push(flags);
        put_signed(out, scrape.collected_at.as_micros().wrapping_sub(before.collected_at.as_micros()));
        if !same_interval {
            put_varint(out, scrape.interval_micros);
        }
        if !same_epoch {
            let stamps = [scrape.epoch.stamp, scrape.epoch.started].into_iter().flatten().map(Timestamp::as_micros);
            stamps.chain(scrape.epoch.evictions).for_each(|number| put_signed(out, number));
        }
        if let Some(offset) = scrape.clock.offset_micros {
            put_signed(out, offset);
        }
        before = *scrape;
    }
}

pub(super) fn read_scrapes(reader: &mut Reader<'_>, limits: &Limits) -> Result<Vec<Scrape>, FrameError> {
    let count = reader.count("scrapes", limits.max_scrapes)?;
    if count == 0 {
        return Err(FrameError::malformed("header", "no scrapes"));
    }
    if count == 1 {
        return read_each(reader, count);
    }
    let len = reader.count("scrapes", limits.max_header_bytes)?;
    let plain = read_blob("scrapes", reader.slice()?, len)?;
    read_each(&mut Reader::new("scrapes", &plain), count)
}

fn read_each(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Scrape>, FrameError> {
    let mut scrapes = Vec::with_capacity(count.min(reader.rest().len() / 2));
    let mut before = (0_i64, 0_u64, Epoch::default());
    for _ in 0..count {
        let mut flags = reader.byte()?;
        let mut parts = None;
        if flags == LAST_PART {
            let number = u32::try_from(reader.varint()?);
            parts = Some(number.map_err(|_| FrameError::malformed("header", "a keyframe of too many parts"))?);
            flags = reader.byte()?;
        }
        let has = |bit| flags & bit != 0;
        before.0 = before.0.wrapping_add(reader.signed()?);
        if !has(SAME_INTERVAL) {
            before.1 = reader.varint()?;
        }
        if !has(SAME_EPOCH) {
            let mut number = |bit| if has(bit) { reader.signed().map(Some) } else { Ok(None) };
            before.2 = Epoch {
                stamp: number(HAS_STAMP)?.map(Timestamp::from_micros),
                started: number(HAS_STARTED)?.map(Timestamp::from_micros),
                evictions: number(HAS_EVICTIONS)?,
            };
        }
        scrapes.push(Scrape {
            collected_at: Timestamp::from_micros(before.0),
            interval_micros: before.1,
            kind: match parts {
                Some(parts) => ScrapeKind::LastPart { parts },
                None if has(DELTA) => ScrapeKind::Delta,
                None => ScrapeKind::Keyframe,
            },
            epoch: before.2,
            clock: ScrapeClock {
                stepped: has(STEPPED),
                offset_micros: if has(HAS_OFFSET) { Some(reader.signed()?) } else { None },
            },
        });
    }
    if !scrapes.is_sorted_by_key(|scrape| scrape.collected_at) {
        return Err(FrameError::malformed("header", "scrapes are not in order of time"));
    }
    Ok(scrapes)
}
