//! Certificates of an own authority: an authority of ten years, and leaves of
//! at most 397 days with the names and addresses that clients use.
//!
//! Keys are P-256. Leaves are no authorities and carry what they are for, as
//! rustls and libpq's `verify-full` demand.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::{RootCertStore, client::WebPkiServerVerifier, client::danger::ServerCertVerifier, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use x509_cert::{
    Certificate,
    der::{
        Decode, Tag, Tagged,
        asn1::{PrintableStringRef, Utf8StringRef},
    },
    ext::pkix::{BasicConstraints as IsAuthority, SubjectAltName, SubjectKeyIdentifier, name::GeneralName},
};

use super::private_file::{self, Owner};

/// Longest life of a leaf in days: what browsers and systems still take.
pub const MAX_DAYS: u16 = 397;
/// Life of an authority in days.
const CA_DAYS: u16 = 3653;

/// What goes wrong with certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertsError {
    /// A file or folder.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
    /// It would overwrite.
    #[error("{path} is there already; --renew replaces it", path = .path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// A file holds no certificate or key.
    #[error("{path}: {why}", path = .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The certificate can't be made so.
    #[error("{0}")]
    Request(String),
}

/// A leaf to make.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Request {
    /// Its files are named after it: `NAME.crt`, `NAME.key`.
    pub name: String,
    /// Names and addresses that clients reach it by.
    pub hosts: Vec<String>,
    /// It is a client's.
    pub is_client: bool,
    /// Its life in days.
    pub days: u16,
    /// Who the key is given to.
    pub owner: Option<Owner>,
    /// Mode of the key.
    pub mode: u32,
    /// It may replace the former one.
    pub renew: bool,
}

impl Request {
    /// A server's leaf of the longest life.
    #[must_use]
    pub fn server(name: &str, hosts: &[&str]) -> Self {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Self { name: name.to_owned(), hosts, days: MAX_DAYS, mode: 0o600, ..Self::default() }
    }
}

/// Makes an authority in `folder`: `ca.crt`, and `ca.key` with mode 0600.
///
/// # Errors
/// When there is one already and `renew` is not set, or files can't be written.
pub fn make_ca(folder: &Path, name: &str, renew: bool) -> Result<PathBuf, CertsError> {
    let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
    refuse_existing(renew, [&certificate, &key])?;
    fs::create_dir_all(folder).map_err(file(folder))?;
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(request)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_life(&mut params, CA_DAYS)?;
    let made = params.self_signed(&pair).map_err(request)?;
    private_file::write(&key, &pair.serialize_pem(), 0o600, None).map_err(file(&key))?;
    private_file::write(&certificate, &made.pem(), 0o644, None).map_err(file(&certificate))?;
    Ok(certificate)
}

/// Makes a leaf in `folder` with the authority that is in `ca`: `NAME.crt`,
/// `NAME.key`, and a copy of `ca.crt`.
///
/// # Errors
/// When the authority can't be read, the leaf is there already and may not be
/// replaced, or files can't be written.
pub fn issue(ca: &Path, folder: &Path, wanted: &Request) -> Result<PathBuf, CertsError> {
    if wanted.days == 0 || wanted.days > MAX_DAYS {
        return Err(CertsError::Request(format!("a certificate lives from 1 to {MAX_DAYS} days, not {}", wanted.days)));
    }
    if wanted.hosts.is_empty() && !wanted.is_client {
        return Err(CertsError::Request(
            "a server's certificate needs the names clients use: --host db1.example.com".into(),
        ));
    }
    if wanted.name.is_empty() || wanted.name.contains(['/', '\0']) || wanted.name == "ca" {
        return Err(CertsError::Request(format!("{:?} is no name for files", wanted.name)));
    }
    let (certificate, key) = (folder.join(format!("{}.crt", wanted.name)), folder.join(format!("{}.key", wanted.name)));
    refuse_existing(wanted.renew, [&certificate, &key])?;
    let ca_text = read(&ca.join("ca.crt"))?;
    let ca_key_path = ca.join("ca.key");
    let ca_key = KeyPair::from_pem(&read(&ca_key_path)?)
        .map_err(|error| CertsError::Content { path: ca_key_path, why: format!("it holds no key: {error}") })?;
    let authority = params_of(&ca.join("ca.crt"))?;
    let issuer = Issuer::from_params(&authority, ca_key);
    fs::create_dir_all(folder).map_err(file(folder))?;
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(request)?;
    let mut params = CertificateParams::new(wanted.hosts.clone()).map_err(request)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, wanted.hosts.first().unwrap_or(&wanted.name).as_str());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages =
        vec![if wanted.is_client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth }];
    set_life(&mut params, wanted.days)?;
    let made = params.signed_by(&pair, &issuer).map_err(request)?;
    private_file::write(&key, &pair.serialize_pem(), wanted.mode, wanted.owner).map_err(file(&key))?;
    private_file::write(&certificate, &made.pem(), 0o644, wanted.owner).map_err(file(&certificate))?;
    let copy = folder.join("ca.crt");
    if ca.canonicalize().ok() != folder.canonicalize().ok() {
        private_file::write(&copy, &ca_text, 0o644, wanted.owner).map_err(file(&copy))?;
    }
    Ok(certificate)
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// Whom it is for.
    pub subject: String,
    /// Who made it.
    pub issuer: String,
    /// The names and addresses in it.
    pub hosts: Vec<String>,
    /// Whole days until it ends; negative when it has ended.
    pub days_left: i64,
    /// It is an authority's.
    pub is_ca: bool,
}

/// Reads the first certificate of a file.
///
/// # Errors
/// When the file can't be read or holds none.
pub fn show(path: &Path) -> Result<Facts, CertsError> {
    let parsed = first_of(path)?;
    let about = &parsed.tbs_certificate;
    let hosts = about.get::<SubjectAltName>().ok().flatten();
    let hosts = hosts.map(|(_, names)| names.0.iter().filter_map(host_of).collect()).unwrap_or_default();
    let end = i64::try_from(about.validity.not_after.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Ok(Facts {
        subject: about.subject.to_string(),
        issuer: about.issuer.to_string(),
        hosts,
        days_left: end.saturating_sub(Timestamp::now().as_second()).div_euclid(86_400),
        is_ca: is_authority(&parsed),
    })
}

fn first_of(path: &Path) -> Result<Certificate, CertsError> {
    let content = |why: String| CertsError::Content { path: path.to_owned(), why };
    let chain = chain_of(path)?;
    let der = chain.first().ok_or_else(|| content("it holds no certificate in PEM".into()))?;
    Certificate::from_der(der).map_err(|error| content(format!("it holds no certificate: {error}")))
}

fn is_authority(certificate: &Certificate) -> bool {
    let constraints = certificate.tbs_certificate.get::<IsAuthority>().ok().flatten();
    constraints.is_some_and(|(_, constraints)| constraints.ca)
}

/// What a leaf says of its authority: the name exactly as it stands there, and
/// the key's identifier, which OpenSSL compares.
fn params_of(ca: &Path) -> Result<CertificateParams, CertsError> {
    let content = |why: &str| CertsError::Content { path: ca.to_owned(), why: why.to_owned() };
    let parsed = first_of(ca)?;
    if !is_authority(&parsed) {
        return Err(content("it is no authority's certificate"));
    }
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = rcgen::DistinguishedName::new();
    for part in parsed.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter()) {
        let oid: Vec<u64> = part.oid.arcs().map(u64::from).collect();
        let unknown = || content("its name holds a kind of text that is not known here");
        let value = match part.value.tag() {
            Tag::PrintableString => {
                let text = part.value.decode_as::<PrintableStringRef<'_>>().map_err(|_| unknown())?;
                DnValue::PrintableString(text.as_str().try_into().map_err(|_| unknown())?)
            }
            Tag::Utf8String => {
                let text = part.value.decode_as::<Utf8StringRef<'_>>().map_err(|_| unknown())?;
                DnValue::Utf8String(text.as_str().to_owned())
            }
            _ => return Err(unknown()),
        };
        params.distinguished_name.push(DnType::from_oid(&oid), value);
    }
    if let Ok(Some((_, id))) = parsed.tbs_certificate.get::<SubjectKeyIdentifier>() {
        params.key_identifier_method = KeyIdMethod::PreSpecified(id.0.as_bytes().to_vec());
    }
    Ok(params)
}

/// What is wrong with a server's certificate, in words; nothing when it is good.
/// `ca` are the roots that clients trust, `host` is what they call it, `reader`
/// the user that must be able to read the key.
///
/// # Errors
/// When a file can't be read at all.
pub fn faults(
    certificate: &Path,
    key: &Path,
    ca: Option<&Path>,
    host: Option<&str>,
    reader: Option<Owner>,
) -> Result<Vec<String>, CertsError> {
    let mut found = Vec::new();
    let chain = chain_of(certificate)?;
    let shown = certificate.display();
    match PrivateKeyDer::from_pem_file(key) {
        Err(error) => found.push(format!("{}: it holds no key: {error}", key.display())),
        Ok(private) => {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            if CertifiedKey::from_der(chain.clone(), private, &provider).is_err() {
                found.push(format!("{} is not the key of {shown}", key.display()));
            }
        }
    }
    if let Some(ca) = ca {
        found.extend(untrusted(&chain, ca, host, certificate)?);
    }
    let about = fs::metadata(key).map_err(file(key))?;
    let mode = about.permissions().mode();
    if mode & 0o007 != 0 {
        found.push(format!("every user of this machine can read {}: chmod o= it", key.display()));
    }
    if let Some(Owner { uid, gid }) = reader {
        let can = uid == 0 || about.uid() == uid && mode & 0o400 != 0 || about.gid() == gid && mode & 0o040 != 0;
        if !can {
            let (owner, group) = (about.uid(), about.gid());
            found.push(format!(
                "user {uid}:{gid} can't read {} (mode {:04o}, owner {owner}:{group}): issue it with --owner {uid}:{gid}",
                key.display(),
                mode & 0o7777
            ));
        }
    }
    Ok(found)
}

/// Whether clients that trust `ca` take the chain for `host`.
fn untrusted(
    chain: &[CertificateDer<'static>],
    ca: &Path,
    host: Option<&str>,
    path: &Path,
) -> Result<Option<String>, CertsError> {
    let shown = path.display();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(chain_of(ca)?);
    if added == 0 {
        return Err(CertsError::Content { path: ca.to_owned(), why: "it holds no certificate of an authority".into() });
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| CertsError::Request(error.to_string()))?;
    let Some((leaf, others)) = chain.split_first() else { return Ok(Some(format!("{shown} holds no certificate"))) };
    let facts = show(path)?;
    let host = host.map_or_else(|| facts.hosts.first().cloned().unwrap_or_default(), str::to_owned);
    let Ok(name) = ServerName::try_from(host.clone()) else { return Ok(Some(format!("{host:?} is no host's name"))) };
    let Err(error) = verifier.verify_server_cert(leaf, others, &name, &[], UnixTime::now()) else { return Ok(None) };
    Ok(Some(match &error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            // The latter where another authority has the same name.
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature => {
                format!("{shown} was not made by {}, but by {}", ca.display(), facts.issuer)
            }
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
                format!("{shown} has expired {} days ago: issue it anew with --renew", -facts.days_left)
            }
            rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. } => {
                format!("{shown} is not for {host}, but for {}", facts.hosts.join(", "))
            }
            _ => format!("{shown}: {error}"),
        },
        _ => format!("{shown}: {error}"),
    }))
}

fn chain_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertsError> {
    let content = |why: String| CertsError::Content { path: path.to_owned(), why };
    let text = read(path)?;
    let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| content(format!("it is no PEM: {error}")))?;
    if chain.is_empty() { Err(content("it holds no certificate in PEM".into())) } else { Ok(chain) }
}

fn host_of(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// From yesterday, as clocks differ.
fn set_life(params: &mut CertificateParams, days: u16) -> Result<(), CertsError> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |offset: i64| -> Result<_, CertsError> {
        let date = today.checked_add(offset.days()).map_err(|error| CertsError::Request(error.to_string()))?;
        let positive = |number: i8| u8::try_from(number).unwrap_or(1);
        Ok(date_time_ymd(i32::from(date.year()), positive(date.month()), positive(date.day())))
    };
    params.not_before = day(-1)?;
    params.not_after = day(i64::from(days) - 1)?;
    Ok(())
}

fn refuse_existing<'a>(renew: bool, paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), CertsError> {
    match paths.into_iter().find(|path| path.exists()) {
        Some(path) if !renew => Err(CertsError::Exists { path: path.clone() }),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<String, CertsError> {
    fs::read_to_string(path).map_err(file(path))
}

fn file(path: &Path) -> impl Fn(io::Error) -> CertsError + use<> {
    let path = path.to_owned();
    move |source| CertsError::File { path: path.clone(), source }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn request(error: rcgen::Error) -> CertsError {
    CertsError::Request(error.to_string())
}

#[cfg(test)]
#[path = "certs_tests.rs"]
mod tests;
