//! The rules. Each message begins with the file and says what to do.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;

use super::{
    Tree,
    compose::{File, entries, files, names, texts, variables},
    platform, root,
};

/// All that is wrong.
pub(crate) fn check(tree: &Tree) -> Vec<String> {
    let files = match files(tree) {
        Ok(files) => files,
        Err(error) => return vec![error],
    };
    let mut found = Vec::new();
    for file in &files {
        let mut complain = |what: String| found.push(format!("{}: {what}", file.path));
        for (name, service) in file.services() {
            if !file.is_addition() {
                running(name, service, &mut complain);
            }
            ports(name, service, &mut complain);
            mounts(file, name, service, &mut complain);
            listeners(name, service, &mut complain);
        }
        declared(file, &mut complain);
        secrets(file, tree, &mut complain);
        keys(file, &mut complain);
    }
    unique(&files, &mut found);
    stacks(tree, &files, &mut found);
    platform::check(&files, &mut found);
    found
}

fn running(name: &str, service: &Value, complain: &mut impl FnMut(String)) {
    let once = service["restart"].as_str() == Some("no");
    let health = &service["healthcheck"];
    if !once && (health["test"].is_null() || health["interval"].is_null() || health["timeout"].is_null()) {
        complain(format!("{name} has no health check with test, interval and timeout"));
    }
    for key in ["mem_limit", "pids_limit", "restart", "logging", "cap_drop", "container_name"] {
        if service[key].is_null() {
            complain(format!("{name} has no {key}"));
        }
    }
    let image = service["image"].as_str().unwrap_or_default();
    if !image.rsplit('/').next().unwrap_or_default().contains(':') || image.ends_with(":latest") {
        complain(format!("{name}: the image {image:?} has no version"));
    }
    if !texts(&service["security_opt"]).contains(&"no-new-privileges:true") {
        complain(format!("{name} lacks no-new-privileges"));
    }
}

fn ports(name: &str, service: &Value, complain: &mut impl FnMut(String)) {
    for port in texts(&service["ports"]) {
        if port.split(':').count() < 3 {
            complain(format!("{name}: port {port} is published on every address; name one"));
        } else if port.starts_with("0.0.0.0:") {
            complain(format!("{name}: port {port} is published to everybody by default"));
        }
    }
}

fn mounts(file: &File, name: &str, service: &Value, complain: &mut impl FnMut(String)) {
    let volumes = texts(&service["volumes"]);
    for volume in &volumes {
        let source = volume.split(':').next().unwrap_or_default();
        if source.starts_with('.') {
            // Made by people; the file that mounts it says how.
            let made_later = ["/certs", "/tls", "/secrets"].iter().any(|folder| source.contains(folder));
            if !made_later && !root().join(file.folder()).join(source).exists() {
                complain(format!("{name}: {source} is mounted and does not exist"));
            }
        }
        if source.starts_with(['.', '/']) && !volume.ends_with(":ro") {
            complain(format!("{name}: {source} is mounted and not read-only"));
        }
    }
    let passes = |variable: &str| service["environment"][variable].as_str().is_some();
    for (config, variable) in [("postgresql.conf:", "STACK_CONFIG_FILE"), ("pg_hba.conf:", "STACK_HBA_FILE")] {
        if volumes.iter().any(|volume| volume.contains(config)) && !passes(variable) {
            complain(format!("{name}: {config} is mounted and nobody reads it; set {variable}"));
        }
    }
}

/// What the host publishes must not decide where a program in a container listens.
fn listeners(name: &str, service: &Value, complain: &mut impl FnMut(String)) {
    if !service["env_file"].is_null() {
        complain(format!("{name}: env_file hands every variable of .env to the container; name those that it needs"));
    }
    for (variable, _) in entries(&service["environment"]) {
        if variable.ends_with("BIND_IP") {
            complain(format!("{name}: {variable} is the host's side and must not reach the container"));
        }
    }
}

fn declared(file: &File, complain: &mut impl FnMut(String)) {
    let (networks, volumes) = (names(&file.filled["networks"]), names(&file.filled["volumes"]));
    for (name, service) in file.services() {
        for network in names(&service["networks"]) {
            if !(networks.contains(&network) || file.is_addition() && network == "postgres_net") {
                complain(format!("{name}: network {network} is not declared"));
            }
        }
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default();
            // An addition may use what the file before it declares.
            let is_known = volumes.contains(&source) || file.is_addition();
            if !source.starts_with(['.', '/']) && !is_known {
                complain(format!("{name}: volume {source} is not declared"));
            }
        }
    }
    for (name, network) in entries(&file.filled["networks"]) {
        let shared = matches!(name, "monitoring" | "primary_net");
        if !shared && network["external"].as_bool() == Some(true) {
            complain(format!("network {name} is external, so nobody makes it"));
        }
    }
}

fn is_secret(variable: &str) -> bool {
    let name = variable.to_ascii_uppercase();
    let words = ["PASSWORD", "PASS", "SECRET", "TOKEN", "KEY"];
    // TLS_KEY is the name of a file.
    !name.ends_with("_FILE") && name != "TLS_KEY" && words.iter().any(|word| name.split('_').any(|part| part == *word))
}

/// Names in `${NAME…}` and `$$NAME` of a text, each with what follows the name.
fn mentioned(text: &str) -> Vec<(&str, &str)> {
    let after_dollar = text.split('$').skip(1).map(|part| part.trim_start_matches('{'));
    after_dollar
        .map(|part| part.split_at(part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len())))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

fn secrets(file: &File, tree: &Tree, complain: &mut impl FnMut(String)) {
    for (name, service) in entries(&file.raw["services"]) {
        for part in
            ["command", "entrypoint"].map(|key| &service[key]).into_iter().chain([&service["healthcheck"]["test"]])
        {
            for (variable, _) in texts(part).into_iter().flat_map(mentioned) {
                if is_secret(variable) {
                    complain(format!("{name}: {variable} on a command line is seen in ps and split by the shell"));
                }
            }
        }
        for text in texts(service) {
            for (variable, rest) in mentioned(text) {
                if is_secret(variable) && text.contains("://") {
                    complain(format!("{name}: {variable} within a URL breaks with @ and /; hand it over apart"));
                }
                if is_secret(variable) && rest.starts_with(":-") && !rest.starts_with(":-}") {
                    complain(format!("{name}: {variable} has a default, which everybody knows"));
                }
            }
        }
        for (variable, value) in entries(&service["environment"]) {
            if is_secret(variable) && !value.as_str().is_some_and(|text| text.contains('$')) {
                complain(format!("{name}: {variable} is written into the file"));
            }
        }
    }
    let example = tree.get(&format!("{}.env.example", file.folder())).map_or("", String::as_str);
    for (variable, value) in variables(example) {
        if is_secret(variable) && !value.is_empty() {
            complain(format!(".env.example gives {variable} a value that passes for a password"));
        }
    }
}

/// Compose puts variables into values, not into keys.
fn keys(file: &File, complain: &mut impl FnMut(String)) {
    for part in ["networks", "volumes", "services"] {
        let of_services = entries(&file.raw["services"]).into_iter().flat_map(|(_, service)| names(&service[part]));
        let volumes = of_services.filter(|_| part == "networks");
        for name in names(&file.raw[part]).into_iter().chain(volumes) {
            if name.contains('$') {
                complain(format!("{part}: {name} is a variable as a key; put it into name:"));
            }
        }
    }
    for (_, service) in entries(&file.raw["services"]) {
        for volume in texts(&service["volumes"]) {
            if volume.starts_with('$') {
                complain(format!("volume {volume} begins with a variable; declare it with name:"));
            }
        }
    }
}

/// Two stacks on one host must not replace each other.
fn unique(files: &[File], found: &mut Vec<String>) {
    let mut owners: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
    let mut note = |kind, name: &Value, path| {
        if let Some(name) = name.as_str() {
            owners.entry((kind, name.to_owned())).or_default().insert(path);
        }
    };
    for file in files.iter().filter(|file| !file.is_addition()) {
        let path = file.path.as_str();
        note("project", &file.filled["name"], path);
        for (_, service) in file.services() {
            note("container", &service["container_name"], path);
        }
        for (_, volume) in entries(&file.filled["volumes"]) {
            note("volume", &volume["name"], path);
        }
        for (_, network) in entries(&file.filled["networks"]).into_iter().filter(|(name, _)| *name != "monitoring") {
            note("network", &network["name"], path);
        }
    }
    for ((kind, name), paths) in owners.iter().filter(|(_, paths)| paths.len() > 1) {
        let paths: Vec<_> = paths.iter().copied().collect();
        found.push(format!("{}: the {kind} {name} is that of another file too", paths.join(", ")));
    }
}

/// Megabytes of `2048m` or `1g`.
fn megabytes(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_default();
    let number = |text: &str| text.parse().unwrap_or(0);
    match text.strip_suffix('g') {
        Some(text) => number(text) * 1024,
        None => number(text.trim_end_matches('m')),
    }
}

fn stacks(tree: &Tree, files: &[File], found: &mut Vec<String>) {
    let limit = |stack: &str| {
        let path = format!("deploy/stacks/{stack}/compose.yml");
        let file = files.iter().find(|file| file.path == path)?;
        Some(megabytes(&file.filled["services"]["postgres"]["mem_limit"]))
    };
    if limit("replica") < limit("primary") {
        found.push(String::from("deploy/stacks/replica: less memory than its primary: advice would differ"));
    }
    let text = |path: &str| tree.get(path).map_or("", String::as_str);
    let lines = |path: &str| -> Vec<String> {
        text(path).lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect()
    };
    if !lines("deploy/stacks/shared/base.conf").iter().any(|line| line == "listen_addresses = '*'") {
        found.push(String::from("deploy/stacks/shared/base.conf: other containers cannot reach the server"));
    }
    for stack in ["primary", "replica", "single"] {
        let path = format!("deploy/stacks/{stack}/configs/postgresql.conf");
        if !lines(&path).iter().any(|line| line.starts_with("max_slot_wal_keep_size")) {
            found.push(format!("{path}: a slot without max_slot_wal_keep_size fills the disk"));
        }
    }
    let pooler = "deploy/stacks/shared/pgbouncer.ini.tmpl";
    let databases = text(pooler).split("[pgbouncer]").next().unwrap_or_default();
    if databases.lines().any(|line| !line.starts_with(';') && line.contains("user=")) {
        found.push(format!("{pooler}: user= makes every client the same user"));
    }
    let hba = "deploy/stacks/shared/pg_hba.conf";
    let rules: Vec<_> = lines(hba).into_iter().filter(|line| !line.is_empty()).collect();
    if !rules.last().is_some_and(|line| line.ends_with("reject")) {
        found.push(format!("{hba}: does not end with reject"));
    }
    let place = |user: &str| rules.iter().position(|line| line.starts_with("${HOST}") && line.contains(user));
    if place("replicator") > place(" all ") {
        found.push(format!("{hba}: the line of replicator comes behind that of all"));
    }
}
