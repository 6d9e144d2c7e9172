//! Writes a statement anew without its values.

use std::borrow::Cow;

use super::{
    statement::{Statement, Verdict},
    token::{Kind, Token, is_blank, is_within_word, is_word, next},
};

/// The text without literals and comments: strings become `'…'`, numbers `?`,
/// and bare words that are values `…`.
#[must_use]
pub fn redact_sql(sql: &str) -> Cow<'_, str> {
    Writer::new(sql, What::Statements).write()
}

/// The same of an expression of PostgreSQL's own making: no word of it is a value.
#[must_use]
pub fn redact_expression(text: &str) -> Cow<'_, str> {
    Writer::new(text, What::Expression).write()
}

/// Without strings and comments: for texts like plans, whose numbers are more
/// than literals.
#[must_use]
pub fn redact_strings(text: &str) -> Cow<'_, str> {
    Writer::new(text, What::Strings).write()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Statements,
    Expression,
    Strings,
}

/// Types whose literals may be written without a blank: `date'2026-01-01'`.
const TYPES: &[&str] = &["date", "time", "timestamp", "timestamptz", "interval"];

struct Writer<'a> {
    sql: &'a str,
    what: What,
    /// The text before `copied`, rewritten; what follows, up to `at`, stays.
    out: String,
    copied: usize,
    at: usize,
    /// Where in `out` the first value ended.
    first: Option<usize>,
    statement: Statement,
}

impl<'a> Writer<'a> {
    fn new(sql: &'a str, what: What) -> Self {
        Self { sql, what, out: String::new(), copied: 0, at: 0, first: None, statement: Statement::new() }
    }

    fn write(mut self) -> Cow<'a, str> {
        loop {
            if self.what != What::Statements || self.statement.is_plain() {
                self.at += plain(self.rest().as_bytes(), self.what);
            }
            if self.rest().is_empty() {
                break;
            }
            let token = next(self.rest());
            self.step(token);
        }
        if self.copied == 0 {
            return Cow::Borrowed(self.sql);
        }
        self.copy();
        if self.out == self.sql { Cow::Borrowed(self.sql) } else { Cow::Owned(self.out) }
    }

    fn step(&mut self, token: Token) {
        let text = self.text_of(token);
        if self.what == What::Statements {
            match token.kind {
                Kind::Blank | Kind::Comment => {}
                Kind::Sign(b';') => self.statement = Statement::new(),
                kind => match self.statement.read(kind, text) {
                    Verdict::Keep => {}
                    Verdict::Value => return self.replace(token.len, "…"),
                    Verdict::Rest => return self.without_rest(),
                },
            }
        }
        match token.kind {
            Kind::String => self.string(token, text),
            Kind::Name if !token.sure => self.unsure(token, "\"…"),
            Kind::Comment if !token.sure => self.unsure(token, " "),
            Kind::Comment => self.replace(token.len, " "),
            Kind::Number if self.what != What::Strings => self.replace(token.len, "?"),
            _ => self.at += token.len,
        }
    }

    fn string(&mut self, token: Token, text: &str) {
        if self.is_odd(token, text) {
            return self.unsure(token, "'…'");
        }
        // $$…$$ may be followed by a word, and '…' may not.
        let dollars = text.starts_with('$') && self.byte_behind(token).is_some_and(is_within_word);
        self.replace(token.len, if dollars { "'…' " } else { "'…'" });
        self.first.get_or_insert(self.out.len());
    }

    /// The text may have lost a quote before this string's end.
    fn is_odd(&self, token: Token, text: &str) -> bool {
        if !token.sure {
            // LIKE … ESCAPE '\'
            let before = self
                .sql
                .get(..self.at)
                .unwrap_or_default()
                .trim_end_matches(|char: char| u8::try_from(char).is_ok_and(is_blank));
            return text != r"'\'" || !ends_with_word(before, "escape");
        }
        // In what PostgreSQL has read already, words next to quotes are no sign.
        if self.what != What::Statements || text.starts_with('$') {
            return false;
        }
        self.word_before() < self.at || self.byte_behind(token).is_some_and(is_within_word)
    }

    fn byte_behind(&self, token: Token) -> Option<u8> {
        self.sql.as_bytes().get(self.at + token.len).copied()
    }

    /// Where the word begins that a quote follows without a blank.
    fn word_before(&self) -> usize {
        let before = self.sql.get(..self.at).unwrap_or_default();
        let len = before.bytes().rev().take_while(|&byte| is_within_word(byte)).count();
        let typed = TYPES.iter().any(|name| ends_with_word(before, name));
        if typed { self.at } else { self.at - len }
    }

    fn rest(&self) -> &'a str {
        self.sql.get(self.at..).unwrap_or_default()
    }

    fn text_of(&self, token: Token) -> &'a str {
        self.rest().get(..token.len).unwrap_or_default()
    }

    /// What was kept so far goes into `out`.
    fn copy(&mut self) {
        if self.out.is_empty() {
            self.out.reserve(self.sql.len() + 16);
        }
        self.out.push_str(self.sql.get(self.copied..self.at).unwrap_or_default());
        self.copied = self.at;
    }

    fn replace(&mut self, len: usize, with: &str) {
        self.copy();
        self.out.push_str(with);
        self.at = (self.at + len).min(self.sql.len());
        self.copied = self.at;
    }

    /// All goes up to the statement's end.
    fn without_rest(&mut self) {
        self.copy();
        self.out.truncate(self.out.trim_end().len());
        self.out.push_str(" …");
        self.first.get_or_insert(self.out.len());
        while !self.rest().is_empty() {
            let token = next(self.rest());
            if token.kind == Kind::Sign(b';') {
                break;
            }
            let text = self.text_of(token);
            let odd = if token.kind == Kind::String { self.is_odd(token, text) } else { !token.sure };
            if odd {
                return self.unsure(token, "");
            }
            self.at += token.len;
            self.copied = self.at;
        }
    }

    /// Nobody knows any more what is inside a string and what is not: all goes
    /// behind the first one.
    fn unsure(&mut self, token: Token, instead: &str) {
        match self.first {
            Some(first) => self.out.truncate(first),
            None => {
                let end = self.at + token.len;
                if token.kind == Kind::String {
                    self.at = self.word_before();
                }
                self.copy();
                self.out.push_str(instead);
                self.at = end;
            }
        }
        if !(self.out.ends_with('…') || self.rest().is_empty()) {
            self.out.push_str(" …");
        }
        self.at = self.sql.len();
        self.copied = self.at;
    }
}

fn ends_with_word(text: &str, word: &str) -> bool {
    let Some(begin) = text.len().checked_sub(word.len()) else { return false };
    let before = text.as_bytes().get(..begin).unwrap_or_default();
    text.get(begin..).is_some_and(|end| end.eq_ignore_ascii_case(word))
        && !before.last().copied().is_some_and(is_within_word)
}

/// How many bytes stay as they are at the begin of a text: names, keywords, and
/// signs that begin nothing. It may stop early, but never goes into a token of
/// another kind. Most of a statement is passed over here.
fn plain(bytes: &[u8], what: What) -> usize {
    let statements = what == What::Statements;
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
                let part = at.checked_sub(1).is_some_and(|before| bytes.get(before) == Some(&b'.'));
                if statements && !part && matches!(len, 2 | 5) && counts(bytes.get(at..=at + len).unwrap_or_default()) {
                    return at;
                }
                at += len;
            }
            b'\'' | b'"' | b'$' | b'0'..=b'9' => return at,
            b'-' if follows == b'-' => return at,
            b'/' if follows == b'*' => return at,
            b'.' if follows.is_ascii_digit() => return at,
            b';' if statements => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// A word that means something to a [`Statement`] that is plain.
fn counts(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"set") || word.eq_ignore_ascii_case(b"update")
}
