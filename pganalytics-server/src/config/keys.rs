//! Every setting there is.

/// A setting.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Key {
    /// Its name in the TOML file; as a flag it has dashes instead of `_`.
    pub name: &'static str,
    /// Its environment variables; the first that is set counts.
    pub env: &'static [&'static str],
    /// Its value when nobody says otherwise; empty: none.
    pub default: &'static str,
    /// Whether it must not be shown.
    pub secret: bool,
    /// What it does.
    pub doc: &'static str,
}

const fn key(name: &'static str, env: &'static [&'static str], default: &'static str, doc: &'static str) -> Key {
    Key { name, env, default, secret: false, doc }
}

const fn secret(name: &'static str, env: &'static [&'static str], doc: &'static str) -> Key {
    Key { name, env, default: "", secret: true, doc }
}

/// Every setting, in the order in which they are shown.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("environment", &["ENVIRONMENT"], "development", "development or production; production refuses weak settings"),
    key("log_level", &["LOG_LEVEL"], "info", "error, warn, info, debug or trace; or filters as info,pganalytics_store=debug"),
    key("log_format", &["PGANALYTICS_LOG_FORMAT"], "text", "text or json"),
    key("data_dir", &["PGANALYTICS_DATA_DIR"], "", "folder of the embedded store; default /var/lib/pganalytics where it is there, else the user's own data folder"),
    secret("database_url", &["DATABASE_URL"], "PostgreSQL for metadata; not in this version"),
    secret("timescale_url", &["TIMESCALE_URL"], "TimescaleDB for metrics; not in this version"),
    secret("redis_url", &["REDIS_URL"], "not used by this version"),
    key("listen", &["PGANALYTICS_LISTEN"], "127.0.0.1", "address to listen on; 0.0.0.0 or :: for all, with TLS or --insecure-listen"),
    key("port", &["PORT"], "8080", "port to listen on"),
    key("insecure_listen", &["PGANALYTICS_INSECURE_LISTEN"], "false", "plain HTTP also for other machines; refused in production"),
    key("tls_enabled", &["TLS_ENABLED"], "false", "serve HTTPS (TLS 1.3)"),
    key("tls_cert", &["TLS_CERT", "TLS_CERT_PATH"], "", "certificate chain, PEM file"),
    key("tls_key", &["TLS_KEY", "TLS_KEY_PATH"], "", "private key, PEM file"),
    secret("jwt_secret", &["JWT_SECRET"], "key of access tokens, at least 32 characters; default: made at random and kept in the store"),
    key("jwt_expiration", &["JWT_EXPIRATION"], "900", "life of access tokens in seconds"),
    secret("registration_secret", &["REGISTRATION_SECRET"], "lets collectors register; without it none can"),
    secret("backup_key", &["BACKUP_KEY"], "not used by this version"),
    key("admin_username", &["PGANALYTICS_ADMIN_USERNAME"], "admin", "name of the first admin"),
    secret("admin_password", &["PGANALYTICS_ADMIN_PASSWORD"], "password of the first admin; default: made at random and shown once"),
    key("setup", &["PGANALYTICS_SETUP"], "false", "make no first admin; POST /api/v1/auth/setup on this machine does"),
    secret("scrape_token", &["PGANALYTICS_SCRAPE_TOKEN"], "lets Prometheus scrape /metrics from other machines"),
    key("cors_allowed_origins", &["CORS_ALLOWED_ORIGINS"], "", "origins whose pages may use the API, with commas between them"),
    key("collection_interval", &["COLLECTION_INTERVAL"], "60", "seconds between two scrapes, as agents are told"),
    key("max_concurrent_collectors", &["MAX_CONCURRENT_COLLECTORS"], "10000", "collectors that may be registered"),
    key("catalog_dir", &["PGANALYTICS_CATALOG_DIR"], "", "folder with measurement files of your own"),
    secret("monitor", &["PGANALYTICS_MONITOR"], "postgres://… to watch from this process; may be given several times"),
    key("rate_limit_public", &["PGANALYTICS_RATE_LIMIT_PUBLIC"], "100", "requests a minute of an address without login; 0: no limit"),
    key("rate_limit_login", &["PGANALYTICS_RATE_LIMIT_LOGIN"], "30", "log-ins and registrations a minute of an address"),
    key("rate_limit_read", &["PGANALYTICS_RATE_LIMIT_READ"], "1200", "reading requests a minute of a login"),
    key("rate_limit_query", &["PGANALYTICS_RATE_LIMIT_QUERY"], "600", "SQL queries a minute of a login"),
    key("rate_limit_write", &["PGANALYTICS_RATE_LIMIT_WRITE"], "300", "changing requests a minute of a login"),
    key("rate_limit_push", &["PGANALYTICS_RATE_LIMIT_PUSH"], "60000", "pushes a minute of a login or collector"),
    key("rate_limit_page", &["PGANALYTICS_RATE_LIMIT_PAGE"], "600", "requests a minute of an address for the page's files"),
    key("ingest_memory", &["PGANALYTICS_INGEST_MEMORY"], "134217728", "bytes of pushed bodies in memory at once"),
    key("query_timeout", &["PGANALYTICS_QUERY_TIMEOUT"], "30", "longest time of a SQL query in seconds"),
    key("query_max_rows", &["PGANALYTICS_QUERY_MAX_ROWS"], "100000", "most rows of an answer"),
    key("default_retention_days", &["PGANALYTICS_DEFAULT_RETENTION_DAYS"], "7", "days that measurements are kept which the catalog does not know"),
    key("max_connections", &["PGANALYTICS_MAX_CONNECTIONS"], "4096", "connections at once"),
    key("drain_timeout", &["PGANALYTICS_DRAIN_TIMEOUT"], "20", "seconds that requests under way have when the server stops"),
];

impl Key {
    /// The setting of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Its flag, without the dashes before it.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Whether it may be given several times.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.name, "monitor" | "cors_allowed_origins")
    }

    /// Whether it is yes or no.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        matches!(self.default, "true" | "false")
    }
}
