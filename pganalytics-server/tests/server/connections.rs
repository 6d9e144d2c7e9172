//! Connections that are held, as the program meets them: each ends by a limit
//! that has a name, memory stays flat, and agents go on.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use pganalytics_core::frame::CONTENT_TYPE;
use reqwest::StatusCode;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};

use crate::{
    fixture::{Spool, eventually, read},
    process::{Process, program},
    wire::{self, END_STREAM, connect, connect_from, hello, kind, until_closed},
};

/// The program with these settings, and a token that may push.
pub(crate) struct Target {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    _folder: tempfile::TempDir,
}

impl Target {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program(folder.path());
        command.envs(settings.iter().copied());
        let process = Process::start(command).await;
        let address = process.base.strip_prefix("http://").unwrap().parse().unwrap();
        let token = process.token(&reqwest::Client::new()).await;
        Self { process, address, token, _folder: folder }
    }

    /// The value of one of the server's own counters.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        let page = reqwest::Client::new().get(format!("{}/metrics", self.process.base)).bearer_auth(&self.token);
        let page = page.send().await.unwrap().text().await.unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
    }

    pub(crate) async fn ended_by(&self, limit: &str) -> u64 {
        self.counter(&format!("pganalytics_connections_ended_total{{limit=\"{limit}\"}}")).await
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// An agent that pushes until it is told to stop, and fails at the first
    /// push that is not taken.
    pub(crate) fn agent(&self, http: reqwest::Client) -> Agent {
        let (base, token) = (self.process.base.clone(), self.token.clone());
        let (pushed, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&pushed), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let spool = Spool::new("unharmed", "db1");
            let mut next = 1;
            while !stopped.load(Relaxed) {
                let request = http.post(format!("{base}/api/v1/metrics/push")).bearer_auth(&token);
                let request = request.header("Content-Type", CONTENT_TYPE).header("X-Collector-ID", "unharmed");
                let answer = request.body(spool.body(next..next + 3)).send().await.unwrap();
                assert_eq!(read(answer, StatusCode::OK).await["accepted"], 3);
                next += 3;
                counted.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Agent { pushed, stop, task }
    }
}

pub(crate) struct Agent {
    pushed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Agent {
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(Relaxed)
    }

    /// Waits for some more pushes.
    pub(crate) async fn goes_on(&self) {
        let before = self.pushed();
        eventually("the agent pushes", Duration::from_secs(30), async || {
            assert!(!self.task.is_finished(), "the agent was harmed");
            (self.pushed() > before + 3).then_some(())
        })
        .await;
    }

    pub(crate) async fn stop(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap();
        self.pushed.load(Relaxed)
    }
}

const QUICK: [(&str, &str); 4] = [
    ("PGANALYTICS_FIRST_BYTES_TIMEOUT", "1"),
    ("PGANALYTICS_HEADER_TIMEOUT", "2"),
    ("PGANALYTICS_IDLE_TIMEOUT", "2"),
    ("PGANALYTICS_WRITE_TIMEOUT", "2"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_or_too_little_is_cut_off_and_told_why() {
    let target = Target::start(&QUICK).await;
    let agent = target.agent(reqwest::Client::new());
    let half_head = wire::frame(kind::HEADERS, END_STREAM, 1, &wire::get_block("/api/v1/version"));
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("nothing", vec![], "first_bytes_timeout"),
        ("one letter", b"P".to_vec(), "first_bytes_timeout"),
        ("half a preface", b"PRI * HTTP/2.0\r\n\r\n".to_vec(), "first_bytes_timeout"),
        ("half a head", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_vec(), "header_timeout"),
        ("a preface alone", wire::PREFACE.to_vec(), "header_timeout"),
        ("settings alone", hello(), "header_timeout"),
        ("a head without an end", [hello(), half_head].concat(), "header_timeout"),
        ("half a frame", [hello(), vec![0, 0, 9, 1]].concat(), "header_timeout"),
    ];
    let mut waiting = Vec::new();
    for (what, bytes, limit) in cases {
        waiting.push(tokio::spawn(async move {
            let mut stream = connect(target.address).await;
            stream.write_all(&bytes).await.unwrap();
            let said = until_closed(&mut stream).await;
            assert!(String::from_utf8_lossy(&said).contains(limit), "{what}: {:?}", String::from_utf8_lossy(&said));
        }));
    }
    // A head that comes letter by letter gets no more time.
    let mut slow = connect(target.address).await;
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let (mut reading, mut writing) = slow.into_split();
    let dribble = tokio::spawn(async move {
        while writing.write_all(b"X").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut said = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut said).await;
    assert!(String::from_utf8_lossy(&said).contains("header_timeout"));
    dribble.abort();
    for case in waiting {
        case.await.unwrap();
    }
    assert_eq!(target.ended_by("first_bytes_timeout").await, 3);
    assert_eq!(target.ended_by("header_timeout").await, 6);
    agent.goes_on().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_ends_when_nobody_uses_it() {
    let target = Target::start(&QUICK).await;
    let mut plain = connect(target.address).await;
    plain.write_all(b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let said = until_closed(&mut plain).await;
    assert!(said.starts_with(b"HTTP/1.1 200 OK"));

    let mut http2 = connect(target.address).await;
    http2.write_all(&[hello(), wire::get(1, "/api/v1/health/live")].concat()).await.unwrap();
    let said = until_closed(&mut http2).await;
    // It was told to go, twice as it did not; neither was an error.
    let told: Vec<u32> = wire::go_aways(&said).into_iter().map(|(error, _)| error).collect();
    assert_eq!(told, [0, 0]);
    assert_eq!(target.ended_by("idle_timeout").await, 2);
}

/// Asks for much and reads nothing of it.
async fn stalled(to: SocketAddr, http2: bool) -> TcpStream {
    let mut stream = connect(to).await;
    let path = "/api/v1/openapi.json";
    let many = if http2 {
        let gets = (0..50).flat_map(|number| wire::get(2 * number + 1, path));
        hello().into_iter().chain(gets).collect()
    } else {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(200).into_bytes()
    };
    // It may stop reading us before all of it is sent.
    let _ = tokio::time::timeout(Duration::from_millis(500), stream.write_all(&many)).await;
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stall_are_cut_off() {
    let settings = [("PGANALYTICS_WRITE_TIMEOUT", "3"), ("PGANALYTICS_RATE_LIMIT_PAGE", "0")];
    let target = Target::start(&settings).await;
    let agent = target.agent(reqwest::Client::new());
    let before = target.memory();
    let mut readers = Vec::new();
    for number in 0..120 {
        readers.push(stalled(target.address, number % 2 == 0).await);
    }
    agent.goes_on().await;
    eventually("stalled readers are cut off", Duration::from_secs(60), async || {
        (target.ended_by("write_timeout").await == 120).then_some(())
    })
    .await;
    let grown = target.memory().saturating_sub(before);
    assert!(grown < 100, "{grown} MiB more");
    agent.goes_on().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_that_goes_on_reads_to_the_end() {
    let target = Target::start(&[("PGANALYTICS_WRITE_TIMEOUT", "2"), ("PGANALYTICS_RATE_LIMIT_PAGE", "0")]).await;
    let mut stream = stalled(target.address, false).await;
    let whole = reqwest::get(format!("{}/api/v1/openapi.json", target.process.base)).await.unwrap();
    let whole = whole.bytes().await.unwrap().len() * 200;
    let (mut all, mut piece) = (0, vec![0; whole / 40]);
    while all < whole {
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut piece).await.unwrap();
        assert!(read > 0, "cut off after {all} of {whole}");
        all += read;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(target.ended_by("write_timeout").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_addresses_full_of_one_letter_harm_nobody() {
    const ADDRESSES: u8 = 8;
    const EACH: usize = 512;
    wire::raise_open_files(8000);
    // Longer than this test takes to open so many.
    let target = Target::start(&[("PGANALYTICS_FIRST_BYTES_TIMEOUT", "25")]).await;
    let kept = target.agent(reqwest::Client::new());
    // One that makes a new connection for each push.
    let fresh = target.agent(reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap());
    kept.goes_on().await;
    let before = target.memory();
    let mut attackers = Vec::new();
    for address in 2..2 + ADDRESSES {
        let to = target.address;
        attackers.push(tokio::spawn(async move {
            let mut held = Vec::new();
            // More than an address may have, and more than there are places in all.
            for _ in 0..EACH + 200 {
                let mut stream = connect_from(Ipv4Addr::new(127, 0, 0, address), to).await.unwrap();
                let _ = stream.write_all(b"P").await;
                held.push(stream);
            }
            held
        }));
    }
    let mut held = Vec::new();
    for attacker in attackers {
        held.extend(attacker.await.unwrap());
    }
    let open = target.counter("pganalytics_connections_open").await;
    assert!((3000..=4096 + 50).contains(&open), "{open}");
    // A stranger's page, and the health check of a balancer, come through as ever.
    for address in [20, 21] {
        let local = Some(std::net::IpAddr::from([127, 0, 0, address]));
        let http = reqwest::Client::builder().local_address(local).build().unwrap();
        read(http.get(format!("{}/api/v1/health", target.process.base)).send().await.unwrap(), StatusCode::OK).await;
    }
    kept.goes_on().await;
    fresh.goes_on().await;
    let of_address = target.ended_by("max_connections_per_address").await;
    let in_all = target.ended_by("max_connections").await;
    assert!(of_address > 0 && of_address + in_all >= u64::from(ADDRESSES) * 200, "{of_address} {in_all}");
    let grown = target.memory().saturating_sub(before);
    assert!(grown < 100, "{grown} MiB more for {open} connections");
    // They are gone by themselves while the attackers still hold their ends.
    eventually("half-open connections end", Duration::from_secs(60), async || {
        (target.counter("pganalytics_connections_open").await < 20).then_some(())
    })
    .await;
    assert!(target.ended_by("first_bytes_timeout").await > 3000);
    drop(held);
    assert!(kept.stop().await > 10 && fresh.stop().await > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_takes_the_place_of_a_stranger_never_of_an_agent() {
    let target = Target::start(&[("PGANALYTICS_MAX_CONNECTIONS", "64")]).await;
    let agent = target.agent(reqwest::Client::new());
    agent.goes_on().await;
    let connections = target.counter("pganalytics_connections_total").await;
    let mut held = Vec::new();
    for number in 0..300_u16 {
        let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number % 200).unwrap() + 1);
        let mut stream = connect_from(from, target.address).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
        held.push(stream);
    }
    let said = String::from_utf8(until_closed(&mut held[0]).await).unwrap();
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("\"code\":\"max_connections\""), "{said}");
    agent.goes_on().await;
    // Its connection is the one that it had.
    let made = target.counter("pganalytics_connections_total").await - connections;
    assert!(made <= 300 + 3, "{made}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_do_not_feel_that_their_connections_age() {
    let target = Target::start(&[("PGANALYTICS_MAX_CONNECTION_AGE", "1")]).await;
    let http1 = target.agent(reqwest::Client::builder().http1_only().build().unwrap());
    let http2 = target.agent(reqwest::Client::builder().http2_prior_knowledge().build().unwrap());
    let before = target.counter("pganalytics_connections_total").await;
    eventually("connections are made anew", Duration::from_secs(30), async || {
        (target.counter("pganalytics_connections_total").await > before + 30).then_some(())
    })
    .await;
    // Each push was taken: the agents would have failed otherwise.
    assert!(http1.stop().await > 10 && http2.stop().await > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_asks_for_as_many_open_files_as_it_may_need() {
    let folder = tempfile::tempdir().unwrap();
    let direct = program(folder.path());
    // The same program, as a shell with few files starts it.
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "ulimit -Sn 256 && exec \"$0\""]).arg(direct.as_std().get_program()).env_clear();
    for (name, value) in direct.as_std().get_envs() {
        shell.env(name, value.unwrap());
    }
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let process = Process::start(shell).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.child.id().unwrap())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(u64::MAX));
    let (soft, hard) = (words.next().unwrap(), words.next().unwrap());
    assert_eq!(soft, hard.min(4096 + 512), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_those_who_only_hold_a_connection() {
    let target = Target::start(&[]).await;
    let mut held = Vec::new();
    for start in [&b""[..], b"P", wire::PREFACE, &hello(), b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut stream = connect(target.address).await;
        stream.write_all(start).await.unwrap();
        held.push(stream);
    }
    let login = json!({"username": "admin", "password": "x"});
    let answer = reqwest::Client::new().post(format!("{}/api/v1/auth/login", target.process.base)).json(&login);
    assert_eq!(answer.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(target.process.terminate().await.code(), Some(0));
}
