//! `health`: asks the agent that runs on this host with these settings how it is.
//! For images and units: it needs neither curl nor a shell.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use pganalytics_collect::Config;

use super::{FAILED, MISUSED, say_error};

/// For connecting, and again for each read.
const DEADLINE: Duration = Duration::from_secs(3);
/// Of the answer; its first line is all that counts.
const MOST_BYTES: u64 = 4096;

pub(crate) fn health(config: &Config) -> ExitCode {
    let Some(exporter) = &config.exporter else {
        say_error("health asks the exporter, which is off; set exporter.enabled = true");
        return ExitCode::from(MISUSED);
    };
    let Some(listen) = exporter.listen.as_ref().or(exporter.pgbouncer_listen.as_ref()) else {
        say_error("health asks the exporter, which listens nowhere; set exporter.listen");
        return ExitCode::from(MISUSED);
    };
    if exporter.identity.is_some() {
        say_error("health does not speak TLS yet; scrape /-/healthy from outside instead");
        return ExitCode::from(MISUSED);
    }
    match ask(reachable(listen.address)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say_error(&why);
            ExitCode::from(FAILED)
        }
    }
}

/// Who listens on every address is asked on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn ask(address: SocketAddr) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{address}: {error}; does the agent run?");
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).map_err(failed)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(failed)?;
    stream.set_write_timeout(Some(DEADLINE)).map_err(failed)?;
    let request = format!("GET /-/healthy HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    let first = answer.lines().next().unwrap_or_default();
    // "HTTP/1.1 200 OK"
    match first.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(_) => Err(format!("{address} answers {first:?}")),
        None => Err(format!("{address} answers no HTTP: {first:?}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::{net::TcpListener, thread};

    use super::*;

    /// What `ask` says of a server that answers so.
    fn asked(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /-/healthy HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let said = ask(address);
        server.join().unwrap();
        said
    }

    #[test]
    fn only_an_answer_of_200_is_healthy() {
        assert_eq!(asked("HTTP/1.1 200 OK\r\n\r\nfine"), Ok(()));
        assert!(asked("HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err().contains("503"));
        assert!(asked("").unwrap_err().contains("no HTTP"));
        assert!(asked("SSH-2.0-x\r\n").unwrap_err().contains("no HTTP"));
    }

    #[test]
    fn nobody_there_is_not_healthy() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(address).unwrap_err().contains("does the agent run?"));
    }

    #[test]
    fn an_agent_that_listens_everywhere_is_asked_here() {
        assert_eq!(reachable("0.0.0.0:9187".parse().unwrap()), "127.0.0.1:9187".parse().unwrap());
        assert_eq!(reachable("[::]:9187".parse().unwrap()), "[::1]:9187".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()), "10.0.0.1:1".parse().unwrap());
    }
}
