//! Durations of statements, and plans.

use crate::logs::{
    class::Class,
    entry::Entry,
    facts::{Facts, Plan, PlanFormat, SlowStatement, Step},
    scan::Scan,
};

/// `duration: 1.234 ms  statement: select 1`
pub(super) fn duration<'a>(entry: &Entry<'a>) -> Option<(Class, Facts<'a>)> {
    let mut scan = Scan(entry.message);
    scan.skip("duration: ")?;
    let duration_ms = scan.number()?;
    scan.skip(" ms")?;
    let mut slow = SlowStatement { duration_ms, ..SlowStatement::default() };
    if scan.0.is_empty() {
        return Some((Class::SlowStatement, Facts::SlowStatement(slow)));
    }
    scan.skip("  ")?;
    if let Some(plan) = scan.0.strip_prefix("plan:\n") {
        let (format, statement) = plan_format(plan);
        return Some((Class::Plan, Facts::Plan(Plan { duration_ms, format, statement, plan })));
    }
    if scan.skip("statement: ").is_some() {
        slow.statement = Some(scan.0);
    } else if scan.skip("fastpath function call: ").is_some() {
        (slow.step, slow.name) = (Step::Fastpath, Some(scan.0));
    } else {
        const STEPS: &[(&str, Step)] = &[("parse ", Step::Parse), ("bind ", Step::Bind), ("execute ", Step::Execute)];
        let &(word, step) = STEPS.iter().find(|(word, _)| scan.0.starts_with(word))?;
        scan.skip(word)?;
        slow.step = step;
        slow.name = Some(scan.until(": ")?);
        slow.statement = Some(scan.0);
    }
    slow.parameters = entry.detail.and_then(parameters);
    Some((Class::SlowStatement, Facts::SlowStatement(slow)))
}

/// 16 writes it with a capital.
fn parameters(detail: &str) -> Option<&str> {
    detail.strip_prefix("Parameters: ").or_else(|| detail.strip_prefix("parameters: "))
}

/// How the plan is written, and its statement where that can be told without
/// taking the plan apart.
fn plan_format(plan: &str) -> (PlanFormat, Option<&str>) {
    if plan.starts_with('{') {
        return (PlanFormat::Json, None);
    }
    if plan.starts_with('<') {
        return (PlanFormat::Xml, None);
    }
    if plan.contains("\nPlan: \n") || plan.contains("\nPlan:\n") {
        return (PlanFormat::Yaml, None);
    }
    let statement = plan.strip_prefix("Query Text: ").and_then(|rest| rest.get(..root(rest)?));
    (PlanFormat::Text, statement.map(|text| text.strip_suffix('\n').unwrap_or(text)))
}

/// Where the plan's root is in a text: the last node that is not indented. A
/// statement may have lines that look like nodes.
pub(in crate::logs) fn root(text: &str) -> Option<usize> {
    let mut found = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !line.starts_with([' ', '\t']) && line.contains("  (cost=") {
            found = Some(at);
        }
        at += line.len();
    }
    found
}
