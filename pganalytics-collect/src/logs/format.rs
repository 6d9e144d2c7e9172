//! How a log is written, and how much of it is taken.

use pganalytics_core::Timestamp;

use super::{prefix::Prefix, zone::Zone};

/// How a log is written.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// `log_destination = stderr`: lines that begin with `log_line_prefix`.
    Stderr(Prefix),
    /// `csvlog`.
    Csv,
    /// `jsonlog` (15).
    Json,
    /// Lines of a syslog daemon; the prefix is behind `postgres[123]: [5-1]`.
    Syslog(Prefix),
    /// `journalctl -o json`: stderr or syslog that went through journald.
    Journal(Prefix),
}

/// What a parser must know beside the format.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The server's `log_timezone`: logs have only an abbreviation, and most
    /// abbreviations name more than one zone.
    pub zone: Zone,
    /// About now: some syslog lines have no year, they are taken to be of the
    /// year before this time.
    pub now: Timestamp,
    /// How much of an entry is taken.
    pub limits: Limits,
}

impl Options {
    /// The same with the server's `log_timezone`.
    #[must_use]
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// The same at this time.
    #[must_use]
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// The same with these limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// How much of an entry is taken, so that no log can make the parser hold more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of an entry; what is longer is cut and marked.
    pub entry_bytes: usize,
    /// Entries of a stderr log that may still get a `DETAIL` or the like while
    /// others write.
    pub open_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entry_bytes: 1 << 20, open_entries: 16 }
    }
}

impl Limits {
    /// The same with this many bytes for an entry, at least 1,024.
    #[must_use]
    pub fn entry_bytes(mut self, bytes: usize) -> Self {
        self.entry_bytes = bytes.max(1_024);
        self
    }

    /// The same with this many open entries, at least 1.
    #[must_use]
    pub fn open_entries(mut self, entries: usize) -> Self {
        self.open_entries = entries.max(1);
        self
    }
}

/// What a parser has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Entries, those cut counted.
    pub entries: u64,
    /// Bytes of them.
    pub entry_bytes: u64,
    /// Entries that were cut.
    pub cut: u64,
    /// Lines that are no entry and belong to none.
    pub unparsed: u64,
    /// Bytes of them.
    pub unparsed_bytes: u64,
    /// Entries whose time zone is not known, so that their time is a guess.
    pub guessed_zones: u64,
}
