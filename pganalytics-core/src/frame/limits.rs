//! How much a frame may ask of its reader.

/// Limits for reading one frame. The defaults suit frames on the wire and
/// blocks at rest.
///
/// Whatever the bytes say, reading never takes more memory at one time than
/// four times `max_decoded_bytes`, 100 bytes for each of `max_scrapes`, and
/// 4 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame, as it is stored.
    pub max_frame_bytes: usize,
    /// Longest header once decompressed.
    pub max_header_bytes: usize,
    /// Most bytes that all columns together may take once decoded (eight a
    /// number, its length and twelve a text, one a bool).
    pub max_decoded_bytes: usize,
    /// Most rows.
    pub max_rows: usize,
    /// Most scrapes.
    pub max_scrapes: usize,
    /// Longest single text.
    pub max_text_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame_bytes: 64 << 20,
            max_header_bytes: 1 << 20,
            max_decoded_bytes: 512 << 20,
            max_rows: 8 << 20,
            max_scrapes: 100_000,
            max_text_bytes: 16 << 20,
        }
    }
}

/// Limits for reading the body of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushLimits {
    /// Most frames in one body.
    pub max_frames: usize,
    /// Longest single frame.
    pub max_frame_bytes: usize,
    /// Most bytes of all items of a compressed body, once they are expanded.
    pub max_expanded_bytes: usize,
    /// Most bytes of all its schemas, once they are expanded.
    pub max_schema_bytes: usize,
}

impl Default for PushLimits {
    fn default() -> Self {
        Self { max_frames: 1000, max_frame_bytes: 8 << 20, max_expanded_bytes: 32 << 20, max_schema_bytes: 1 << 20 }
    }
}
