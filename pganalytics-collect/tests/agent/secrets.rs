//! Nothing that the agent prints holds a secret. Runs the real binary.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output},
    time::{Duration, Instant},
};

const CANARIES: [&str; 4] = ["canary-pg-4711", "canary-token-4712", "canary-reg-4713", "canary-env-4714"];

fn agent(folder: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pganalytics-agent"));
    command.env_clear().env("USER", "me").env("HOME", folder).current_dir(folder).args(arguments);
    command
}

/// A settings file with a secret in every place that may hold one.
fn settings(folder: &std::path::Path, backend: &str) -> String {
    let file = folder.join("agent.toml");
    let text = format!(
        "[backend]\nurl = {backend:?}\ntoken = {:?}\nregistration_secret = {:?}\nretry = {{ initial = 0.1, max = 0.2 }}\n\
         [collector]\npush_interval = 0.1\ndata_dir = {:?}\n\
         [[postgres]]\nname = \"main\"\nhost = \"127.0.0.1\"\nport = 9\nuser = \"u\"\npassword = {:?}\n",
        CANARIES[1],
        CANARIES[2],
        folder.join("data"),
        CANARIES[0]
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn assert_clean(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} leaks:\n{text}");
    }
    text
}

#[test]
fn listings_and_errors_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "http://127.0.0.1:9");
    for arguments in [
        &["config"][..],
        &["config", "--json"],
        &["measurements"],
        &["check"],
        &["check", "--json"],
        &["once", "--json"],
    ] {
        let mut command = agent(folder.path(), arguments);
        let output = command
            .args(["--config", &file, "--log-level", "trace"])
            .env("POSTGRES_PASSWORD", CANARIES[3])
            .output()
            .unwrap();
        let text = assert_clean(&output);
        if arguments[0] == "config" {
            assert!(output.status.success() && text.contains("***"), "{text}");
        }
    }
    // Mistakes right where a secret stands.
    let broken = [
        format!("[[postgres]]\npassword = \"{}\n", CANARIES[0]),
        format!("[[postgres]]\npasword = \"{}\"\n", CANARIES[0]),
        format!("[backend]\ntoken = [\"{}\"]\n", CANARIES[1]),
        format!("[backend]\nurl = \"https://u:{}@x\"\n[[postgres]]\nhost = \"x\"\n", CANARIES[1]),
    ];
    for text in broken {
        let file = folder.path().join("broken.toml");
        std::fs::write(&file, text).unwrap();
        let output = agent(folder.path(), &["--config", &file.display().to_string()]).output().unwrap();
        let said = assert_clean(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("broken.toml") || said.contains("backend.url"), "{said}");
    }
    let url = format!("postgres://u:{}@127.0.0.1:9/x?nonsense=1", CANARIES[0]);
    assert_clean(&agent(folder.path(), &["config", "--postgres", &url]).output().unwrap());
}

#[test]
fn logs_at_trace_hold_no_secret_while_the_token_travels() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = settings(folder.path(), &format!("http://{}", listener.local_addr().unwrap()));
    let log = folder.path().join("log");
    let mut command = agent(folder.path(), &["run", "--config", &file, "--log-level", "trace"]);
    let mut running = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    // One push arrives with the token and is refused.
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut more = vec![0; 4096];
        let read = stream.read(&mut more).unwrap();
        assert!(read > 0, "the request ends in its head");
        head.extend_from_slice(&more[..read]);
    }
    assert!(String::from_utf8_lossy(&head).contains(CANARIES[1]), "the token travels");
    stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(&log).unwrap().contains("401") {
        assert!(Instant::now() < deadline, "it says that it was refused");
        std::thread::sleep(Duration::from_millis(20));
    }

    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    drop(listener);
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it stops in time");
        std::thread::sleep(Duration::from_millis(20));
    };
    let text = std::fs::read_to_string(&log).unwrap();
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} leaks:\n{text}");
    }
    assert!(text.contains("401") && text.contains("a valid token"), "{text}");
    assert!(text.contains("what was not sent is sent at the next start"), "{text}");
    assert_eq!(status.code(), Some(0), "it stopped in order, and what was not sent is on the disk:\n{text}");
}

#[test]
fn wrong_use_is_two_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, wanted) in [
        (&["run"][..], "backend.url: there is nowhere to send to"),
        (&["run", "--backend-url", "http://127.0.0.1:9", "--config", "none.toml"], "none.toml"),
        (&["once", "--postgres", "mysql://x"], "postgres://"),
        (&["config", "--set", "backend.token=x"], "other users see command lines"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let output = agent(folder.path(), arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(wanted), "{said}");
    }
}
