//! TLS 1.3 from a certificate and a key in PEM files.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::error::ServerError;

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, the server's own first, in PEM.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads both and checks that they belong together.
    ///
    /// # Errors
    /// [`ServerError::Tls`] says which file, and what is wrong with it.
    pub fn load(&self) -> Result<Arc<ServerConfig>, ServerError> {
        Ok(ReloadableTls::load(self.clone())?.config)
    }

    fn certified(&self) -> Result<CertifiedKey, ServerError> {
        let bad = |path: &Path, error: &dyn std::fmt::Display| ServerError::Tls(format!("{}: {error}", path.display()));
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| bad(&self.certificate, &error))?;
        if chain.is_empty() {
            return Err(bad(&self.certificate, &"it holds no certificate in PEM"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| bad(&self.key, &error))?;
        CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|error| ServerError::Tls(format!("certificate and key do not go together: {error}")))
    }
}

/// TLS whose certificate can be exchanged while connections are served.
#[derive(Debug, Clone)]
pub struct ReloadableTls {
    files: TlsFiles,
    config: Arc<ServerConfig>,
    current: Arc<Current>,
}

impl ReloadableTls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// As [`TlsFiles::load`].
    pub fn load(files: TlsFiles) -> Result<Self, ServerError> {
        let current = Arc::new(Current(RwLock::new(Arc::new(files.certified()?))));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| ServerError::Tls(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files, config: Arc::new(config), current })
    }

    /// For [`Listener::tls`](crate::Listener::tls).
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Reads both files again. New connections get the new certificate; those
    /// that are open keep theirs.
    ///
    /// # Errors
    /// As [`TlsFiles::load`]; then the former certificate stays.
    pub fn reload(&self) -> Result<(), ServerError> {
        let fresh = Arc::new(self.files.certified()?);
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
