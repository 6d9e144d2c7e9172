//! Entries without what people put into their databases.
//!
//! At [`Redaction::Literals`] a text is kept only where its wording is known to
//! be PostgreSQL's own (`templates`), and of that only what is a name or a
//! number. Functions can raise any text they like, so a text of unknown wording
//! becomes `…`, whatever its severity. Statements lose their literals by
//! [`pganalytics_core::privacy`]. What is never taken away: names of users,
//! databases and applications, addresses, and where PostgreSQL's source logged
//! the entry.

mod context;
mod plan;
mod template;
mod templates;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use pganalytics_core::privacy::redact_sql;
use serde::{Deserialize, Serialize};

use self::template::{OF_DETAILS, OF_HINTS, OF_MESSAGES, OMITTED};
use super::{
    class::Class,
    entry::{Entry, Severity},
    facts::{DeadlockMember, Facts},
};

/// What of an entry's texts may leave the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Redaction {
    /// Everything.
    None,
    /// Everything but values: statements are normalised; parameters, keys, rows
    /// and messages of unknown wording are left out.
    #[default]
    Literals,
    /// Only class, severity, SQLSTATE, names and numbers; no message.
    All,
}

/// The texts of an entry that may leave the host.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Texts<'a> {
    /// The message.
    pub message: Option<Cow<'a, str>>,
    /// `DETAIL`
    pub detail: Option<Cow<'a, str>>,
    /// `HINT`
    pub hint: Option<Cow<'a, str>>,
    /// `CONTEXT`
    pub context: Option<Cow<'a, str>>,
    /// The statement: the one that led to the entry, or the slow one.
    pub statement: Option<Cow<'a, str>>,
    /// Statement that a function or the server itself ran.
    pub internal_query: Option<Cow<'a, str>>,
    /// The plan.
    pub plan: Option<Cow<'a, str>>,
}

/// A statement as it may leave the host.
#[must_use]
pub fn statement(text: &str, level: Redaction) -> Option<Cow<'_, str>> {
    match level {
        Redaction::None => Some(Cow::Borrowed(text)),
        Redaction::Literals => Some(redact_sql(text)),
        Redaction::All => None,
    }
}

/// The texts of an entry that may leave the host at this level.
#[must_use]
pub fn texts<'a>(entry: &Entry<'a>, class: Class, facts: &Facts<'a>, level: Redaction) -> Texts<'a> {
    match level {
        Redaction::None => as_they_are(entry, facts),
        Redaction::Literals => without_literals(entry, class, facts),
        Redaction::All => Texts::default(),
    }
}

fn as_they_are<'a>(entry: &Entry<'a>, facts: &Facts<'a>) -> Texts<'a> {
    let mut texts = Texts {
        message: Some(Cow::Borrowed(begin(entry.message, facts).unwrap_or(entry.message))),
        detail: entry.detail.map(Cow::Borrowed),
        hint: entry.hint.map(Cow::Borrowed),
        context: entry.context.map(Cow::Borrowed),
        statement: entry.statement.map(Cow::Borrowed),
        internal_query: entry.internal_query.map(Cow::Borrowed),
        plan: None,
    };
    match facts {
        Facts::SlowStatement(slow) => {
            texts.statement = slow.statement.map(Cow::Borrowed).or(texts.statement);
        }
        Facts::Plan(plan) => {
            texts.statement = plan.statement.map(Cow::Borrowed).or(texts.statement);
            texts.plan = Some(Cow::Borrowed(plan.plan));
        }
        _ => {}
    }
    texts
}

fn without_literals<'a>(entry: &Entry<'a>, class: Class, facts: &Facts<'a>) -> Texts<'a> {
    let mut texts = Texts {
        message: Some(begin(entry.message, facts).map_or_else(|| message(entry, class), Cow::Borrowed)),
        detail: entry.detail.map(|text| detail(text, facts)),
        hint: entry.hint.map(|text| known(text, &OF_HINTS)),
        context: entry.context.map(|text| Cow::Owned(context::context(text))),
        statement: entry.statement.map(redact_sql),
        internal_query: entry.internal_query.map(redact_sql),
        plan: None,
    };
    match facts {
        Facts::SlowStatement(slow) => {
            texts.statement = slow.statement.map(redact_sql).or(texts.statement);
        }
        Facts::Plan(plan) => {
            let (plan, statement) = plan::plan(plan);
            texts.statement = statement.map(Cow::Owned).or(texts.statement);
            texts.plan = Some(plan.into());
        }
        _ => {}
    }
    texts
}

/// The begin of a message with a statement or plan, which has a column of its
/// own: `duration: 1.234 ms  execute`.
fn begin<'a>(message: &'a str, facts: &Facts<'_>) -> Option<&'a str> {
    let named = match facts {
        Facts::SlowStatement(slow) => slow.statement.is_some() || slow.name.is_some(),
        Facts::Plan(_) => true,
        _ => return None,
    };
    // The number is read already, so the unit is where it is looked for.
    let number = message.find(" ms").map_or(0, |at| at + 3);
    let step = message.get(number..)?;
    let blanks = step.bytes().take_while(|byte| *byte == b' ').count();
    let word = step.bytes().skip(blanks).take_while(u8::is_ascii_alphabetic).count();
    message.get(..if named { number + blanks + word } else { number })
}

fn message<'a>(entry: &Entry<'a>, class: Class) -> Cow<'a, str> {
    let text = entry.message;
    if entry.severity == Severity::Unparsed {
        return OMITTED.into();
    }
    if class == Class::Statement {
        return match text.split_once(": ") {
            Some((step, sql)) if step == "statement" || step.starts_with("execute ") => {
                // The name of a portal is the application's.
                format!("{step}: {}", redact_sql(sql)).into()
            }
            _ => OMITTED.into(),
        };
    }
    if entry.severity == Severity::Log && templates::KEPT.iter().any(|begin| text.starts_with(begin)) {
        return Cow::Borrowed(text);
    }
    known(text, &OF_MESSAGES)
}

fn known<'a>(text: &'a str, templates: &template::Templates) -> Cow<'a, str> {
    let mut out = String::with_capacity(text.len());
    if !templates.apply(text, &mut out) {
        return OMITTED.into();
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

fn detail<'a>(text: &'a str, facts: &Facts<'_>) -> Cow<'a, str> {
    if let Facts::Deadlock(members) = facts {
        return deadlock(members);
    }
    if text.starts_with("parameters: ") || text.starts_with("Parameters: ") {
        return "Parameters: …".into();
    }
    if let Some(statement) = text.strip_prefix("Failed process was running: ") {
        return format!("Failed process was running: {}", redact_sql(statement)).into();
    }
    known(text, &OF_DETAILS)
}

/// Who waits for whom is kept; what they ran loses its literals, each by itself.
fn deadlock(members: &[DeadlockMember<'_>]) -> Cow<'static, str> {
    if members.is_empty() {
        return OMITTED.into();
    }
    let mut lines: Vec<String> = Vec::new();
    for DeadlockMember { pid, mode, object, blocked_by, .. } in members {
        lines.push(format!("Process {pid} waits for {mode} on {object}; blocked by process {blocked_by}."));
    }
    for member in members {
        let Some(statement) = member.statement else { continue };
        lines.push(format!("Process {}: {}", member.pid, redact_sql(statement)));
    }
    lines.join("\n").into()
}
