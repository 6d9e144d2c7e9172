#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        make_ca(made.folder.path(), "Test CA", false).unwrap();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, request: &Request) -> Result<PathBuf, CertsError> {
        issue(self.folder.path(), self.folder.path(), request)
    }

    fn faults(&self, ca: &Path, host: &str, reader: Option<Owner>) -> Vec<String> {
        faults(&self.path("server.crt"), &self.path("server.key"), Some(ca), Some(host), reader).unwrap()
    }
}

fn server() -> Request {
    Request::server("server", &["db.example.com", "localhost", "127.0.0.1", "::1"])
}

#[test]
fn a_leaf_is_good_for_each_of_its_names_and_addresses() {
    let made = Made::new();
    made.issue(&server()).unwrap();
    for host in ["db.example.com", "localhost", "127.0.0.1", "::1"] {
        assert_eq!(made.faults(&made.path("ca.crt"), host, None), [""; 0], "{host}");
    }
    let facts = show(&made.path("server.crt")).unwrap();
    assert_eq!(facts.hosts, ["db.example.com", "localhost", "127.0.0.1", "::1"]);
    assert!(!facts.is_ca && (395..=397).contains(&facts.days_left), "{facts:?}");
    let authority = show(&made.path("ca.crt")).unwrap();
    assert!(authority.is_ca && authority.days_left > 3640, "{authority:?}");
}

#[test]
fn what_is_wrong_is_told_apart() {
    let made = Made::new();
    made.issue(&server()).unwrap();
    let other = Made::new();
    let wrong = |faults: Vec<String>| {
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].clone()
    };
    assert!(wrong(made.faults(&other.path("ca.crt"), "localhost", None)).contains("was not made by"));
    assert!(wrong(made.faults(&made.path("ca.crt"), "evil.example", None)).contains("is not for evil.example"));
    let reader = Owner { uid: 4_000_000, gid: 4_000_000 };
    assert!(wrong(made.faults(&made.path("ca.crt"), "localhost", Some(reader))).contains("can't read"));
    fs::set_permissions(made.path("server.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(wrong(made.faults(&made.path("ca.crt"), "localhost", None)).contains("every user"));
    fs::set_permissions(made.path("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    other.issue(&server()).unwrap();
    fs::copy(other.path("server.key"), made.path("server.key")).unwrap();
    assert!(wrong(made.faults(&made.path("ca.crt"), "localhost", None)).contains("is not the key of"));
}

#[test]
fn one_that_has_expired_says_since_when() {
    let made = Made::new();
    // Its last day was yesterday.
    let key = KeyPair::from_pem(&fs::read_to_string(made.path("ca.key")).unwrap()).unwrap();
    let authority = params_of(&made.path("ca.crt")).unwrap();
    let issuer = Issuer::from_params(&authority, key);
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
    fs::write(made.path("server.crt"), params.signed_by(&pair, &issuer).unwrap().pem()).unwrap();
    private_file::write(&made.path("server.key"), &pair.serialize_pem(), 0o600, None).unwrap();
    let faults = made.faults(&made.path("ca.crt"), "localhost", None);
    assert!(faults.len() == 1 && faults[0].contains("has expired"), "{faults:?}");
}

#[test]
fn nothing_is_overwritten_without_a_word() {
    let made = Made::new();
    assert!(make_ca(made.folder.path(), "Test CA", false).unwrap_err().to_string().contains("--renew"));
    made.issue(&server()).unwrap();
    let first = fs::read(made.path("server.key")).unwrap();
    assert!(made.issue(&server()).unwrap_err().to_string().contains("--renew"));
    assert_eq!(fs::read(made.path("server.key")).unwrap(), first);
    made.issue(&Request { renew: true, ..server() }).unwrap();
    assert_ne!(fs::read(made.path("server.key")).unwrap(), first);
    assert_eq!(made.faults(&made.path("ca.crt"), "localhost", None), [""; 0]);
}

#[test]
fn keys_are_private_and_requests_that_make_no_sense_are_refused() {
    let made = Made::new();
    made.issue(&Request { mode: 0o640, ..server() }).unwrap();
    let mode = |name: &str| fs::metadata(made.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca.key"), mode("server.key"), mode("server.crt")), (0o600, 0o640, 0o644));
    for (request, expected) in [
        (Request { name: "a".into(), days: 398, ..server() }, "397"),
        (Request { name: "a".into(), hosts: Vec::new(), ..server() }, "--host"),
        (Request { name: "../a".into(), ..server() }, "no name"),
        (Request { name: "ca".into(), ..server() }, "no name"),
    ] {
        assert!(made.issue(&request).unwrap_err().to_string().contains(expected));
    }
    let client = Request { name: "agent".into(), is_client: true, hosts: Vec::new(), ..server() };
    made.issue(&client).unwrap();
}

#[test]
fn an_authority_that_openssl_made_is_as_good() {
    let made = Made { folder: tempfile::tempdir().unwrap() };
    let openssl = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"])
        .args(["-subj", "/C=DE/O=Example Ltd/CN=Company CA", "-addext", "keyUsage=critical,keyCertSign"])
        .arg("-keyout")
        .arg(made.path("ca.key"))
        .arg("-out")
        .arg(made.path("ca.crt"))
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
    made.issue(&server()).unwrap();
    assert_eq!(made.faults(&made.path("ca.crt"), "db.example.com", None), [""; 0]);
    let verified = std::process::Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "db.example.com", "-CAfile"])
        .args([made.path("ca.crt"), made.path("server.crt")])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
