//! Finds the class of an entry and its numbers.
//!
//! Errors are told apart by their SQLSTATE where the log has it, everything else
//! by how the message begins; the text is looked at only a few times.

mod checkpoint;
mod errors;
mod locks;
mod server;
mod statements;
#[cfg(test)]
mod tests;
mod vacuum;

pub(super) use statements::root;

use super::{
    class::Class,
    entry::{Entry, Severity},
    facts::Facts,
};

/// The class of an entry and its numbers.
///
/// ```
/// use pganalytics_collect::logs::{Class, Facts, Format, Options, Parser, Prefix, classify};
///
/// let line = b"2026-11-21 12:00:00.123 UTC [42] LOG:  duration: 1203.5 ms  statement: select 1\n";
/// let mut parser = Parser::new(Format::Stderr(Prefix::new("%m [%p] ")), Options::default(), 0);
/// parser.push(line, &mut |_| ());
/// parser.flush(&mut |entry| {
///     let (class, facts) = classify(entry);
///     assert_eq!(class, Class::SlowStatement);
///     let Facts::SlowStatement(slow) = facts else { panic!() };
///     assert_eq!((slow.duration_ms, slow.statement), (1203.5, Some("select 1")));
/// });
/// ```
#[must_use]
pub fn classify<'a>(entry: &Entry<'a>) -> (Class, Facts<'a>) {
    match entry.severity {
        Severity::Unparsed => (Class::Unparsed, Facts::None),
        Severity::Panic => (Class::Panic, Facts::None),
        Severity::Error | Severity::Fatal => match errors::class(entry) {
            Class::Deadlock => (Class::Deadlock, locks::deadlock(entry)),
            class => (class, Facts::None),
        },
        Severity::Warning => (errors::class_of_warning(entry), Facts::None),
        _ => server::classify(entry),
    }
}
