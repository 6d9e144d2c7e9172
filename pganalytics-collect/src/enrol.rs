//! An agent introduces itself to a server that knows nothing of it, and keeps
//! the token that it is given.
//!
//! The token is written beside what waits for delivery, for this user alone, and
//! before this the agent has sent nothing. An agent that loses its answer on the
//! way registers again, and the server knows one collector more than there is.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use pganalytics_core::Secret;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::{Config, error::CollectError, host::HostIdentity};

/// Name of the token's file in the agent's data folder.
pub const TOKEN_FILE: &str = "token";

/// Why an agent is not registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// Settings are wrong or missing.
    #[error(transparent)]
    Settings(#[from] CollectError),
    /// The server refuses; trying again mends nothing.
    #[error("the server refuses to register this agent ({status}): {message}")]
    Refused {
        /// Its answer's status.
        status: u16,
        /// Its words, or what to do.
        message: String,
    },
    /// The server does not answer, or not now.
    #[error("the server at {server} does not register this agent now: {message}")]
    Unavailable {
        /// Its address.
        server: String,
        /// Why.
        message: String,
    },
    /// The token can't be kept.
    #[error("{path}: {source}; make the folder of collector.data_dir and give it to the agent's user", path = .path.display())]
    Keep {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl EnrolError {
    /// Whether it may go well later, with nothing changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// What the server made of this agent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Registered {
    /// Its id at the server.
    pub collector_id: String,
    /// Where its token is.
    pub token_file: PathBuf,
}

#[derive(Serialize)]
struct EnrolRequest<'a> {
    name: &'a str,
    hostname: &'a str,
    version: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    collector_id: String,
    token: String,
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    detail: String,
}

/// Registers this agent and keeps its token in the data folder.
///
/// # Errors
/// [`EnrolError`]; [`EnrolError::is_passing`] tells which may go well later. No
/// error shows the secret or the token.
pub async fn register(config: &Config) -> Result<Registered, EnrolError> {
    let missing = |key: &str, message: &str| CollectError::Config { key: key.to_owned(), message: message.to_owned() };
    let backend = config.backend.as_ref().ok_or_else(|| missing("backend.url", "name the server to register at"))?;
    let secret = config
        .registration_secret
        .as_ref()
        .ok_or_else(|| missing("backend.registration_secret", "it is not set, nor registration_secret_file"))?;
    // A token that can't be kept would be lost.
    let path = config.data_dir.join(TOKEN_FILE);
    let keep = |source| EnrolError::Keep { path: path.clone(), source };
    fs::create_dir_all(&config.data_dir).map_err(keep)?;
    let beside = config.data_dir.join(format!(".{TOKEN_FILE}.new"));
    write_private(&beside, "").map_err(keep)?;

    let identity = HostIdentity::read(Path::new("/"));
    let hostname = config.hostname.as_deref().unwrap_or(identity.hostname.as_str());
    let question =
        EnrolRequest { name: config.name.as_deref().unwrap_or(hostname), hostname, version: env!("CARGO_PKG_VERSION") };
    let url = format!("{}/api/v1/collectors/register", backend.url.trim_end_matches('/'));
    let url: Url =
        url.parse().map_err(|_| missing("backend.url", "it is no address; write as https://metrics.example.com"))?;
    let client = config.to_server(backend).client()?;
    let unavailable = |message: String| EnrolError::Unavailable { server: backend.url.clone(), message };
    let request = client.post(url).header("X-Registration-Secret", secret.expose()).json(&question);
    let answer = request.send().await.map_err(|error| unavailable(deepest(&error)))?;
    let status = answer.status();
    if status != StatusCode::CREATED {
        let problem: Problem = answer.json().await.unwrap_or_default();
        return Err(match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => unavailable(problem.detail),
            _ if status.is_server_error() => unavailable(format!("{status} {}", problem.detail)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => EnrolError::Refused {
                status: status.as_u16(),
                message: "the registration secret is not the server's, or it has none".to_owned(),
            },
            _ => EnrolError::Refused { status: status.as_u16(), message: problem.detail },
        });
    }
    let reply: Reply = answer.json().await.map_err(|error| unavailable(deepest(&error)))?;
    let token = Secret::new(reply.token);
    write_private(&beside, token.expose()).and_then(|()| fs::rename(&beside, &path)).map_err(keep)?;
    Ok(Registered { collector_id: reply.collector_id, token_file: path })
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // Whatever lies there may have another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The innermost reason, which says most.
fn deepest(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
