//! A session with the admin console.
//!
//! The console knows the simple protocol only and a few commands; it has no
//! transactions, settings or prepared statements.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::TryStreamExt;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout},
};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::{local, shape::Record};
use crate::postgres::{ConnectFault, ConnectProblem, Connector, Link, NOT_AS_POSTGRES, PostgresConfig, one_line};

/// Sessions older than this are replaced: one that stays would keep a PgBouncer
/// running that was told to wait for its clients before it stops.
const LIFETIME: Duration = Duration::from_secs(300);
/// Rows that an answer may have.
const MOST_ROWS: usize = 200_000;

/// Why the console brought nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// The session is of no more use.
    Lost(String),
    /// The console refused, or its answer is none.
    Refused(String),
}

impl Fault {
    pub(super) fn message(&self) -> &str {
        let (Self::Lost(message) | Self::Refused(message)) = self;
        message
    }
}

/// A session, and what is known of the PgBouncer behind it.
pub(super) struct Console {
    client: Client,
    born: Instant,
    limit: Duration,
    ended: Arc<OnceLock<String>>,
    _in_use: oneshot::Sender<()>,
    /// As 1.25.1.
    pub(super) version: String,
    /// Its process, where it runs on this host.
    pub(super) process: Option<local::Process>,
}

/// Opens sessions; never more than one at a time.
pub(super) struct ConsoleConnector {
    connector: Connector,
    permit: Arc<Semaphore>,
    config: Arc<PostgresConfig>,
}

impl ConsoleConnector {
    pub(super) fn new(config: Arc<PostgresConfig>) -> Self {
        Self { connector: Connector::without_options(Arc::clone(&config)), permit: Arc::new(Semaphore::new(1)), config }
    }

    /// A session that has answered.
    pub(super) async fn open(&self) -> Result<Console, ConnectProblem> {
        let busy = |_| {
            ConnectProblem::new(
                ConnectFault::Timeout,
                format!("{}: the session before has not ended", self.config.address()),
            )
        };
        let wait = timeout(self.config.connect_timeout, Arc::clone(&self.permit).acquire_owned());
        let permit =
            wait.await.map_err(busy)?.map_err(|_| ConnectProblem::new(ConnectFault::Other, "the agent stops"))?;
        let link = self.connector.connect(&self.config.database, permit).await.map_err(advise)?;
        let local = link.host.is_local();
        let mut console = Console::new(link, self.config.statement_timeout);
        let failed = |fault: Fault| {
            ConnectProblem::new(ConnectFault::Other, format!("{}: {}", self.config.address(), fault.message()))
        };
        console.ask_version().await.map_err(failed)?;
        if local && let Ok(Some(pidfile)) = console.pidfile().await {
            console.process = local::Process::find(&pidfile).await;
        }
        Ok(console)
    }
}

/// PgBouncer has one code for most of what it refuses; its words tell more.
fn advise(problem: ConnectProblem) -> ConnectProblem {
    let advice = match problem.fault {
        ConnectFault::OptionsRefused => {
            let said = problem.message.as_str();
            if said.contains(": not allowed") {
                "this user may not use the console: add it to stats_users in pgbouncer.ini (stats_users = …) and RELOAD"
            } else if said.contains("authentication failed") || said.contains("no such user") {
                "check user and password (password_file) in the settings, and that PgBouncer's auth_file or auth_query has this user"
            } else if said.contains("max_client_conn") {
                "raise max_client_conn of PgBouncer"
            } else if said.contains("SSL required") {
                "PgBouncer insists on TLS (client_tls_sslmode): set sslmode = \"require\""
            } else {
                "see PgBouncer's log"
            }
        }
        ConnectFault::NoDatabase => {
            let message = format!(
                "{}; is this PgBouncer, or the server behind it? PgBouncer listens at port 6432",
                problem.message
            );
            return ConnectProblem::new(problem.fault, message);
        }
        _ => return problem,
    };
    ConnectProblem::new(problem.fault, problem.message.replace(NOT_AS_POSTGRES, advice))
}

impl Console {
    fn new(link: Link, limit: Duration) -> Self {
        let Link { client, ended, in_use, .. } = link;
        let born = Instant::now();
        Self { client, born, limit, ended, _in_use: in_use, version: String::new(), process: None }
    }

    /// Whether it may be used again.
    pub(super) fn is_good(&self) -> bool {
        !self.client.is_closed() && self.born.elapsed() < LIFETIME
    }

    /// Asks for the version, which is also the question whether it answers.
    pub(super) async fn ask_version(&mut self) -> Result<(), Fault> {
        let mut version = None;
        self.read("SHOW VERSION", |row| version = row.text("version").map(str::to_owned)).await?;
        let version = version.ok_or_else(|| {
            Fault::Refused(String::from("it did not say its version; PgBouncer 1.12 or later is needed"))
        })?;
        version.strip_prefix("PgBouncer ").unwrap_or(&version).trim().clone_into(&mut self.version);
        Ok(())
    }

    async fn pidfile(&self) -> Result<Option<String>, Fault> {
        let mut file = None;
        let find = |row: &SimpleQueryRow| {
            if row.text("key") == Some("pidfile") {
                file = row.text("value").map(str::to_owned);
            }
        };
        self.read("SHOW CONFIG", find).await?;
        Ok(file)
    }

    /// Sends a command and sees each row of its answer.
    pub(super) async fn read(&self, command: &str, mut see: impl FnMut(&SimpleQueryRow)) -> Result<(), Fault> {
        let mut rows = 0_usize;
        let answer = async {
            let stream = self.client.simple_query_raw(command).await?;
            let mut stream = std::pin::pin!(stream);
            while let Some(message) = stream.try_next().await? {
                if let SimpleQueryMessage::Row(row) = message {
                    rows += 1;
                    if rows > MOST_ROWS {
                        break;
                    }
                    see(&row);
                }
            }
            Ok(())
        };
        match timeout(self.limit, answer).await {
            Ok(Ok(())) if rows > MOST_ROWS => Err(Fault::Lost(format!("{command} has more than {MOST_ROWS} rows"))),
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.fault(command, &error)),
            Err(_) => Err(Fault::Lost(format!("{command} took longer than statement_timeout ({:?})", self.limit))),
        }
    }

    fn fault(&self, command: &str, error: &tokio_postgres::Error) -> Fault {
        match error.as_db_error() {
            Some(said) if !self.client.is_closed() => Fault::Refused(format!(
                "{command}: {}; the user needs to be in stats_users of pgbouncer.ini",
                one_line(said.message())
            )),
            Some(said) => Fault::Lost(format!("the connection was lost ({})", one_line(said.message()))),
            None => {
                let why = self.ended.get().cloned().unwrap_or_else(|| one_line(&error.to_string()));
                Fault::Lost(format!("the connection was lost ({why}); a new one is made at the next visit"))
            }
        }
    }
}

impl Record for SimpleQueryRow {
    fn text(&self, column: &str) -> Option<&str> {
        self.try_get(column).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbouncer_refuses_comes_with_what_to_do() {
        let said = |said: &str| {
            let message = format!("p1:6432, role \"m\", database \"pgbouncer\": {said}; {NOT_AS_POSTGRES}");
            advise(ConnectProblem::new(ConnectFault::OptionsRefused, message)).message
        };
        assert!(said("not allowed").contains("stats_users = "), "{}", said("not allowed"));
        for (words, advice) in [
            ("SASL authentication failed", "password_file"),
            ("no such user", "auth_file"),
            ("no more connections allowed (max_client_conn)", "raise max_client_conn"),
            ("SSL required", "sslmode = \"require\""),
            ("pgbouncer cannot connect to server", "PgBouncer's log"),
        ] {
            let message = said(words);
            assert!(
                message.contains(words) && message.contains(advice) && !message.contains(NOT_AS_POSTGRES),
                "{message}"
            );
        }
        let other = ConnectProblem::new(ConnectFault::Refused, "p1:6432: nothing listens there");
        assert_eq!(advise(other.clone()), other);
    }
}
