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
    key("backup_dir", &["PGANALYTICS_BACKUP_DIR"], "", "folder of backups: where the command backup puts them, and where doctor looks for them"),
    secret("database_url", &["DATABASE_URL"], "PostgreSQL for metadata; not in this version"),
    secret("timescale_url", &["TIMESCALE_URL"], "TimescaleDB for metrics; not in this version"),
    secret("redis_url", &["REDIS_URL"], "not used by this version"),
    key("listen", &["PGANALYTICS_LISTEN"], "127.0.0.1", "address to listen on; 0.0.0.0 or :: for all, with TLS or --insecure-listen"),
    key("https", &["PGANALYTICS_HTTPS"], "false", "people reach it by HTTPS, through a proxy that does not say so: cookies are Secure, HSTS is sent"),
    key("trusted_proxies", &["PGANALYTICS_TRUSTED_PROXIES"], "", "proxies that are believed when they say whom they speak for: addresses, networks (10.0.0.0/8), loopback, private"),
    key("proxy_header", &["PGANALYTICS_PROXY_HEADER"], "x-forwarded-for", "where trusted proxies say it: x-forwarded-for (with x-forwarded-proto) or forwarded"),
    key("local_access", &["PGANALYTICS_LOCAL_ACCESS"], "", "the server's own figures without login on this machine; default true, in production false"),
    key("port", &["PORT"], "8080", "port to listen on"),
    key("ui_port", &["UI_PORT"], "4000", "a second port to listen on, for people; the default where it is free; 0: none"),
    key("insecure_listen", &["PGANALYTICS_INSECURE_LISTEN"], "false", "plain HTTP also for other machines; refused in production"),
    key("tls_enabled", &["TLS_ENABLED"], "false", "serve HTTPS (TLS 1.3); on by itself where TLS_CERT and TLS_KEY are both set"),
    key("tls_cert", &["TLS_CERT", "TLS_CERT_PATH"], "", "certificate chain, PEM file"),
    key("tls_key", &["TLS_KEY", "TLS_KEY_PATH"], "", "private key, PEM file"),
    secret("jwt_secret", &["JWT_SECRET"], "key of access tokens, at least 32 characters; default: made at random and kept in the store"),
    key("jwt_expiration", &["JWT_EXPIRATION"], "900", "life of access tokens in seconds"),
    secret("registration_secret", &["REGISTRATION_SECRET"], "lets collectors register; without it none can"),
    secret("backup_key", &["BACKUP_KEY"], "not used by this version"),
    key("admin_username", &["PGANALYTICS_ADMIN_USERNAME"], "admin", "name of the first admin"),
    secret("admin_password", &["PGANALYTICS_ADMIN_PASSWORD"], "password of the first admin; default: made at random and shown once"),
    key("setup", &["PGANALYTICS_SETUP"], "false", "make no first admin; POST /api/v1/auth/setup does, with the token that is printed at the start"),
    secret("setup_token", &["PGANALYTICS_SETUP_TOKEN"], "token of /auth/setup, at least 16 characters; default: made at random and printed"),
    secret("scrape_token", &["PGANALYTICS_SCRAPE_TOKEN"], "lets Prometheus scrape /metrics from other machines"),
    key("cors_allowed_origins", &["CORS_ALLOWED_ORIGINS", "ALLOWED_ORIGINS"], "", "origins whose pages may use the API, with commas between them"),
    key("collection_interval", &["COLLECTION_INTERVAL"], "60", "seconds between two scrapes, as agents are told"),
    key("max_concurrent_collectors", &["MAX_CONCURRENT_COLLECTORS"], "10000", "collectors that may be registered"),
    key("catalog_dir", &["PGANALYTICS_CATALOG_DIR"], "", "folder with measurement files of your own"),
    secret("monitor", &["PGANALYTICS_MONITOR"], "postgres://… to watch from this process; may be given several times"),
    key("rate_limit_public", &["PGANALYTICS_RATE_LIMIT_PUBLIC"], "100", "requests a minute of an address without login; 0: no limit"),
    key("rate_limit_health", &["PGANALYTICS_RATE_LIMIT_HEALTH"], "100", "requests a minute of an address to /health; those of trusted proxies themselves are not counted"),
    key("rate_limit_probe", &["PGANALYTICS_RATE_LIMIT_PROBE"], "0", "requests a minute of an address to /health/live and /health/ready"),
    key("rate_limit_login", &["PGANALYTICS_RATE_LIMIT_LOGIN"], "30", "log-ins and registrations a minute of an address"),
    key("rate_limit_read", &["PGANALYTICS_RATE_LIMIT_READ"], "1200", "reading requests a minute of a login"),
    key("rate_limit_query", &["PGANALYTICS_RATE_LIMIT_QUERY"], "600", "SQL queries a minute of a login"),
    key("rate_limit_write", &["PGANALYTICS_RATE_LIMIT_WRITE"], "300", "changing requests a minute of a login"),
    key("rate_limit_push", &["PGANALYTICS_RATE_LIMIT_PUSH"], "60000", "pushes a minute of a login or collector"),
    key("rate_limit_page", &["PGANALYTICS_RATE_LIMIT_PAGE"], "600", "requests a minute of an address for the page's files"),
    key("ingest_memory", &["PGANALYTICS_INGEST_MEMORY"], "536870912", "bytes of pushes in memory at once, as they came, expanded and decoded"),
    key("ingest_memory_per_collector", &["PGANALYTICS_INGEST_MEMORY_PER_COLLECTOR"], "234881024", "of these, what one collector may have; a push that takes more is refused"),
    key("max_frame_decoded_bytes", &["PGANALYTICS_MAX_FRAME_DECODED_BYTES"], "67108864", "most bytes of a frame once decoded"),
    key("max_push_decoded_bytes", &["PGANALYTICS_MAX_PUSH_DECODED_BYTES"], "268435456", "most bytes of all frames of a push once decoded"),
    key("max_rows_per_scrape", &["PGANALYTICS_MAX_ROWS_PER_SCRAPE"], "250000", "most rows of a scrape"),
    key("max_sources_per_collector", &["PGANALYTICS_MAX_SOURCES_PER_COLLECTOR"], "5000", "databases of servers that a collector may speak of"),
    key("max_series_per_collector", &["PGANALYTICS_MAX_SERIES_PER_COLLECTOR"], "50000", "measurements of sources that a collector may have"),
    key("max_measurements_per_collector", &["PGANALYTICS_MAX_MEASUREMENTS_PER_COLLECTOR"], "500", "different measurements that a collector may have"),
    key("max_schemas_per_collector", &["PGANALYTICS_MAX_SCHEMAS_PER_COLLECTOR"], "1000", "different shapes of measurements that a collector may bring"),
    key("max_gaps_per_collector", &["PGANALYTICS_MAX_GAPS_PER_COLLECTOR"], "10000", "declared losses that are kept of a collector"),
    key("max_streams_per_collector", &["PGANALYTICS_MAX_STREAMS_PER_COLLECTOR"], "100000", "streams of a collector, with the holes in their numbers"),
    key("source_owned_for", &["PGANALYTICS_SOURCE_OWNED_FOR"], "900", "seconds of silence after which another collector may speak of an instance; 0: never"),
    key("query_timeout", &["PGANALYTICS_QUERY_TIMEOUT"], "30", "longest time of a SQL query in seconds"),
    key("query_at_once", &["PGANALYTICS_QUERY_AT_ONCE"], "2", "SQL queries of a login at once; further ones wait"),
    key("query_answer_memory", &["PGANALYTICS_QUERY_ANSWER_MEMORY"], "67108864", "bytes of SQL answers that wait for their readers at once"),
    key("sql_workers", &["PGANALYTICS_SQL_WORKERS"], "4", "processes that run people's SQL (Linux only); 0: it runs in the server, whose memory it can take"),
    key("sql_worker_memory", &["PGANALYTICS_SQL_WORKER_MEMORY"], "167772160", "bytes of memory that a SQL worker may take for a query"),
    key("query_max_rows", &["PGANALYTICS_QUERY_MAX_ROWS"], "100000", "most rows of an answer"),
    key("default_retention_days", &["PGANALYTICS_DEFAULT_RETENTION_DAYS"], "7", "days that measurements are kept which the catalog does not know"),
    key("max_connections", &["PGANALYTICS_MAX_CONNECTIONS"], "4096", "connections at once"),
    key("max_connections_per_address", &["PGANALYTICS_MAX_CONNECTIONS_PER_ADDRESS"], "512", "connections at once of an address, other than this machine and trusted proxies"),
    key("first_bytes_timeout", &["PGANALYTICS_FIRST_BYTES_TIMEOUT"], "10", "seconds for a TLS handshake, and until a connection's protocol is known"),
    key("header_timeout", &["PGANALYTICS_HEADER_TIMEOUT"], "30", "seconds until a request's headers are there"),
    key("idle_timeout", &["PGANALYTICS_IDLE_TIMEOUT"], "120", "seconds that a connection may be idle; more than balancers keep theirs"),
    key("max_connection_age", &["PGANALYTICS_MAX_CONNECTION_AGE"], "3600", "seconds after which a connection takes no more requests; 0: no limit"),
    key("write_timeout", &["PGANALYTICS_WRITE_TIMEOUT"], "30", "seconds in which a client takes nothing of its answer"),
    key("max_header_bytes", &["PGANALYTICS_MAX_HEADER_BYTES"], "16384", "most bytes of a request's headers"),
    key("http2_max_streams", &["PGANALYTICS_HTTP2_MAX_STREAMS"], "100", "requests at once on a connection of HTTP/2"),
    key("http2_max_resets", &["PGANALYTICS_HTTP2_MAX_RESETS"], "600", "requests a minute that a client of HTTP/2 may take back; 0: no limit"),
    key("http2_max_control_frames", &["PGANALYTICS_HTTP2_MAX_CONTROL_FRAMES"], "6000", "frames of HTTP/2 a minute that carry no request and no data; 0: no limit"),
    key("drain_delay", &["PGANALYTICS_DRAIN_DELAY"], "0", "seconds that a server which is to stop still takes requests, while /health/ready says that it is draining; 5 behind a balancer"),
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

    /// The name of the setting for a file that holds it, where it is a secret.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}_file", self.name)
    }

    /// Whether it may be given several times.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.name, "monitor" | "cors_allowed_origins" | "trusted_proxies")
    }

    /// Whether it is yes or no.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        matches!(self.default, "true" | "false")
    }
}
