//! From bytes to entries.

use std::borrow::Cow;

use super::{
    changed::follow_zone,
    csv::{Columns, begins},
    entry::Entry,
    format::{Counts, Format, Options},
    json::JsonLine,
    lines::{Join, Line, Lines, WrapperFields, fitting},
    prefix::Prefix,
    wrapped::{journal, syslog},
    zone::TimeReader,
};

/// Reads a log in pieces of any size, as they come.
///
/// Entries come in the order in which they begin; how the input is cut into
/// pieces makes no difference. It never fails: what can't be read is an entry of
/// its own ([`Severity::Unparsed`](super::Severity)), and bytes that are not
/// UTF-8 are replaced; NULs end a record. It holds no more than [`Limits`](super::Limits) allow.
///
/// ```
/// use pganalytics_collect::logs::{Format, Options, Parser, Prefix, Severity};
///
/// let mut parser = Parser::new(Format::Stderr(Prefix::new("%m [%p] ")), Options::default(), 0);
/// let mut found = Vec::new();
/// let mut each = |entry: &pganalytics_collect::logs::Entry<'_>| {
///     found.push((entry.severity, entry.message.to_owned(), entry.detail.map(str::to_owned)));
/// };
/// parser.push(b"2026-11-21 12:00:00.123 UTC [42] ERROR:  deadlock detected\n2026-11-21 12:00:00.123 U", &mut each);
/// parser.push(b"TC [42] DETAIL:  Process 42 waits\n\tand 43, too\n", &mut each);
/// assert_eq!(parser.resume_offset(), 0); // more of it may come
/// parser.flush(&mut each);
/// assert_eq!(parser.resume_offset(), 131);
/// let detail = Some("Process 42 waits\nand 43, too".to_owned());
/// assert_eq!(found, [(Severity::Error, "deadlock detected".to_owned(), detail)]);
/// ```
#[derive(Debug)]
pub struct Parser {
    kind: Kind,
    options: Options,
    /// What belongs to a record that has no end yet, from `offset` on.
    buffer: Vec<u8>,
    /// How far the buffer was looked through for the record's end.
    looked: usize,
    /// csvlog: whether that place is within quotes.
    quoted: bool,
    /// csvlog: begins of lines within quotes that look like records.
    suspicious: u32,
    /// Bytes of the record that were left out, as it is too long.
    left_out: u64,
    /// NULs before the record; they count as its bytes.
    nuls: u64,
    offset: u64,
    lines: Lines,
    times: TimeReader,
    columns: Columns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stderr,
    Csv,
    Json,
    Syslog,
    Journal,
}

/// PostgreSQL writes none. A file has them where a host went down before what was
/// written got to the disk: the record before is torn, and another begins behind.
const NUL: u8 = 0;

/// A record without its newline.
#[derive(Clone, Copy)]
struct Record<'a> {
    text: &'a [u8],
    /// Bytes in the input, with the newline and what was left out.
    bytes: u64,
    cut: bool,
}

/// Where a record ends, or what else to do.
enum End {
    /// Behind its newline.
    At(usize),
    /// Not in the buffer yet.
    Later,
    /// The record is broken; the next one may begin here.
    Broken(usize),
}

impl Parser {
    /// For an input that begins at this offset (0, or where
    /// [`Parser::resume_offset`] of an earlier parser was).
    #[must_use]
    pub fn new(format: Format, options: Options, offset: u64) -> Self {
        let (kind, prefix) = match format {
            Format::Stderr(prefix) => (Kind::Stderr, prefix),
            Format::Syslog(prefix) => (Kind::Syslog, prefix),
            Format::Journal(prefix) => (Kind::Journal, prefix),
            Format::Csv => (Kind::Csv, Prefix::default()),
            Format::Json => (Kind::Json, Prefix::default()),
        };
        Self {
            kind,
            buffer: Vec::new(),
            looked: 0,
            quoted: false,
            suspicious: 0,
            left_out: 0,
            nuls: 0,
            offset,
            lines: Lines::new(prefix, options.limits, TimeReader::new(options.zone.clone())),
            times: TimeReader::new(options.zone.clone()),
            columns: Columns::default(),
            options,
        }
    }

    /// Takes the next bytes and hands over each entry that is complete.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(&Entry<'_>)) {
        // In pieces, so that the buffer stays small whatever comes.
        for piece in bytes.chunks(64 * 1024) {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.extend_from_slice(piece);
            let mut begin = 0;
            loop {
                let rest = buffer.get(begin..).unwrap_or_default();
                match self.end(rest) {
                    End::At(end) => {
                        begin += self.whole(rest.get(..end).unwrap_or_default(), each);
                    }
                    End::Broken(next) => {
                        let broken = rest.get(..next).unwrap_or_default();
                        let next = self.glued(broken).unwrap_or(next);
                        self.broken(broken.get(..next).unwrap_or_default(), each);
                        begin += next;
                    }
                    End::Later => break,
                }
            }
            buffer.drain(..begin);
            let limit = self.options.limits.entry_bytes;
            if buffer.len() > limit {
                self.left_out += (buffer.len() - limit) as u64;
                buffer.truncate(limit);
                self.looked = limit;
            }
            self.buffer = buffer;
        }
    }

    /// Hands over what is complete when nobody has written for a while: the
    /// last entries, which might have got a `DETAIL`. A line without its end
    /// stays.
    pub fn flush(&mut self, each: &mut dyn FnMut(&Entry<'_>)) {
        self.lines.flush(each);
    }

    /// Hands over entries that begin before this offset of the input, though others have come
    /// behind them: what their own process writes with them has had the time to come.
    pub fn flush_before(&mut self, offset: u64, each: &mut dyn FnMut(&Entry<'_>)) {
        self.lines.flush_before(offset, each);
    }

    /// Hands over all that is left: nothing more will come, as the file is no
    /// longer written.
    pub fn finish(&mut self, each: &mut dyn FnMut(&Entry<'_>)) {
        while !self.buffer.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            let used = self.whole(&buffer, each);
            let rest = buffer.get(used..).unwrap_or_default();
            self.push(rest, each);
        }
        if self.nuls > 0 {
            self.broken(b"", each);
        }
        self.flush(each);
    }

    /// Where to go on reading: behind all entries that were handed over, before
    /// the first that was not. To be kept together with those entries.
    #[must_use]
    pub fn resume_offset(&self) -> u64 {
        self.lines.first_open().unwrap_or(self.offset)
    }

    /// What it has seen so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.lines.counts();
        counts.guessed_zones += self.times.guessed;
        counts
    }

    /// Looks for the end of the record that the buffer begins with.
    fn end(&mut self, buffer: &[u8]) -> End {
        loop {
            let rest = buffer.get(self.looked..).unwrap_or_default();
            let stop = memchr::memchr2(b'\n', NUL, rest);
            let line = rest.get(..stop.map_or(rest.len(), |at| at + 1)).unwrap_or_default();
            if self.kind == Kind::Csv {
                self.quoted ^= memchr::memchr_iter(b'"', line).count() % 2 == 1;
            }
            self.looked += line.len();
            if stop.is_none() {
                return End::Later;
            }
            if !self.quoted || line.ends_with(&[NUL]) {
                return End::At(self.looked);
            }
            if self.looked <= self.options.limits.entry_bytes
                && let Some(next) = self.torn(buffer)
            {
                return End::Broken(next);
            }
        }
    }

    /// A record that was torn (the disk was full, the power went) leaves a quote
    /// open, and the next record looks like its text. Where that begins. Looked
    /// for seldom in one record, as a text may hold a log.
    fn torn(&mut self, buffer: &[u8]) -> Option<usize> {
        let before = buffer.get(..self.looked)?;
        let line = memchr::memrchr(b'\n', before.get(..before.len() - 1)?)? + 1;
        if !begins(buffer.get(line..)?) {
            return None;
        }
        self.suspicious += 1;
        if !self.suspicious.is_power_of_two() {
            return None;
        }
        let text = String::from_utf8_lossy(before);
        (!self.columns.split(&text, false)).then_some(line)
    }

    /// A record that was torn has no newline, and the next one stands right behind
    /// it (the disk was full for a moment). Where that begins.
    fn glued(&mut self, text: &[u8]) -> Option<usize> {
        // Records have other times in them.
        const TRIES: usize = 16;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let rest = |at: usize| text.get(at..).unwrap_or_default();
        match self.kind {
            Kind::Json => memchr::memmem::rfind(text, b"{\"timestamp\":")
                .filter(|&at| at > 0 && JsonLine::parse(&valid(rest(at))).is_some()),
            Kind::Csv => (1..text.len())
                .filter(|&at| begins(rest(at)))
                .take(TRIES)
                .find(|&at| self.columns.split(&valid(rest(at)), true)),
            _ => None,
        }
    }

    /// Takes a record with its newline; how many bytes of the buffer it was.
    fn whole(&mut self, buffer: &[u8], each: &mut dyn FnMut(&Entry<'_>)) -> usize {
        if *buffer == [NUL] && self.left_out == 0 {
            self.nuls += 1;
            self.begin();
            return 1;
        }
        let nuls = std::mem::take(&mut self.nuls);
        let bytes = buffer.len() as u64 + self.left_out + nuls;
        let text = buffer.strip_suffix(b"\n").or_else(|| buffer.strip_suffix(&[NUL])).unwrap_or(buffer);
        let fits = text.get(..self.options.limits.entry_bytes).unwrap_or(text);
        let cut = self.left_out > 0 || fits.len() < text.len();
        let record = Record { text: fits, bytes, cut };
        let known = match self.kind {
            Kind::Csv => self.csv(record, each),
            Kind::Json => self.json(record, each),
            _ => {
                self.line(record, each);
                true
            }
        };
        let used = match known {
            false => {
                let next = if cut { buffer.len() } else { next_record(buffer) };
                let next = self.glued(buffer).filter(|&at| at < next && !cut).unwrap_or(next);
                let first = buffer.get(..next.min(fits.len())).unwrap_or_default();
                let bytes = if cut { bytes } else { next as u64 + nuls };
                self.unparsed(Record { text: first, bytes, cut }, each);
                next
            }
            true => buffer.len(),
        };
        self.offset += if used == buffer.len() { bytes } else { used as u64 + nuls };
        self.begin();
        used
    }

    fn begin(&mut self) {
        (self.looked, self.quoted, self.suspicious, self.left_out) = (0, false, 0, 0);
    }

    fn broken(&mut self, text: &[u8], each: &mut dyn FnMut(&Entry<'_>)) {
        let bytes = text.len() as u64 + std::mem::take(&mut self.nuls);
        self.unparsed(Record { text, bytes, cut: false }, each);
        self.offset += bytes;
        self.begin();
    }

    fn line(&mut self, record: Record<'_>, each: &mut dyn FnMut(&Entry<'_>)) {
        let Record { text, bytes, cut } = record;
        let plain =
            Line { offset: self.offset, bytes, cut, text, outer: WrapperFields::default(), join: Join::Foreign };
        let unwrapped = match self.kind {
            Kind::Stderr | Kind::Csv | Kind::Json => return self.lines.line(&plain, each),
            Kind::Syslog => syslog(&valid(text), &self.options.zone, self.options.now).map(owned),
            Kind::Journal => journal(&valid(text)).map(owned),
        };
        match unwrapped {
            Some((outer, join, inside)) => {
                self.lines.line(&Line { text: inside.as_bytes(), outer, join, ..plain }, each);
            }
            None => self.unparsed(record, each),
        }
    }

    /// Takes a record; false when it is none.
    fn json(&mut self, record: Record<'_>, each: &mut dyn FnMut(&Entry<'_>)) -> bool {
        let mut valid = valid(record.text);
        if record.cut {
            valid = JsonLine::closed(&valid).into();
        }
        let Some(line) = JsonLine::parse(&valid) else { return false };
        self.counted(record);
        let Record { bytes, cut, .. } = record;
        let mut entry = line.entry(&mut self.times);
        if follow_zone(&entry, &mut self.times) {
            entry = line.entry(&mut self.times);
        }
        each(&Entry { offset: self.offset, bytes, cut, ..entry });
        true
    }

    /// Takes a record; false when it is none.
    fn csv(&mut self, record: Record<'_>, each: &mut dyn FnMut(&Entry<'_>)) -> bool {
        let Record { text, bytes, cut } = record;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let valid = valid(text);
        // A record that was cut must at least reach its message.
        if !begins(text) || !self.columns.split(&valid, !cut) || !self.columns.has_message() {
            return false;
        }
        self.counted(record);
        let mut entry = self.columns.entry(&valid, &mut self.times);
        if follow_zone(&entry, &mut self.times) {
            entry = self.columns.entry(&valid, &mut self.times);
        }
        each(&Entry { offset: self.offset, bytes, cut, ..entry });
        true
    }

    fn counted(&mut self, record: Record<'_>) {
        let counts = &mut self.lines.counts;
        counts.entries += 1;
        counts.entry_bytes += record.bytes;
        counts.cut += u64::from(record.cut);
    }

    fn unparsed(&mut self, record: Record<'_>, each: &mut dyn FnMut(&Entry<'_>)) {
        // What came before it leaves first.
        self.lines.flush(each);
        let Record { text, bytes, cut } = record;
        let valid = String::from_utf8_lossy(text);
        let trimmed = valid.trim_end_matches(['\n', '\r']);
        let message = fitting(trimmed, self.options.limits.entry_bytes);
        self.lines.counts.unparsed += 1;
        self.lines.counts.unparsed_bytes += bytes;
        each(&Entry { offset: self.offset, bytes, cut, message, ..Entry::default() });
    }
}

/// Where the next record may begin in one that is broken; else its end.
fn next_record(record: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', record)
        .map(|newline| newline + 1)
        .find(|&next| record.get(next..).is_some_and(begins))
        .unwrap_or(record.len())
}

/// As UTF-8. Nearly all logs are, and to see that is much faster than to look for
/// what must be replaced.
pub(super) fn valid(text: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed)
}

fn owned(unwrapped: super::wrapped::Unwrapped<'_>) -> (WrapperFields, Join, String) {
    (unwrapped.outer, unwrapped.join, unwrapped.text.into_owned())
}

#[cfg(test)]
mod tests;
