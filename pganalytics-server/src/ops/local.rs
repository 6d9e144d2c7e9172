//! Asks the server that runs on this machine with these settings.
//!
//! Under TLS it takes exactly the certificate that the settings name, so that
//! no name has to fit and nothing has to be switched off.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use http::Uri;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

use crate::config::Config;

/// For all of it: connecting, asking, reading.
const DEADLINE: Duration = Duration::from_secs(3);
/// Of an answer; the exposition is the largest that is asked for.
const MOST_BYTES: u64 = 4 << 20;

/// An answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body; what is not UTF-8 is replaced.
    pub body: String,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Where the server is.
#[derive(Debug, Clone)]
pub struct LocalServer {
    address: SocketAddr,
    certificate: Option<CertificateDer<'static>>,
}

impl LocalServer {
    /// The server of these settings.
    ///
    /// # Errors
    /// When its certificate can't be read.
    pub fn of(config: &Config) -> Result<Self, String> {
        let certificate = config.tls.as_ref().map(|(certificate, _)| pinned(certificate)).transpose()?;
        Ok(Self { address: reachable(config.listen), certificate })
    }

    /// The server at an address as `http://127.0.0.1:3000/`, and the path in it.
    /// `https` takes the certificate of the settings.
    ///
    /// # Errors
    /// When it is no such address, or names a host that is not known.
    pub fn at(url: &str, config: &Config) -> Result<(Self, String), String> {
        let bad = |why: &str| format!("--url {url}: {why}; write as http://127.0.0.1:8080/api/v1/health");
        let uri: Uri = url.parse().map_err(|_| bad("it is no address"))?;
        let host = uri.host().ok_or_else(|| bad("it names no host"))?;
        let (certificate, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => match &config.tls {
                Some((certificate, _)) => (Some(pinned(certificate)?), 443),
                None => return Err(bad("https needs TLS_CERT, the certificate that it has to show")),
            },
            _ => return Err(bad("it is neither http nor https")),
        };
        let found = (host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(port)).to_socket_addrs();
        let found =
            found.map_err(|error| bad(&error.to_string()))?.next().ok_or_else(|| bad("the host has no address"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok((Self { address: found, certificate }, path))
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for a path, with a bearer token where one is given.
    ///
    /// # Errors
    /// In words, when it does not answer in 3 s, or not in HTTP.
    pub fn get(&self, path: &str, token: Option<&str>) -> Result<Answer, String> {
        let address = self.address;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                format!("{address} does not answer within {} s", DEADLINE.as_secs())
            }
            io::ErrorKind::ConnectionRefused => format!("{address}: {error}; does the server run?"),
            _ => format!("{address}: {error}"),
        };
        let login = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{login}Connection: close\r\n\r\n");
        let stream = Deadlined::connect(address).map_err(failed)?;
        let bytes = match &self.certificate {
            None => exchange(stream, &request),
            Some(certificate) => exchange(tls(certificate, address, stream)?, &request),
        };
        parse(&bytes.map_err(failed)?).ok_or_else(|| format!("{address} does not answer in HTTP"))
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

fn pinned(path: &Path) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_file(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A connection all of which has one deadline.
struct Deadlined {
    stream: TcpStream,
    until: Instant,
}

impl Deadlined {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let until = Instant::now() + DEADLINE;
        Ok(Self { stream: TcpStream::connect_timeout(&address, DEADLINE)?, until })
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Deadlined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Deadlined {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(MOST_BYTES).read_to_end(&mut answer) {
        // A server that closes without a word of TLS has said all.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof || answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let first = lines.next()?;
    let status = first.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let header =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Some(Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
}

fn tls(
    certificate: &CertificateDer<'static>,
    address: SocketAddr,
    stream: Deadlined,
) -> Result<StreamOwned<ClientConnection, Deadlined>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Exactly { certificate: certificate.clone(), algorithms: provider.signature_verification_algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::from(address.ip()));
    Ok(StreamOwned::new(connection.map_err(|error| error.to_string())?, stream))
}

/// Takes this certificate and no other.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn answers_are_read_as_they_come() {
        let answer = parse(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\nslow down").unwrap();
        assert_eq!((answer.status, answer.header("retry-after"), answer.body.as_str()), (429, Some("7"), "slow down"));
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_none() && parse(b"").is_none() && parse(b"HTTP/1.1").is_none());
    }
}
