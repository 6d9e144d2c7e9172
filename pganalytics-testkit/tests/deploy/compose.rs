//! Reads compose files as Compose does: variables are put in before anything else.

use std::collections::BTreeMap;

use serde_yaml_ng::Value;

use super::Tree;

/// A compose file.
pub(crate) struct File {
    pub(crate) path: String,
    /// As it is written.
    pub(crate) raw: Value,
    /// With the variables of its `.env.example`, and something for required ones.
    pub(crate) filled: Value,
}

impl File {
    /// Folder that its relative paths begin at, with a slash at the end.
    pub(crate) fn folder(&self) -> &str {
        &self.path[..self.path.rfind('/').map_or(0, |slash| slash + 1)]
    }

    pub(crate) fn services(&self) -> Vec<(&str, &Value)> {
        entries(&self.filled["services"])
    }

    /// Adds to another file, as with a second `-f`.
    pub(crate) fn is_addition(&self) -> bool {
        self.filled["name"].is_null()
    }
}

/// Keys and values of a mapping; nothing of anything else.
pub(crate) fn entries(value: &Value) -> Vec<(&str, &Value)> {
    let all = value.as_mapping().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.as_str()?, value))).collect()
}

/// Items of a list, or keys of a mapping.
pub(crate) fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::Sequence(items) => items.iter().filter_map(Value::as_str).collect(),
        other => entries(other).into_iter().map(|(key, _)| key).collect(),
    }
}

/// All texts in a value, however deep.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Sequence(items) => items.iter().flat_map(texts).collect(),
        Value::Mapping(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn files(tree: &Tree) -> Result<Vec<File>, String> {
    let is_compose = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.ends_with(".yml") && (name.starts_with("compose.") || name.ends_with("docker-compose.yml"))
    };
    let mut files = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| is_compose(path)) {
        let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
        let variables = variables(tree.get(&format!("{folder}.env.example")).map_or("", String::as_str));
        let filled = fill(text, &variables).map_err(|error| format!("{path}: {error}"))?;
        let parse = |text: &str| -> Result<Value, String> {
            let bad = |error| format!("{path}: {error}");
            let mut value: Value = serde_yaml_ng::from_str(text).map_err(bad)?;
            // `<<: *anchor`
            value.apply_merge().map_err(bad)?;
            Ok(value)
        };
        files.push(File { path: path.clone(), raw: parse(text)?, filled: parse(&filled)? });
    }
    Ok(files)
}

/// `NAME=value` of a `.env` file.
pub(crate) fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect()
}

/// Puts in `${V}`, `${V:-default}`, `${V-default}` and `${V:?message}`; `$$` is a dollar.
fn fill(text: &str, variables: &BTreeMap<&str, &str>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let inner = rest.strip_prefix('{').ok_or("a $ that is neither $$ nor ${NAME}")?;
        let end = inner.find('}').ok_or("${ without }")?;
        let (name, rest_of_it) = inner[..end].split_at(inner[..end].find([':', '-', '?']).unwrap_or(end));
        let value = variables.get(name).copied().unwrap_or_default();
        out.push_str(match (value, rest_of_it) {
            ("", it) if it.starts_with(":?") => "given-by-somebody",
            ("", it) => it.trim_start_matches(':').trim_start_matches('-'),
            (value, _) => value,
        });
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[test]
fn variables_are_put_in() {
    let variables = variables("# A=0\nA=1\nB=\n");
    let filled = fill("${A:-9} ${B:-2} ${C-3} ${D:?is required} $$E", &variables);
    assert_eq!(filled.unwrap(), "1 2 3 given-by-somebody $E");
    assert!(fill("${A", &variables).is_err());
    assert!(fill("$A", &variables).is_err());
}
