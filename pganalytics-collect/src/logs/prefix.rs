//! `log_line_prefix`.
//!
//! The setting is taken apart once. A line is then read from left to right: what
//! has a shape (times, numbers) is read by its shape; a name ends where the rest
//! of the prefix and the word that begins the message follow. So names may hold
//! anything that the prefix itself holds, and a line of another program does not
//! pass as an entry.

use super::severity_words::{Beginning, Word, leading};

/// A compiled `log_line_prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    text: String,
    tokens: Vec<Token>,
    /// The one before: sessions take a new one over one by one.
    older: Option<Box<Prefix>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(Vec<u8>),
    Field {
        field: Field,
        width: i32,
    },
    /// `%q`: processes without a session stop here.
    SessionsOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Time,
    Epoch,
    SessionStart,
    Application,
    User,
    Database,
    HostAndPort,
    Host,
    LocalHost,
    BackendType,
    Pid,
    LeaderPid,
    SessionId,
    SessionLine,
    SqlState,
    VirtualXid,
    Xid,
    CommandTag,
    QueryId,
}

impl Field {
    pub(super) const COUNT: usize = Self::QueryId as usize + 1;

    fn of(letter: u8) -> Option<Self> {
        Some(match letter {
            b'm' | b't' => Self::Time,
            b'n' => Self::Epoch,
            b's' => Self::SessionStart,
            b'a' => Self::Application,
            b'u' => Self::User,
            b'd' => Self::Database,
            b'r' => Self::HostAndPort,
            b'h' => Self::Host,
            b'L' => Self::LocalHost,
            b'b' => Self::BackendType,
            b'p' => Self::Pid,
            b'P' => Self::LeaderPid,
            b'c' => Self::SessionId,
            b'l' => Self::SessionLine,
            b'e' => Self::SqlState,
            b'v' => Self::VirtualXid,
            b'x' => Self::Xid,
            b'i' => Self::CommandTag,
            b'Q' => Self::QueryId,
            _ => return None,
        })
    }
}

/// Where the fields of a line are: begin and end.
pub(super) type Fields = [(u32, u32); Field::COUNT];

/// How a line begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) fields: Fields,
    pub(super) word: Word,
    /// Where the word is.
    pub(super) word_at: (u32, u32),
    /// Where the text behind the word begins.
    pub(super) text: u32,
}

/// Names are cut by PostgreSQL at 63 bytes; hosts, backend types and titles of
/// processes may be longer.
const LONGEST_NAME: usize = 256;
/// Places that are tried for the ends of names, all names of a line together.
const TRIES: u32 = 4_096;

impl Default for Prefix {
    /// PostgreSQL's default: `%m [%p] `.
    fn default() -> Self {
        Self::new("%m [%p] ")
    }
}

impl Prefix {
    /// From the setting's value. Any value will do: PostgreSQL itself leaves out
    /// escapes that it does not know.
    #[must_use]
    pub fn new(setting: &str) -> Self {
        let mut tokens = Vec::new();
        let mut literal = Vec::new();
        let mut rest = setting.as_bytes();
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            if byte != b'%' {
                literal.push(byte);
                continue;
            }
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
            let (padding, behind) = rest.split_at(digits);
            // A % at the end is left out, and so is a width without letter.
            let Some((&letter, behind)) = behind.split_first() else { break };
            rest = behind;
            let width = std::str::from_utf8(padding).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            let token = match letter {
                b'%' => {
                    literal.push(b'%');
                    continue;
                }
                b'q' => Token::SessionsOnly,
                letter => match Field::of(letter) {
                    Some(field) => Token::Field { field, width },
                    None => continue,
                },
            };
            if !literal.is_empty() {
                tokens.push(Token::Literal(std::mem::take(&mut literal)));
            }
            tokens.push(token);
        }
        if !literal.is_empty() {
            tokens.push(Token::Literal(literal));
        }
        Self { text: setting.to_owned(), tokens, older: None }
    }

    /// The setting's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same for a log in which lines may still have the prefix before it: each session takes
    /// over a change of the setting when it next does something.
    #[must_use]
    pub fn with_older(mut self, mut older: Self) -> Self {
        older.older = None;
        self.older = (older.text != self.text).then(|| Box::new(older));
        self
    }

    /// Reads the begin of a line; `None` when the line has not this prefix or no
    /// word behind it.
    pub(super) fn head(&self, line: &[u8]) -> Option<Head> {
        self.head_of_this(line).or_else(|| self.older.as_ref()?.head_of_this(line))
    }

    fn head_of_this(&self, line: &[u8]) -> Option<Head> {
        let mut reading = Reading { line, fields: [(0, 0); Field::COUNT], tries: TRIES };
        let (at, begin) = reading.from(&self.tokens, 0)?;
        let word_at = (short(at), short(at + begin.word_len));
        Some(Head { fields: reading.fields, word: begin.word, word_at, text: short(at + begin.text) })
    }
}

fn short(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

struct Reading<'a> {
    line: &'a [u8],
    fields: Fields,
    tries: u32,
}

impl Reading<'_> {
    fn rest(&self, at: usize) -> &[u8] {
        self.line.get(at..).unwrap_or_default()
    }

    fn end(&self, at: usize) -> Option<(usize, Beginning)> {
        leading(self.rest(at)).map(|beginning| (at, beginning))
    }

    /// The word behind the tokens, when the line from `at` on has them all.
    fn from(&mut self, tokens: &[Token], mut at: usize) -> Option<(usize, Beginning)> {
        let mut tokens = tokens;
        while let Some((token, behind)) = tokens.split_first() {
            tokens = behind;
            match token {
                Token::Literal(text) => {
                    if !self.rest(at).starts_with(text) {
                        return None;
                    }
                    at += text.len();
                }
                Token::SessionsOnly => {
                    if let Some(end) = self.end(at) {
                        return Some(end);
                    }
                }
                Token::Field { field, width } => {
                    let least = usize::try_from(width.unsigned_abs()).unwrap_or_default();
                    match shape(*field) {
                        None if matches!(field, Field::HostAndPort | Field::Host | Field::LocalHost) => {
                            return self.host(*field, *width, behind, at);
                        }
                        Some(shape) => {
                            let pad = if *width > 0 { spaces(self.rest(at)) } else { 0 };
                            let (len, other) = shape(self.rest(at + pad))?;
                            if let Some(other) = other {
                                let end = self.padded(at, least, at + pad + other);
                                if let Some(found) = self.from(behind, end) {
                                    self.keep(*field, at + pad, at + pad + other);
                                    return Some(found);
                                }
                            }
                            self.keep(*field, at + pad, at + pad + len);
                            at = self.padded(at, least, at + pad + len);
                        }
                        None => return self.name(*field, least, behind, at),
                    }
                }
            }
        }
        self.end(at)
    }

    /// Where a field ends that is padded with blanks to this width.
    fn padded(&self, begin: usize, least: usize, end: usize) -> usize {
        end + (begin + least).saturating_sub(end).min(spaces(self.rest(end)))
    }

    /// A host, with or without a port. An address of IPv6 has colons, as prefixes have; so a text is
    /// taken for a host only when it can be one, the longest address first. Processes without a
    /// client have none.
    fn host(&mut self, field: Field, width: i32, behind: &[Token], at: usize) -> Option<(usize, Beginning)> {
        let least = usize::try_from(width.unsigned_abs()).unwrap_or_default();
        let pad = if width > 0 { spaces(self.rest(at)) } else { 0 };
        let begin = at + pad;
        let rest = self.rest(begin);
        let rest = rest.get(..rest.len().min(LONGEST_NAME)).unwrap_or_default();
        let next = match behind.first() {
            Some(Token::Literal(text)) => text.first().copied(),
            _ => None,
        };
        let fits_next = |len: usize| least > 0 || next.is_none_or(|next| rest.get(len) == Some(&next));
        let mut lens = host_lens(rest, field == Field::HostAndPort);
        lens.retain(|&len| fits_next(len));
        // An address may end in a few places; more would only cost time.
        lens.truncate(4);
        for len in lens {
            self.tries = self.tries.checked_sub(1)?;
            let end = self.padded(at, least, begin + len);
            if let Some(found) = self.from(behind, end) {
                self.keep(field, begin, begin + len);
                return Some(found);
            }
        }
        self.name(field, least, behind, at)
    }

    /// A name: ends where the rest fits.
    fn name(&mut self, field: Field, least: usize, behind: &[Token], at: usize) -> Option<(usize, Beginning)> {
        let most = LONGEST_NAME.max(least).min(self.rest(at).len());
        let next = match behind.first() {
            Some(Token::Literal(text)) => text.first().copied(),
            _ => None,
        };
        let mut len = least;
        while len <= most {
            if let Some(next) = next {
                len += memchr::memchr(next, self.line.get(at + len..(at + most + 1).min(self.line.len()))?)?;
            }
            self.tries = self.tries.checked_sub(1)?;
            if let Some(found) = self.from(behind, at + len) {
                let text = self.line.get(at..at + len).unwrap_or_default();
                let left = if least > 0 { spaces(text) } else { 0 };
                let right = if least > 0 { text.iter().rev().take_while(|byte| **byte == b' ').count() } else { 0 };
                self.keep(field, at + left, (at + len).saturating_sub(right).max(at + left));
                return Some(found);
            }
            len += 1;
        }
        None
    }

    fn keep(&mut self, field: Field, begin: usize, end: usize) {
        if let Some(place) = self.fields.get_mut(field as usize) {
            *place = (short(begin), short(end));
        }
    }
}

fn spaces(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b' ').count()
}

/// How long the host at the begin of a text may be, likeliest first.
fn host_lens(text: &[u8], with_port: bool) -> Vec<usize> {
    const SOCKET: &[u8] = b"[local]";
    if text.starts_with(SOCKET) {
        return vec![SOCKET.len()];
    }
    let of_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'_' | b'%');
    let run = text.iter().take_while(|byte| of_host(byte)).count();
    let host = text.get(..run).unwrap_or_default();
    if with_port {
        let Some((b'(', port)) = text.get(run..).unwrap_or_default().split_first() else { return Vec::new() };
        let digits = port.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = run > 0 && digits > 0 && port.get(digits) == Some(&b')');
        return if whole { vec![run + digits + 2] } else { Vec::new() };
    }
    // Names have no colons.
    let name = host.iter().position(|byte| *byte == b':').unwrap_or(run);
    if name == run && run > 0 {
        return vec![run];
    }
    let ends = (2..=run).rev().filter(|&len| host.get(..len).is_some_and(is_ipv6));
    ends.chain(Some(name).filter(|len| *len > 0)).collect()
}

/// Whether a text is an address of IPv6, perhaps with its interface (`fe80::1%eth0`).
fn is_ipv6(text: &[u8]) -> bool {
    let address = text.split(|byte| *byte == b'%').next().unwrap_or_default();
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// How long a field is at the begin of a text, and how long it may be else.
type Shape = fn(&[u8]) -> Option<(usize, Option<usize>)>;

/// For a field with a shape: how long it is here, `None` when it is not here.
fn shape(field: Field) -> Option<Shape> {
    fn run(text: &[u8], of: impl Fn(u8) -> bool) -> usize {
        text.iter().take_while(|byte| of(**byte)).count()
    }
    fn some(len: usize) -> Option<(usize, Option<usize>)> {
        (len > 0).then_some((len, None))
    }
    Some(match field {
        Field::Time | Field::SessionStart => |text| Some(super::zone::time_len(text)).filter(|(len, _)| *len > 0),
        Field::Epoch => |text| some(run(text, |byte| byte.is_ascii_digit() || byte == b'.')),
        Field::Pid | Field::SessionLine => |text| some(run(text, |byte| byte.is_ascii_digit())),
        Field::Xid | Field::LeaderPid => |text| Some((run(text, |byte| byte.is_ascii_digit()), None)),
        Field::QueryId => |text| {
            let sign = usize::from(text.first() == Some(&b'-'));
            let digits = run(text.get(sign..).unwrap_or_default(), |byte| byte.is_ascii_digit());
            Some((sign + digits, None))
        },
        Field::SessionId => |text| some(run(text, |byte| byte.is_ascii_hexdigit() || byte == b'.')),
        Field::VirtualXid => |text| Some((run(text, |byte| byte.is_ascii_digit() || byte == b'/'), None)),
        Field::SqlState => |text| (run(text.get(..5)?, |byte| byte.is_ascii_alphanumeric()) == 5).then_some((5, None)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use crate::logs::Severity;

    fn get<'a>(line: &'a str, head: &Head, field: Field) -> &'a str {
        let (begin, end) = head.fields[field as usize];
        &line[begin as usize..end as usize]
    }

    #[test]
    fn odd_prefixes_are_read() {
        let line = "2026-11-21 12:00:00 UTC:10.0.0.1(5432):bob@shop:[42]:app: x:LOG:  hello: y";
        let head = Prefix::new("%t:%r:%u@%d:[%p]:%a:").head(line.as_bytes()).unwrap();
        assert_eq!(get(line, &head, Field::HostAndPort), "10.0.0.1(5432)");
        assert_eq!(get(line, &head, Field::Application), "app: x");
        assert_eq!(get(line, &head, Field::User), "bob");
        assert_eq!(&line[head.text as usize..], "hello: y");

        let line = "%bob       |      shop|   42 0 ERROR:  no";
        let head = Prefix::new("%%%-10u|%10d|%5p %x %").head(line.as_bytes());
        assert_eq!(head.map(|head| get(line, &head, Field::User)), Some("bob"));
        let head = head.unwrap();
        assert_eq!(get(line, &head, Field::Database), "shop");
        assert_eq!(get(line, &head, Field::Pid), "42");
        assert_eq!(head.word, Word::Entry(Severity::Error));
    }

    #[test]
    fn processes_without_session_stop_early() {
        let prefix = Prefix::new("%m [%p] %q%u@%d ");
        let line = "2026-11-21 12:00:00.000 CET [1] LOG:  ready";
        assert_eq!(&line[prefix.head(line.as_bytes()).unwrap().text as usize..], "ready");
        let line = "2026-11-21 12:00:00.000 CET [1] a b@c LOG:  ready";
        assert_eq!(get(line, &prefix.head(line.as_bytes()).unwrap(), Field::User), "a b");
    }

    #[test]
    fn addresses_with_colons_are_whole_in_a_prefix_of_colons() {
        let read = |prefix: &str, head: &str| {
            let line = format!("{head}ERROR:  division by zero");
            let found = Prefix::new(prefix).head(line.as_bytes()).unwrap_or_else(|| panic!("{prefix} {line}"));
            assert_eq!(&line[found.text as usize..], "division by zero");
            let host = if prefix.contains("%r") { Field::HostAndPort } else { Field::Host };
            [host, Field::User, Field::Database].map(|field| get(&line, &found, field).to_owned())
        };
        let colons = "%t:%r:%u@%d:[%p]:";
        let time = "2026-11-21 12:00:00 UTC:";
        for host in
            ["::1(5432)", "10.0.0.1(5432)", "[local]", "fe80::1%eth0(1)", "db-1.example.org(5)", "2001:db8::7(1)", ""]
        {
            assert_eq!(read(colons, &format!("{time}{host}:bob@shop:[42]:")), [host, "bob", "shop"]);
        }
        for host in
            ["::1", "10.0.0.1", "[local]", "fe80::1%eth0", "db-1.example.org", "2001:db8::7", "::ffff:10.0.0.1", ""]
        {
            assert_eq!(read("%h:%u@%d:[%p]:", &format!("{host}:bob@shop:[42]:")), [host, "bob", "shop"]);
            assert_eq!(read("%-16h|%u@%d ", &format!("{host:<16}|bob@shop ")), [host, "bob", "shop"]);
            assert_eq!(read("%16h|%u@%d ", &format!("{host:>16}|bob@shop ")), [host, "bob", "shop"]);
        }
        assert_eq!(read(colons, &format!("{time}::1(5432):a b@x:[1]:y:[42]:")), ["::1(5432)", "a b", "x:[1]:y"]);
    }

    #[test]
    fn a_zone_with_a_sign_is_told_from_a_prefix_with_a_sign() {
        for (prefix, line) in [
            ("%t [%p] ", "2026-11-21 12:00:00 GMT+3 [42] LOG:  x"),
            ("%t+%p ", "2026-11-21 12:00:00 GMT+42 LOG:  x"),
            ("%t-%p ", "2026-11-21 12:00:00 GMT+3-42 LOG:  x"),
        ] {
            let head = Prefix::new(prefix).head(line.as_bytes()).unwrap_or_else(|| panic!("{prefix} {line}"));
            assert_eq!(get(line, &head, Field::Pid), "42", "{prefix} {line}");
        }
    }

    #[test]
    fn other_lines_are_not_entries() {
        let prefix = Prefix::new("%m [%p] ");
        for line in ["", "cp: cannot stat 'x'", "2026-11-21 12:00:00.000 CET [1] hello", "LOG:  hello", "\tLOG:  x"] {
            assert!(prefix.head(line.as_bytes()).is_none(), "{line}");
        }
        // Many places where a name could end.
        let line = "@".repeat(5_000);
        assert!(Prefix::new("%u@%d@%a@%h@%i@ ").head(line.as_bytes()).is_none());
    }
}
