//! Secrets and what the environment says.

use std::collections::HashMap;

use super::{Outcome, Patient, Report};
use crate::config::{KEYS, Key, Origin};

/// Words of examples that people leave as they are.
const PLACEHOLDERS: &[&str] = &[
    "demo-secret",
    "change-me",
    "changeme",
    "change_me",
    "change-this",
    "your-",
    "your_",
    "example",
    "placeholder",
    "password",
    "<",
    "xxxx",
    "123456",
    "secret-key",
    "_here",
];
const LEAST_CHARACTERS: usize = 32;
const LEAST_PASSWORD: usize = 12;
const LEAST_BITS: f64 = 128.0;

pub(super) fn look(patient: &Patient<'_>, report: &mut Report) {
    let gathered = patient.gathered;
    // Addresses hold passwords, but are none.
    let is_secret = |key: &&Key| key.secret && !key.name.ends_with("_url") && key.name != "monitor";
    let set: Vec<(&Key, &str)> =
        KEYS.iter().filter(is_secret).filter_map(|key| Some((key, gathered.get(key.name)?))).collect();
    let variable = |key: &Key| key.env.first().copied().unwrap_or(key.name);
    let none = if set.is_empty() { "none is set: the server makes its own" } else { "good" };

    let mut short = Vec::new();
    let mut placeholders = Vec::new();
    for (key, text) in &set {
        let (length, least) =
            (text.chars().count(), if key.name == "admin_password" { LEAST_PASSWORD } else { LEAST_CHARACTERS });
        if length < least {
            short.push(format!("{} has {length} characters, fewer than {least}", variable(key)));
        } else if key.name != "admin_password" && bits(text) < LEAST_BITS {
            short.push(format!(
                "{} repeats itself: about {:.0} bits, fewer than {LEAST_BITS}",
                variable(key),
                bits(text)
            ));
        }
        let lower = text.to_lowercase();
        if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
            placeholders.push(format!("{} reads like an example's", variable(key)));
        }
    }
    report.sum("secret.length", Outcome::Fail, &short, none);
    report.sum("secret.placeholder", Outcome::Fail, &placeholders, none);

    let mut first: HashMap<&str, &Key> = HashMap::new();
    let mut equal = Vec::new();
    for (key, text) in &set {
        match first.get(text) {
            Some(other) => equal.push(format!("{} and {} are equal", variable(other), variable(key))),
            None => drop(first.insert(text, key)),
        }
    }
    report.sum("secret.reuse", Outcome::Fail, &equal, none);

    let from = |wanted: fn(&Origin) -> bool| -> Vec<String> {
        let keys = KEYS.iter().filter(|key| key.secret && gathered.get(key.name).is_some());
        keys.filter(|key| wanted(&gathered.origin(key.name))).map(|key| variable(key).to_owned()).collect()
    };
    let flags = from(|origin| matches!(origin, Origin::Flag));
    let environment = from(|origin| matches!(origin, Origin::Environment(_)));
    if !flags.is_empty() {
        report.add("secret.source", Outcome::Fail, format!("on the command line: {}", flags.join(", ")));
    } else if environment.is_empty() {
        report.add("secret.source", Outcome::Pass, "no secret is on the command line or in the environment");
    } else {
        report.add("secret.source", Outcome::Warn, format!("in the environment: {}", environment.join(", ")));
    }
    let open: Vec<String> =
        gathered.readable_by_others().iter().map(|(_, path)| format!("{} is open to all", path.display())).collect();
    report.sum("secret.mode", Outcome::Fail, &open, "no file with a secret is open to others");

    let environment = gathered.get("environment").unwrap_or("development");
    let is_production = matches!(environment, "production" | "prod");
    let outcome = match (is_production, patient.production) {
        (true, _) => Outcome::Pass,
        (false, true) => Outcome::Fail,
        (false, false) => Outcome::Skip,
    };
    report.add("env.production", outcome, format!("ENVIRONMENT is {environment}"));
    let level = gathered.get("log_level").unwrap_or("info");
    let outcome = if level.contains("debug") || level.contains("trace") { Outcome::Warn } else { Outcome::Pass };
    report.add("env.loglevel", outcome, format!("LOG_LEVEL is {level}"));
}

/// Bits that somebody has to guess who knows which characters there are how often.
#[expect(clippy::cast_precision_loss, reason = "lengths of secrets")]
fn bits(text: &str) -> f64 {
    let length = text.chars().count() as f64;
    let mut counts: HashMap<char, f64> = HashMap::new();
    for letter in text.chars() {
        *counts.entry(letter).or_default() += 1.0;
    }
    counts.values().map(|count| -count * (count / length).log2()).sum()
}
