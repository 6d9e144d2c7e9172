//! TLS as libpq does it, with rustls.

use std::{io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};

use super::fault::{ConnectFault, ConnectProblem};
use crate::postgres::settings::{PostgresConfig, SslMode};

/// What the settings ask for; reads the certificate files.
pub(crate) fn client_config(config: &PostgresConfig) -> Result<ClientConfig, ConnectProblem> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let trusted = if config.sslmode.verifies() { Some(trusted(config.sslrootcert.as_deref())?) } else { None };
    let verifier = Arc::new(Verifier::new(config.sslmode, trusted, Arc::clone(&provider))?);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&config.sslcert, &config.sslkey) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| failed(&error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn failed(error: &Error) -> ConnectProblem {
    ConnectProblem::new(ConnectFault::TlsFailed, format!("TLS can't be set up: {error}"))
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> ConnectProblem {
    ConnectProblem::new(ConnectFault::File, format!("{}: {error}; it must be a readable PEM file", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectProblem> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, &error))?.collect();
    let certificates = certificates.map_err(|error| unreadable(path, &error))?;
    if certificates.is_empty() {
        return Err(unreadable(path, &io::Error::other("it holds no certificate")));
    }
    Ok(certificates)
}

fn trusted(path: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, ConnectProblem> {
    match path {
        Some(path) => certificates(path),
        None => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let message =
                    "the system has no root certificates; set sslrootcert to a file with the server's authority";
                return Err(ConnectProblem::new(ConnectFault::File, message));
            }
            Ok(found.certs)
        }
    }
}

/// Accepts any certificate, or one of a known authority, or one of a known
/// authority for this host.
#[derive(Debug)]
struct Verifier {
    mode: SslMode,
    trusted: Vec<CertificateDer<'static>>,
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        mode: SslMode,
        trusted: Option<Vec<CertificateDer<'static>>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, ConnectProblem> {
        let Some(trusted) = trusted else {
            return Ok(Self { mode, trusted: Vec::new(), chain: None, provider });
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| ConnectProblem::new(ConnectFault::File, format!("sslrootcert can't be used: {error}")))?;
        Ok(Self { mode, trusted, chain: Some(chain), provider })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // A certificate that is itself in the file of trusted ones, as
        // self-signed ones are, needs no chain.
        if self.trusted.iter().any(|known| known.as_ref() == end_entity.as_ref()) {
            if self.mode == SslMode::VerifyFull {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let verdict = chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verdict {
            // The name is looked at last, so all else is well.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.mode == SslMode::VerifyCa => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
