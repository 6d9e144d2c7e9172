//! The words that begin a message, in the languages that PostgreSQL speaks.

use super::{entry::Severity, translated_words::TRANSLATED};

/// What a word begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// An entry.
    Entry(Severity),
    /// A part of the entry before.
    Part(Part),
}

/// A part of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Detail,
    Hint,
    Context,
    Statement,
    InternalQuery,
    Location,
    Backtrace,
}

impl Part {
    pub(super) const COUNT: usize = Self::Backtrace as usize + 1;
}

/// English, which servers speak that are watched with care.
fn english(word: &[u8]) -> Option<Word> {
    Some(match word {
        b"LOG" => Word::Entry(Severity::Log),
        b"ERROR" => Word::Entry(Severity::Error),
        b"STATEMENT" => Word::Part(Part::Statement),
        b"DETAIL" => Word::Part(Part::Detail),
        b"HINT" => Word::Part(Part::Hint),
        b"CONTEXT" => Word::Part(Part::Context),
        b"QUERY" => Word::Part(Part::InternalQuery),
        b"LOCATION" => Word::Part(Part::Location),
        b"BACKTRACE" => Word::Part(Part::Backtrace),
        b"FATAL" => Word::Entry(Severity::Fatal),
        b"PANIC" => Word::Entry(Severity::Panic),
        b"WARNING" => Word::Entry(Severity::Warning),
        b"NOTICE" => Word::Entry(Severity::Notice),
        b"INFO" => Word::Entry(Severity::Info),
        b"DEBUG" | b"DEBUG1" | b"DEBUG2" | b"DEBUG3" | b"DEBUG4" | b"DEBUG5" => Word::Entry(Severity::Debug),
        _ => return None,
    })
}

fn translated(word: &[u8]) -> Option<Word> {
    let at = TRANSLATED.binary_search_by(|(text, _)| text.as_bytes().cmp(word)).ok()?;
    TRANSLATED.get(at).map(|(_, word)| *word)
}

/// The severity that a word stands for.
pub(super) fn severity(text: &str) -> Severity {
    match english(text.as_bytes()).or_else(|| translated(text.as_bytes())) {
        Some(Word::Entry(severity)) => severity,
        _ => Severity::Other,
    }
}

/// Words are not longer than this, bytes.
const LONGEST: usize = 48;

/// How a message or a part of one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) word: Word,
    /// Length of the word.
    pub(super) word_len: usize,
    /// Where the text behind the word begins.
    pub(super) text: usize,
}

/// The word at the begin of a text.
///
/// PostgreSQL puts `:` and two spaces behind the word. What translators wrote counts for the parts
/// of a message: French has a blank before the colon, others have one space or none behind it.
/// Words that nobody knows count when they look like one.
pub(super) fn leading(text: &[u8]) -> Option<Beginning> {
    let first = *text.first()?;
    if !(first.is_ascii_uppercase() || first >= 0x80) {
        return None;
    }
    let colon = text.iter().take(LONGEST).position(|&byte| byte == b':')?;
    let found = text.get(..colon)?;
    let behind = text.get(colon + 1..)?;
    let two = behind.starts_with(b"  ");
    let beginning = |word, word_len, spaces| Some(Beginning { word, word_len, text: colon + 1 + spaces });
    if two && let Some(word) = english(found) {
        return beginning(word, colon, 2);
    }
    let bare = without_blanks(found);
    match translated(bare) {
        Some(word @ Word::Part(_)) => {
            let spaces = behind.iter().take(3).take_while(|byte| **byte == b' ').count();
            return beginning(word, bare.len(), spaces);
        }
        Some(word) if two => return beginning(word, bare.len(), 2),
        _ => {}
    }
    let looks = |&byte: &u8| byte.is_ascii_uppercase() || byte >= 0x80;
    if two && bare.len() > 1 && bare.iter().all(looks) {
        return beginning(Word::Entry(Severity::Other), bare.len(), 2);
    }
    None
}

/// A text without the blanks at its end, among them those that do not break a line.
fn without_blanks(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = [" ", "\u{a0}", "\u{202f}"].iter().find_map(|blank| text.strip_suffix(blank.as_bytes())) {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::fs;

    use super::*;

    fn begin(text: &str) -> Option<(Word, &str, &str)> {
        let found = leading(text.as_bytes())?;
        Some((found.word, &text[..found.word_len], &text[found.text..]))
    }

    #[test]
    fn words_of_any_language_begin_an_entry() {
        assert_eq!(begin("LOG:  x"), Some((Word::Entry(Severity::Log), "LOG", "x")));
        assert_eq!(begin("DÉTAIL:  x"), Some((Word::Part(Part::Detail), "DÉTAIL", "x")));
        assert_eq!(begin("VIRHE:  x"), Some((Word::Entry(Severity::Other), "VIRHE", "x")));
        assert_eq!(begin("LOG: x"), None);
        assert_eq!(begin("user@db LOG:  x"), None);
        assert_eq!(begin("Nothing at all: x"), None);
    }

    #[test]
    fn a_colon_may_stand_apart_from_its_word() {
        for blank in ["", " ", "\u{a0}", "\u{202f}"] {
            let line = format!("INSTRUCTION{blank}:  select 1");
            assert_eq!(begin(&line), Some((Word::Part(Part::Statement), "INSTRUCTION", "select 1")), "{line}");
            let line = format!("ERREUR{blank}:  x");
            assert_eq!(begin(&line), Some((Word::Entry(Severity::Error), "ERREUR", "x")), "{line}");
        }
        assert_eq!(begin("쿼리:select 1"), Some((Word::Part(Part::InternalQuery), "쿼리", "select 1")));
        assert_eq!(begin("PILE D'APPEL : x"), Some((Word::Part(Part::Backtrace), "PILE D'APPEL", "x")));
        // A severity without its two spaces is the text of somebody's message.
        assert_eq!(begin("ERREUR : x"), None);
    }

    #[test]
    fn translated_words_are_sorted_and_short_enough() {
        assert!(TRANSLATED.is_sorted_by(|a, b| a.0.as_bytes() < b.0.as_bytes()));
        assert!(TRANSLATED.iter().all(|(word, _)| word.len() + 3 < LONGEST && english(word.as_bytes()).is_none()));
    }

    /// The texts of a message catalogue, as gettext compiles them.
    fn catalogue(file: &[u8]) -> Vec<(&[u8], &[u8])> {
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(number(0), 0x9504_12de, "not a catalogue of this machine's byte order");
        let text = |at: usize| &file[number(at + 4)..number(at + 4) + number(at)];
        (0..number(8)).map(|each| (text(number(12) + 8 * each), text(number(16) + 8 * each))).collect()
    }

    /// What PostgreSQL has translated and puts at the begin of lines.
    const TEXTS: &[(&str, Word)] = &[
        ("DEBUG", Word::Entry(Severity::Debug)),
        ("LOG", Word::Entry(Severity::Log)),
        ("INFO", Word::Entry(Severity::Info)),
        ("NOTICE", Word::Entry(Severity::Notice)),
        ("WARNING", Word::Entry(Severity::Warning)),
        ("ERROR", Word::Entry(Severity::Error)),
        ("FATAL", Word::Entry(Severity::Fatal)),
        ("PANIC", Word::Entry(Severity::Panic)),
        ("DETAIL:  ", Word::Part(Part::Detail)),
        ("HINT:  ", Word::Part(Part::Hint)),
        ("QUERY:  ", Word::Part(Part::InternalQuery)),
        ("CONTEXT:  ", Word::Part(Part::Context)),
        ("LOCATION:  %s:%d\n", Word::Part(Part::Location)),
        ("BACKTRACE:  ", Word::Part(Part::Backtrace)),
        ("STATEMENT:  ", Word::Part(Part::Statement)),
    ];

    #[test]
    fn the_words_of_installed_catalogues_are_known() {
        let languages = fs::read_dir("/usr/share/locale").into_iter().flatten().flatten();
        let folders = languages.map(|language| language.path().join("LC_MESSAGES"));
        let files = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let ours = files
            .map(|file| file.path())
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("postgres-")));
        let mut looked_at = 0;
        for path in ours {
            let file = fs::read(&path).unwrap();
            for (original, translation) in catalogue(&file) {
                let Some((_, word)) = TEXTS.iter().find(|(text, _)| text.as_bytes() == original) else { continue };
                let mut line = translation.to_vec();
                if matches!(word, Word::Entry(_)) {
                    line.extend_from_slice(b":  ");
                }
                line.extend_from_slice(b"x");
                let known = leading(&line).map(|found| found.word);
                let shared = translation == "გაფრთხილება".as_bytes();
                assert!(known == Some(*word) || shared, "{path:?}: {}: {known:?}", String::from_utf8_lossy(&line));
                looked_at += 1;
            }
        }
        if looked_at == 0 {
            eprintln!("NOT CHECKED: no message catalogue of PostgreSQL is installed (Debian: postgresql-15)");
        }
    }
}
