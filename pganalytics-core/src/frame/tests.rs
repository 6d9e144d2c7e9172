//! What the frame promises, on any batch and any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    batch::{Batch, ScrapeKind},
    id::{MeasurementName, Seq, StreamId},
    schema::Schema,
    stream::{CutSource, Gap, Incarnation, Link, Position},
    testing::{batches, blocks, same_batch, same_block, schemas, sources},
    time::Timestamp,
};

fn parse(bytes: &[u8]) -> Result<Frame, FrameError> {
    Frame::parse(Bytes::copy_from_slice(bytes), &Limits::default())
}

/// Small limits, so that hostile sizes are quick to refuse.
fn tight() -> Limits {
    Limits { max_decoded_bytes: 1 << 20, max_rows: 100_000, ..Limits::default() }
}

/// Reads everything in a frame; all that counts is that it returns.
fn read_all(bytes: Vec<u8>) -> Result<(), FrameError> {
    VerifiedFrame::verify(Seq(1), bytes.into(), &tight()).map(|_| ())
}

/// The head of a frame, and its schema behind it.
fn take_apart(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let bytes = Bytes::copy_from_slice(bytes);
    let envelope = envelope::Envelope::open(&bytes, &Limits::default()).unwrap();
    (envelope.head.to_vec(), bytes[envelope.end..].to_vec())
}

fn put_together(head: &[u8], schema: &[u8]) -> Vec<u8> {
    [envelope::seal(envelope::Kind::Packed, head), schema.to_vec()].concat()
}

proptest! {
    #[test]
    fn any_batch_comes_back(batch in batches()) {
        let frame = parse(&encode(&batch).unwrap()).unwrap();
        prop_assert!(same_batch(&frame.to_batch().unwrap(), &batch));
        prop_assert_eq!(frame.value_count(), (batch.rows.len() * batch.schema.columns().len()) as u64);
        prop_assert_eq!(frame.schema().fingerprint(), batch.schema.fingerprint());
    }

    #[test]
    fn any_last_part_comes_back(mut batch in batches(), parts in any::<u32>()) {
        batch.scrape.kind = ScrapeKind::LastPart { parts };
        let frame = parse(&encode(&batch).unwrap()).unwrap();
        prop_assert_eq!(frame.scrapes(), &[batch.scrape]);
        prop_assert_eq!(frame.last_keyframe(), None, "by itself it has not all rows");
    }

    #[test]
    fn any_block_comes_back(block in blocks()) {
        let frame = parse(&encode_block(&block).unwrap()).unwrap();
        prop_assert!(same_block(&frame.to_block().unwrap(), &block));
        prop_assert_eq!(frame.to_batch().is_ok(), block.scrapes().len() == 1);
    }

    #[test]
    fn a_flipped_bit_is_an_error(block in blocks(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = encode_block(&block).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(parse(&bytes).is_err());
    }

    #[test]
    fn links_come_back(block in blocks(), links in vec(proptest::option::of((0_u128..3, any::<u64>(), any::<u64>())), 1..6)) {
        let link = |(stream, seq, base): (u128, u64, u64)| Link {
            stream: StreamId::from_uuid(uuid::Uuid::from_u128(stream)),
            seq: Seq(seq),
            base: (base != seq && base % 3 > 0).then_some(Seq(base)),
        };
        let block = block.with_links(links.into_iter().map(|given| given.map(link)).collect());
        let frame = parse(&encode_block(&block).unwrap()).unwrap();
        let read = frame.to_block().unwrap();
        prop_assert_eq!(read.links(), block.links());
    }

    #[test]
    fn a_cut_frame_is_an_error(batch in batches(), at in any::<prop::sample::Index>()) {
        let bytes = encode(&batch).unwrap();
        prop_assert!(parse(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn random_bytes_are_an_error(bytes in vec(any::<u8>(), 0..200), magic in any::<bool>()) {
        let start: &[u8] = if magic { b"PGAF\x02\x00\x00" } else { b"" };
        prop_assert!(parse(&[start, &bytes].concat()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_bytes_under_a_good_checksum_do_no_harm(
        block in blocks(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        start in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let bytes = encode_block(&block).unwrap();
        let (mut head, schema) = take_apart(&bytes);
        if cuts {
            head.truncate(cut.index(head.len()).max(1));
        }
        for (at, byte) in changes {
            let at = at.index(if start { head.len().min(80) } else { head.len() });
            head[at] = byte;
        }
        let _ = read_all(put_together(&head, &schema));
    }

    #[test]
    fn changed_bytes_of_a_schema_do_no_harm(
        batch in batches(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut schema = encode_schema(&batch.schema);
        for (at, byte) in changes {
            let at = at.index(schema.len());
            schema[at] = byte;
        }
        let _ = decode_schema(&schema, &tight());
    }

    #[test]
    fn foreign_numbers_do_no_harm(bytes in vec(any::<u8>(), 0..200), code in 0_u8..12, mode in 0_u8..4, rows in 0_usize..2000) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0xf0 | mode;
        }
        read_numbers(&bytes, code, rows);
        bytes.insert(0, code);
        let _ = number::decode_ints(&bytes, rows);
    }

    #[test]
    fn foreign_texts_do_no_harm(bytes in vec(any::<u8>(), 0..100), code in 0_u8..4, rows in 0_usize..500) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = code;
        }
        let _ = text::decode(&bytes, text::Expected { rows, bytes: 1000, longest: 100 });
    }

    #[test]
    fn changed_numbers_do_no_harm(
        seed in any::<u64>(),
        rows in 8_usize..600,
        shift in 0_u32..60,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        as_floats in any::<bool>(),
    ) {
        let numbers = |row: usize| (row as u64 + 1).wrapping_mul(seed | 1) >> shift;
        let coded = if as_floats {
            let values: Vec<f64> = (0..rows).map(|row| (numbers(row) >> 12) as f64 / 100.0).collect();
            paged::encode_floats(&values, &[rows], number::Effort::Wire).unwrap()
        } else {
            let values: Vec<i64> = (0..rows).map(|row| numbers(row).cast_signed()).collect();
            paged::encode_ints(&values, &[rows], number::Effort::Wire).unwrap()
        };
        let mut bytes = [&coded.meta[..], &coded.pages[0]].concat();
        for (at, byte) in changes {
            let at = at.index(bytes.len().min(60));
            bytes[at] = byte;
        }
        read_numbers(&bytes, coded.code, rows);
    }
}

/// Reads a packed strip of numbers; all that counts is that it returns.
fn read_numbers(bytes: &[u8], code: u8, rows: usize) {
    if let Ok((mut ints, page)) = paged_read::Ints::open(code, bytes, 1) {
        let _ = ints.read(0, page, rows, &mut Vec::new());
    }
    if let Ok((mut floats, page)) = paged_read::Floats::open(code, bytes, 1) {
        let _ = floats.read(0, page, rows, &mut Vec::new());
    }
}

fn sample() -> Batch {
    let strategy = batches().prop_filter("with rows", |batch| batch.rows.len() > 10);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    strategy.new_tree(&mut runner).unwrap().current()
}

use proptest::strategy::ValueTree;

#[test]
fn a_newer_minor_version_is_read() {
    let batch = sample();
    let mut bytes = encode(&batch).unwrap();
    bytes[5] = MINOR + 7;
    let end = bytes.len() - encode_schema(&batch.schema).len() - 4;
    let checksum = crc32c::crc32c(&bytes[..end]);
    bytes[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
    assert!(same_batch(&parse(&bytes).unwrap().to_batch().unwrap(), &batch));
}

#[test]
fn another_major_version_says_what_to_do() {
    for (major, advice) in [(MAJOR + 1, "upgrade the receiving side"), (1, "begin with an empty folder")] {
        let mut bytes = encode(&sample()).unwrap();
        bytes[4] = major;
        let error = parse(&bytes).unwrap_err();
        assert_eq!(error.code(), "unsupported_frame_version");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[test]
fn a_frame_that_names_its_schema_needs_somebody_who_knows_it() {
    let batch = sample();
    let whole = parse(&encode(&batch).unwrap()).unwrap();
    let bare = whole.without_schema().clone();
    assert!(bare.len() < whole.bytes().len());
    let fingerprint = batch.schema.fingerprint();
    assert_eq!(parse(&bare).unwrap_err(), FrameError::UnknownSchema { fingerprint });
    let known = |asked| (asked == fingerprint).then(|| Arc::clone(&batch.schema));
    let frame = Frame::parse_with(bare.clone(), &Limits::default(), &known).unwrap();
    assert!(same_batch(&frame.to_batch().unwrap(), &batch));
    let (split, schema) = split_schema(whole.bytes()).unwrap();
    assert_eq!((split, decode_schema(&schema.unwrap(), &Limits::default()).unwrap()), (bare.clone(), batch.schema));
    assert_eq!(split_schema(&bare).unwrap(), (bare, None));
}

#[test]
fn a_frame_with_the_schema_of_another_is_refused() {
    let batch = sample();
    let (head, _) = take_apart(&encode(&batch).unwrap());
    let other = Schema::clone(&batch.schema).with_retention(Some(Duration::from_secs(1)));
    let error = parse(&put_together(&head, &encode_schema(&other))).unwrap_err();
    assert!(error.to_string().contains("fingerprint"), "{error}");
}

#[test]
fn announced_sizes_beyond_the_limits_are_refused() {
    let batch = sample();
    let bytes = Bytes::from(encode(&batch).unwrap());
    let rows = Limits { max_rows: batch.rows.len() - 1, ..Limits::default() };
    let decoded = Limits { max_decoded_bytes: batch.rows.len(), ..Limits::default() };
    let frame = Limits { max_frame_bytes: bytes.len() - 1, ..Limits::default() };
    let schema = Limits { max_header_bytes: 20, ..Limits::default() };
    for limits in [rows, decoded, frame, schema] {
        assert_eq!(Frame::parse(bytes.clone(), &limits).unwrap_err().code(), "frame_too_large");
    }
}

#[test]
fn the_header_of_pco_is_the_one_that_the_codes_imply() {
    let mut header = Vec::new();
    pco::wrapped::FileCompressor::default().write_header(&mut header).unwrap();
    assert_eq!(header, paged::PCO_HEADER, "pco writes another format: give its frames new codes");
}

proptest! {
    #[test]
    fn any_gap_comes_back(
        (first, more) in (any::<u64>(), 0_u64..1000),
        (from, to) in (any::<i64>(), any::<i64>()),
        reason in "quota|damaged|refused|unsaved|[a-z_]{0,20}",
        detail in ".{0,60}",
        sources in vec((sources(), vec("[a-z_]{1,20}", 0..4)), 0..4),
    ) {
        let cut = sources.into_iter().map(|(source, names)| CutSource {
            source,
            measurements: names.iter().map(|name| MeasurementName::new(name).unwrap()).collect(),
        });
        let gap = Gap {
            first: Seq(first),
            last: Seq(first.saturating_add(more)),
            from: Timestamp::from_micros(from),
            to: Timestamp::from_micros(to),
            reason: reason.parse().unwrap(),
            detail,
            cut: cut.collect(),
        };
        let bytes = Bytes::from(encode_gap(&gap));
        let read = Content::parse(bytes.clone(), &Limits::default(), &|_| None).unwrap();
        prop_assert_eq!(read.gap(), Some(&gap));
        prop_assert_eq!(Frame::parse(bytes.clone(), &Limits::default()).unwrap_err(), FrameError::NoRows);
        for end in 0..bytes.len() {
            prop_assert!(Content::parse(bytes.slice(..end), &Limits::default(), &|_| None).is_err());
        }
    }

    #[test]
    fn any_push_comes_back(
        stream in any::<u128>(),
        frames in vec((any::<u64>(), any::<u64>(), 0_u64..3, vec(any::<u8>(), 0..300)), 0..20),
        schemas in vec(schemas(), 0..3),
    ) {
        let stream = StreamId::from_uuid(uuid::Uuid::from_u128(stream));
        let frames: Vec<(Position, Bytes)> = frames.into_iter().map(|(seq, back, incarnation, bytes)| {
            let base = (back > 0 && back <= seq).then(|| Seq(seq - back));
            (Position { seq: Seq(seq), base, incarnation: Incarnation(incarnation) }, bytes.into())
        }).collect();
        let schemas: Vec<Arc<Schema>> = schemas.into_iter().map(Arc::new).collect();
        let body = Bytes::from(encode_push(stream, &schemas, &frames));
        let expanded = PushBody::expanded_len(&body).unwrap();
        let push = PushBody::parse(body, &PushLimits::default()).unwrap();
        prop_assert_eq!(&push, &PushBody { stream, schemas, frames });
        let held: usize = push.frames.iter().map(|(_, bytes)| bytes.len()).sum();
        prop_assert!(expanded == 0 || expanded >= held as u64);
    }
}

#[test]
fn frames_of_a_push_share_its_memory_and_its_limits_hold() {
    let stream = StreamId::random();
    let mut seed = 1_u64;
    let mut byte = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    let mut frames = |same: bool| -> Vec<(Position, Bytes)> {
        (1..4).map(|seq| (Seq(seq).into(), (0..100).map(|_| if same { 7 } else { byte() }).collect())).collect()
    };
    let body = Bytes::from(encode_push(stream, &[], &frames(false)));
    let push = PushBody::parse(body.clone(), &PushLimits::default()).unwrap();
    assert_eq!(PushBody::expanded_len(&body), Ok(0));
    let within = |bytes: &Bytes| body.as_ptr_range().contains(&bytes.as_ptr());
    assert!(push.frames.iter().all(|(_, bytes)| within(bytes)));
    for end in 0..body.len() {
        let cut = PushBody::parse(body.slice(..end), &PushLimits::default());
        assert!(cut.is_err() || (end - 22) % 104 == 0, "{end}");
    }
    let packed = Bytes::from(encode_push(stream, &[], &frames(true)));
    assert!(packed.len() < 60, "{}", packed.len());
    for (body, limits) in [
        (&body, PushLimits { max_frames: 2, ..PushLimits::default() }),
        (&body, PushLimits { max_frame_bytes: 99, ..PushLimits::default() }),
        (&packed, PushLimits { max_expanded_bytes: 99, ..PushLimits::default() }),
    ] {
        assert_eq!(PushBody::parse(body.clone(), &limits).unwrap_err().code(), "frame_too_large");
    }
    let mut old = body.to_vec();
    old[4] = 1;
    assert_eq!(PushBody::parse(old.into(), &PushLimits::default()).unwrap_err().code(), "unsupported_frame_version");
}
