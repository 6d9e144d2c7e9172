//! The exporter's settings.

use std::net::{SocketAddr, ToSocketAddrs};

use super::layers::{Layers, Origin, wrong};
use crate::{
    error::CollectError,
    exporter::{Auth, ExporterSettings, Listen, collectors},
};

/// The settings; `None` when it is switched off.
pub(super) fn exporter(layers: &Layers<'_>) -> Result<Option<ExporterSettings>, CollectError> {
    let enabled = layers.boolean("exporter.enabled")?;
    let (native, drop_in) = names(layers)?;
    let settings = ExporterSettings {
        listen: listen(layers, "exporter.listen")?,
        pgbouncer_listen: listen(layers, "exporter.pgbouncer_listen")?,
        native,
        drop_in,
        collectors: known_collectors(layers)?,
        exclude: layers.words("exporter.exclude")?,
        max_age: layers.duration("exporter.max_age")?,
        timeout: layers.duration("exporter.timeout")?,
        max_series: layers.bytes("exporter.max_series_per_family")?.max(1),
        auth: auth(layers)?,
        identity: match (layers.path("exporter.tls_cert_file")?, layers.path("exporter.tls_key_file")?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(half(layers, "exporter.tls_cert_file", "exporter.tls_key_file")),
            (None, Some(_)) => return Err(half(layers, "exporter.tls_key_file", "exporter.tls_cert_file")),
        },
    };
    Ok(enabled.then_some(settings))
}

fn half(layers: &Layers<'_>, given: &str, missing: &str) -> CollectError {
    wrong(&layers.origin(given), given, format!("{missing} belongs to it and is missing; set both or none"))
}

/// An address; an empty one switches that page off.
fn listen(layers: &Layers<'_>, key: &str) -> Result<Option<Listen>, CollectError> {
    let Some(text) = layers.text(key)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let origin = layers.origin(key);
    let bad = || {
        let message = format!("{text:?} is no address; write host:port, as \"127.0.0.1:9187\" or \":9187\"");
        wrong(&origin, key, message)
    };
    // As exporters in Go write all addresses.
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.clone() };
    let address = match full.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_) => full.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(bad)?,
    };
    Ok(Some(Listen { address, required: origin != Origin::Default }))
}

fn names(layers: &Layers<'_>) -> Result<(bool, bool), CollectError> {
    let words = layers.words("exporter.names")?;
    if let Some(word) = words.iter().find(|word| !matches!(word.as_str(), "native" | "drop_in")) {
        let message = format!("{word:?} is none of native, drop_in");
        return Err(wrong(&layers.origin("exporter.names"), "exporter.names", message));
    }
    let has = |name: &str| words.iter().any(|word| word == name);
    Ok((has("native"), has("drop_in")))
}

fn known_collectors(layers: &Layers<'_>) -> Result<Vec<String>, CollectError> {
    let (asked, known) = (layers.words("exporter.collectors")?, collectors());
    for word in &asked {
        let name = word.strip_prefix('-').unwrap_or(word);
        if !known.iter().any(|known| known == name) {
            let message = format!("there is no collector {name:?}; there are {}", known.join(", "));
            return Err(wrong(&layers.origin("exporter.collectors"), "exporter.collectors", message));
        }
    }
    Ok(asked)
}

fn auth(layers: &Layers<'_>) -> Result<Option<Auth>, CollectError> {
    let token = layers.path("exporter.token_file")?;
    let user = layers.text("exporter.user")?;
    let password = layers.secret("exporter.password")?;
    let password_file = layers.path("exporter.password_file")?;
    match (token, user, password, password_file) {
        (None, None, None, None) => Ok(None),
        (Some(file), None, None, None) => Ok(Some(Auth::TokenFile(file))),
        (None, Some(user), Some(password), None) => Ok(Some(Auth::Password { user, password })),
        (None, Some(user), None, Some(password_file)) => Ok(Some(Auth::Basic { user, password_file })),
        _ => {
            let message = "set either token_file, or user and one of password_file and password";
            let given = ["exporter.token_file", "exporter.user", "exporter.password_file", "exporter.password"];
            let at = given.into_iter().map(|key| (key, layers.origin(key)));
            let (key, origin) = at
                .into_iter()
                .find(|(_, origin)| *origin != Origin::Default)
                .unwrap_or(("exporter.token_file", Origin::Default));
            Err(wrong(&origin, key, message))
        }
    }
}
