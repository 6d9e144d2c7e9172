//! The settings that there are, beside servers and measurements.

/// A setting.
#[derive(Debug)]
pub(super) struct Key {
    /// Where it stands in the file.
    pub path: &'static str,
    /// Its well-known environment variable, empty where it has none beside
    /// [`Key::own_variable`].
    pub env: &'static str,
    /// What holds when nobody says anything; empty for nothing.
    pub default: &'static str,
    /// Never shown.
    pub secret: bool,
}

const fn key(path: &'static str, env: &'static str, default: &'static str) -> Key {
    Key { path, env, default, secret: false }
}

const fn secret(path: &'static str, env: &'static str) -> Key {
    Key { path, env, default: "", secret: true }
}

impl Key {
    /// The variable that every setting has: `collector.data_dir` is
    /// `PGANALYTICS_AGENT_COLLECTOR_DATA_DIR`.
    pub(super) fn own_variable(&self) -> String {
        format!("PGANALYTICS_AGENT_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// Its variables; the first that is set counts.
    pub(super) fn variables(&self) -> impl Iterator<Item = String> {
        Some(self.env).filter(|env| !env.is_empty()).map(str::to_owned).into_iter().chain([self.own_variable()])
    }
}

/// All of them, in the order in which they are shown.
pub(super) const KEYS: &[Key] = &[
    key("collector.id", "COLLECTOR_ID", ""),
    key("collector.name", "COLLECTOR_NAME", ""),
    key("collector.hostname", "", ""),
    key("collector.interval", "COLLECTION_INTERVAL", "60"),
    key("collector.push_interval", "PUSH_INTERVAL", "1"),
    key("collector.config_pull_interval", "CONFIG_PULL_INTERVAL", "300"),
    key("collector.data_dir", "", "/var/lib/pganalytics-agent"),
    key("collector.buffer_size", "METRICS_BUFFER_SIZE", "104857600"),
    key("collector.backlog", "", "oldest_first"),
    key("collector.catalog_dir", "", ""),
    key("collector.host_root", "", "/"),
    key("collector.log_level", "LOG_LEVEL", "info"),
    key("collector.environment", "ENVIRONMENT", ""),
    key("backend.url", "BACKEND_URL", ""),
    secret("backend.token", "BACKEND_TOKEN"),
    key("backend.token_file", "BACKEND_TOKEN_FILE", ""),
    secret("backend.registration_secret", "REGISTRATION_SECRET"),
    key("backend.registration_secret_file", "REGISTRATION_SECRET_FILE", ""),
    key("backend.connect_timeout", "", "10"),
    key("backend.timeout", "", "30"),
    key("backend.retry.initial", "", "0.5"),
    key("backend.retry.max", "", "60"),
    key("backend.retry.jitter", "", "true"),
    key("tls.verify", "BACKEND_TLS_VERIFY", "true"),
    key("tls.ca_file", "", ""),
    key("tls.cert_file", "TLS_CERT_FILE", ""),
    key("tls.key_file", "TLS_KEY_FILE", ""),
    key("exporter.enabled", "EXPORTER_ENABLED", "true"),
    key("exporter.listen", "EXPORTER_LISTEN", "127.0.0.1:9187"),
    key("exporter.pgbouncer_listen", "", "127.0.0.1:9127"),
    key("exporter.names", "", "native,drop_in"),
    key("exporter.collectors", "", ""),
    key("exporter.exclude", "", "pg_stat_statements,agent_scrape,pg_hba_file_rules"),
    key("exporter.max_age", "", "5"),
    key("exporter.timeout", "", "9"),
    key("exporter.max_series_per_family", "", "10000"),
    key("exporter.token_file", "", ""),
    key("exporter.user", "", ""),
    secret("exporter.password", "EXPORTER_PASSWORD"),
    key("exporter.password_file", "EXPORTER_PASSWORD_FILE", ""),
    key("exporter.tls_cert_file", "", ""),
    key("exporter.tls_key_file", "", ""),
];

/// The setting at a path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether some setting stands below this path.
pub(super) fn is_table(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The known word that is nearest to a mistyped one.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (distance(word, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, known)| known)
}

/// Letters to change, add or leave out to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().zip(std::iter::once(None).chain(b.iter().map(Some))) {
            let above = *cell;
            let Some(to) = to else {
                *cell = left;
                continue;
            };
            left = (above + 1).min(left + 1).min(diagonal + usize::from(from != *to));
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_variables_that_no_other_has() {
        let mut variables: Vec<String> = KEYS.iter().flat_map(Key::variables).collect();
        assert!(variables.contains(&"PGANALYTICS_AGENT_EXPORTER_PGBOUNCER_LISTEN".to_owned()));
        let count = variables.len();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }

    #[test]
    fn mistyped_words_find_their_like() {
        let known = || ["interval", "name", "hostname"].into_iter();
        assert_eq!(nearest("intervall", known()), Some("interval"));
        assert_eq!(nearest("nmae", known()), Some("name"));
        assert_eq!(nearest("password", known()), None);
        assert_eq!((distance("", "ab"), distance("kitten", "sitting"), distance("same", "same")), (2, 3, 0));
    }
}
