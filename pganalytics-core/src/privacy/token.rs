//! PostgreSQL's tokens, as `scan.l` takes a text apart.

/// What a piece of SQL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Comment,
    /// A keyword, or a name without quotes.
    Word,
    /// A name in double quotes.
    Name,
    /// `'…'`, `E'…'`, `$tag$…$tag$` and their like.
    String,
    Number,
    /// `$1`
    Parameter,
    /// Any other character; all are ASCII.
    Sign(u8),
}

/// A piece of SQL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Bytes, up to a character's boundary.
    pub(super) len: usize,
    /// Its end is where PostgreSQL would see it, whatever its settings are.
    pub(super) sure: bool,
}

impl Token {
    fn sure(kind: Kind, len: usize) -> Self {
        Self { kind, len, sure: true }
    }

    /// What lasts until a closing sign, or to the end of the text.
    fn closed(kind: Kind, text: &str, end: Option<usize>) -> Self {
        Self { kind, len: end.unwrap_or(text.len()), sure: end.is_some() }
    }
}

/// The first token of a text that is not empty.
pub(super) fn next(text: &str) -> Token {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    match at(0) {
        first if is_blank(first) => Token::sure(Kind::Blank, bytes.iter().take_while(|&&byte| is_blank(byte)).count()),
        b'\'' => string(text, 1, false),
        b'"' => {
            Token::closed(Kind::Name, text, memchr::memchr(b'"', bytes.get(1..).unwrap_or_default()).map(|n| n + 2))
        }
        b'-' if at(1) == b'-' => Token::sure(Kind::Comment, text.find(['\n', '\r']).unwrap_or(text.len())),
        b'/' if at(1) == b'*' => Token::closed(Kind::Comment, text, comment(bytes)),
        b'$' if at(1).is_ascii_digit() => {
            Token::sure(Kind::Parameter, 1 + bytes.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count())
        }
        b'$' => match tag(text) {
            Some(tag) => Token::closed(Kind::String, text, dollar(text, tag)),
            None => Token::sure(Kind::Sign(b'$'), 1),
        },
        b'0'..=b'9' => Token::sure(Kind::Number, number(bytes)),
        b'.' if at(1).is_ascii_digit() => Token::sure(Kind::Number, number(bytes)),
        first if is_word(first) => {
            let len = bytes.iter().take_while(|&&byte| is_within_word(byte)).count();
            // E'…', B'…', X'…', N'…', U&'…'
            match (len, first.to_ascii_lowercase(), at(len)) {
                (1, b'e', b'\'') => string(text, 2, true),
                (1, b'b' | b'x' | b'n', b'\'') => string(text, 2, false),
                (1, b'u', b'&') if at(2) == b'\'' => string(text, 3, false),
                _ => Token::sure(Kind::Word, len),
            }
        }
        sign => Token::sure(Kind::Sign(sign), 1),
    }
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Letters of names; all of UTF-8's other bytes count as such.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// What may follow the first letter of a name.
pub(super) fn is_within_word(byte: u8) -> bool {
    is_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// A string whose inside begins at `from`. Whether a backslash before a quote
/// escapes it depends on `standard_conforming_strings`, so such a string has no
/// sure end.
fn string(text: &str, from: usize, escapes: bool) -> Token {
    let bytes = text.as_bytes();
    let mut sure = true;
    let mut at = from;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let found = if escapes { memchr::memchr2(b'\'', b'\\', rest) } else { memchr::memchr(b'\'', rest) };
        let Some(found) = found else { return Token { kind: Kind::String, len: bytes.len(), sure: false } };
        let inside = bytes.get(from..at + found).unwrap_or_default();
        if !escapes && inside.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1 {
            sure = false;
        }
        at += found;
        match (bytes.get(at), bytes.get(at + 1)) {
            // Escaped: a character may have several bytes.
            (Some(b'\\'), _) => {
                at += 1 + text.get(at + 1..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
            }
            // Doubled.
            (_, Some(b'\'')) => at += 2,
            _ => return Token { kind: Kind::String, len: at + 1, sure },
        }
    }
}

/// Where a comment ends, those inside of it included.
fn comment(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (2, 1_usize);
    while depth > 0 {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'/', Some(b'*')) => (at, depth) = (at + 2, depth + 1),
            (b'*', Some(b'/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    Some(at)
}

/// `$tag$` at the begin of a text.
fn tag(text: &str) -> Option<&str> {
    let end = text.get(1..)?.find('$')? + 1;
    let inside = text.get(1..end)?.as_bytes();
    let is_tag = inside.iter().all(|&byte| is_word(byte) || byte.is_ascii_digit());
    text.get(..=end).filter(|_| is_tag)
}

fn dollar(text: &str, tag: &str) -> Option<usize> {
    Some(text.get(tag.len()..)?.find(tag)? + 2 * tag.len())
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
