//! Certificate and key, and who is served without them.

use super::{Outcome, Patient, Report};
use crate::ops::certs;

pub(super) fn look(patient: &Patient<'_>, report: &mut Report) {
    let Ok(config) = patient.config else {
        for id in ["tls.on", "tls.chain", "tls.name", "tls.expiry"] {
            report.add(id, Outcome::Skip, "the settings are wrong");
        }
        return;
    };
    let Some((certificate, key)) = &config.tls else {
        let (outcome, seen) = if config.listen.ip().is_loopback() {
            (Outcome::Pass, "plain HTTP, for this machine alone".to_owned())
        } else {
            (Outcome::Fail, format!("plain HTTP on {}", config.listen))
        };
        report.add("tls.on", outcome, seen);
        for id in ["tls.chain", "tls.name", "tls.expiry"] {
            report.add(id, Outcome::Skip, "TLS is off here; look at the proxy's certificate");
        }
        return;
    };
    report.add("tls.on", Outcome::Pass, "HTTPS, TLS 1.3");
    let beside = certificate.with_file_name("ca.crt");
    let ca = beside.exists().then_some(beside);
    let faults = |host: Option<&str>| match certs::faults(certificate, key, ca.as_deref(), host, None) {
        Ok(faults) => faults,
        Err(error) => vec![error.to_string()],
    };
    let well = if ca.is_some() {
        "clients that trust ca.crt take it"
    } else {
        "certificate and key belong together; no ca.crt beside"
    };
    report.sum("tls.chain", Outcome::Fail, &faults(None), well);
    match (patient.host, &ca) {
        (Some(host), Some(_)) => report.sum("tls.name", Outcome::Fail, &faults(Some(host)), "the name fits"),
        (Some(host), None) => match certs::show(certificate) {
            Ok(facts) if facts.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) => {
                report.add("tls.name", Outcome::Pass, "the name is in the certificate");
            }
            Ok(facts) => report.add("tls.name", Outcome::Fail, format!("it is for {}", facts.hosts.join(", "))),
            Err(error) => report.add("tls.name", Outcome::Fail, error.to_string()),
        },
        (None, _) => report.add("tls.name", Outcome::Skip, "give --host, what clients call the server"),
    }
    match certs::show(certificate) {
        Err(error) => report.add("tls.expiry", Outcome::Fail, error.to_string()),
        Ok(facts) => {
            let outcome = match facts.days_left {
                ..7 => Outcome::Fail,
                7..30 => Outcome::Warn,
                _ => Outcome::Pass,
            };
            report.add("tls.expiry", outcome, format!("{} days left", facts.days_left));
        }
    }
}
