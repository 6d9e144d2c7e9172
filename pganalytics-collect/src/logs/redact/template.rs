//! Matches texts with wordings; what stands in a slot is kept or left out.

use std::sync::LazyLock;

use super::templates::{CONTEXTS, DETAILS, HINTS, MESSAGES};

/// What is put where something was left out.
pub(super) const OMITTED: &str = "…";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// A plain name.
    Name,
    /// A name as it is.
    AnyName,
    Type,
    /// A file of the server.
    File,
    Number,
    Omitted,
}

/// Wordings, by the first byte of those that do not begin with a slot.
#[derive(Debug)]
pub(super) struct Templates {
    by_byte: Vec<Vec<Template>>,
    slot_first: Vec<Template>,
}

#[derive(Debug)]
struct Template {
    begin: &'static str,
    /// A slot and what follows it.
    slots: Vec<(Slot, &'static str)>,
}

pub(super) static OF_MESSAGES: LazyLock<Templates> = LazyLock::new(|| Templates::new(MESSAGES));
pub(super) static OF_DETAILS: LazyLock<Templates> = LazyLock::new(|| Templates::new(DETAILS));
pub(super) static OF_HINTS: LazyLock<Templates> = LazyLock::new(|| Templates::new(HINTS));
pub(super) static OF_CONTEXTS: LazyLock<Templates> = LazyLock::new(|| Templates::new(CONTEXTS));

/// How files of the server begin; other paths are somebody's.
const OWN_FILES: &[&str] = &["base/", "global/", "pg_", "postmaster.", "PG_VERSION", "backup_label"];
/// Places that are tried for the end of a slot.
const TRIES: usize = 8;
/// Names and signatures are not longer than this, bytes.
const LONGEST: usize = 300;

impl Templates {
    fn new(wordings: &[&'static str]) -> Self {
        let mut by_byte: Vec<Vec<Template>> = (0..=u8::MAX).map(|_| Vec::new()).collect();
        let mut slot_first = Vec::new();
        for wording in wordings {
            let template = Template::new(wording);
            match template.begin.bytes().next().and_then(|byte| by_byte.get_mut(usize::from(byte))) {
                Some(list) => list.push(template),
                None => slot_first.push(template),
            }
        }
        Self { by_byte, slot_first }
    }

    /// Appends the text without what is not safe. False, and appends nothing,
    /// when no wording is the text's.
    pub(super) fn apply(&self, text: &str, out: &mut String) -> bool {
        let first = text.bytes().next().and_then(|byte| self.by_byte.get(usize::from(byte)));
        let before = out.len();
        first.into_iter().flatten().chain(&self.slot_first).any(|template| {
            out.truncate(before);
            template.apply(text, out) || {
                out.truncate(before);
                false
            }
        })
    }
}

impl Template {
    fn new(wording: &'static str) -> Self {
        let (begin, mut rest) = split(wording);
        let mut slots = Vec::new();
        while let Some(letter) = rest.as_bytes().get(1).copied() {
            let slot = match letter {
                b's' => Slot::Name,
                b'n' => Slot::AnyName,
                b't' => Slot::Type,
                b'f' => Slot::File,
                b'd' => Slot::Number,
                _ => Slot::Omitted,
            };
            let (literal, behind) = split(rest.get(2..).unwrap_or_default());
            slots.push((slot, literal));
            rest = behind;
        }
        Self { begin, slots }
    }

    fn apply(&self, text: &str, out: &mut String) -> bool {
        let Some(rest) = text.strip_prefix(self.begin) else { return false };
        out.push_str(self.begin);
        fill(&self.slots, rest, out)
    }
}

/// The literal before the next slot, and the rest with it.
fn split(text: &'static str) -> (&'static str, &'static str) {
    text.split_at(text.find('%').unwrap_or(text.len()))
}

fn fill(slots: &[(Slot, &'static str)], text: &str, out: &mut String) -> bool {
    let Some(((slot, literal), behind)) = slots.split_first() else { return text.is_empty() };
    if behind.is_empty() {
        let Some(inside) = text.strip_suffix(literal) else { return false };
        return slot.keep(inside, out) && {
            out.push_str(literal);
            true
        };
    }
    let before = out.len();
    for (at, _) in text.match_indices(literal).take(TRIES) {
        let (Some(inside), Some(rest)) = (text.get(..at), text.get(at + literal.len()..)) else { return false };
        if slot.keep(inside, out) {
            out.push_str(literal);
            if fill(behind, rest, out) {
                return true;
            }
        }
        out.truncate(before);
    }
    false
}

impl Slot {
    /// Appends what of the text is safe; false when it can't be such a slot.
    fn keep(self, text: &str, out: &mut String) -> bool {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'-') || byte >= 0x80;
        let safe = match self {
            Self::Omitted => false,
            Self::Number => {
                let number = |byte: u8| {
                    byte.is_ascii_digit()
                        || matches!(byte, b'.' | b',' | b'/' | b':' | b'+' | b'-' | b' ' | b'A'..=b'F')
                };
                if text.is_empty() || text.len() > LONGEST || !text.bytes().all(number) {
                    return false;
                }
                true
            }
            Self::Name => text.len() <= LONGEST && text.bytes().all(plain),
            Self::AnyName => {
                if text.len() > LONGEST || text.contains('\n') {
                    return false;
                }
                true
            }
            Self::File => {
                let own = OWN_FILES.iter().any(|begin| text.starts_with(begin));
                own && text.len() <= LONGEST && text.bytes().all(|byte| plain(byte) || byte == b'/')
            }
            Self::Type => {
                let typed = |byte: u8| plain(byte) || matches!(byte, b' ' | b'(' | b')' | b'[' | b']' | b',' | b'/');
                text.len() <= LONGEST && text.bytes().all(typed)
            }
        };
        out.push_str(if safe { text } else { OMITTED });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(templates: &Templates, text: &str) -> Option<String> {
        let mut out = String::new();
        templates.apply(text, &mut out).then_some(out)
    }

    #[test]
    fn what_stands_in_a_slot_is_kept_when_it_is_safe() {
        let message = |text| apply(&OF_MESSAGES, text);
        assert_eq!(message("relation \"a.b\" does not exist").as_deref(), Some("relation \"a.b\" does not exist"));
        assert_eq!(message("column \"bob@x\" does not exist").as_deref(), Some("column \"…\" does not exist"));
        assert_eq!(
            message("invalid input syntax for type double precision: \"a\" b: \"c\"").as_deref(),
            Some("invalid input syntax for type double precision: \"…\"")
        );
        assert_eq!(message("anything else"), None);
        assert_eq!(message("division by zero!"), None);
        assert_eq!(
            message("server process (PID 42) was terminated by signal 9: Killed").as_deref(),
            Some("server process (PID 42) was terminated by signal 9: Killed")
        );
        let detail = apply(&OF_DETAILS, "Key (a, lower(b))=(1, x)=(y) already exists.");
        assert_eq!(detail.as_deref(), Some("Key (…)=(…) already exists."));
    }

    #[test]
    fn wordings_have_only_known_slots() {
        for wording in [MESSAGES, DETAILS, HINTS, CONTEXTS].concat() {
            for slot in wording.split('%').skip(1) {
                assert!(slot.starts_with(['s', 'n', 't', 'f', 'd', '*']), "{wording}");
            }
        }
    }
}
