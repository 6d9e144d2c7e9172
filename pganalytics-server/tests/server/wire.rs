//! HTTP as bytes: what no well-behaved client would send.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![high, middle, low, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The header block of a GET.
pub(crate) fn get_block(path: &str) -> Vec<u8> {
    // :method GET and :scheme http of the static table, :path and :authority as texts.
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend(b"\x01\x09localhost");
    block
}

pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get_block(path))
}

/// Preface and first settings.
pub(crate) fn hello() -> Vec<u8> {
    [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat()
}

/// Connects from an address of this machine; those from 127.0.0.2 on count as
/// strangers', each as one.
pub(crate) async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

pub(crate) async fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Tests that hold thousands of connections need as many files as the system
/// gives without being asked by root.
pub(crate) fn raise_open_files(needed: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    assert!(maximum >= needed, "this test needs {needed} open files; ulimit -Hn is {maximum}");
    if limit.current.is_some_and(|current| current < needed) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum }).unwrap();
    }
}

/// What comes until the server closes; it must within a while.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let closed = async {
        let mut piece = vec![0; 64 << 10];
        // A reset is an end too.
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            bytes.extend(&piece[..read]);
        }
    };
    timeout(Duration::from_secs(30), closed).await.expect("the server closes the connection");
    bytes
}

/// Kinds, flags and payloads of the frames in these bytes.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [high, middle, low, kind, flags, _, _, _, _, rest @ ..] = bytes {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let payload = &rest[..length.min(rest.len())];
        found.push((*kind, *flags, payload.to_vec()));
        bytes = &rest[payload.len()..];
    }
    found
}

/// Error and text of each GOAWAY.
pub(crate) fn go_aways(bytes: &[u8]) -> Vec<(u32, String)> {
    let whole = frames(bytes).into_iter().filter(|(kind, _, payload)| *kind == kind::GOAWAY && payload.len() >= 8);
    whole
        .map(|(_, _, payload)| {
            let error = u32::from_be_bytes(payload[4..8].try_into().unwrap());
            (error, String::from_utf8_lossy(&payload[8..]).into_owned())
        })
        .collect()
}

/// Sends a flood until the server hangs up; gives what it said to that.
pub(crate) async fn flood(to: SocketAddr, start: &[u8], mut next: impl FnMut(u32) -> Vec<u8>) -> Vec<u8> {
    let (mut reading, mut writing) = connect(to).await.into_split();
    let reader = tokio::spawn(async move {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 << 10];
        while let Ok(read @ 1..) = reading.read(&mut piece).await {
            // Only the end matters; a flood of answers is not kept.
            if bytes.len() > 1 << 20 {
                bytes.clear();
            }
            bytes.extend(&piece[..read]);
        }
        bytes
    });
    writing.write_all(start).await.unwrap();
    let send = async {
        for round in 0..4000 {
            let piece: Vec<u8> = (0..250).flat_map(|number| next(round * 250 + number)).collect();
            if writing.write_all(&piece).await.is_err() {
                return true;
            }
        }
        false
    };
    let cut = timeout(Duration::from_secs(60), send).await.expect("the flood is taken or refused");
    assert!(cut, "a million frames, and the server listens on");
    drop(writing);
    timeout(Duration::from_secs(30), reader).await.expect("the server closes the connection").unwrap()
}
