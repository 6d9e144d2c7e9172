//! Any bytes under good checksums are a frame or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pganalytics_core::{
    Seq,
    frame::{self, Content, Frame, Limits, VerifiedFrame},
};

fuzz_target!(|data: &[u8]| {
    let limits = Limits { max_decoded_bytes: 1 << 20, max_rows: 50_000, ..Limits::default() };
    // As they are, and with what the fuzzer can't guess: magic, version, checksum,
    // fingerprint.
    let _ = Content::parse(data.to_vec().into(), &limits, &|_| None);
    let Some(mut bytes) = put_together(data, &limits) else { return };
    repair_pages(&mut bytes, &limits);
    let Ok(verified) = VerifiedFrame::verify(Seq(1), bytes.into(), &limits) else { return };
    let Some(frame) = verified.frame() else { return };
    let block = frame.to_block().expect("a verified frame is good");
    // What was read can be written and read again.
    let again = frame::encode_block(&block).expect("a block that was read can be written");
    let again = Frame::parse(again.into(), &Limits::default()).expect("and read again");
    assert_eq!(again.rows(), block.rows().len());
    assert_eq!((again.schema(), again.source(), again.scrapes()), (frame.schema(), frame.source(), frame.scrapes()));
    frame::compact(&[frame.clone(), again]).expect("and compacted");
});

/// Gives the pages of all columns the checksums that they should have.
fn repair_pages(bytes: &mut [u8], limits: &Limits) {
    let Ok(frame) = Frame::parse(bytes.to_vec().into(), limits) else { return };
    let head = frame.head();
    for column in 0..frame.schema().columns().len() {
        for page in 0..head.pages() {
            for range in [head.ranges(column, &(page..page + 1)), head.key_ranges()] {
                let Some((body, checksum)) = bytes.get_mut(range).and_then(|page| page.split_last_chunk_mut::<4>())
                else {
                    continue;
                };
                *checksum = crc32c::crc32c(body).to_le_bytes();
            }
        }
    }
}

/// Kind, lengths of schema and head, schema, head, what follows it.
fn put_together(data: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let (&[kind, a, b, c, d], rest) = data.split_first_chunk()?;
    let (schema, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([a, b])))?;
    let (head, body) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([c, d]))));
    let mut bytes = b"PGAF\x02\x00".to_vec();
    bytes.push(kind);
    let mut len = head.len();
    while len >= 0x80 {
        bytes.push((len % 0x80 + 0x80) as u8);
        len /= 0x80;
    }
    bytes.push(len as u8);
    let start = bytes.len();
    bytes.extend_from_slice(head);
    if let (Ok(schema), Some(place)) = (frame::decode_schema(schema, limits), bytes.get_mut(start..start + 8)) {
        place.copy_from_slice(&schema.fingerprint().to_le_bytes());
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(schema);
    Some(bytes)
}
