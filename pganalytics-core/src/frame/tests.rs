//! What the frame promises, on any batch and any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    batch::Batch,
    id::{Seq, StreamId},
    testing::{batches, blocks, same_batch, same_block},
};

fn parse(bytes: &[u8]) -> Result<Frame, FrameError> {
    Frame::parse(Bytes::copy_from_slice(bytes), &Limits::default())
}

/// Small limits, so that hostile sizes are quick to refuse.
fn tight() -> Limits {
    Limits { max_decoded_bytes: 1 << 20, max_rows: 100_000, ..Limits::default() }
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let checksum = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads everything in a frame; all that counts is that it returns.
fn read_all(bytes: Vec<u8>) -> Result<(), FrameError> {
    VerifiedFrame::verify(Seq(1), bytes.into(), &tight()).map(|_| ())
}

/// The frame without its packed header, its header, and what follows.
fn take_apart(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut reader = wire::Reader::new("test", &bytes[6..bytes.len() - 4]);
    let len = reader.varint().unwrap();
    let packed = reader.slice().unwrap();
    let header = blob::read_blob("test", packed, usize::try_from(len).unwrap()).unwrap();
    (header, reader.rest().to_vec())
}

fn put_together(minor: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend([MAJOR, minor]);
    wire::put_varint(&mut out, header.len() as u64);
    let mut packed = Vec::new();
    blob::put_blob(header, number::Effort::Wire, &mut packed).unwrap();
    wire::put_slice(&mut out, &packed);
    out.extend_from_slice(body);
    out.extend([0; 4]);
    with_checksum(out)
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
    fn a_cut_frame_is_an_error(batch in batches(), at in any::<prop::sample::Index>()) {
        let bytes = encode(&batch).unwrap();
        prop_assert!(parse(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn random_bytes_are_an_error(bytes in vec(any::<u8>(), 0..200), magic in any::<bool>()) {
        let start: &[u8] = if magic { b"PGAF\x01\x00" } else { b"" };
        prop_assert!(parse(&[start, &bytes].concat()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_bytes_under_a_good_checksum_do_no_harm(
        block in blocks(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_header in any::<bool>(),
    ) {
        let bytes = encode_block(&block).unwrap();
        let (mut header, mut body) = take_apart(&bytes);
        let target = if in_header || body.is_empty() { &mut header } else { &mut body };
        for (at, byte) in changes {
            let at = at.index(target.len());
            target[at] = byte;
        }
        let _ = read_all(put_together(MINOR, &header, &body));
    }

    #[test]
    fn changed_bytes_of_a_packed_frame_do_no_harm(
        batch in batches(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut bytes = encode(&batch).unwrap();
        if cuts {
            bytes.truncate(cut.index(bytes.len()).max(10));
        }
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read_all(with_checksum(bytes));
    }

    #[test]
    fn foreign_numbers_do_no_harm(bytes in vec(any::<u8>(), 0..200), code in 0_u8..8, mode in 0_u8..4, rows in 0_usize..2000) {
        let mut bytes = bytes;
        if bytes.len() > 3 {
            bytes[0] = code;
            bytes[1] = bytes[1] & 0xf0 | mode;
        }
        let _ = number::decode_ints(&bytes, rows);
        let _ = number::decode_floats(&bytes, rows);
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
        let mut bytes = Vec::new();
        if as_floats {
            let values: Vec<f64> = (0..rows).map(|row| (numbers(row) >> 12) as f64 / 100.0).collect();
            number::encode_floats(&values, number::Effort::Wire, &mut bytes).unwrap();
        } else {
            let values: Vec<i64> = (0..rows).map(|row| numbers(row).cast_signed()).collect();
            number::encode_ints(&values, number::Effort::Wire, &mut bytes).unwrap();
            prop_assert_eq!(number::decode_ints(&bytes, rows).unwrap(), values);
        }
        for (at, byte) in changes {
            let at = at.index(bytes.len().min(60));
            bytes[at] = byte;
        }
        let _ = number::decode_ints(&bytes, rows);
        let _ = number::decode_floats(&bytes, rows);
    }
}

fn sample() -> Batch {
    let strategy = batches().prop_filter("with rows", |batch| batch.rows.len() > 10);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    strategy.new_tree(&mut runner).unwrap().current()
}

use proptest::strategy::ValueTree;

#[test]
fn a_newer_minor_version_is_read_and_what_it_adds_is_skipped() {
    let batch = sample();
    let (mut header, mut body) = take_apart(&encode(&batch).unwrap());
    header.extend(b"a later field");
    body.extend(b"a later part");
    let frame = parse(&put_together(MINOR + 7, &header, &body)).unwrap();
    assert!(same_batch(&frame.to_batch().unwrap(), &batch));
}

#[test]
fn a_newer_major_version_says_what_to_upgrade() {
    let mut bytes = encode(&sample()).unwrap();
    bytes[4] = MAJOR + 1;
    let error = parse(&with_checksum(bytes)).unwrap_err();
    assert_eq!(error.code(), "unsupported_frame_version");
    assert!(error.to_string().contains("upgrade"), "{error}");
}

#[test]
fn announced_sizes_beyond_the_limits_are_refused() {
    let batch = sample();
    let bytes = Bytes::from(encode(&batch).unwrap());
    let rows = Limits { max_rows: batch.rows.len() - 1, ..Limits::default() };
    let decoded = Limits { max_decoded_bytes: batch.rows.len(), ..Limits::default() };
    let frame = Limits { max_frame_bytes: bytes.len() - 1, ..Limits::default() };
    let header = Limits { max_header_bytes: 20, ..Limits::default() };
    for limits in [rows, decoded, frame, header] {
        assert_eq!(Frame::parse(bytes.clone(), &limits).unwrap_err().code(), "frame_too_large");
    }
}

#[test]
fn the_header_of_pco_is_the_one_that_the_codes_imply() {
    let mut header = Vec::new();
    pco::wrapped::FileCompressor::default().write_header(&mut header).unwrap();
    assert_eq!(header, number::PCO_HEADER, "pco writes another format: give its frames new codes");
}

#[test]
fn a_push_is_taken_apart_without_copying() {
    let stream = StreamId::random();
    let frames: Vec<(Seq, Bytes)> = (1..4).map(|seq| (Seq(seq), Bytes::from(vec![7; 100]))).collect();
    let body = Bytes::from(encode_push(stream, &frames));
    let push = PushBody::parse(body.clone(), &PushLimits::default()).unwrap();
    assert_eq!((push.stream, &push.frames), (stream, &frames));
    let within = |bytes: &Bytes| body.as_ptr_range().contains(&bytes.as_ptr());
    assert!(push.frames.iter().all(|(_, bytes)| within(bytes)));
    for end in 0..body.len() {
        let cut = PushBody::parse(body.slice(..end), &PushLimits::default());
        assert!(cut.is_err() || (end - 21) % 112 == 0, "{end}");
    }
    let few = PushLimits { max_frames: 2, ..PushLimits::default() };
    assert_eq!(PushBody::parse(body.clone(), &few).unwrap_err().code(), "frame_too_large");
    let small = PushLimits { max_frame_bytes: 99, ..PushLimits::default() };
    assert_eq!(PushBody::parse(body, &small).unwrap_err().code(), "frame_too_large");
}
