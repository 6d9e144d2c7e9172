//! Records of a csvlog.

use std::ops::Range;

use super::{
    entry::{Entry, SqlState},
    severity_words::severity,
    zone::{TimeReader, time_len},
};

/// Columns that a csvlog can have: 26 since 14, and fewer before.
const WIDTHS: &[usize] = &[23, 24, 26];
const MOST: usize = 26;

/// The columns of a record. Texts with doubled quotes are kept apart.
#[derive(Debug, Default)]
pub(super) struct Columns {
    ranges: Vec<Place>,
    unquoted: String,
}

#[derive(Debug, Clone)]
enum Place {
    Record(Range<usize>),
    Unquoted(Range<usize>),
}

impl Columns {
    /// Takes a record apart. False when it is none, or when `whole` and it has
    /// not as many columns as a record has.
    pub(super) fn split(&mut self, record: &str, whole: bool) -> bool {
        self.ranges.clear();
        self.unquoted.clear();
        let bytes = record.as_bytes();
        let mut at = 0;
        loop {
            if self.ranges.len() == MOST {
                return false;
            }
            let Some(end) = self.column(record, bytes, at, whole) else { return false };
            match bytes.get(end) {
                Some(b',') => at = end + 1,
                None => return !whole || WIDTHS.contains(&self.ranges.len()),
                Some(_) => return false,
            }
        }
    }

    /// Reads the column that begins here; where it ends.
    fn column(&mut self, record: &str, bytes: &[u8], at: usize, whole: bool) -> Option<usize> {
        if bytes.get(at) != Some(&b'"') {
            let len = bytes.get(at..)?.iter().position(|&byte| byte == b',').unwrap_or(bytes.len() - at);
            self.ranges.push(Place::Record(at..at + len));
            return Some(at + len);
        }
        let begin = at + 1;
        let mut from = begin;
        let unquoted = self.unquoted.len();
        loop {
            let quote = match memchr::memchr(b'"', bytes.get(from..)?) {
                Some(len) => from + len,
                // Only a record that was cut has a text without end.
                None if whole => return None,
                None => bytes.len(),
            };
            let doubled = bytes.get(quote + 1) == Some(&b'"');
            if doubled || self.unquoted.len() > unquoted {
                self.unquoted.push_str(record.get(from..quote + usize::from(doubled))?);
            }
            if doubled {
                from = quote + 2;
                continue;
            }
            // An empty text that was doubled can't be: `""""` has one quote.
            let place = if self.unquoted.len() > unquoted {
                Place::Unquoted(unquoted..self.unquoted.len())
            } else {
                Place::Record(begin..quote)
            };
            self.ranges.push(place);
            return Some((quote + 1).min(bytes.len()));
        }
    }

    /// Whether the record reaches at least to its message.
    pub(super) fn has_message(&self) -> bool {
        self.ranges.len() > 13
    }

    fn get<'a>(&'a self, record: &'a str, column: usize) -> Option<&'a str> {
        let text = match self.ranges.get(column)? {
            Place::Record(range) => record.get(range.clone()),
            Place::Unquoted(range) => self.unquoted.get(range.clone()),
        };
        text.filter(|text| !text.is_empty())
    }

    /// The entry of the record that was taken apart.
    pub(super) fn entry<'a>(&'a self, record: &'a str, times: &mut TimeReader) -> Entry<'a> {
        let get = |column: usize| self.get(record, column);
        let number = |column: usize| get(column).and_then(|text| text.parse::<i64>().ok());
        let small = |column: usize| get(column).and_then(|text| text.parse::<i32>().ok());
        let mut entry = Entry {
            time: get(0).and_then(|text| times.read(text.as_bytes())),
            user: get(1),
            database: get(2),
            pid: small(3),
            session_id: get(5),
            session_line: number(6),
            command_tag: get(7),
            session_start: get(8).and_then(|text| times.read(text.as_bytes())),
            virtual_xid: get(9),
            xid: number(10).filter(|xid| *xid != 0),
            severity_word: get(11).unwrap_or_default(),
            severity: severity(get(11).unwrap_or_default()),
            sqlstate: get(12).and_then(|text| SqlState::new(text.as_bytes())),
            message: get(13).unwrap_or_default(),
            detail: get(14),
            hint: get(15),
            internal_query: get(16),
            context: get(18),
            statement: get(19),
            position: small(20).or_else(|| small(17)),
            location: get(21),
            application: get(22),
            backend_type: get(23),
            leader_pid: small(24),
            query_id: number(25).filter(|id| *id != 0),
            ..Entry::default()
        };
        if let Some(both) = get(4) {
            let port = both.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let (host, port) = port.map_or((both, None), |(host, port)| (host, Some(port)));
            (entry.remote_host, entry.remote_port) = (Some(host), port);
        }
        entry
    }
}

/// Whether a record may begin here: with a time and a comma.
pub(super) fn begins(text: &[u8]) -> bool {
    let (len, other) = time_len(text);
    let ends_at = |len: usize| len > 0 && text.get(len) == Some(&b',');
    ends_at(len) || other.is_some_and(ends_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_away() {
        let mut columns = Columns::default();
        let record = r#"a,"b ""c""",,"","""",x"#;
        assert!(!columns.split(record, true), "not as wide as a record");
        assert!(columns.split(record, false));
        let all: Vec<_> = (0..6).map(|column| columns.get(record, column)).collect();
        assert_eq!(all, [Some("a"), Some("b \"c\""), None, None, Some("\""), Some("x")]);
    }

    #[test]
    fn text_behind_a_quote_is_no_record() {
        assert!(!Columns::default().split(r#"a,"b"c"#, false));
        assert!(!Columns::default().split(r#"a,"b"#, true));
        assert!(Columns::default().split(r#"a,"b"#, false), "cut");
    }
}
