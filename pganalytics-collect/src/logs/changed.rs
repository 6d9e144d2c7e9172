//! Changes of settings that the log itself tells of: what is written next is
//! written so.

use super::{
    entry::{Entry, Severity},
    zone::{TimeReader, Zone},
};

/// The new value of a setting in a message that a setting was changed, in any language: the name and
/// the value stand in quotes, one behind the other, whatever words are between them.
pub(super) fn changed_setting<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    const QUOTES: &[(char, char)] = &[('"', '"'), ('»', '«'), ('«', '»'), ('„', '“'), ('“', '”'), ('「', '」')];
    // Nothing that is as long as this is such a message.
    const LONGEST: usize = 4_096;
    if message.len() > LONGEST {
        return None;
    }
    let (before, behind) = message.split_once(name)?;
    let before = before.trim_end();
    let &(opening, closing) = QUOTES
        .iter()
        .find(|(opening, closing)| before.ends_with(*opening) && behind.trim_start().starts_with(*closing))?;
    let rest = behind.trim_start().strip_prefix(closing)?;
    let (_, value) = rest.split_once(opening)?;
    let (value, _) = value.rsplit_once(closing)?;
    // French has blanks within its quotes, which don't break the line.
    Some(value.strip_prefix('\u{a0}').and_then(|value| value.strip_suffix('\u{a0}')).unwrap_or(value))
}

/// Follows a change of `log_timezone` that an entry tells of. Then its own time
/// is to be read anew: it is in the new zone already.
pub(super) fn follow_zone(entry: &Entry<'_>, times: &mut TimeReader) -> bool {
    // Sessions can raise any message; the server's own processes have no user.
    const LONGEST: usize = 300;
    let of_server = entry.severity == Severity::Log && entry.user.is_none_or(str::is_empty);
    if !of_server || entry.message.len() > LONGEST {
        return false;
    }
    changed_setting(entry.message, "log_timezone").is_some_and(|name| times.follow(Zone::named(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_setting_is_read_in_any_language() {
        for message in [
            r#"LOG:  parameter "log_line_prefix" changed to "%m "%u" ""#,
            r#"LOG:  Parameter »log_line_prefix« auf »%m "%u" « gesetzt"#,
            r#"LOG:  パラメータ"log_line_prefix"は"%m "%u" "に変更されました"#,
            "LOG:  paramètre «\u{a0}log_line_prefix\u{a0}» modifié par «\u{a0}%m \"%u\" \u{a0}»",
        ] {
            assert_eq!(changed_setting(message, "log_line_prefix"), Some("%m \"%u\" "), "{message}");
        }
        for message in ["LOG:  log_line_prefix", r#"LOG:  parameter "log_line_prefix""#, r#""log_line_prefix_" to "x""#]
        {
            assert_eq!(changed_setting(message, "log_line_prefix"), None, "{message}");
        }
    }
}
