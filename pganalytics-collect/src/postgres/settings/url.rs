//! `postgres://user:password@host:5432,host2/database?key=value`.

use super::{
    keyvalue::safe,
    values::{Port, PostgresSettings, bad},
};
use crate::error::CollectError;

pub(super) fn parse(rest: &str) -> Result<PostgresSettings, CollectError> {
    // Characters that belong percent-encoded are taken as they are wherever the
    // meaning is clear: the last @ ends the password, whatever stands in it.
    let at = rest.rmatch_indices('@').map(|(at, _)| at).find(|&at| !rest.get(..at).is_some_and(looks_like_query));
    let (who, place) = match at {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
        None => ("", rest),
    };
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (hosts, database) = place.split_once('/').unwrap_or((place, ""));

    let mut settings = PostgresSettings::default();
    let (user, password) = match who.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (who, None),
    };
    for (key, value) in [("user", Some(user)), ("password", password), ("dbname", Some(database))] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            settings.set(key, &decoded(key, value)?)?;
        }
    }

    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        let (name, port) = split_port(host)?;
        names.push(decoded("host", name)?);
        ports.push(port);
    }
    if !names.is_empty() {
        settings.host = Some(names.join(","));
        if ports.iter().any(Option::is_some) {
            settings.port = Some(Port::Many(ports.iter().map(|port| port.unwrap_or(5432)).collect()));
        }
    }

    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(bad("url", "a parameter after \"?\" has no \"=\"; write ?key=value&key=value"));
        };
        let key = decoded("url", key)?;
        settings.set(&key, &decoded(&safe(&key), value)?)?;
    }
    Ok(settings)
}

/// An @ after `?key=` stands in a parameter's value, unless all before may be
/// a password.
fn looks_like_query(before: &str) -> bool {
    before.rsplit_once('?').is_some_and(|(place, query)| {
        let key = query.split_once('=').is_some_and(|(key, _)| safe(key) == key && !key.is_empty());
        place.contains('@') || (key && !place.contains(':'))
    })
}

fn split_port(host: &str) -> Result<(&str, Option<u16>), CollectError> {
    let (name, port) = match host.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((address, after)) => (address, after.strip_prefix(':')),
        None => match host.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    match port.filter(|port| !port.is_empty()).map(str::parse) {
        None => Ok((name, None)),
        Some(Ok(port)) if port > 0 => Ok((name, Some(port))),
        // The text may be part of a password; don't show it.
        Some(_) => Err(bad(
            "url",
            "what stands between the host's \":\" and the \"/\" is not a port (1 to 65535); \
             in a password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F",
        )),
    }
}

fn decoded(key: &str, text: &str) -> Result<String, CollectError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(bad(key, "a \"%\" in the URL is not followed by two hex digits; write % itself as %25"));
        };
        bytes.push(high * 16 + low);
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| bad(key, "after decoding %XX it is not UTF-8 text"))
}
