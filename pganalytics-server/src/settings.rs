//! What a [`Server`](crate::Server) can be told.

use std::time::Duration;

use pganalytics_core::Secret;
use pganalytics_store::Quotas;

use crate::{error::ServerError, proxy::Proxies, rate::RateLimits};

/// Shortest signing key, in bytes.
pub(crate) const MIN_KEY_BYTES: usize = 32;

/// Shortest set-up token, in characters.
const MIN_SETUP_TOKEN: usize = 16;

/// Settings of a server. Start from [`Settings::default`], which is right for a
/// single machine, and change what differs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Key of access tokens, at least 32 bytes. `None`: one is made at random
    /// and kept in the [`MetaStore`](pganalytics_store::MetaStore).
    pub jwt_secret: Option<Secret<String>>,
    /// Life of access tokens.
    pub access_lifetime: Duration,
    /// Life of refresh tokens.
    pub refresh_lifetime: Duration,
    /// The secret that lets collectors register; `None`: none may.
    pub registration_secret: Option<Secret<String>>,
    /// Who becomes the first user of an empty installation.
    pub first_admin: FirstAdmin,
    /// Whether people reach it by HTTPS, whatever a request says: cookies are
    /// `Secure`, HSTS is sent. Where this server does TLS itself, or a trusted
    /// proxy says `https`, that is known without it.
    pub https: bool,
    /// Proxies that are believed when they say whom they speak for.
    pub proxies: Proxies,
    /// Whether requests of this machine may read the server's own figures
    /// without a login. A proxy on this machine that is not one of `proxies`
    /// and says nothing of whom it speaks for passes as this machine.
    pub local_access: bool,
    /// What `/auth/setup` asks for with [`FirstAdmin::Setup`]; `None`: one is
    /// made at random, which [`Server::setup_token`](crate::Server::setup_token)
    /// gives once. Several servers of one installation need the same one.
    pub setup_token: Option<Secret<String>>,
    /// Origins whose pages may use the API, exactly as browsers send them.
    pub cors_allowed_origins: Vec<String>,
    /// Requests a minute.
    pub rate_limits: RateLimits,
    /// The token that Prometheus scrapes `/metrics` with, besides this machine.
    pub scrape_token: Option<Secret<String>>,
    /// Collectors that may be registered in a tenant.
    pub max_collectors: u64,
    /// Time between two scrapes, as agents are told.
    pub collection_interval: Duration,
    /// Longest time for a request, from its first to its last byte.
    pub request_timeout: Duration,
    /// Limits of ingest.
    pub ingest: IngestLimits,
    /// Limits of user's SQL.
    pub query: QueryLimits,
    /// Limits of connections of [`Server::serve`](crate::Server::serve).
    pub connections: ConnectionLimits,
    /// Keep measurements that the catalog does not know for this long.
    pub default_retention: Duration,
    /// How long [`Server::serve`](crate::Server::serve) still takes requests
    /// when it is told to stop, while `/health/ready` already says that it is
    /// draining, so that balancers turn away first.
    pub drain_delay: Duration,
    /// What [`Server::serve`](crate::Server::serve) may take to finish what is
    /// under way.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            access_lifetime: Duration::from_secs(900),
            refresh_lifetime: Duration::from_secs(14 * 86_400),
            registration_secret: None,
            first_admin: FirstAdmin::default(),
            https: false,
            proxies: Proxies::default(),
            local_access: true,
            setup_token: None,
            cors_allowed_origins: Vec::new(),
            rate_limits: RateLimits::default(),
            scrape_token: None,
            max_collectors: 10_000,
            collection_interval: Duration::from_secs(60),
            request_timeout: Duration::from_secs(60),
            ingest: IngestLimits::default(),
            query: QueryLimits::default(),
            connections: ConnectionLimits::default(),
            default_retention: Duration::from_secs(7 * 86_400),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), ServerError> {
        if let Some(key) = &self.jwt_secret
            && key.expose().len() < MIN_KEY_BYTES
        {
            return Err(ServerError::setting(
                "jwt_secret",
                format!("it must have at least {MIN_KEY_BYTES} characters; make one with: openssl rand -base64 48"),
            ));
        }
        if let Some(token) = &self.setup_token
            && token.expose().len() < MIN_SETUP_TOKEN
        {
            let why = format!("it must have at least {MIN_SETUP_TOKEN} characters; openssl rand -hex 32 makes 64");
            return Err(ServerError::setting("setup_token", why));
        }
        self.connections.check()?;
        if self.access_lifetime.is_zero() || self.access_lifetime > Duration::from_secs(86_400) {
            return Err(ServerError::setting("jwt_expiration", "it must be between 1 and 86400 seconds"));
        }
        for origin in &self.cors_allowed_origins {
            let good = origin.starts_with("https://") || origin.starts_with("http://");
            if !good || origin.matches('/').count() != 2 || origin.contains('*') {
                return Err(ServerError::setting(
                    "cors_allowed_origins",
                    format!("{origin:?} is no origin; write it as https://example.com, without a path or *"),
                ));
            }
        }
        Ok(())
    }
}

/// Who becomes the first user of an empty installation.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum FirstAdmin {
    /// A user `admin` with a random password, which
    /// [`Server::first_admin`](crate::Server::first_admin) gives once.
    #[default]
    Random,
    /// This user.
    Given {
        /// Login name.
        username: String,
        /// Password, of at least twelve characters.
        password: Secret<String>,
    },
    /// Nobody, until somebody calls `/auth/setup` with the set-up token.
    Setup,
}

/// Limits of `/metrics/push`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestLimits {
    /// Longest body as it comes.
    pub max_body_bytes: usize,
    /// Longest body once decompressed.
    pub max_expanded_bytes: usize,
    /// Longest JSON document.
    pub max_json_bytes: usize,
    /// Most bytes of one frame once decoded, as its head announces it: eight a
    /// number, twelve and its length a text, one a bool.
    pub max_frame_decoded_bytes: usize,
    /// Most bytes of all frames of a push once decoded.
    pub max_push_decoded_bytes: usize,
    /// How many times its size a body may grow when decompressed.
    pub max_ratio: usize,
    /// Bytes of pushes in memory at once: as they came, expanded, and decoded.
    pub bytes_in_flight: usize,
    /// Of these, what one collector may have. A push that takes more is refused.
    pub bytes_per_collector: usize,
    /// Longest time from the first to the last byte of a body.
    pub body_timeout: Duration,
    /// How far ahead of this server's clock a sample may be.
    pub max_ahead: Duration,
    /// Longest time from the first to the last scrape of a frame.
    pub max_span: Duration,
    /// Most rows of a scrape.
    pub max_rows_per_scrape: u64,
    /// What each collector may have in the store, and how long its sources are
    /// its own.
    pub quotas: Quotas,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 8 << 20,
            max_expanded_bytes: 32 << 20,
            max_json_bytes: 16 << 20,
            max_frame_decoded_bytes: 64 << 20,
            max_push_decoded_bytes: 256 << 20,
            max_ratio: 200,
            bytes_in_flight: 512 << 20,
            // The largest push that is allowed: body, expanded twice, and the
            // largest frame while it is decoded, or the largest document.
            bytes_per_collector: 224 << 20,
            body_timeout: Duration::from_secs(30),
            max_ahead: Duration::from_secs(600),
            max_span: Duration::from_secs(3600),
            max_rows_per_scrape: 250_000,
            quotas: Quotas::per_collector(),
        }
    }
}

/// Limits of `/sql`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueryLimits {
    /// Most rows of an answer; more are cut off, and the answer says so.
    pub max_rows: usize,
    /// Longest time.
    pub timeout: Duration,
    /// Queries of one user, or collector, at once; further ones wait.
    pub at_once: usize,
    /// Queries of one user that may wait.
    pub waiting: usize,
    /// Bytes of answers that wait for their readers at once.
    pub answer_bytes: usize,
    /// A reader that takes nothing of its answer for this long is cut off.
    pub reader_timeout: Duration,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_rows: 100_000,
            timeout: Duration::from_secs(30),
            at_once: 2,
            waiting: 64,
            answer_bytes: 64 << 20,
            reader_timeout: Duration::from_secs(30),
        }
    }
}

/// Limits of connections of [`Server::serve`](crate::Server::serve), for HTTP/1
/// and HTTP/2. What ends a connection is counted under its name in the metric
/// `pganalytics_connections_ended_total`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// Connections at once. When there are so many, those that nobody has
    /// logged in on make room for new ones, the oldest first, of the address
    /// that has most of them.
    pub max: usize,
    /// Connections at once of one address (of IPv6: of one /64), other than
    /// this machine's own and those of trusted proxies.
    pub max_per_address: usize,
    /// Longest time for a TLS handshake, and for the bytes that tell HTTP/1
    /// from HTTP/2.
    pub first_bytes_timeout: Duration,
    /// Longest time from the first byte of a request to the end of its headers,
    /// and from the first bytes of a connection to its first request.
    pub header_timeout: Duration,
    /// Longest time between two requests. It is longer than clients and
    /// balancers keep a connection (60 to 90 s), so that they close it, and no
    /// request is lost on a connection that is being closed.
    pub idle_timeout: Duration,
    /// A connection of this age, give or take a tenth, takes no more requests
    /// and ends when those under way have; 0: no limit. Clients connect anew,
    /// to any server that a balancer chooses.
    pub max_age: Duration,
    /// Longest time in which a client takes nothing of an answer.
    pub write_timeout: Duration,
    /// Most bytes of a request's headers.
    pub max_header_bytes: usize,
    /// Requests at once on one connection of HTTP/2.
    pub http2_max_streams: u32,
    /// Requests that a client of HTTP/2 may take back in a minute; 0: no limit.
    pub http2_max_resets: u32,
    /// Frames of HTTP/2 in a minute that carry no request and no data: settings,
    /// pings, priorities, window updates and the like; 0: no limit. Each KiB of
    /// answers allows one more.
    pub http2_max_control_frames: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max: 4096,
            max_per_address: 512,
            first_bytes_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            max_age: Duration::from_secs(3600),
            write_timeout: Duration::from_secs(30),
            max_header_bytes: 16 << 10,
            http2_max_streams: 100,
            http2_max_resets: 600,
            http2_max_control_frames: 6000,
        }
    }
}

impl ConnectionLimits {
    fn check(&self) -> Result<(), ServerError> {
        for (key, limit) in [
            ("first_bytes_timeout", self.first_bytes_timeout),
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
            ("write_timeout", self.write_timeout),
        ] {
            if limit.is_zero() {
                return Err(ServerError::setting(key, "it must be more than 0"));
            }
        }
        Ok(())
    }
}
