//! Floods of HTTP/2 frames: each connection is cut off, memory stays flat, and
//! agents go on.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    connections::Target,
    fixture::eventually,
    wire::{self, ACK, END_HEADERS, END_STREAM, flood, frame, get, hello, kind},
};

/// Errors of HTTP/2 (RFC 9113, section 7).
const ENHANCE_YOUR_CALM: u32 = 11;
/// What ends a connection at once, as an error and not by a limit.
const MALFORMED: [&str; 2] = ["bytes that are no frames", "windows that grow by nothing"];
/// The limits that may stop a flood, in the order in which they are looked at.
const LIMITS: [&str; 3] = ["http2_max_resets", "http2_max_control_frames", "http2_flood"];

/// A flood, how it begins, and what comes again and again.
type Flood = (&'static str, Vec<u8>, fn(u32) -> Vec<u8>);

fn floods() -> Vec<Flood> {
    let open_head = frame(kind::HEADERS, END_STREAM, 1, &wire::get_block("/"));
    let open_body = {
        let mut block = vec![0x83, 0x86, 0x04, 18];
        block.extend(b"/api/v1/auth/login");
        block.extend(b"\x01\x09localhost");
        frame(kind::HEADERS, END_HEADERS, 1, &block)
    };
    let start = |more: &[u8]| [hello(), more.to_vec()].concat();
    vec![
        ("rapid reset", hello(), |number| {
            let stream = 2 * number + 1;
            [get(stream, "/api/v1/version"), frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        }),
        ("settings", hello(), |_| frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("empty settings", hello(), |_| frame(kind::SETTINGS, 0, 0, &[])),
        ("pings", hello(), |number| frame(kind::PING, 0, 0, &u64::from(number).to_be_bytes())),
        ("pongs", hello(), |_| frame(kind::PING, ACK, 0, &[0; 8])),
        ("priorities", hello(), |_| frame(kind::PRIORITY, 0, 1001, &[0, 0, 0, 3, 7])),
        ("frames that nobody knows", hello(), |_| frame(200, 0, 0, b"?")),
        ("windows", hello(), |_| frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("empty data", start(&open_body), |_| frame(kind::DATA, 0, 1, &[])),
        ("small data", start(&open_body), |_| frame(kind::DATA, 0, 1, b"x")),
        ("continuations", start(&open_head), |_| frame(kind::CONTINUATION, 0, 1, &[])),
        ("continuations with headers", start(&open_head), |_| frame(kind::CONTINUATION, 0, 1, b"\x00\x01a\x01b")),
        (MALFORMED[1], hello(), |number| {
            let stream = 2 * number + 1;
            [get(stream, "/api/v1/version"), frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
        }),
        (MALFORMED[0], hello(), |_| vec![0xff; 64]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_cut_off_and_harm_nobody() {
    let target = Target::start(&[]).await;
    let agent = target.agent(reqwest::Client::new());
    let http2 = target.agent(reqwest::Client::builder().http2_prior_knowledge().build().unwrap());
    agent.goes_on().await;
    http2.goes_on().await;
    let before = target.memory();
    let ended = async || {
        let mut ended = 0;
        for limit in LIMITS {
            ended += target.ended_by(limit).await;
        }
        ended
    };
    for (what, start, next) in floods() {
        let so_far = ended().await;
        let mut at_once = Vec::new();
        for _ in 0..4 {
            let (start, address) = (start.clone(), target.address);
            at_once.push(tokio::spawn(async move { flood(address, &start, next).await }));
        }
        for one in at_once {
            let said = one.await.unwrap_or_else(|_| panic!("{what}"));
            // A reset may take the last words along; where they came they are these.
            for (error, text) in wire::go_aways(&said).into_iter().filter(|_| !MALFORMED.contains(&what)) {
                assert_eq!(error, ENHANCE_YOUR_CALM, "{what}");
                assert!(!text.is_empty(), "{what}");
            }
        }
        if !MALFORMED.contains(&what) {
            eventually(what, Duration::from_secs(10), async || (ended().await >= so_far + 4).then_some(())).await;
        }
        agent.goes_on().await;
        http2.goes_on().await;
        let grown = target.memory().saturating_sub(before);
        assert!(grown < 60, "{what}: {grown} MiB more");
    }
    agent.stop().await;
    http2.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_taken_back_one_by_one_are_bounded_too() {
    let target = Target::start(&[("PGANALYTICS_RATE_LIMIT_PUBLIC", "0")]).await;
    let mut stream = wire::connect(target.address).await;
    stream.write_all(&hello()).await.unwrap();
    let (mut sent, mut said) = (0, Vec::new());
    while stream.write_all(&get(2 * sent + 1, "/api/v1/version")).await.is_ok() {
        // It has begun to answer: this is none of those that the library counts.
        if stream.read_buf(&mut said).await.is_ok_and(|read| read > 0) {
            let _ = stream.write_all(&frame(kind::RST_STREAM, 0, 2 * sent + 1, &[0, 0, 0, 8])).await;
        }
        sent += 1;
        assert!(sent < 3000, "no end of it");
    }
    let told = wire::go_aways(&said);
    assert!(sent >= 600, "{sent} {told:?}");
    assert!(told.is_empty() || told == [(ENHANCE_YOUR_CALM, "http2_max_resets".to_owned())], "{told:?}");
    assert_eq!(target.ended_by("http2_max_resets").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_is_refused() {
    let target = Target::start(&[]).await;
    // 40,000 bytes of one header, in a block over three frames.
    let mut block = wire::get_block("/");
    block.extend(b"\x00\x01a\x7f\xc1\xb7\x02");
    block.extend(vec![b'x'; 40_000]);
    let (first, rest) = block.split_at(16_000);
    let (second, third) = rest.split_at(16_000);
    let bytes = [
        hello(),
        frame(kind::HEADERS, END_STREAM, 1, first),
        frame(kind::CONTINUATION, 0, 1, second),
        frame(kind::CONTINUATION, END_HEADERS, 1, third),
    ]
    .concat();
    let mut stream = wire::connect(target.address).await;
    stream.write_all(&bytes).await.unwrap();
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said);
    let _ = tokio::time::timeout(Duration::from_secs(3), read).await;
    let frames = wire::frames(&said);
    // 431, or the stream or connection is refused; never an answer of the page.
    assert!(
        frames.iter().any(|(kind, ..)| matches!(*kind, kind::RST_STREAM | kind::GOAWAY | kind::HEADERS)),
        "{frames:?}"
    );
    assert!(!frames.iter().any(|(kind, ..)| *kind == kind::DATA), "{frames:?}");
    let health = reqwest::get(format!("{}/api/v1/health", target.process.base)).await.unwrap();
    assert!(health.status().is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_requests_at_once_than_were_announced() {
    let target = Target::start(&[("PGANALYTICS_HTTP2_MAX_STREAMS", "3")]).await;
    let mut stream = wire::connect(target.address).await;
    // Log-ins whose bodies never come: each keeps its place.
    let mut block = wire::get_block("/api/v1/auth/login");
    block[0] = 0x83; // :method POST of the static table
    block.extend(b"\x0f\x10\x10application/json");
    let log_in = |id| frame(kind::HEADERS, END_HEADERS, id, &block);
    let acknowledged = frame(kind::SETTINGS, ACK, 0, &[]);
    let all = (0..5).flat_map(|number| log_in(2 * number + 1)).collect();
    stream.write_all(&[hello(), acknowledged, all].concat()).await.unwrap();
    let mut said = Vec::new();
    let refused = |said: &[u8]| {
        let resets = wire::frames(said).into_iter().filter(|(kind, ..)| *kind == kind::RST_STREAM);
        resets.map(|(_, _, payload)| payload).filter(|payload| payload.len() == 4).collect::<Vec<_>>()
    };
    let enough = async { while refused(&said).len() < 2 && stream.read_buf(&mut said).await.unwrap() > 0 {} };
    tokio::time::timeout(Duration::from_secs(10), enough).await.expect("two are refused");
    let frames = wire::frames(&said);
    let (.., settings) = frames.iter().find(|(kind, ..)| *kind == kind::SETTINGS).unwrap();
    // MAX_CONCURRENT_STREAMS has the number 3.
    assert!(settings.chunks(6).any(|one| one == [0, 3, 0, 0, 0, 3]), "{settings:?}");
    // REFUSED_STREAM, which says that nothing was done.
    assert_eq!(refused(&said), [[0, 0, 0, 7], [0, 0, 0, 7]], "{frames:?}");
}
