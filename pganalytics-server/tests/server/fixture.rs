//! A server in this process, its clients, and frames to push.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use pganalytics_core::{
    Batch, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, Position, Presence,
    RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, Secret, Seq, ServerId, Source, StreamId, Timestamp, Value,
    frame::{CONTENT_TYPE, encode, encode_push},
};
use pganalytics_server::{Admin, FirstAdmin, Server, Settings, auth::routes::RouteEntry};
use pganalytics_store::{memory::MemoryStore, meta_store::Role, sql::EngineOptions};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) const ADMIN_PASSWORD: &str = "correct horse battery staple";
pub(crate) const REGISTRATION_SECRET: &str = "let my agents in, please";
pub(crate) const SCRAPE_TOKEN: &str = "prometheus may look at us";

/// Settings for tests: nobody is slowed down.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    for class in pganalytics_server::Class::EACH {
        settings.rate_limits.set(class, 0);
    }
    let password = Secret::new(ADMIN_PASSWORD.to_owned());
    settings.first_admin = FirstAdmin::Given { username: "admin".to_owned(), password };
    settings.registration_secret = Some(Secret::new(REGISTRATION_SECRET.to_owned()));
    settings.scrape_token = Some(Secret::new(SCRAPE_TOKEN.to_owned()));
    settings
}

/// A server that listens.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Admin,
    pub(crate) routes: Vec<RouteEntry>,
    pub(crate) http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<Result<(), pganalytics_server::ServerError>>>,
}

pub(crate) async fn start() -> Running {
    start_with(settings()).await
}

pub(crate) async fn start_with(settings: Settings) -> Running {
    start_on(store(), settings).await
}

pub(crate) fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(EngineOptions { threads: 1, ..EngineOptions::default() }).unwrap())
}

/// A server on a store that others may be on.
pub(crate) async fn start_on(store: Arc<MemoryStore>, settings: Settings) -> Running {
    let builder = Server::builder().metric_store(store.clone()).meta_store(store.clone());
    let server = builder.settings(settings).build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = server.routes().to_vec();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(server.serve(listener, async move {
        let _ = stopped.await;
    }));
    Running {
        address,
        admin: Admin::new(store),
        routes,
        http: reqwest::Client::new(),
        stop: Some(stop),
        served: Some(served),
    }
}

impl Running {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/{path}") };
        self.http.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// What a log-in answers.
    pub(crate) async fn login(&self, username: &str, password: &str) -> Response {
        self.post("auth/login").json(&json!({"username": username, "password": password})).send().await.unwrap()
    }

    /// An access token of the admin.
    pub(crate) async fn admin_token(&self) -> String {
        let answer = read(self.login("admin", ADMIN_PASSWORD).await, StatusCode::OK).await;
        answer["token"].as_str().unwrap().to_owned()
    }

    /// A new user; gives the password.
    pub(crate) async fn user(&self, name: &str, role: Role) -> String {
        self.admin.add_user(name, role).await.unwrap().expose().clone()
    }

    /// Id and token of a new collector.
    pub(crate) async fn collector(&self, name: &str) -> (String, String) {
        let request = self.post("collectors/register").header("X-Registration-Secret", REGISTRATION_SECRET);
        let answer = read(request.json(&json!({"name": name})).send().await.unwrap(), StatusCode::CREATED).await;
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        (text("collector_id"), text("token"))
    }

    /// The rows of a query, as the admin.
    pub(crate) async fn rows(&self, token: &str, sql: &str) -> Vec<Json> {
        let answer = self.post("sql").bearer_auth(token).json(&json!({"sql": sql})).send().await.unwrap();
        read(answer, StatusCode::OK).await["rows"].as_array().unwrap().clone()
    }

    /// A push of frames.
    pub(crate) fn push(&self, token: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.post("metrics/push").bearer_auth(token).header("Content-Type", CONTENT_TYPE).body(body)
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(&mut self) {
        self.served.take().unwrap().await.unwrap().unwrap();
    }
}

/// The JSON of an answer that must have this status.
pub(crate) async fn read(answer: Response, status: StatusCode) -> Json {
    let (found, path) = (answer.status(), answer.url().path().to_owned());
    let text = answer.text().await.unwrap();
    assert_eq!(found, status, "{path}: {text}");
    serde_json::from_str(&text).unwrap_or(Json::Null)
}

/// The reply to a push, whether something of it was taken or nothing.
pub(crate) async fn pushed(answer: Response) -> Json {
    let status = answer.status();
    let reply = read(answer, if status == StatusCode::OK { status } else { StatusCode::UNPROCESSABLE_ENTITY }).await;
    assert_eq!(status == StatusCode::OK, reply["status"] != "refused", "{reply}");
    reply
}

/// Number and code of each frame that a reply refuses.
pub(crate) fn refused(reply: &Json) -> Vec<(u64, String)> {
    let ranges = reply["refused"].as_array().unwrap().iter();
    let frames = ranges.flat_map(|range| {
        let code = range["code"].as_str().unwrap();
        assert!(range["error"].as_str().unwrap().len() > 10, "{range}");
        let seqs = range["first"].as_u64().unwrap()..=range["last"].as_u64().unwrap();
        seqs.map(move |seq| (seq, code.to_owned()))
    });
    frames.collect()
}

/// The code of a problem that must have this status, and its message.
pub(crate) async fn problem(answer: Response, status: StatusCode) -> (String, String) {
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    let problem = read(answer, status).await;
    assert_eq!(kind, "application/problem+json");
    for field in ["type", "title", "detail", "instance", "code", "message", "request_id"] {
        assert!(problem[field].is_string(), "{field}: {problem}");
    }
    assert_eq!(problem["status"], status.as_u16());
    (problem["code"].as_str().unwrap().to_owned(), problem["message"].as_str().unwrap().to_owned())
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// A collector's frames: frame `n` has one row with the key `n`.
pub(crate) struct Spool {
    pub(crate) stream: StreamId,
    pub(crate) schema: Arc<Schema>,
    pub(crate) source: Source,
    /// When its first frame was collected.
    pub(crate) start: Timestamp,
}

impl Spool {
    pub(crate) fn new(measurement: &str, server: &str) -> Self {
        let columns = vec![
            Column::new("id", ColumnKind::Key, ColumnType::Int),
            Column::new("calls", ColumnKind::Gauge, ColumnType::Int),
        ];
        let name = MeasurementName::new(measurement).unwrap();
        let server_id = ServerId::of_host(server);
        Self {
            stream: StreamId::random(),
            // Facts: a row is there as often as it was sent, and stands for itself.
            schema: Arc::new(Schema::new(name, CounterFamily::None, columns).unwrap().with_presence(Presence::Append)),
            source: Source {
                server_id,
                instance_id: InstanceId::of_address(server_id, server),
                server: server.into(),
                database: None,
            },
            start: now().plus_micros(-1_800_000_000),
        }
    }

    /// The frame of this number, collected at this time.
    pub(crate) fn frame_at(&self, number: u64, collected_at: Timestamp) -> (Position, Bytes) {
        let id = i64::try_from(number).unwrap();
        self.frame_of(number, collected_at, [[id, 10 * id]])
    }

    /// The same with these rows.
    pub(crate) fn frame_of(
        &self,
        number: u64,
        collected_at: Timestamp,
        values: impl IntoIterator<Item = [i64; 2]>,
    ) -> (Position, Bytes) {
        let mut rows = RowsBuilder::new(&self.schema);
        for row in values {
            rows.push(&row.map(Value::Int)).unwrap();
        }
        let scrape = Scrape {
            collected_at,
            interval_micros: 60_000_000,
            kind: ScrapeKind::Delta,
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        };
        let (schema, source) = (Arc::clone(&self.schema), self.source.clone());
        let batch = Batch { schema, source, scrape, rows: rows.finish() };
        (Seq(number).into(), encode(&batch).unwrap().into())
    }

    /// The body of a push of these frames, the same whenever it is asked for. They
    /// were collected in their order, all within the last hour.
    pub(crate) fn body(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let at = |number: u64| self.start.plus_micros(i64::try_from(number % 1_000_000).unwrap() * 1000);
        let frames: Vec<_> = numbers.into_iter().map(|number| self.frame_at(number, at(number))).collect();
        encode_push(self.stream, &[], &frames)
    }
}

/// A body whose length nobody knows before its end.
pub(crate) fn streamed(pieces: impl futures::Stream<Item = Bytes> + Send + Sync + 'static) -> reqwest::Body {
    use futures::StreamExt as _;
    let frames = pieces.map(|piece| Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(piece)));
    reqwest::Body::wrap(http_body_util::StreamBody::new(frames))
}

/// Waits until something is so.
pub(crate) async fn eventually<F, T>(what: &str, patience: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
