//! Plans of `auto_explain` without values.
//!
//! What is kept is named: kinds of nodes, names of tables and indexes, numbers.
//! Any other text of a plan may be an expression, and its literals go.

use pganalytics_core::privacy::{redact_expression, redact_sql, redact_strings};
use serde_json::Value;

use super::template::OMITTED;
use crate::logs::{
    classify::root,
    facts::{Plan, PlanFormat},
};

/// A plan and its statement without values; the statement only where it is easy
/// to find.
pub(super) fn plan(plan: &Plan<'_>) -> (String, Option<String>) {
    match plan.format {
        PlanFormat::Text => text(plan.plan),
        PlanFormat::Json => json(plan.plan),
        PlanFormat::Xml => (xml(plan.plan), None),
        PlanFormat::Yaml => (yaml(plan.plan), None),
    }
}

fn text(plan: &str) -> (String, Option<String>) {
    // Literals go first: one can go over many lines, and look like a node.
    let plan = redact_strings(plan);
    let found = plan.strip_prefix("Query Text: ").and_then(|rest| rest.split_at_checked(root(rest)?));
    let Some((statement, nodes)) = found else { return (OMITTED.to_owned(), None) };
    // Behind the statement may be a line with parameters.
    let statement = statement.split("\nQuery Parameters: ").next().unwrap_or_default();
    let statement = redact_sql(statement.trim_end_matches('\n')).into_owned();
    let mut out = format!("Query Text: {statement}");
    for line in nodes.lines() {
        out.push('\n');
        node_line(line, &mut out);
    }
    (out, Some(statement))
}

/// A node, or what is told of one.
fn node_line(line: &str, out: &mut String) {
    if let Some((node, numbers)) = line.split_once("  (cost=") {
        // Names only, but a function's call may be part of it.
        out.push_str(&redact_expression(node));
        out.push_str("  (cost=");
        out.push_str(numbers);
        return;
    }
    match line.split_once(": ") {
        Some((key, value))
            if key.chars().all(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '/' | '>')) =>
        {
            out.push_str(key);
            out.push_str(": ");
            let numeric = KEPT.contains(&key.trim()) || NUMBERS.contains(&key.trim());
            if numeric { out.push_str(value) } else { out.push_str(&redact_expression(value)) }
        }
        _ => out.push_str(&redact_expression(line)),
    }
}

/// What is told of a node in text with numbers and fixed words only.
const NUMBERS: &[&str] = &[
    "Buffers",
    "I/O Timings",
    "WAL",
    "Rows Removed by Filter",
    "Rows Removed by Join Filter",
    "Rows Removed by Index Recheck",
    "Heap Fetches",
    "Heap Blocks",
    "Buckets",
    "Batches",
    "Hits",
    "Sort Method",
    "Workers Planned",
    "Workers Launched",
    "Planning Time",
    "Execution Time",
    "Query Identifier",
    "Functions",
    "Timing",
    "Memory",
    "Storage",
    "Index Searches",
    "Subplans Removed",
];

/// Keys whose texts are names or fixed words, as JSON, XML and YAML have them.
const KEPT: &[&str] = &[
    "Node Type",
    "Parent Relationship",
    "Relation Name",
    "Schema",
    "Alias",
    "Index Name",
    "Join Type",
    "Strategy",
    "Partial Mode",
    "Scan Direction",
    "Command",
    "Operation",
    "Sort Method",
    "Sort Space Type",
    "Subplan Name",
    "CTE Name",
    "Function Name",
    "Trigger Name",
    "Constraint Name",
    "Relation",
    "Custom Plan Provider",
    "Conflict Resolution",
    "Cache Mode",
];

fn json(plan: &str) -> (String, Option<String>) {
    // One that was cut is none.
    let Ok(mut value) = serde_json::from_str::<Value>(plan) else { return (OMITTED.to_owned(), None) };
    values(&mut value, "");
    let statement = value.get("Query Text").and_then(Value::as_str).map(str::to_owned);
    (serde_json::to_string(&value).unwrap_or_else(|_| OMITTED.to_owned()), statement)
}

fn values(value: &mut Value, key: &str) {
    match value {
        Value::String(text) => *text = kept(key, text),
        Value::Array(items) => items.iter_mut().for_each(|item| values(item, key)),
        Value::Object(fields) => {
            for (key, value) in fields {
                values(value, key);
            }
        }
        _ => {}
    }
}

fn kept(key: &str, text: &str) -> String {
    if KEPT.contains(&key) && !text.contains('\'') {
        return text.to_owned();
    }
    if key == "Query Parameters" {
        return OMITTED.to_owned();
    }
    if key == "Query Text" {
        return redact_sql(text).into_owned();
    }
    redact_expression(text).into_owned()
}

fn xml(plan: &str) -> String {
    let mut out = String::with_capacity(plan.len());
    let mut key = String::new();
    for piece in plan.split_inclusive('>') {
        let (text, tag) = match piece.find('<') {
            Some(at) => piece.split_at(at),
            None => (piece, ""),
        };
        if text.trim().is_empty() || text.trim().parse::<f64>().is_ok() {
            out.push_str(text);
        } else {
            out.push_str(&kept(&key, text));
        }
        out.push_str(tag);
        key = tag.trim_matches(['<', '>', '/']).replace('-', " ");
    }
    out
}

fn yaml(plan: &str) -> String {
    let mut out = String::with_capacity(plan.len());
    let mut list = String::new();
    for line in plan.lines() {
        let start = line.len() - line.trim_start_matches([' ', '-']).len();
        let (indent, rest) = line.split_at(start);
        out.push_str(indent);
        match rest.split_once(':') {
            Some((key, value))
                if key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'/')) =>
            {
                out.push_str(key);
                out.push(':');
                yaml_value(key, value, &mut out);
                list = key.to_owned();
            }
            _ => yaml_value(&list, rest, &mut out),
        }
        out.push('\n');
    }
    out.pop();
    out
}

/// Texts are written as in JSON.
fn yaml_value(key: &str, value: &str, out: &mut String) {
    let text = value.trim();
    if text.is_empty() || text.parse::<f64>().is_ok() || matches!(text, "true" | "false") {
        out.push_str(value);
        return;
    }
    let space = if value.starts_with(' ') { " " } else { "" };
    out.push_str(space);
    match serde_json::from_str::<String>(text) {
        Ok(text) => out.push_str(&serde_json::to_string(&kept(key, &text)).unwrap_or_default()),
        Err(_) => out.push_str(OMITTED),
    }
}
