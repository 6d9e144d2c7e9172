//! What all SQL of the built-in catalog must keep to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use super::*;

const VERSIONS: [u32; 5] = [140_000, 150_000, 160_000, 170_000, 180_000];

/// Each query of the catalog, once.
fn queries() -> BTreeSet<(String, String)> {
    let each = Catalog::builtin().into_iter().flat_map(|measurement| {
        VERSIONS.into_iter().filter_map(move |version| match measurement.query_for(version) {
            QueryChoice::Query(query) => Some((measurement.name().to_string(), query.sql.clone())),
            QueryChoice::Unsupported(_) => None,
        })
    });
    each.collect()
}

/// A server whose encoding lacks a character refuses the whole statement.
#[test]
fn all_sql_is_ascii_its_comments_too() {
    for (measurement, sql) in queries() {
        let odd: Vec<char> = sql.chars().filter(|char| !char.is_ascii()).collect();
        assert!(odd.is_empty(), "{measurement}: {odd:?}");
    }
}

/// `greatest(NULL, 0)` is 0 in PostgreSQL, and so are `least`, `coalesce` and others: what nobody
/// knows must not become a number. Each call that mixes an expression with a number was looked at;
/// a new one either keeps NULL (`case when x < 0 then 0 else x end`) or gets a reason here.
const NULL_IS_THIS_NUMBER: &[(&str, &str, &str)] = &[
    ("agent_cost", "coalesce(sum(s.calls), 0)", "no statement of ours is no call"),
    ("agent_cost", "coalesce(sum(s.rows), 0)", "as with calls"),
    ("agent_cost", "coalesce(sum(s.total_exec_time), 0)", "as with calls"),
    ("agent_cost", "coalesce(sum(s.total_plan_time), 0)", "as with calls"),
    ("agent_cost", "coalesce(sum(s.shared_blks_hit), 0)", "as with calls"),
    ("agent_cost", "coalesce(sum(s.shared_blks_read), 0)", "as with calls"),
    ("agent_cost", "coalesce(sum(s.temp_blks_written), 0)", "as with calls"),
    (
        "pg_bloat_index",
        "coalesce(( select o.option_value::float8 from pg_catalog.pg_options_to_table(i.reloptions) o where o.option_name = 'fillfactor' ), 90)",
        "PostgreSQL's default",
    ),
    (
        "pg_bloat_table",
        "coalesce(( select o.option_value::float8 from pg_catalog.pg_options_to_table(c.reloptions) o where o.option_name = 'fillfactor' ), 100)",
        "PostgreSQL's default",
    ),
    ("pg_roles_audit", "coalesce(pg_catalog.cardinality(r.rolconfig), 0)", "no setting of its own"),
    ("pg_bloat_index", "least(w.distinct_ln, 40)", "not reached where it is NULL"),
    (
        "pg_bloat_index",
        "greatest(1, least(x.reltuples, pg_catalog.exp(least(w.distinct_ln, 40))))",
        "not reached where distinct_ln is NULL",
    ),
    (
        "pg_bloat_index",
        "greatest(1, case when s.n_distinct > 0 then s.n_distinct::float8 else -s.n_distinct::float8 * x.tablerows end)",
        "its sum is taken only where all are known",
    ),
    ("pg_bloat_index", "greatest(0, p.relpages - p.expected)", "not reached where expected is NULL"),
    (
        "pg_bloat_table",
        "greatest(1, pg_catalog.floor((n.size - 24) * n.fillfactor / 100 / n.row_width))",
        "not reached where row_width is NULL",
    ),
    ("pg_bloat_table", "greatest(0, p.relpages - p.expected)", "not reached where expected is NULL"),
    ("pg_roles_audit", "coalesce(o.count, 0)", "no membership is none"),
    ("pg_roles_audit", "coalesce(m.count, 0)", "no member is none"),
    (
        "pg_sequences",
        "greatest(0, least( pg_catalog.trunc((r.limit_value - r.stands) / r.seqincrement), 9223372036854775807))",
        "not reached where the value is not known",
    ),
    (
        "pg_sequences",
        "least( pg_catalog.trunc((r.limit_value - r.stands) / r.seqincrement), 9223372036854775807)",
        "not reached where the value is not known",
    ),
    (
        "pg_sequences",
        "greatest(0, least(1, (r.stands - r.first_value) / (r.limit_value::numeric - r.first_value)))",
        "not reached where the value is not known",
    ),
    (
        "pg_sequences",
        "least(1, (r.stands - r.first_value) / (r.limit_value::numeric - r.first_value))",
        "not reached where the value is not known",
    ),
    ("pg_stat_subscription", "coalesce(s.relid::int8, 0)", "a key: 0 is the subscription itself"),
    ("pg_vacuum_need", "greatest(r.reltuples, 0)", "never NULL; -1 before the first vacuum"),
    ("pg_vacuum_need", "greatest(r.relallfrozen, 0)", "never NULL"),
    ("pg_wal", "coalesce(sum(f.size) filter (where f.name ~ '^[0-9A-F]{24}$'), 0)", "an empty folder has no bytes"),
    ("pg_wal", "coalesce(sum(f.size), 0)", "an empty folder has no bytes"),
];

/// The calls of these functions, white space folded, that have a number among their arguments.
fn calls_with_a_number(sql: &str) -> Vec<String> {
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for name in ["greatest(", "least(", "coalesce("] {
        for (at, _) in sql.match_indices(name) {
            let (mut depth, mut begin, mut arguments, mut end) = (0, at + name.len(), Vec::new(), at);
            for (place, char) in sql[at..].char_indices().map(|(place, char)| (at + place, char)) {
                match char {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    ',' if depth == 1 => {
                        arguments.push(&sql[begin..place]);
                        begin = place + 1;
                    }
                    _ => {}
                }
                if char == ')' && depth == 0 {
                    arguments.push(&sql[begin..place]);
                    end = place + 1;
                    break;
                }
            }
            if arguments.iter().any(|argument| argument.trim().parse::<f64>().is_ok()) {
                found.push(sql[at..end].to_owned());
            }
        }
    }
    found
}

#[test]
fn null_becomes_a_number_only_where_somebody_said_why() {
    let mut seen = BTreeSet::new();
    let mut new = Vec::new();
    for (measurement, sql) in queries() {
        for call in calls_with_a_number(&sql) {
            let known = NULL_IS_THIS_NUMBER.iter().find(|(of, which, _)| *of == measurement && *which == call);
            if known.is_none() {
                new.push(format!("{measurement}: {call}"));
            }
            seen.insert((measurement.clone(), call));
        }
    }
    assert_eq!(new, Vec::<String>::new(), "NULL becomes a number here");
    for (measurement, call, _) in NULL_IS_THIS_NUMBER {
        assert!(
            seen.contains(&((*measurement).to_owned(), (*call).to_owned())),
            "not there any more: {measurement}: {call}"
        );
    }
    assert_eq!(calls_with_a_number("select greatest(f(a, 1), 0), least(a, b)"), ["greatest(f(a, 1), 0)"]);
}
