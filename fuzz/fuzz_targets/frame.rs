//! Any bytes under a good checksum are a frame or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pganalytics_core::{
    Seq,
    frame::{self, Frame, Limits, VerifiedFrame},
};

fuzz_target!(|data: &[u8]| {
    let limits = Limits { max_decoded_bytes: 1 << 20, max_rows: 50_000, ..Limits::default() };
    // As they are, and with what the fuzzer can't guess: magic, version, checksum.
    let _ = Frame::parse(data.to_vec().into(), &limits);
    let mut bytes = b"PGAF\x01\x00".to_vec();
    bytes.extend_from_slice(data);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    let Ok(frame) = VerifiedFrame::verify(Seq(1), bytes.into(), &limits) else { return };
    let frame = frame.frame();
    let block = frame.to_block().expect("a verified frame is good");
    // What was read can be written and read again.
    let again = frame::encode_block(&block).expect("a block that was read can be written");
    let again = Frame::parse(again.into(), &Limits::default()).expect("and read again");
    assert_eq!(again.rows(), block.rows().len());
    assert_eq!((again.schema(), again.source(), again.scrapes()), (frame.schema(), frame.source(), frame.scrapes()));
    frame::compact(&[frame.clone(), again]).expect("and compacted");
});
