//! Bytes, compressed with zstd where that makes them smaller.

use std::cell::RefCell;

use zstd::bulk::Compressor;

use super::{FrameError, number::Effort, wire::Reader};

const RAW: u8 = 0;
const ZSTD: u8 = 1;

/// What zstd says of itself takes as much as it could save of fewer.
const TOO_FEW_FOR_ZSTD: usize = 24;

thread_local! {
    /// To make one costs more than to compress the few hundred bytes that most
    /// frames of an agent have. At rest the blobs are large, and its state would be.
    static WIRE: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// Appends bytes, compressed if that is smaller; they take the rest.
pub(super) fn put_blob(bytes: &[u8], effort: Effort, out: &mut Vec<u8>) {
    // What can't be compressed, for want of memory say, stays as it is.
    let packed = (bytes.len() >= TOO_FEW_FOR_ZSTD).then(|| compress(bytes, effort).ok()).flatten();
    if let Some(packed) = packed.filter(|packed| packed.len() < bytes.len()) {
        out.push(ZSTD);
        out.extend_from_slice(&packed);
        return;
    }
    out.push(RAW);
    out.extend_from_slice(bytes);
}

fn compress(bytes: &[u8], effort: Effort) -> std::io::Result<Vec<u8>> {
    match effort {
        Effort::Rest => zstd::bulk::compress(bytes, effort.zstd_level()),
        Effort::Wire => WIRE.with_borrow_mut(|kept| {
            let compressor = match kept {
                Some(compressor) => compressor,
                None => kept.insert(Compressor::new(effort.zstd_level())?),
            };
            compressor.compress(bytes)
        }),
    }
}

/// Reads `len` bytes of [`put_blob`].
pub(super) fn read_blob(what: &'static str, bytes: &[u8], len: usize) -> Result<Vec<u8>, FrameError> {
    let mut reader = Reader::new(what, bytes);
    let blob = match reader.byte()? {
        RAW => reader.rest().to_vec(),
        ZSTD => zstd::bulk::decompress(reader.rest(), len)
            .map_err(|error| FrameError::malformed(what, error.to_string()))?,
        other => return Err(FrameError::malformed(what, format!("unknown compression {other}"))),
    };
    if blob.len() != len {
        return Err(FrameError::malformed(what, format!("{} bytes, {len} were announced", blob.len())));
    }
    Ok(blob)
}
