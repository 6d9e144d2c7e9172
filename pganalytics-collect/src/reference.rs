//! The catalog as a page to read (`docs/measurements.md`).

use std::{fmt::Write, time::Duration};

use pganalytics_core::{
    ColumnKind, CounterFamily, Presence,
    catalog::{Catalog, Measurement, Query, Role, Scope, VersionRange, Wanted},
};

use crate::exporter::native_name;

/// Versions that the page speaks of.
const VERSIONS: std::ops::RangeInclusive<u32> = 14..=18;

/// The sections of the page.
const SECTIONS: &[(Scope, &str, &str)] = &[
    (Scope::Cluster, "Cluster", "Read once in a cluster, in whichever database."),
    (Scope::Database, "Each database", "Read in each database; `database_name` says which."),
    (Scope::Host, "Host", "Read from the host that the agent runs on, without SQL."),
    (Scope::Pooler, "Poolers", "Read at a pooler's admin console."),
    (Scope::Agent, "Agent", "Made by the agent, of itself and its work."),
];

const HEAD: &str = "# Measurements

<!-- Made from the files in pganalytics-core/catalog; do not edit. `make reference` makes it anew. -->

Everything that pgAnalytics collects, made from the catalog. Measurements of your own
look the same in SQL and over REST; see [Your own SQL](own-sql.md).

For each measurement `m` there are the tables `m` (every scrape), `m_delta` (counters as
their increase) and `m_latest` (the newest rows); [SQL](sql.md) explains them. Each table
also has `time`, `collector_id`, `server_id`, `instance_id`, `server` and `database_name`.
A *key* tells rows apart, a *counter* only rises until it begins anew, a *gauge* goes up
and down, an *info* describes. Without a word on PostgreSQL a column is there on every version.
";

/// The page.
///
/// ```
/// use pganalytics_collect::reference::to_markdown;
/// use pganalytics_core::catalog::Catalog;
///
/// let page = to_markdown(Catalog::builtin());
/// assert!(page.contains("### pg_stat_database"));
/// ```
#[must_use]
pub fn to_markdown(catalog: &Catalog) -> String {
    let mut page = String::from(HEAD);
    let of = |scope: Scope| catalog.iter().filter(move |measurement| measurement.scope() == scope);
    for (scope, title, _) in SECTIONS.iter().filter(|(scope, ..)| of(*scope).next().is_some()) {
        let _ = write!(page, "\n**{title}**\n\n| measurement | what | every | kept |\n|---|---|---|---|\n");
        for measurement in of(*scope) {
            let name = measurement.name();
            let _ = writeln!(
                page,
                "| [{name}](#{name}) | {} | {} | {} |",
                cell(measurement.title()),
                time(measurement.interval()),
                time(measurement.retention())
            );
        }
    }
    for (scope, title, doc) in SECTIONS.iter().filter(|(scope, ..)| of(*scope).next().is_some()) {
        let _ = write!(page, "\n## {title}\n\n{doc}\n");
        for measurement in of(*scope) {
            section(&mut page, measurement);
        }
    }
    page
}

fn section(page: &mut String, measurement: &Measurement) {
    let _ = write!(page, "\n### {}\n\n{}.", measurement.name(), measurement.title().trim_end_matches('.'));
    if !measurement.doc().is_empty() {
        let _ = write!(page, " {}", measurement.doc().replace('\n', " "));
    }
    page.push_str("\n\n| | |\n|---|---|\n");
    for (what, text) in facts(measurement) {
        let _ = writeln!(page, "| {what} | {} |", cell(&text));
    }
    let names: Vec<_> = measurement.columns().iter().map(|column| native_name(measurement, &column.name)).collect();
    let named = names.iter().any(Option::is_some);
    let (heading, line) = if named { (" Prometheus |", "---|") } else { ("", "") };
    let _ = write!(
        page,
        "\n| column | kind | type | unit | PostgreSQL |{heading} what it says |\n|---|---|---|---|---|{line}---|\n"
    );
    for (column, name) in measurement.columns().iter().zip(names) {
        let versions = column.postgres.as_ref().map(versions).unwrap_or_default();
        let kind = match column.kind {
            ColumnKind::Key => "key",
            ColumnKind::Counter if column.derived => "counter, derived",
            ColumnKind::Counter => "counter",
            ColumnKind::Gauge => "gauge",
            ColumnKind::Info => "info",
        };
        let _ = write!(page, "| `{}` | {kind} | {} | {} | {versions} |", column.name, column.ty, cell(&column.unit));
        if named {
            let _ = write!(page, " {} |", name.map(|name| format!("`{name}`")).unwrap_or_default());
        }
        let _ = writeln!(page, " {} |", cell(&column.doc));
    }
}

/// What there is to know of a measurement beside its columns.
fn facts(measurement: &Measurement) -> Vec<(&'static str, String)> {
    let name = measurement.name();
    let schema = measurement.schema();
    let mut facts = Vec::new();
    let on = match measurement.role() {
        Role::Primary => ", on primaries only",
        Role::Standby => ", on standbys only",
        _ => "",
    };
    let off = if measurement.enabled_by_default() { "" } else { "; off unless it is switched on" };
    facts.push(("Taken", format!("every {}{on}{off}", time(measurement.interval()))));
    facts.push(("Kept", time(measurement.retention())));
    let delta = if schema.presence() == Presence::State { format!("`{name}_delta`, ") } else { String::new() };
    facts.push((
        "Tables",
        format!("`{name}`, {delta}`{name}_latest`; in a store of SQL tables `{}`", measurement.hypertable()),
    ));
    facts.push(("Source", format!("`{}`", measurement.source_view())));
    if measurement.scope().is_postgres() {
        for query in measurement.queries() {
            facts.push(("PostgreSQL", supported(query)));
        }
    }
    for want in measurement.wants() {
        let what = match &want.what {
            Wanted::Setting { name, values } => format!("`{name} = {}`", values.join("` or `")),
            Wanted::AtLeast { name, value } => format!("`{name}` of {value} or more"),
            Wanted::Role(role) => format!("membership of `{role}`"),
            Wanted::Function(function) => format!("EXECUTE on `{function}`"),
            _ => continue,
        };
        let of =
            if want.postgres == VersionRange::ALL { String::new() } else { format!(" ({})", versions(&want.postgres)) };
        facts.push(("Wants", format!("{what}{of}; without it {}", want.without)));
    }
    if let Some(follow) = measurement.follows() {
        let again = follow.resend.map(|resend| format!(", again after {}", time(resend))).unwrap_or_default();
        facts.push(("Follows", format!("new values of `{}.{}`{again}", follow.measurement, follow.key)));
    }
    let counters = match schema.family() {
        CounterFamily::Cumulative => Some("begin anew with the statistics of PostgreSQL"),
        CounterFamily::Shared => Some("begin anew when the stamp of their view moves"),
        CounterFamily::Statements => Some("begin anew with the statistics of statements"),
        CounterFamily::Host => Some("begin anew when the host starts"),
        CounterFamily::Process => Some("begin anew with the process that counts"),
        _ => None,
    };
    facts.extend(counters.map(|text| ("Counters", text.to_owned())));
    if schema.presence() == Presence::Append {
        facts.push(("Rows", String::from("facts: each is sent once, and stays")));
    }
    facts
}

fn supported(query: &Query) -> String {
    let versions = versions(&query.postgres);
    if let Some(reason) = &query.unsupported {
        return format!("{versions}: not to be had: {reason}");
    }
    let mut needs = Vec::new();
    needs.extend(query.requires.extension.as_ref().map(|name| format!("the extension `{name}`")));
    needs.extend(query.requires.execute.as_ref().map(|name| format!("EXECUTE on `{name}`")));
    if needs.is_empty() { versions } else { format!("{versions}; needs {}", needs.join(" and ")) }
}

/// The versions of a range among those that are watched.
fn versions(range: &VersionRange) -> String {
    let all: Vec<u32> = VERSIONS.filter(|major| range.contains_major(*major)).collect();
    match all.as_slice() {
        [] => range.to_string(),
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
    }
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        _ if seconds.is_multiple_of(86_400) => format!("{} d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) && seconds > 60 => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// A text that stays in its cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}
