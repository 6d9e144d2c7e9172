//! From bytes to entries.

use super::{
    entry::Entry,
    format::{Counts, Format, Options},
};

/// Reads a log in pieces of any size, as they come.
///
/// Entries come in the order in which they begin.
#[derive(Debug)]
pub struct Parser {
    format: Format,
    options: Options,
    offset: u64,
    counts: Counts,
}

impl Parser {
    /// For an input that begins at this offset (0, or where
    /// [`Parser::resume_offset`] of an earlier parser was).
    #[must_use]
    pub fn new(format: Format, options: Options, offset: u64) -> Self {
        Self { format, options, offset, counts: Counts::default() }
    }

    /// Takes the next bytes and hands over each entry that is complete.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(&Entry<'_>)) {
        let _ = (bytes, each, &self.format, &self.options);
    }

    /// Hands over what is complete when nobody has written for a while: the
    /// last entries, which might have got a `DETAIL`. A line without its end
    /// stays.
    pub fn flush(&mut self, each: &mut dyn FnMut(&Entry<'_>)) {
        let _ = each;
    }

    /// Hands over all that is left: nothing more will come, as the file is no
    /// longer written.
    pub fn finish(&mut self, each: &mut dyn FnMut(&Entry<'_>)) {
        let _ = each;
    }

    /// Where to go on reading: behind all entries that were handed over, before
    /// the first that was not. To be kept together with those entries.
    #[must_use]
    pub fn resume_offset(&self) -> u64 {
        self.offset
    }

    /// What it has seen so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
