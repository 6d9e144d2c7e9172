//! One entry of a log, as it was read.

use std::fmt;

use pganalytics_core::Timestamp;

/// One entry of a log: a message with its details, or a line that nobody
/// understands ([`Severity::Unparsed`]). It borrows from the parser, so take
/// what you need within the call that hands it over.
///
/// Nothing here is redacted. `None` is what the log does not say: a csvlog and a
/// jsonlog say everything, a stderr log what its `log_line_prefix` says.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// Where the entry begins in the input, bytes.
    pub offset: u64,
    /// How many bytes of the input belong to it.
    pub bytes: u64,
    /// Whether it was longer than [`Limits::entry_bytes`](super::Limits) and the
    /// rest was left out.
    pub cut: bool,
    /// When it was logged.
    pub time: Option<Timestamp>,
    /// How bad it is.
    pub severity: Severity,
    /// The word that the log uses for that; another language's has
    /// [`Severity::Other`] where it is not known.
    pub severity_word: &'a str,
    /// SQLSTATE; `None` for `00000`.
    pub sqlstate: Option<SqlState>,
    /// User of the session.
    pub user: Option<&'a str>,
    /// Database of the session.
    pub database: Option<&'a str>,
    /// `application_name` of the session.
    pub application: Option<&'a str>,
    /// Process id.
    pub pid: Option<i32>,
    /// `%c`: hexadecimal start time and process id.
    pub session_id: Option<&'a str>,
    /// `%l`: number of the entry within its session, from 1.
    pub session_line: Option<i64>,
    /// When the session or process began.
    pub session_start: Option<Timestamp>,
    /// `client backend`, `checkpointer`…
    pub backend_type: Option<&'a str>,
    /// Process id of the parallel group's leader.
    pub leader_pid: Option<i32>,
    /// Address or name of the client; `[local]` for a Unix socket.
    pub remote_host: Option<&'a str>,
    /// Port of the client.
    pub remote_port: Option<u16>,
    /// Address of the server that the client connected to (`%L`, 18).
    pub local_host: Option<&'a str>,
    /// Virtual transaction id.
    pub virtual_xid: Option<&'a str>,
    /// Transaction id; `None` when none is assigned.
    pub xid: Option<i64>,
    /// What the session does: `SELECT`, `idle`, `authentication`…
    pub command_tag: Option<&'a str>,
    /// Query id; `None` when it is not computed.
    pub query_id: Option<i64>,
    /// The message.
    pub message: &'a str,
    /// Position of an error in its statement, in characters from 1.
    pub position: Option<i32>,
    /// `DETAIL`.
    pub detail: Option<&'a str>,
    /// `HINT`.
    pub hint: Option<&'a str>,
    /// `CONTEXT`.
    pub context: Option<&'a str>,
    /// Statement of the session that led to the entry.
    pub statement: Option<&'a str>,
    /// Statement that a function or the server itself ran (`QUERY`).
    pub internal_query: Option<&'a str>,
    /// Place in PostgreSQL's source: `function, file:line`.
    pub location: Option<&'a str>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Severity {
    /// Not an entry of PostgreSQL's: a line of another program, or part of a
    /// broken entry.
    #[default]
    Unparsed,
    /// An entry with a word that is not known.
    Other,
    /// `DEBUG1` to `DEBUG5`
    Debug,
    /// `INFO`
    Info,
    /// `NOTICE`
    Notice,
    /// `LOG`
    Log,
    /// `WARNING`
    Warning,
    /// `ERROR`
    Error,
    /// `FATAL`
    Fatal,
    /// `PANIC`
    Panic,
}

impl Severity {
    /// PostgreSQL's word for it; `other` and `unparsed` for those that have none.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unparsed => "unparsed",
            Self::Other => "other",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Log => "LOG",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Panic => "PANIC",
        }
    }

    /// Whether a statement or more failed: `ERROR`, `FATAL` or `PANIC`.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Error | Self::Fatal | Self::Panic)
    }
}

/// Five characters that name a condition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// From five digits and upper-case letters. `00000` names no condition:
    /// csvlog has it everywhere, jsonlog nowhere.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        let code = <[u8; 5]>::try_from(text).ok()?;
        code.iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            .then_some(Self(code))
            .filter(|code| code.0 != *b"00000")
    }

    /// All five characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The first two characters: the class of the condition.
    #[must_use]
    pub fn class(&self) -> &str {
        self.as_str().get(..2).unwrap_or_default()
    }

    pub(super) const fn bytes(&self) -> &[u8; 5] {
        &self.0
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Entry<'_> {
    /// Whether it is an entry of PostgreSQL's at all.
    #[must_use]
    pub fn is_parsed(&self) -> bool {
        self.severity != Severity::Unparsed
    }
}
