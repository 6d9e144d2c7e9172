//! What a process of PostgreSQL is, by the title that it gives itself. Pure.

/// Titles that begin so, and the type that `pg_stat_activity` calls them.
const BEGINNINGS: &[(&str, &str)] = &[
    ("archiver", "archiver"),
    ("autovacuum launcher", "autovacuum launcher"),
    ("autovacuum worker", "autovacuum worker"),
    ("background writer", "background writer"),
    ("checkpointer", "checkpointer"),
    ("io worker", "io worker"),
    ("logger", "logger"),
    ("logical replication apply worker", "logical replication worker"),
    ("logical replication launcher", "logical replication launcher"),
    ("logical replication parallel apply worker", "logical replication worker"),
    ("logical replication tablesync worker", "logical replication worker"),
    ("logical replication worker", "logical replication worker"),
    ("parallel worker", "parallel worker"),
    ("slotsync worker", "slotsync worker"),
    ("startup", "startup"),
    ("stats collector", "stats collector"),
    ("walreceiver", "walreceiver"),
    ("walsender", "walsender"),
    ("walsummarizer", "walsummarizer"),
    ("walwriter", "walwriter"),
];

const PREFIX: &str = "postgres: ";

/// What stands before the type in all titles of a server (`cluster_name`), found
/// in the title of the one process that every server has.
pub(super) fn prefix_of(mut titles: impl Iterator<Item = String>) -> Option<String> {
    titles.find_map(|title| {
        let prefix = title.trim_end().strip_suffix("checkpointer")?;
        prefix.starts_with(PREFIX).then(|| prefix.to_owned())
    })
}

/// The type of the process with this title; `None` when it has not given itself
/// one yet.
pub(super) fn backend_type(title: &str, prefix: Option<&str>) -> Option<&'static str> {
    let rest = prefix.and_then(|prefix| title.strip_prefix(prefix)).or_else(|| title.strip_prefix(PREFIX))?.trim();
    if rest.is_empty() {
        return None;
    }
    let is_whole = |after: &str| after.is_empty() || after.starts_with(' ');
    let known = BEGINNINGS.iter().find(|(beginning, _)| rest.strip_prefix(beginning).is_some_and(is_whole));
    if let Some((_, kind)) = known {
        return Some(kind);
    }
    // `user database host(port) activity`; extensions may call theirs anything.
    let is_peer = |word: &str| word == "[local]" || (word.contains('(') && word.ends_with(')'));
    Some(if rest.split(' ').skip(1).any(is_peer) { "client backend" } else { "background worker" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_all_versions() {
        for (title, kind) in [
            ("postgres: checkpointer ", "checkpointer"),
            ("postgres: background writer ", "background writer"),
            ("postgres: walwriter", "walwriter"),
            ("postgres: archiver last was 000000010000000000000001", "archiver"),
            ("postgres: startup recovering 000000010000000000000003", "startup"),
            ("postgres: walreceiver streaming 0/3000148", "walreceiver"),
            ("postgres: walsender replicator 10.0.0.2(41234) streaming 0/3000148", "walsender"),
            ("postgres: autovacuum worker app", "autovacuum worker"),
            ("postgres: logical replication apply worker for subscription 16389 ", "logical replication worker"),
            ("postgres: parallel worker for PID 4711 ", "parallel worker"),
            ("postgres: io worker 2", "io worker"),
            ("postgres: stats collector ", "stats collector"),
            ("postgres: app shop [local] idle", "client backend"),
            ("postgres: app shop 10.0.0.9(50000) SELECT", "client backend"),
            ("postgres: app shop ::1(50000) idle in transaction", "client backend"),
            ("postgres: checkpointerx shop [local] idle", "client backend"),
            ("postgres: pg_cron launcher ", "background worker"),
            ("postgres: TimescaleDB Background Worker Launcher ", "background worker"),
        ] {
            assert_eq!(backend_type(title, None), Some(kind), "{title}");
        }
        for title in ["postgres: ", "/usr/lib/postgresql/18/bin/postgres", "", "psql"] {
            assert_eq!(backend_type(title, None), None, "{title}");
        }
    }

    #[test]
    fn a_cluster_name_stands_before_the_type() {
        let titles = ["postgres: 17/main: walwriter ", "postgres: 17/main: checkpointer ", "sh"];
        let prefix_of = |titles: &[&str]| super::prefix_of(titles.iter().map(|&title| title.to_owned()));
        let prefix = prefix_of(&titles);
        let prefix = prefix.as_deref();
        assert_eq!(prefix, Some("postgres: 17/main: "));
        assert_eq!(backend_type("postgres: 17/main: walwriter ", prefix), Some("walwriter"));
        assert_eq!(backend_type("postgres: 17/main: app shop [local] idle", prefix), Some("client backend"));
        assert_eq!(backend_type("postgres: 17/main: ", prefix), None);
        assert_eq!(prefix_of(&["postgres: checkpointer"]).as_deref(), Some("postgres: "));
        assert_eq!(prefix_of(&["sh -c checkpointer"]), None);
    }
}
