//! Statements without what people put into them.
//!
//! `pg_stat_statements` normalises most texts, but not all: utility statements
//! (`CREATE ROLE … PASSWORD '…'`, `SET …`) before 16 and in part after, and any
//! statement whose entry was evicted while it ran. Nobody can tell from a text
//! whether it was normalised, so every literal is taken out of every text, and
//! so are comments. Placeholders (`$1`), names and keywords stay.
//!
//! Strings are read as with `standard_conforming_strings = on`, the default
//! since 9.1.

use std::borrow::Cow;

/// The text without literals and comments: strings become `'…'`, numbers `?`,
/// and what follows `SET name =` a `…`.
#[must_use]
pub fn redact(sql: &str) -> Cow<'_, str> {
    rewrite(sql, false)
}

/// As [`redact`], but numbers stay: for texts like plans, whose numbers are more
/// than literals. Comments go as well.
pub(crate) fn redact_strings(text: &str) -> Cow<'_, str> {
    rewrite(text, true)
}

fn rewrite(sql: &str, numbers: bool) -> Cow<'_, str> {
    // The text before `copied` is in `out`; what follows, up to `at`, stays.
    let mut out = String::new();
    let (mut copied, mut at, mut statement) = (0, 0, 0);
    loop {
        at += plain(sql.as_bytes().get(at..).unwrap_or_default(), numbers);
        let rest = sql.get(at..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        let Token { kind, len } = next(rest);
        let end = at + len.min(rest.len());
        let instead = match kind {
            Kind::Plain if rest.starts_with(';') && !numbers => ";",
            Kind::Number if !numbers => "?",
            Kind::Plain | Kind::Number => {
                at = end;
                continue;
            }
            Kind::String => "'…'",
            Kind::OpenName => "\"…",
            Kind::Comment => " ",
        };
        if out.is_empty() {
            out.reserve(sql.len() + 16);
        }
        out.push_str(sql.get(copied..at).unwrap_or_default());
        if kind == Kind::Plain {
            without_value_of_set(&mut out, statement);
            statement = out.len() + instead.len();
        }
        out.push_str(instead);
        (copied, at) = (end, end);
    }
    if out.is_empty() && (numbers || value_of_set(sql).is_none()) {
        return Cow::Borrowed(sql);
    }
    out.push_str(sql.get(copied..).unwrap_or_default());
    if !numbers {
        without_value_of_set(&mut out, statement);
    }
    if out == sql { Cow::Borrowed(sql) } else { Cow::Owned(out) }
}

/// How many bytes stay as they are at the begin of a text: names, keywords, and
/// signs that begin nothing. It may stop early, but never goes into a token of
/// another kind. Most of a statement is passed over here.
fn plain(bytes: &[u8], numbers: bool) -> usize {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let follows = bytes.get(at + 1).copied().unwrap_or_default();
        match byte {
            first if is_word(first) => {
                let word = bytes.get(at + 1..).unwrap_or_default();
                let len = word.iter().take_while(|&&byte| is_within_word(byte)).count();
                // E'…', U&'…'
                if len == 0 && matches!(follows, b'\'' | b'&') {
                    return at;
                }
                at += len;
            }
            b'\'' | b'"' | b'$' | b'0'..=b'9' => return at,
            b'-' if follows == b'-' => return at,
            b'/' if follows == b'*' => return at,
            b'.' if follows.is_ascii_digit() => return at,
            b';' if !numbers => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Of the statement that begins here and is the last one so far.
fn without_value_of_set(out: &mut String, statement: usize) {
    if let Some(end) = out.get(statement..).and_then(value_of_set) {
        out.truncate(statement + end);
        out.push_str(" …");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    String,
    /// A quoted name without its end: nobody knows what is in it.
    OpenName,
    Number,
    Comment,
}

struct Token {
    kind: Kind,
    /// Bytes, up to a character's boundary.
    len: usize,
}

fn next(text: &str) -> Token {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    let kept = |len: usize| Token { kind: Kind::Plain, len };
    match at(0) {
        b'\'' => Token { kind: Kind::String, len: 1 + quoted(bytes, 1, false) },
        b'"' => match name(bytes) {
            Some(len) => kept(1 + len),
            None => Token { kind: Kind::OpenName, len: bytes.len() },
        },
        b'-' if at(1) == b'-' => Token { kind: Kind::Comment, len: text.find(['\n', '\r']).unwrap_or(text.len()) },
        b'/' if at(1) == b'*' => Token { kind: Kind::Comment, len: comment(bytes) },
        b'$' if at(1).is_ascii_digit() => kept(1 + bytes.iter().skip(1).take_while(|b| b.is_ascii_digit()).count()),
        b'$' => match dollar(text) {
            Some(len) => Token { kind: Kind::String, len },
            None => kept(1),
        },
        b'0'..=b'9' => Token { kind: Kind::Number, len: number(bytes) },
        b'.' if at(1).is_ascii_digit() => Token { kind: Kind::Number, len: number(bytes) },
        first if is_word(first) => {
            let len = bytes.iter().take_while(|&&b| is_within_word(b)).count();
            // E'…', B'…', X'…', N'…', U&'…'
            match (len, first.to_ascii_lowercase(), at(len)) {
                (1, b'e', b'\'') => Token { kind: Kind::String, len: 2 + quoted(bytes, 2, true) },
                (1, b'b' | b'x' | b'n', b'\'') => Token { kind: Kind::String, len: 2 + quoted(bytes, 2, false) },
                (1, b'u', b'&') if at(2) == b'\'' => Token { kind: Kind::String, len: 3 + quoted(bytes, 3, false) },
                _ => kept(len),
            }
        }
        _ => kept(text.chars().next().map_or(1, char::len_utf8)),
    }
}

/// Letters of names; all of UTF-8's other bytes count as such.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// What may follow the first letter of a name.
fn is_within_word(byte: u8) -> bool {
    is_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Bytes from `from` to behind the closing quote, or to the end of a text that
/// was cut off.
fn quoted(bytes: &[u8], from: usize, escapes: bool) -> usize {
    let mut at = from;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let found = if escapes { memchr::memchr2(b'\'', b'\\', rest) } else { memchr::memchr(b'\'', rest) };
        let Some(found) = found else { return bytes.len() - from };
        at += found;
        match (bytes.get(at), bytes.get(at + 1)) {
            // Escaped, or doubled.
            (Some(b'\\'), _) | (_, Some(b'\'')) => at += 2,
            _ => return at + 1 - from,
        }
    }
}

/// Bytes of a quoted name behind its first quote.
fn name(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'"', bytes.get(1..)?).map(|at| at + 1)
}

fn comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1_usize);
    while depth > 0 {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'/'), Some(b'*')) => (at, depth) = (at + 2, depth + 1),
            (Some(b'*'), Some(b'/')) => (at, depth) = (at + 2, depth - 1),
            (Some(_), _) => at += 1,
            (None, _) => return bytes.len(),
        }
    }
    at
}

/// Length of `$tag$…$tag$`.
fn dollar(text: &str) -> Option<usize> {
    let end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..end)?;
    let inside = tag.get(1..end - 1)?.as_bytes();
    if !inside.iter().all(|&b| is_word(b) || b.is_ascii_digit()) {
        return None;
    }
    Some(text.get(end..)?.find(tag).map_or(text.len(), |at| end + at + tag.len()))
}

/// `1`, `1.5`, `1e-3`, `0xFF`, `1_000`, and whatever hangs on to it.
fn number(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let sign = matches!(byte, b'+' | b'-')
            && matches!(bytes.get(at.wrapping_sub(1)), Some(b'e' | b'E'))
            && !matches!(bytes.get(1), Some(b'x' | b'X'));
        if !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || sign) {
            break;
        }
        at += 1;
    }
    at
}

/// Where the value begins in `SET [SESSION | LOCAL] name = value`: it may be a
/// bare word.
fn value_of_set(sql: &str) -> Option<usize> {
    let start = sql.len() - sql.trim_start().len();
    let words = sql.get(start..)?;
    let word = words.split_whitespace().next()?;
    let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
    if !is(word, "set") {
        // Also inside CREATE/ALTER … SET name = value.
        if !is(word, "alter") && !is(word, "create") {
            return None;
        }
        let lower = words.to_ascii_lowercase();
        let at = lower.find(" set ")?;
        let kind = lower.split_whitespace().nth(1)?;
        if !matches!(kind, "role" | "user" | "database" | "system" | "function" | "procedure" | "routine") {
            return None;
        }
        return value_after(sql, start + at + 5);
    }
    value_after(sql, start + 3)
}

fn value_after(sql: &str, from: usize) -> Option<usize> {
    let rest = sql.get(from..)?;
    let equals = rest.find('=').map(|at| at + 1);
    let lower = rest.to_ascii_lowercase();
    let to = lower.find(" to ").map(|at| at + 3);
    let end = match (equals, to) {
        (Some(a), Some(b)) => a.min(b),
        (a, b) => a.or(b)?,
    };
    Some(from + end)
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn normalised_statements_stay_as_they_are() {
        for sql in [
            "select a, \"b 1\" from t1 where c = $1 and d like $2",
            "insert into t2x (a) values ($1),($2) on conflict do nothing",
            "select * from größe where ä = $1",
            "begin",
            "vacuum analyze t_2024",
        ] {
            assert_eq!(redact(sql), sql);
        }
    }

    #[test]
    fn literals_go() {
        let is = |sql: &str, text: &str| assert_eq!(redact(sql), text);
        is("create role x password 'a''b' valid until '2030'", "create role x password '…' valid until '…'");
        is("select E'it\\'s' || 'C:\\', 'b'", "select '…' || '…', '…'");
        is("do $$begin x; end$$", "do '…'");
        is("do $a$ $$ x $b$ $a$ language y", "do '…' language y");
        is("select 1, 2.5, .5, 1e-3, 0xFF, 1_000, a1, $12", "select ?, ?, ?, ?, ?, ?, a1, $12");
        is("select U&'d\\0061' , X'ff' , B'1' , N'x'", "select '…' , '…' , '…' , '…'");
        is("select 1-- c\nfrom t /* a /* b */ c */ where x", "select ? \nfrom t   where x");
        is("select 1; set app.token = abc; select 2", "select ?; set app.token = …; select ?");
        is("set app.token = abc", "set app.token = …");
        is("SET LOCAL app.token TO abc", "SET LOCAL app.token TO …");
        is("alter role x set app.token to abc", "alter role x set app.token to …");
        // Cut off in the middle.
        is("select 'abc", "select '…'");
        is("select E'abc\\", "select '…'");
        is("select $$abc", "select '…'");
        is("select \"abc", "select \"…");
        is("select /* abc", "select  ");
    }

    #[test]
    fn a_canary_never_leaves() {
        const CANARY: &str = "c4n4ry";
        for sql in [
            "CREATE ROLE x LOGIN PASSWORD 'c4n4ry'",
            "ALTER USER x WITH ENCRYPTED PASSWORD E'c4n4ry\\''",
            "SET SESSION my.secret = c4n4ry",
            "  set my.secret to c4n4ry",
            "begin; set local my.secret = c4n4ry; select 'x'; set my.secret to c4n4ry",
            "ALTER DATABASE d SET my.secret = c4n4ry",
            "ALTER SYSTEM SET primary_conninfo = 'password=c4n4ry'",
            "CREATE USER MAPPING FOR x SERVER y OPTIONS (user 'u', password 'c4n4ry')",
            "CREATE SUBSCRIPTION s CONNECTION 'host=h password=c4n4ry' PUBLICATION p",
            "COPY t FROM PROGRAM 'curl -u x:c4n4ry http://h'",
            "DO $body$ begin perform 'c4n4ry'; end $body$",
            "select 1 /* c4n4ry */ -- c4n4ry",
            "select 'a' 'c4n4ry",
            "NOTIFY ch, 'c4n4ry'",
            "EXPLAIN SELECT * FROM t WHERE a = 'c4n4ry'",
            "select 'x''c4n4ry''y', $tag$c4n4ry$tag$, U&'c4n4ry'",
            "select 'größe c4n4ry'",
        ] {
            assert!(!redact(sql).contains(CANARY), "{}", redact(sql));
        }
    }
}
