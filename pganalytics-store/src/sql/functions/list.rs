//! The functions that a query may call, and how large what they make may get.

/// How the result of a function grows with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Size {
    /// A number, a time, a truth, a text of some dozen bytes; or a part of one
    /// argument.
    Fixed,
    /// All arguments, one behind the other.
    Sum,
    /// The same with the first between all others.
    Separated,
    /// The first, as often as the second says.
    Repeat,
    /// As many letters as the second says.
    Pad,
    /// The third in place of each second in the first.
    Replace,
    /// The third, which may name parts of what was found, at each place of the first.
    Pattern,
    /// The elements of the first with the second between them.
    Join,
    /// Some bytes for each letter of the second, a picture.
    Picture,
    /// Some bytes for each letter of the first.
    Letters,
    /// The first, a template, and all others once for each of its letters.
    Template,
    /// The function counts what it holds itself: aggregates and windows.
    Counted,
}

use Size::{Counted, Fixed, Join, Letters, Pad, Pattern, Picture, Repeat, Replace, Separated, Sum, Template};

/// Functions of one row.
pub(in crate::sql) const SCALARS: &[(&str, Size)] = &[
    ("abs", Fixed),
    ("acos", Fixed),
    ("acosh", Fixed),
    ("age", Fixed),
    ("array_append", Sum),
    ("array_cat", Sum),
    ("array_concat", Sum),
    ("array_length", Fixed),
    ("array_position", Fixed),
    ("array_prepend", Sum),
    ("array_remove", Sum),
    ("array_to_string", Join),
    ("ascii", Fixed),
    ("asin", Fixed),
    ("asinh", Fixed),
    ("atan", Fixed),
    ("atan2", Fixed),
    ("atanh", Fixed),
    ("bit_length", Fixed),
    ("btrim", Fixed),
    ("cardinality", Fixed),
    ("cbrt", Fixed),
    ("ceil", Fixed),
    ("ceiling", Fixed),
    ("char_length", Fixed),
    ("character_length", Fixed),
    ("chr", Fixed),
    ("coalesce", Fixed),
    ("concat", Sum),
    ("concat_ws", Separated),
    ("cos", Fixed),
    ("cosh", Fixed),
    ("cot", Fixed),
    ("current_date", Fixed),
    ("current_timestamp", Fixed),
    ("date_bin", Fixed),
    ("date_part", Fixed),
    ("date_trunc", Fixed),
    ("degrees", Fixed),
    ("exp", Fixed),
    ("factorial", Fixed),
    ("floor", Fixed),
    ("format", Template),
    ("gcd", Fixed),
    ("greatest", Fixed),
    ("initcap", Letters),
    ("lcm", Fixed),
    ("least", Fixed),
    ("left", Fixed),
    ("length", Fixed),
    ("ln", Fixed),
    ("log", Fixed),
    ("log10", Fixed),
    ("lower", Letters),
    ("lpad", Pad),
    ("ltrim", Fixed),
    ("make_array", Sum),
    ("make_date", Fixed),
    ("now", Fixed),
    ("nullif", Fixed),
    ("octet_length", Fixed),
    ("overlay", Sum),
    ("pi", Fixed),
    ("position", Fixed),
    ("pow", Fixed),
    ("power", Fixed),
    ("radians", Fixed),
    ("random", Fixed),
    ("regexp_count", Fixed),
    ("regexp_like", Fixed),
    ("regexp_match", Sum),
    ("regexp_replace", Pattern),
    ("repeat", Repeat),
    ("replace", Replace),
    ("reverse", Letters),
    ("right", Fixed),
    ("round", Fixed),
    ("rpad", Pad),
    ("rtrim", Fixed),
    ("sign", Fixed),
    ("sin", Fixed),
    ("sinh", Fixed),
    ("split_part", Fixed),
    ("sqrt", Fixed),
    ("starts_with", Fixed),
    ("string_to_array", Letters),
    ("strpos", Fixed),
    ("substr", Fixed),
    ("substring", Fixed),
    ("tan", Fixed),
    ("tanh", Fixed),
    ("timezone", Fixed),
    ("to_char", Picture),
    ("to_hex", Fixed),
    ("to_timestamp", Fixed),
    ("translate", Letters),
    ("trim", Fixed),
    ("trunc", Fixed),
    ("upper", Letters),
    ("width_bucket", Fixed),
];

/// Functions of many rows. The engine takes what they hold from the query's
/// memory.
pub(in crate::sql) const AGGREGATES: &[(&str, Size)] = &[
    ("any_value", Counted),
    ("array_agg", Counted),
    ("avg", Counted),
    ("bit_and", Counted),
    ("bit_or", Counted),
    ("bit_xor", Counted),
    ("bool_and", Counted),
    ("bool_or", Counted),
    ("corr", Counted),
    ("count", Counted),
    ("covar_pop", Counted),
    ("covar_samp", Counted),
    ("first_value", Counted),
    ("grouping", Counted),
    ("last_value", Counted),
    ("max", Counted),
    ("min", Counted),
    ("nth_value", Counted),
    ("percentile_cont", Counted),
    ("regr_avgx", Counted),
    ("regr_avgy", Counted),
    ("regr_count", Counted),
    ("regr_intercept", Counted),
    ("regr_r2", Counted),
    ("regr_slope", Counted),
    ("regr_sxx", Counted),
    ("regr_sxy", Counted),
    ("regr_syy", Counted),
    ("stddev", Counted),
    ("stddev_pop", Counted),
    ("stddev_samp", Counted),
    ("string_agg", Counted),
    ("sum", Counted),
    ("var_pop", Counted),
    ("var_samp", Counted),
];

/// Functions over a window.
pub(in crate::sql) const WINDOWS: &[(&str, Size)] = &[
    ("cume_dist", Counted),
    ("dense_rank", Counted),
    ("first_value", Counted),
    ("lag", Counted),
    ("last_value", Counted),
    ("lead", Counted),
    ("nth_value", Counted),
    ("ntile", Counted),
    ("percent_rank", Counted),
    ("rank", Counted),
    ("row_number", Counted),
];

/// Functions that are tables; their rows come one batch after the other.
pub(in crate::sql) const TABLES: &[&str] = &["generate_series"];

/// Written in place of functions, and no functions to the planner.
const SYNTAX: &[&str] = &["unnest"];

/// Whether a query may call it.
pub(in crate::sql) fn is_allowed(name: &str) -> bool {
    let listed = |list: &[(&str, Size)]| list.iter().any(|(known, _)| *known == name);
    listed(SCALARS) || listed(AGGREGATES) || listed(WINDOWS) || TABLES.contains(&name) || SYNTAX.contains(&name)
}

/// What to write in place of a function that is not there.
pub(in crate::sql) fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "approx_median" | "median" => "percentile_cont(0.5) within group (order by x)",
        "approx_percentile_cont" | "percentile_disc" => "percentile_cont(f) within group (order by x)",
        "approx_distinct" => "count(distinct x)",
        "array_repeat" | "array_resize" | "range" => "generate_series(a, b) in the from clause",
        "clock_timestamp" | "statement_timestamp" | "transaction_timestamp" | "localtimestamp" => "now()",
        "contains" => "position(part in text) > 0",
        "date_format" | "strftime" => "to_char(time, 'YYYY-MM-DD HH24:MI:SS')",
        "datediff" | "date_diff" => "extract(epoch from a - b)",
        "ends_with" => "text like '%end'",
        "ifnull" | "nvl" => "coalesce(a, b)",
        "instr" => "strpos(text, part)",
        "json_build_object" | "jsonb_build_object" | "named_struct" | "struct" | "map" => "one column for each value",
        "levenshtein" => "like, ilike or ~",
        "log2" => "ln(x) / ln(2)",
        "mode" => "count(*) with group by and order by count(*) desc limit 1",
        "pg_size_pretty" => "the number of bytes; whoever shows it formats it",
        "regexp_matches" | "regexp_substr" => "regexp_match(text, pattern)",
        "to_date" => "text::date with an ISO date",
        "to_number" => "text::numeric or text::double precision",
        "from_unixtime" | "to_timestamp_seconds" | "to_timestamp_millis" | "to_timestamp_micros" => {
            "to_timestamp(seconds)"
        }
        "var" | "variance" => "var_samp(x)",
        "mean" => "avg(x)",
        _ => return None,
    })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_documents_name_what_is_allowed() {
        let page = include_str!("../../../../docs/sql.md");
        let words: std::collections::HashSet<&str> =
            page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
        let names = |list: &'static [(&str, Size)]| list.iter().map(|(name, _)| *name);
        for name in names(SCALARS).chain(names(AGGREGATES)).chain(names(WINDOWS)).chain(TABLES.iter().copied()) {
            assert!(words.contains(name), "docs/sql.md does not name {name}");
        }
    }
}
