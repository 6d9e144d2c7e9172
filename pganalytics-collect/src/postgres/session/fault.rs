//! Why a server could not be reached, told so that its reader knows what to do.

use std::{error::Error as _, io};

use tokio_postgres::error::SqlState;

use crate::postgres::settings::{Host, PostgresConfig};

/// Kinds of failures to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFault {
    /// No such host.
    UnknownHost,
    /// Nothing listens there.
    Refused,
    /// No way to the host.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The password is wrong, or the role is unknown.
    WrongPassword,
    /// A password is needed and there is none.
    NoPassword,
    /// `pg_hba.conf` lets this role not in, or the role may not log in.
    NotAllowed,
    /// No such database, or no right to connect to it.
    NoDatabase,
    /// The server has no session left.
    TooManyConnections,
    /// All sessions that the settings allow are in use by other visits.
    Busy,
    /// The server starts, stops or recovers.
    StartingUp,
    /// The server does no TLS and we were told to insist.
    TlsRefused,
    /// TLS failed: the certificate, or no common version.
    TlsFailed,
    /// What answers is a pooler that does not take startup options.
    OptionsRefused,
    /// A file that was named can't be read.
    File,
    /// Anything else.
    Other,
}

/// Why a connection could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectProblem {
    /// The kind.
    pub fault: ConnectFault,
    /// What is wrong, where, what to do; without the password.
    pub message: String,
}

impl ConnectProblem {
    pub(crate) fn new(fault: ConnectFault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }

    /// No connection to the host.
    pub(crate) fn from_io(error: &io::Error, host: &Host) -> Self {
        let (fault, advice) = match error.kind() {
            io::ErrorKind::ConnectionRefused => (
                ConnectFault::Refused,
                "nothing listens there: check host, port, listen_addresses and that the server runs",
            ),
            io::ErrorKind::NotFound => {
                (ConnectFault::Refused, "there is no such socket: check the folder, the port and that the server runs")
            }
            io::ErrorKind::PermissionDenied => {
                (ConnectFault::NotAllowed, "the socket's permissions keep this user out")
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                (ConnectFault::Unreachable, "there is no way to this host: check the network and firewalls")
            }
            _ => (ConnectFault::Other, "the connection failed"),
        };
        Self::new(fault, format!("{host}: {advice} ({error})"))
    }

    /// No answer in time.
    pub(crate) fn timeout(config: &PostgresConfig, host: &Host, doing: &str) -> Self {
        let limit = config.connect_timeout;
        let message = format!(
            "{host}: {doing} took longer than {limit:?}; check the network and firewalls, or raise connect_timeout"
        );
        Self::new(ConnectFault::Timeout, message)
    }

    /// What the server or the driver said while logging in.
    pub(crate) fn from_login(
        error: &tokio_postgres::Error,
        config: &PostgresConfig,
        host: &Host,
        database: &str,
        had_password: bool,
    ) -> Self {
        let who = format!("{host}, role {:?}, database {database:?}", config.user);
        if let Some(said) = error.as_db_error() {
            let (fault, advice) = advice(said.code());
            return Self::new(fault, format!("{who}: {}; {advice}", one_line(said.message())));
        }
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let text = format!("{error} {cause}");
        if !had_password && text.contains("password") {
            let advice = "the server asks for a password and none is set; set password, password_file or ~/.pgpass";
            return Self::new(ConnectFault::NoPassword, format!("{who}: {advice}"));
        }
        if text.contains("does not support TLS") {
            let advice = "the server does no TLS; turn on ssl there, or lower sslmode";
            return Self::new(ConnectFault::TlsRefused, format!("{who}: {advice}"));
        }
        if text.contains("TLS handshake") || text.contains("certificate") {
            let advice = "TLS failed; check sslmode, sslrootcert and the server's certificate";
            return Self::new(ConnectFault::TlsFailed, format!("{who}: {advice} ({})", one_line(&cause)));
        }
        let cause = if cause.is_empty() { error.to_string() } else { cause };
        Self::new(ConnectFault::Other, format!("{who}: the connection broke while logging in ({})", one_line(&cause)))
    }
}

/// What is said of an error that PostgreSQL does not give at a login.
pub(crate) const NOT_AS_POSTGRES: &str = "what answers there does not speak as PostgreSQL does";

fn advice(code: &SqlState) -> (ConnectFault, &'static str) {
    match *code {
        SqlState::INVALID_PASSWORD => {
            (ConnectFault::WrongPassword, "check user and password (password_file) in the settings")
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            ConnectFault::NotAllowed,
            "allow this role from this address in pg_hba.conf (then: select pg_reload_conf()), and check that it may log in",
        ),
        SqlState::INVALID_CATALOG_NAME => (ConnectFault::NoDatabase, "check database and databases in the settings"),
        SqlState::INSUFFICIENT_PRIVILEGE => (ConnectFault::NoDatabase, "grant CONNECT on the database to this role"),
        SqlState::TOO_MANY_CONNECTIONS => (
            ConnectFault::TooManyConnections,
            "raise max_connections of the server, or set reserved_connections for its monitor",
        ),
        SqlState::CANNOT_CONNECT_NOW => (ConnectFault::StartingUp, "wait; it is tried again at the next visit"),
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            (ConnectFault::StartingUp, "it is tried again at the next visit")
        }
        // PgBouncer: "unsupported startup parameter: options".
        SqlState::PROTOCOL_VIOLATION => (ConnectFault::OptionsRefused, NOT_AS_POSTGRES),
        _ => (ConnectFault::Other, "see the server's log"),
    }
}

/// The first line, cut to a length that fits a log line.
pub(crate) fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
