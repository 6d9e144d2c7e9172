//! Pushes frames to a pgAnalytics server.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use pganalytics_core::{PushReply, Secret, StreamRange, Timestamp, frame};
use reqwest::{Certificate, Client, Identity, Response, StatusCode, Url, header, header::HeaderValue, redirect};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    receiver_clock::ReceiverClock,
    schemas::{CutGroup, ToldSchemas},
};
use crate::{
    error::CollectError,
    sink::{Delivery, FrameGroup, ReceiverTime, Sink, SinkError, one_line},
};

/// Where frames are pushed to, below the server's address.
const PUSH_PATH: &str = "api/v1/metrics/push";
/// The server's word for a stream that another agent goes on with.
const FORK: &str = "fork";
/// Says which collector sends.
const COLLECTOR: &str = "x-collector-id";
/// A reply lists at most a thousand frames.
const MAX_REPLY_BYTES: usize = 1 << 20;
/// The server's word for a frame whose schema it does not know.
const UNKNOWN_SCHEMA: &str = "unknown_schema";

/// What the agent shows to be let in.
#[derive(Debug, Clone)]
pub enum Token {
    /// This token.
    Text(Secret<String>),
    /// The token in this file; it is read again when the server refuses it.
    File(PathBuf),
}

/// Settings of an [`HttpSink`].
#[derive(Debug, Clone)]
pub struct HttpSinkBuilder {
    url: String,
    token: Option<Token>,
    collector: Option<String>,
    verify: bool,
    ca_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    connect_timeout: Duration,
    timeout: Duration,
}

impl HttpSinkBuilder {
    /// The bearer token.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// The id that this agent has at the server, where its token does not tell: with a
    /// user's token all agents are one collector without it.
    #[must_use]
    pub fn collector(mut self, id: impl Into<String>) -> Self {
        self.collector = Some(id.into());
        self
    }

    /// Whether the server's certificate is verified; default yes.
    #[must_use]
    pub fn verify_tls(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// A file with further root certificates (PEM).
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Files with this agent's certificate and its key (PEM).
    #[must_use]
    pub fn client_certificate(mut self, cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        self.identity = Some((cert_file.into(), key_file.into()));
        self
    }

    /// Longest time until the connection stands, name resolution counted;
    /// default 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Longest time for a whole push, connection and reply counted; default 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The sink. It connects when there is something to send.
    ///
    /// # Errors
    /// When the address is not one, or a file can't be read.
    pub fn build(self) -> Result<HttpSink, CollectError> {
        let url = push_url(&self.url)?;
        let client = self.client()?;
        let bearer = match &self.token {
            None => None,
            Some(Token::Text(text)) => Some(Secret::new(text.expose().trim().to_owned())),
            Some(Token::File(file)) => Some(read_token(file).map_err(|message| bad("backend.token_file", message))?),
        };
        let token_file = match self.token {
            Some(Token::File(file)) => Some(file),
            _ => None,
        };
        let collector = self.collector.map(HeaderValue::try_from).transpose();
        let collector =
            collector.map_err(|_| bad("collector.id", "it has characters that no header may have".to_owned()))?;
        Ok(HttpSink {
            client,
            collector,
            server: self.url,
            url,
            bearer: Mutex::new(bearer),
            token_file,
            told: ToldSchemas::default(),
            receiver: ReceiverClock::default(),
        })
    }

    /// What speaks to the server with these settings.
    pub(crate) fn client(&self) -> Result<Client, CollectError> {
        let mut client = Client::builder()
            .user_agent(concat!("pganalytics-agent/", env!("CARGO_PKG_VERSION")))
            // A token follows nobody elsewhere.
            .redirect(redirect::Policy::none())
            .connect_timeout(self.connect_timeout.min(self.timeout))
            .timeout(self.timeout)
            .tcp_nodelay(true)
            .tls_danger_accept_invalid_certs(!self.verify);
        if let Some(file) = &self.ca_file {
            let none = |why: &str| bad("tls.ca_file", format!("{} holds no PEM certificate{why}", file.display()));
            let roots = Certificate::from_pem_bundle(&read("tls.ca_file", file)?)
                .map_err(|error| none(&format!(": {error}")))?;
            if roots.is_empty() {
                return Err(none(""));
            }
            client = client.tls_certs_merge(roots);
        }
        if let Some((cert_file, key_file)) = &self.identity {
            let mut pem = read("tls.cert_file", cert_file)?;
            pem.push(b'\n');
            pem.extend(read("tls.key_file", key_file)?);
            let identity = Identity::from_pem(&pem).map_err(|error| {
                let files = format!("{} and {}", cert_file.display(), key_file.display());
                bad("tls.cert_file", format!("{files} are no PEM certificate and key: {error}"))
            })?;
            client = client.identity(identity);
        }
        client.build().map_err(|error| bad("tls", chain(&error)))
    }
}

/// Pushes frames to a pgAnalytics server over HTTP; see `POST /metrics/push`.
///
/// Schemas are sent once for each stream, until the server asks for one again.
/// Bodies are not compressed again: pushes are compressed already.
#[derive(Debug)]
pub struct HttpSink {
    client: Client,
    collector: Option<HeaderValue>,
    server: String,
    url: Url,
    bearer: Mutex<Option<Secret<String>>>,
    token_file: Option<PathBuf>,
    told: ToldSchemas,
    receiver: ReceiverClock,
}

impl HttpSink {
    /// Settings for the server at this address, as `https://metrics.example.com`.
    #[must_use]
    pub fn builder(url: impl Into<String>) -> HttpSinkBuilder {
        HttpSinkBuilder {
            url: url.into(),
            token: None,
            collector: None,
            verify: true,
            ca_file: None,
            identity: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
        }
    }

    async fn post(&self, body: Bytes) -> Result<Response, SinkError> {
        let mut request =
            self.client.post(self.url.clone()).header(header::CONTENT_TYPE, frame::CONTENT_TYPE).body(body);
        if let Some(collector) = &self.collector {
            request = request.header(COLLECTOR, collector);
        }
        if let Some(token) = self.bearer() {
            request = request.bearer_auth(token.expose());
        }
        request.send().await.map_err(|error| self.unreachable(error))
    }

    fn bearer(&self) -> Option<Secret<String>> {
        self.bearer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the token file again; whether it holds another token now.
    async fn renew_token(&self) -> bool {
        let Some(file) = self.token_file.clone() else { return false };
        let Ok(Ok(fresh)) = tokio::task::spawn_blocking(move || read_token(&file)).await else { return false };
        let mut bearer = self.bearer.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = bearer.as_ref().is_none_or(|old| old.expose() != fresh.expose());
        *bearer = Some(fresh);
        renewed
    }

    fn unreachable(&self, error: reqwest::Error) -> SinkError {
        let what = if error.is_timeout() { "no answer in time" } else { "can't be reached" };
        let advice = if error.is_connect() { "; check the address and that the server runs" } else { "" };
        let message = format!("{}: {what}: {}{advice}", self.server, chain(&error.without_url()));
        SinkError::Unavailable { message, retry_after: None }
    }

    async fn refusal(&self, response: Response) -> SinkError {
        let status = response.status();
        let retry_after = retry_after(&response);
        let (code, words) = refusal_of(response).await;
        let server = &self.server;
        let answer = format!("{server}: {status}{}{words}", if words.is_empty() { "" } else { ": " });
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => SinkError::TooLarge { message: answer },
            StatusCode::CONFLICT if code == FORK => SinkError::Forked { message: answer },
            StatusCode::UNAUTHORIZED => {
                SinkError::Refused { message: format!("{answer}; give the agent a valid token") }
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                SinkError::Refused { message: format!("{answer}; is it the address of a pgAnalytics server?") }
            }
            _ if status.is_redirection() => {
                SinkError::Refused { message: format!("{answer}; it redirects elsewhere, give the final address") }
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                SinkError::Unavailable { message: answer, retry_after }
            }
            _ if status.is_server_error() => SinkError::Unavailable { message: answer, retry_after },
            _ => SinkError::Refused { message: answer },
        }
    }
}

#[async_trait]
impl Sink for HttpSink {
    async fn deliver(&self, group: FrameGroup) -> Result<Delivery, SinkError> {
        let cut = CutGroup::new(&group);
        let mut reply = self.push(self.told.push(&cut)).await?;
        // It was told, and has forgotten: another server, or one that was started anew.
        if reply.unreadable.iter().any(|item| item.code == UNKNOWN_SCHEMA) {
            self.told.forget();
            let first = reply;
            reply = self.push(cut.whole()).await?;
            // What the first push brought in is a duplicate for the second.
            reply.stored.extend(first.stored);
            let stored = reply.stored(group.stream);
            reply.duplicate = StreamRange::list(group.stream, &reply.duplicate(group.stream).without(&stored));
            reply.stored = StreamRange::list(group.stream, &stored);
        }
        self.told.taken(&cut);
        Delivery::of_reply(&group, &reply).map_err(|message| self.bad_reply(&message))
    }

    fn receiver_time(&self) -> Option<ReceiverTime> {
        self.receiver.now()
    }
}

impl HttpSink {
    /// Pushes a body, with a new token if the one that it has was refused.
    async fn push(&self, body: Bytes) -> Result<PushReply, SinkError> {
        let mut sent = Instant::now();
        let mut response = self.post(body.clone()).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.renew_token().await {
            sent = Instant::now();
            response = self.post(body).await?;
        }
        let (status, answered, date) = (response.status(), Instant::now(), date(&response));
        // Of a push that is refused as a whole the reply says why, frame by frame.
        if !status.is_success() && status != StatusCode::UNPROCESSABLE_ENTITY {
            return Err(self.refusal(response).await);
        }
        let body = read_body(response).await.map_err(|message| self.bad_reply(&message))?;
        match serde_json::from_slice(&body) {
            Ok(reply) => {
                // Not before the reply is known to be the server's own, and not a proxy's.
                if let Some(date) = date {
                    self.receiver.note(date, sent, answered);
                }
                Ok(reply)
            }
            Err(_) if status == StatusCode::UNPROCESSABLE_ENTITY => {
                let message = format!("{}: {status}: {}", self.server, words_of_problem(&body));
                Err(SinkError::Unreadable { message })
            }
            Err(error) => Err(self.bad_reply(&format!("the reply makes no sense: {error}"))),
        }
    }

    fn bad_reply(&self, message: &str) -> SinkError {
        let message = format!("{}: {message}; is it the address of a pgAnalytics server?", self.server);
        SinkError::BadReply { message }
    }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_REPLY_BYTES {
            return Err("the reply has no end".to_owned());
        }
    }
    Ok(body)
}

/// What a refusal says: its code, and its words.
async fn refusal_of(mut response: Response) -> (String, String) {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > 16 << 10 {
            break;
        }
    }
    let problem = serde_json::from_slice::<Problem>(&body).unwrap_or_default();
    let code = problem.error.and_then(|error| error.code).or(problem.code).unwrap_or_default();
    (code, words_of_problem(&body))
}

/// A problem document, or the error of a push.
#[derive(Default, Deserialize)]
struct Problem {
    code: Option<String>,
    detail: Option<String>,
    message: Option<String>,
    error: Option<InnerError>,
}

#[derive(Deserialize)]
struct InnerError {
    code: Option<String>,
    message: Option<String>,
}

/// The words of a problem, or its text.
fn words_of_problem(body: &[u8]) -> String {
    let problem = serde_json::from_slice::<Problem>(body).unwrap_or_default();
    let words = problem.detail.or(problem.message).or(problem.error.and_then(|error| error.message));
    one_line(&words.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()))
}

/// When the server wrote its answer, by its own clock.
fn date(response: &Response) -> Option<Timestamp> {
    let text = response.headers().get(header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Timestamp::from_micros(date.as_microsecond()))
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(at.duration_since(jiff::Timestamp::now())).ok()
}

fn push_url(server: &str) -> Result<Url, CollectError> {
    let wrong = |why: &str| bad("backend.url", format!("{why}; write as https://metrics.example.com"));
    let mut url = Url::parse(server).map_err(|error| wrong(&format!("it is no address ({error})")))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(wrong("it begins with neither https:// nor http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a user or password; give a token apart from it"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = format!("{}/{PUSH_PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn read_token(file: &PathBuf) -> Result<Secret<String>, String> {
    let text = Secret::new(std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?);
    match text.expose().trim() {
        "" => Err(format!("{} is empty; put the token of this agent there", file.display())),
        token => Ok(Secret::new(token.to_owned())),
    }
}

fn read(key: &str, file: &PathBuf) -> Result<Vec<u8>, CollectError> {
    std::fs::read(file).map_err(|error| bad(key, format!("{}: {error}", file.display())))
}

fn bad(key: &str, message: String) -> CollectError {
    CollectError::Config { key: key.to_owned(), message }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert_eq!(push_url("http://here:8080/").unwrap().as_str(), "http://here:8080/api/v1/metrics/push");
        assert_eq!(push_url("https://x/base").unwrap().as_str(), "https://x/base/api/v1/metrics/push");
        for (wrong, why) in
            [("here:8080", "neither"), ("", "no address"), ("ftp://x", "neither"), ("https://a:b@x", "a token apart")]
        {
            let error = push_url(wrong).unwrap_err().to_string();
            assert!(error.starts_with("backend.url: ") && error.contains(why), "{error}");
        }
    }
}
