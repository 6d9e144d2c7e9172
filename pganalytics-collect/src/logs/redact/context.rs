//! `CONTEXT`: one line for each place, but statements and values have lines of
//! their own.

use std::fmt::Write as _;

use pganalytics_core::privacy::redact_sql;

use super::template::{OF_CONTEXTS, OMITTED};

const STATEMENT: &str = "SQL statement \"";
const EXPRESSION: &str = "SQL expression \"";
const ASSIGNMENT: &str = "PL/pgSQL assignment \"";

/// The context without values: places are kept, statements lose their literals,
/// and what has no known wording goes.
pub(super) fn context(context: &str) -> String {
    let mut out = String::with_capacity(context.len());
    let mut rest = context;
    while !rest.is_empty() {
        let end = place_end(rest);
        let (place, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if !out.is_empty() {
            out.push('\n');
        }
        one(place.trim_end_matches('\n'), &mut out);
        rest = behind;
    }
    out
}

/// Where the first place ends: at a line that begins another one.
fn place_end(text: &str) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > 0 && begins(line) {
            return at;
        }
        at += line.len();
    }
    at
}

fn begins(line: &str) -> bool {
    const BEGINS: &[&str] =
        &["PL/", "SQL statement \"", "SQL function \"", "SQL expression \"", "COPY ", "parallel worker"];
    BEGINS.iter().any(|begin| line.starts_with(begin))
}

fn one(place: &str, out: &mut String) {
    for begin in [STATEMENT, EXPRESSION, ASSIGNMENT] {
        if let Some(statement) = place.strip_prefix(begin) {
            let statement = statement.strip_suffix('"').unwrap_or(statement);
            let _ = write!(out, "{begin}{}\"", redact_sql(statement));
            return;
        }
    }
    if !OF_CONTEXTS.apply(place, out) {
        out.push_str(OMITTED);
    }
}
