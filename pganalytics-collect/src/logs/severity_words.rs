//! The words that begin a message, in the languages that PostgreSQL speaks.

use super::entry::Severity;

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

/// `lc_messages` of other languages.
const TRANSLATED: &[(&str, Word)] = &[
    ("FEHLER", Word::Entry(Severity::Error)),
    ("ERREUR", Word::Entry(Severity::Error)),
    ("ERRORE", Word::Entry(Severity::Error)),
    ("ERRO", Word::Entry(Severity::Error)),
    ("FEL", Word::Entry(Severity::Error)),
    ("HATA", Word::Entry(Severity::Error)),
    ("ОШИБКА", Word::Entry(Severity::Error)),
    ("ПОМИЛКА", Word::Entry(Severity::Error)),
    ("BŁĄD", Word::Entry(Severity::Error)),
    ("错误", Word::Entry(Severity::Error)),
    ("오류", Word::Entry(Severity::Error)),
    ("WARNUNG", Word::Entry(Severity::Warning)),
    ("ATTENTION", Word::Entry(Severity::Warning)),
    ("ADVERTENCIA", Word::Entry(Severity::Warning)),
    ("ATTENZIONE", Word::Entry(Severity::Warning)),
    ("AVISO", Word::Entry(Severity::Warning)),
    ("VARNING", Word::Entry(Severity::Warning)),
    ("UYARI", Word::Entry(Severity::Warning)),
    ("ПРЕДУПРЕЖДЕНИЕ", Word::Entry(Severity::Warning)),
    ("警告", Word::Entry(Severity::Warning)),
    ("경고", Word::Entry(Severity::Warning)),
    ("HINWEIS", Word::Entry(Severity::Notice)),
    ("NOTA", Word::Entry(Severity::Notice)),
    ("ЗАМЕЧАНИЕ", Word::Entry(Severity::Notice)),
    ("FATALE", Word::Entry(Severity::Fatal)),
    ("ВАЖНО", Word::Entry(Severity::Fatal)),
    ("致命错误", Word::Entry(Severity::Fatal)),
    ("치명적오류", Word::Entry(Severity::Fatal)),
    ("PANIK", Word::Entry(Severity::Panic)),
    ("PANICO", Word::Entry(Severity::Panic)),
    ("PÁNICO", Word::Entry(Severity::Panic)),
    ("ПАНИКА", Word::Entry(Severity::Panic)),
    ("СООБЩЕНИЕ", Word::Entry(Severity::Log)),
    ("REGISTRO", Word::Entry(Severity::Log)),
    ("日志", Word::Entry(Severity::Log)),
    ("로그", Word::Entry(Severity::Log)),
    ("DÉTAIL", Word::Part(Part::Detail)),
    ("DETALLE", Word::Part(Part::Detail)),
    ("DETALHE", Word::Part(Part::Detail)),
    ("DETTAGLI", Word::Part(Part::Detail)),
    ("DETALJ", Word::Part(Part::Detail)),
    ("AYRINTI", Word::Part(Part::Detail)),
    ("ПОДРОБНОСТИ", Word::Part(Part::Detail)),
    ("詳細", Word::Part(Part::Detail)),
    ("详细信息", Word::Part(Part::Detail)),
    ("상세정보", Word::Part(Part::Detail)),
    ("TIPP", Word::Part(Part::Hint)),
    ("ASTUCE", Word::Part(Part::Hint)),
    ("SUGERENCIA", Word::Part(Part::Hint)),
    ("DICA", Word::Part(Part::Hint)),
    ("SUGGERIMENTO", Word::Part(Part::Hint)),
    ("TIPS", Word::Part(Part::Hint)),
    ("İPUCU", Word::Part(Part::Hint)),
    ("ПОДСКАЗКА", Word::Part(Part::Hint)),
    ("ヒント", Word::Part(Part::Hint)),
    ("提示", Word::Part(Part::Hint)),
    ("힌트", Word::Part(Part::Hint)),
    ("ZUSAMMENHANG", Word::Part(Part::Context)),
    ("CONTEXTE", Word::Part(Part::Context)),
    ("CONTEXTO", Word::Part(Part::Context)),
    ("CONTESTO", Word::Part(Part::Context)),
    ("KONTEXT", Word::Part(Part::Context)),
    ("КОНТЕКСТ", Word::Part(Part::Context)),
    ("文脈", Word::Part(Part::Context)),
    ("上下文", Word::Part(Part::Context)),
    ("내용", Word::Part(Part::Context)),
    ("ANWEISUNG", Word::Part(Part::Statement)),
    ("INSTRUCTION", Word::Part(Part::Statement)),
    ("SENTENCIA", Word::Part(Part::Statement)),
    ("COMANDO", Word::Part(Part::Statement)),
    ("ISTRUZIONE", Word::Part(Part::Statement)),
    ("SATS", Word::Part(Part::Statement)),
    ("ОПЕРАТОР", Word::Part(Part::Statement)),
    ("文", Word::Part(Part::Statement)),
    ("语句", Word::Part(Part::Statement)),
    ("명령 구문", Word::Part(Part::Statement)),
    ("ANFRAGE", Word::Part(Part::InternalQuery)),
    ("REQUÊTE", Word::Part(Part::InternalQuery)),
    ("CONSULTA", Word::Part(Part::InternalQuery)),
    ("ЗАПРОС", Word::Part(Part::InternalQuery)),
    ("ORT", Word::Part(Part::Location)),
    ("EMPLACEMENT", Word::Part(Part::Location)),
    ("UBICACIÓN", Word::Part(Part::Location)),
    ("ПОЛОЖЕНИЕ", Word::Part(Part::Location)),
];

/// The severity or part that a word stands for, also in csvlog and jsonlog.
pub(super) fn word(word: &[u8]) -> Option<Word> {
    english(word).or_else(|| TRANSLATED.iter().find(|(text, _)| text.as_bytes() == word).map(|(_, word)| *word))
}

/// The severity that a word stands for.
pub(super) fn severity(text: &str) -> Severity {
    match word(text.as_bytes()) {
        Some(Word::Entry(severity)) => severity,
        _ => Severity::Other,
    }
}

/// Words are not longer than this, bytes.
const LONGEST: usize = 40;

/// The word at the begin of a text when `:` and two spaces follow it, and its
/// length. Words that nobody knows count when they look like one.
pub(super) fn leading(text: &[u8]) -> Option<(Word, usize)> {
    let first = *text.first()?;
    if !(first.is_ascii_uppercase() || first >= 0x80) {
        return None;
    }
    let len = text.iter().take(LONGEST).position(|&byte| byte == b':')?;
    if text.get(len + 1..len + 3) != Some(b"  ") {
        return None;
    }
    let found = text.get(..len)?;
    if let Some(word) = word(found) {
        return Some((word, len));
    }
    let looks = |&byte: &u8| byte.is_ascii_uppercase() || byte >= 0x80;
    (len > 1 && found.iter().all(looks)).then_some((Word::Entry(Severity::Other), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_language_begin_an_entry() {
        assert_eq!(leading(b"LOG:  x"), Some((Word::Entry(Severity::Log), 3)));
        assert_eq!(leading("DÉTAIL:  x".as_bytes()), Some((Word::Part(Part::Detail), 7)));
        assert_eq!(leading("VIRHE:  x".as_bytes()), Some((Word::Entry(Severity::Other), 5)));
        assert_eq!(leading(b"LOG: x"), None);
        assert_eq!(leading(b"user@db LOG:  x"), None);
    }
}
