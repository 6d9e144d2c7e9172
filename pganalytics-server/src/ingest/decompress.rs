//! Decompresses bodies under limits of size, ratio and memory.

use std::io::{self, Read};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;

use super::admission::Admitted;
use crate::{error::Problem, settings::IngestLimits};

/// Largest window of zstd, 2^23 bytes: what levels up to 19 use. A larger one
/// would let a few bytes ask for much memory.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Expands to this size without a look at the ratio: small texts of many equal
/// lines are no attack.
const RATIO_FROM: usize = 1 << 20;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(first) = encodings.next() else { return Ok(Self::Identity) };
        let known = match first.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        };
        known.filter(|_| encodings.next().is_none()).ok_or_else(|| {
            Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                "Content-Encoding is gzip, zstd or none, and only one of them",
            )
        })
    }
}

/// The body as it was before it was compressed. Works as long as a body may be
/// large; not for async threads.
pub(crate) fn expand(
    body: &Bytes,
    encoding: Encoding,
    limits: &IngestLimits,
    place: &mut Admitted,
) -> Result<Bytes, Problem> {
    let broken =
        |error: io::Error| Problem::bad_request("bad_compression", format!("the body can't be decompressed: {error}"));
    match encoding {
        Encoding::Identity => Ok(body.clone()),
        // Agents of version 3 say gzip and mean zlib.
        Encoding::Gzip if is_zlib(body) => {
            read(flate2::read::ZlibDecoder::new(&**body), body.len(), limits, place, broken)
        }
        Encoding::Gzip => read(flate2::read::MultiGzDecoder::new(&**body), body.len(), limits, place, broken),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&**body).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
            read(decoder, body.len(), limits, place, broken)
        }
    }
}

/// Whether these are the first bytes of zlib: deflate with a window of up to 32 KiB, and a sum
/// that is a multiple of 31. None of gzip's are.
fn is_zlib(body: &[u8]) -> bool {
    let [method, flags, ..] = body else { return false };
    method & 0x0f == 8 && method >> 4 <= 7 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
}

fn read(
    mut decoder: impl Read,
    compressed: usize,
    limits: &IngestLimits,
    place: &mut Admitted,
    broken: impl Fn(io::Error) -> Problem,
) -> Result<Bytes, Problem> {
    let by_ratio = compressed.saturating_mul(limits.max_ratio).max(RATIO_FROM);
    let limit = limits.max_expanded_bytes.min(by_ratio);
    let mut whole = Vec::with_capacity(compressed.saturating_mul(3).min(limit));
    let mut piece = vec![0_u8; 64 << 10];
    loop {
        let count = decoder.read(&mut piece).map_err(&broken)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { return Ok(whole.into()) };
        if whole.len() + count > limit {
            let detail = format!(
                "the body expands to more than {limit} bytes ({} at most, and {} times what was sent)",
                limits.max_expanded_bytes, limits.max_ratio
            );
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "expands_too_much", detail));
        }
        place.grow_to(compressed + whole.len() + count)?;
        whole.extend_from_slice(read);
    }
}
