//! The lists of names that outside tools depend on.

/// A name that must be there.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) labels: Vec<&'static str>,
    pub(crate) versions: Vec<u16>,
    pub(crate) help: &'static str,
}

fn lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn words(text: &'static str) -> Vec<&'static str> {
    let mut words: Vec<_> = text.split(',').filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words
}

fn versions(text: &str) -> Vec<u16> {
    let mut versions: Vec<u16> = text.split(',').map(|version| version.parse().unwrap()).collect();
    // Nobody looked at 15; what its neighbours both have it has too.
    if versions.contains(&14) && versions.contains(&16) {
        versions.push(15);
    }
    versions
}

/// `postgres_exporter` with all collectors.
pub(crate) fn postgres_exporter() -> Vec<Expected> {
    let row = |row: Vec<&'static str>| Expected {
        name: row[0],
        kind: row[1],
        labels: words(row[2]),
        versions: versions(row[4]),
        help: row[5],
    };
    lines(include_str!("postgres_exporter.tsv")).map(row).collect()
}

/// Its settings.
pub(crate) fn settings() -> Vec<Expected> {
    let row = |row: Vec<&'static str>| Expected {
        name: row[0],
        kind: "gauge",
        labels: Vec::new(),
        versions: versions(row[1]),
        help: row[2],
    };
    lines(include_str!("settings.tsv")).map(row).collect()
}

/// Older names, and those of the stacks.
pub(crate) fn older() -> Vec<Expected> {
    let row = |row: Vec<&'static str>| Expected {
        name: row[0],
        kind: row[1],
        labels: words(row[2]),
        // The view is there since 16.
        versions: if row[0].starts_with("pg_stat_io_") { vec![16, 17, 18] } else { vec![14, 15, 16, 17, 18] },
        help: "",
    };
    lines(include_str!("older_names.tsv")).map(row).collect()
}

/// `pgbouncer_exporter`; `versions` is empty where 1.18 has it not.
pub(crate) fn pgbouncer_exporter() -> Vec<Expected> {
    let row = |row: Vec<&'static str>| Expected {
        name: row[0],
        kind: row[1],
        labels: words(row[2]),
        versions: if row[3] == "yes" { vec![118] } else { Vec::new() },
        help: row[4],
    };
    lines(include_str!("pgbouncer_exporter.tsv")).map(row).collect()
}
