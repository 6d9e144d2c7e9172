//! Delivery over HTTP, against a small server that answers as it is told.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use pganalytics_collect::{
    FrameGroup, HttpSink, MemoryOutbox, Outbox, Sink, SinkError,
    delivery::{Backoff, GroupLimits, Sender, Token},
    scrape::empty_scrape,
    sink::Refused,
};
use pganalytics_core::{
    GapReason, InstanceId, Secret, Seq, ServerId, Source, StreamId, Timestamp,
    catalog::Catalog,
    frame::{self, CONTENT_TYPE, PushBody, PushLimits},
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// A request as it came.
#[derive(Clone)]
struct Request {
    head: String,
    body: Bytes,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let is_it = |line: &&str| line.split(':').next().is_some_and(|given| given.eq_ignore_ascii_case(name));
        Some(self.head.lines().find(is_it)?.split_once(':')?.1.trim())
    }

    fn frames(&self) -> Vec<Bytes> {
        let push = PushBody::parse(self.body.clone(), &PushLimits::default()).unwrap();
        push.frames.into_iter().map(|(_, frame)| frame).collect()
    }
}

type Answer = dyn Fn(&Request) -> (u16, &'static str, String) + Send + Sync;

/// Status, further header lines, body.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    async fn start(answer: impl Fn(&Request) -> (u16, &'static str, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer): (_, Arc<Answer>) = (Arc::clone(&requests), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&answer)));
            }
        });
        Self { url, requests }
    }

    /// The same with TLS, for the name `localhost`; takes whatever it is given.
    async fn start_tls(config: ServerConfig) -> Self {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move { serve(acceptor.accept(stream).await.ok()?, seen, Arc::new(accepted)).await });
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn sink(&self) -> HttpSink {
        HttpSink::builder(&self.url).token(Token::Text(Secret::new("the-token".to_owned()))).build().unwrap()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: Arc<Mutex<Vec<Request>>>,
    answer: Arc<Answer>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let mut request = Request { head: String::from_utf8(buffer[..end].to_vec()).unwrap(), body: Bytes::new() };
        let length: usize = request.header("content-length")?.parse().unwrap();
        while buffer.len() < end + length {
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
        request.body = Bytes::copy_from_slice(&buffer[end..end + length]);
        buffer.drain(..end + length);
        let (status, headers, body) = answer(&request);
        seen.lock().unwrap().push(request);
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.ok()?;
    }
}

fn accepted(request: &Request) -> (u16, &'static str, String) {
    (200, "", reply(request, |_| "stored"))
}

/// A reply that puts each frame into the list that `fate` names by its position.
fn reply(request: &Request, fate: impl Fn(usize) -> &'static str) -> String {
    let push = PushBody::parse(request.body.clone(), &PushLimits::default()).unwrap();
    let mut lists: HashMap<&str, Vec<Json>> = HashMap::new();
    for (index, (position, _)) in push.frames.iter().enumerate() {
        let seq = position.seq;
        lists.entry(fate(index)).or_default().push(match fate(index) {
            "refused" => json!({"stream": push.stream, "first": seq, "last": seq, "code": "c", "error": "m"}),
            "unreadable" => json!({"index": index, "code": "unknown_schema", "error": "?"}),
            _ => json!({"stream": push.stream, "first": seq, "last": seq}),
        });
    }
    let list = |name| lists.get(name).cloned().unwrap_or_default();
    json!({
        "status": "partial", "stored": list("stored"), "duplicate": list("duplicate"),
        "refused": list("refused"), "unreadable": list("unreadable"), "next_config_version": 1,
    })
    .to_string()
}

fn group(frames: &[&'static str]) -> FrameGroup {
    let frame =
        |(number, text): (usize, &&'static str)| (Seq(number as u64 + 1).into(), Bytes::from_static(text.as_bytes()));
    FrameGroup { stream: StreamId::random(), frames: frames.iter().enumerate().map(frame).collect() }
}

/// Sends until the outbox is empty.
async fn drain(outbox: Arc<MemoryOutbox>, sink: impl Sink + 'static) {
    let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(20), true);
    let sender = Sender::new(Arc::clone(&outbox) as Arc<dyn Outbox>, Arc::new(sink)).with_backoff(backoff);
    let stop = CancellationToken::new();
    let sending = tokio::spawn(sender.run(stop.clone(), Duration::from_millis(10)));
    let empty = async {
        while outbox.stats().queued_frames > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(60), empty).await.expect("the outbox becomes empty");
    stop.cancel();
    sending.await.unwrap();
}

async fn outbox(frames: &[&'static str]) -> Arc<MemoryOutbox> {
    let outbox = Arc::new(MemoryOutbox::new(1 << 20));
    outbox.put(frames.iter().map(|text| Bytes::from_static(text.as_bytes()).into()).collect(), None).await;
    outbox
}

#[tokio::test]
async fn the_servers_time_is_known_from_its_replies_and_not_from_a_proxys() {
    const DATE: &str = "date: Sat, 28 Nov 2026 03:00:00 GMT\r\n";
    let date: Timestamp = "2026-11-28T03:00:00Z".parse().unwrap();
    let proxy = Server::start(|_| (200, DATE, String::from("<html>Sign in</html>"))).await.sink();
    assert!(proxy.deliver(group(&["f"])).await.is_err());
    assert_eq!(proxy.receiver_time(), None);
    let server = Server::start(|request| (200, DATE, accepted(request).2)).await.sink();
    server.deliver(group(&["f"])).await.unwrap();
    let told = server.receiver_time().unwrap();
    let off = told.now.micros_since(date);
    assert!((0..=3_000_000).contains(&off) && told.within < Duration::from_secs(2), "{off} {told:?}");
}

#[tokio::test]
async fn a_push_is_as_the_contract_says() {
    let fate = |index| ["stored", "refused", "duplicate"][index];
    let server = Server::start(move |request| (200, "", reply(request, fate))).await;
    let delivery = server.sink().deliver(group(&["a", "b", "c"])).await.unwrap();
    assert!(delivery.stored.contains(Seq(1)) && delivery.duplicate.contains(Seq(3)));
    assert_eq!(delivery.refused, [Refused::one(Seq(2), "c", "m")]);
    let request = &server.requests()[0];
    assert!(request.head.starts_with("POST /api/v1/metrics/push HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some(CONTENT_TYPE));
    assert_eq!(request.header("authorization"), Some("Bearer the-token"));
    assert_eq!(request.header("content-encoding"), None, "frames are compressed already");
}

#[tokio::test]
async fn agents_with_one_token_say_who_they_are() {
    let server = Server::start(accepted).await;
    let sink = HttpSink::builder(&server.url).collector("col_demo_001").build().unwrap();
    sink.deliver(group(&["a"])).await.unwrap();
    server.sink().deliver(group(&["b"])).await.unwrap();
    let requests = server.requests();
    let said = requests.iter().map(|request| request.header("x-collector-id")).collect::<Vec<_>>();
    assert_eq!(said, [Some("col_demo_001"), None]);
    let error = HttpSink::builder(&server.url).collector("no\nheader").build().unwrap_err().to_string();
    assert!(error.starts_with("collector.id: "), "{error}");
}

#[tokio::test]
async fn a_schema_is_sent_once_and_again_when_the_server_has_forgotten_it() {
    let known: Arc<Mutex<HashSet<u64>>> = Arc::default();
    let server_knows = Arc::clone(&known);
    let server = Server::start(move |request| {
        let push = PushBody::parse(request.body.clone(), &PushLimits::default()).unwrap();
        let mut known = server_knows.lock().unwrap();
        known.extend(push.schemas.iter().map(|schema| schema.fingerprint()));
        let named = push.frames.iter().map(|(_, frame)| frame::schema_fingerprint(frame).unwrap().unwrap());
        let fate: Vec<_> = named.map(|named| if known.contains(&named) { "stored" } else { "unreadable" }).collect();
        let status = if fate.contains(&"stored") { 200 } else { 422 };
        (status, "", reply(request, |index| fate[index]))
    })
    .await;
    let sink = server.sink();
    let stream = StreamId::random();
    let frames = ["pg_stat_database", "pg_stat_wal"].map(|name| {
        let measurement = Catalog::builtin().get(name).unwrap();
        let id = ServerId::random();
        let source =
            Source { server_id: id, instance_id: InstanceId::of_address(id, "a"), server: "a".into(), database: None };
        Bytes::from(frame::encode(&empty_scrape(measurement, source, Timestamp::from_secs(1))).unwrap())
    });
    let group = |seq: u64, frames: &[Bytes]| FrameGroup {
        stream,
        frames: (seq..).map(|seq| Seq(seq).into()).zip(frames.to_vec()).collect(),
    };
    let schemas = || {
        let of = |request: Request| PushBody::parse(request.body, &PushLimits::default()).unwrap().schemas.len();
        server.requests().into_iter().map(of).collect::<Vec<_>>()
    };
    for (seq, frames) in [(1, &frames[..1]), (2, &frames[..]), (4, &frames[..])] {
        let delivery = sink.deliver(group(seq, frames)).await.unwrap();
        assert_eq!((delivery.stored.len(), delivery.refused.len()), (frames.len() as u64, 0));
    }
    assert_eq!(schemas(), [1, 1, 0]);
    known.lock().unwrap().clear();
    assert_eq!(sink.deliver(group(6, &frames)).await.unwrap().stored.len(), 2);
    assert_eq!(schemas(), [1, 1, 0, 0, 2]);
    // Frames of another stream bring theirs anew.
    let other = FrameGroup { stream: StreamId::random(), ..group(1, &frames) };
    sink.deliver(other).await.unwrap();
    assert_eq!(schemas(), [1, 1, 0, 0, 2, 2]);
}

#[tokio::test]
async fn a_rotated_token_is_read_again_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer new") => accepted(request),
        _ => (401, "", r#"{"detail":"token expired","message":"token expired","code":"unauthorized"}"#.into()),
    })
    .await;
    let sink = HttpSink::builder(&server.url).token(Token::File(file.clone())).build().unwrap();
    let error = sink.deliver(group(&["a"])).await.unwrap_err();
    assert!(
        matches!(&error, SinkError::Refused { message } if message.contains("token expired") && message.contains("a valid token"))
    );
    assert_eq!(server.requests().len(), 1, "the same token is not tried twice");
    std::fs::write(&file, "new\n").unwrap();
    assert_eq!(sink.deliver(group(&["a"])).await.unwrap().stored.len(), 1);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn too_large_groups_are_halved() {
    let server = Server::start(|request| match request.frames().len() {
        0..=3 => accepted(request),
        _ => (413, "", String::new()),
    })
    .await;
    let outbox = outbox(&["f"; 20]).await;
    drain(Arc::clone(&outbox), server.sink()).await;
    assert_eq!((outbox.stats().delivered, outbox.stats().rejected), (20, 0));
    assert!(server.requests().len() < 25, "{}", server.requests().len());
}

#[tokio::test]
async fn one_unreadable_frame_is_found_and_declared_lost_and_its_neighbours_arrive() {
    let server = Server::start(|request| match request.frames().iter().any(|frame| frame == "poison") {
        false => accepted(request),
        true => (422, "", r#"{"detail":"frame 3: bad checksum"}"#.into()),
    })
    .await;
    let mut frames = vec!["f"; 100];
    frames[57] = "poison";
    let outbox = outbox(&frames).await;
    drain(Arc::clone(&outbox), server.sink()).await;
    let stats = outbox.stats();
    // The gap is delivered, too.
    assert_eq!((stats.delivered, stats.rejected, stats.losses), (100, 1, 1));
    let gap = stats.last_gap.unwrap();
    assert_eq!((gap.first, gap.last, gap.reason), (Seq(58), Seq(58), GapReason::Refused));
    assert!(gap.detail.contains("bad checksum"), "{}", gap.detail);
    assert!(server.requests().len() < 40, "{}", server.requests().len());
}

#[tokio::test]
async fn a_busy_or_absent_server_gets_everything_later_in_order() {
    let answers = Arc::new(Mutex::new(vec![(503, "retry-after: 0\r\n"), (429, ""), (500, ""), (502, "")]));
    let server = Server::start(move |request| match answers.lock().unwrap().pop() {
        Some((status, headers)) => (status, headers, "busy".into()),
        None => accepted(request),
    })
    .await;
    let outbox = outbox(&["a", "b", "c"]).await;
    drain(Arc::clone(&outbox), server.sink()).await;
    assert_eq!((outbox.stats().delivered, server.requests().len()), (3, 5));
    assert_eq!(server.requests()[4].frames(), ["a", "b", "c"]);
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let soon = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&(jiff::Timestamp::now() + Duration::from_secs(100)))
        .unwrap();
    let headers: &'static str = format!("retry-after: {soon}\r\n").leak();
    for (given, range) in [("retry-after: 7\r\n", 7..8), (headers, 90..101)] {
        let server = Server::start(move |_| (503, given, String::new())).await;
        match server.sink().deliver(group(&["a"])).await.unwrap_err() {
            SinkError::Unavailable { retry_after: Some(pause), .. } => {
                assert!(range.contains(&pause.as_secs()), "{pause:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_such_server_says_what_to_set() {
    let server = Server::start(|request| match request.header("x-none") {
        None => (200, "", "<html>hello".into()),
        Some(_) => unreachable!(),
    })
    .await;
    let error = server.sink().deliver(group(&["a"])).await.unwrap_err().to_string();
    assert!(error.contains("is it the address of a pgAnalytics server?"), "{error}");

    let server = Server::start(|_| (302, "location: http://elsewhere.invalid/\r\n", String::new())).await;
    let error = server.sink().deliver(group(&["a"])).await.unwrap_err().to_string();
    assert!(error.contains("redirects"), "{error}");

    let nobody = HttpSink::builder("http://127.0.0.1:9").build().unwrap();
    let error = nobody.deliver(group(&["a"])).await.unwrap_err();
    assert!(
        matches!(&error, SinkError::Unavailable { message, .. } if message.contains("http://127.0.0.1:9: can't be reached")),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sink = HttpSink::builder(url).timeout(Duration::from_millis(200)).build().unwrap();
    let error = timeout(Duration::from_secs(60), sink.deliver(group(&["a"]))).await.unwrap().unwrap_err();
    assert!(matches!(&error, SinkError::Unavailable { message, .. } if message.contains("in time")), "{error}");
}

fn tls_file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "tls", name].iter().collect()
}

/// A server's side of TLS; with `demanding` it wants a certificate of our authority.
fn tls(demanding: bool) -> ServerConfig {
    let certificate = |name: &str| CertificateDer::from_pem_file(tls_file(name)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = if demanding {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca.pem")).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).unwrap();
    builder.with_single_cert(vec![certificate("server.pem")], key).unwrap()
}

#[tokio::test]
async fn only_a_server_of_a_known_authority_gets_anything() {
    let server = Server::start_tls(tls(false)).await;
    let strange = [HttpSink::builder(&server.url), HttpSink::builder(&server.url).ca_file(tls_file("other-ca.pem"))];
    for builder in strange {
        let error = builder.build().unwrap().deliver(group(&["a"])).await.unwrap_err();
        assert!(matches!(&error, SinkError::Unavailable { message, .. } if message.contains("certificate")), "{error}");
    }
    // It is certified as localhost and as nothing else.
    let by_address = server.url.replace("localhost", "127.0.0.1");
    let sink = HttpSink::builder(by_address).ca_file(tls_file("ca.pem")).build().unwrap();
    let error = sink.deliver(group(&["a"])).await.unwrap_err().to_string();
    assert!(error.contains("not valid for name"), "{error}");
    assert!(server.requests().is_empty(), "a token does not travel to whom we do not know");

    let sink = HttpSink::builder(&server.url).ca_file(tls_file("ca.pem")).build().unwrap();
    assert_eq!(sink.deliver(group(&["a"])).await.unwrap().stored.len(), 1);
    let sink = HttpSink::builder(&server.url).verify_tls(false).build().unwrap();
    assert_eq!(sink.deliver(group(&["a"])).await.unwrap().stored.len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_ours() {
    let server = Server::start_tls(tls(true)).await;
    let builder = || HttpSink::builder(&server.url).ca_file(tls_file("ca.pem"));
    let error = builder().build().unwrap().deliver(group(&["a"])).await.unwrap_err();
    assert!(matches!(&error, SinkError::Unavailable { .. }), "{error}");
    assert!(server.requests().is_empty());

    let sink = builder().client_certificate(tls_file("client.pem"), tls_file("client.key")).build().unwrap();
    assert_eq!(sink.deliver(group(&["a"])).await.unwrap().stored.len(), 1);
}

#[test]
fn certificate_files_that_are_none_are_named() {
    let here = || HttpSink::builder("https://localhost");
    for (builder, parts) in [
        (here().ca_file("/no/such/ca.pem"), ["tls.ca_file", "/no/such/ca.pem"]),
        (here().ca_file(tls_file("make.sh")), ["tls.ca_file", "make.sh"]),
        (here().client_certificate(tls_file("client.pem"), "/no/such/key"), ["tls.key_file", "/no/such/key"]),
        (here().client_certificate(tls_file("client.pem"), tls_file("make.sh")), ["tls.cert_file", "make.sh"]),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

/// Answers that do not say what became of the frames. None may settle anything.
#[tokio::test]
async fn a_reply_that_does_not_cover_what_was_sent_settles_nothing() {
    let other = StreamId::random();
    let range = |last: u64| format!(r#"{{"stream":"{other}","first":1,"last":{last}}}"#);
    let replies = [
        r#"{"status":"ok"}"#.to_owned(),
        r#"{"status":"ok","stored":[],"accepted":3}"#.to_owned(),
        // Of another stream.
        format!(r#"{{"status":"ok","stored":[{}],"accepted":3}}"#, range(3)),
        // One is not named.
        format!(r#"{{"status":"ok","stored":[{}],"accepted":3}}"#, range(2).replace(&other.to_string(), "STREAM")),
        r#"{"status":"refused","unreadable":[{"index":3,"code":"c"},{"index":18446744073709551615,"code":"c"}]}"#
            .to_owned(),
    ];
    for reply in replies {
        let (tries, bad) = (Arc::new(Mutex::new(0)), reply.clone());
        let server = Server::start(move |request| {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            if *tries > 3 {
                return accepted(request);
            }
            let push = PushBody::parse(request.body.clone(), &PushLimits::default()).unwrap();
            (200, "", bad.replace("STREAM", &push.stream.to_string()))
        })
        .await;
        let outbox = outbox(&["a", "b", "c"]).await;
        let group = outbox.lease(GroupLimits::default()).await.unwrap();
        let left = server.sink().deliver(group.clone()).await.and_then(|delivery| delivery.check(&group.numbers()));
        assert!(
            left.as_ref().map_or_else(|error| matches!(error, SinkError::BadReply { .. }), |left| !left.is_empty()),
            "{reply}: {left:?}"
        );
        outbox.release().await;
        drain(Arc::clone(&outbox), server.sink()).await;
        let stats = outbox.stats();
        assert_eq!((stats.delivered, stats.rejected, stats.dropped), (3, 0, 0), "{reply}");
        assert_eq!(server.requests().len(), 4, "it is tried again until the reply makes sense");
    }
}

#[tokio::test]
async fn a_fork_makes_a_new_stream_and_everything_arrives_there() {
    let outbox = outbox(&["a", "b", "c"]).await;
    let old = outbox.stream();
    let server = Server::start(move |request| {
        let push = PushBody::parse(request.body.clone(), &PushLimits::default()).unwrap();
        if push.stream == old {
            return (409, "", json!({"error": {"code": "fork", "message": "?"}, "stream": old}).to_string());
        }
        accepted(request)
    })
    .await;
    drain(Arc::clone(&outbox), server.sink()).await;
    assert!(outbox.stream() != old && outbox.stats().delivered == 3);
    assert_eq!(server.requests().len(), 2);
    assert_eq!(server.requests()[1].frames(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_push_that_is_refused_as_a_whole_is_declared_lost_and_not_sent_for_ever() {
    let server = Server::start(|request| {
        let rows = request.frames().iter().filter(|frame| frame.starts_with(b"bad")).count();
        if rows > 0 { (422, "", reply(request, |_| "refused")) } else { accepted(request) }
    })
    .await;
    let outbox = outbox(&["bad 1", "bad 2"]).await;
    drain(Arc::clone(&outbox), server.sink()).await;
    let stats = outbox.stats();
    assert_eq!((stats.rejected, stats.delivered, server.requests().len()), (2, 1, 2));
}
