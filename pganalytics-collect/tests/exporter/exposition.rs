//! Reads a page as Prometheus does, and minds what it minds.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

/// A family of a page.
#[derive(Debug, Default, Clone)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

pub(crate) type Page = BTreeMap<String, Family>;

/// A page in the text format, or in OpenMetrics when it ends like that.
pub(crate) fn parse(text: &str) -> Page {
    let open_metrics = text.ends_with("# EOF\n");
    let mut page = Page::new();
    let mut seen = BTreeSet::new();
    let mut current = String::new();
    for line in text.lines() {
        if line == "# EOF" {
            assert!(open_metrics);
            continue;
        }
        if let Some(comment) = line.strip_prefix("# ") {
            let mut parts = comment.splitn(3, ' ');
            let (what, name, rest) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap_or_default());
            if name != current {
                assert!(!page.contains_key(name), "{name} begins twice");
                current = name.to_owned();
                page.insert(current.clone(), Family::default());
            }
            let family = page.get_mut(name).unwrap();
            assert!(family.samples.is_empty(), "{name}: {what} after a sample");
            match what {
                "HELP" => family.help = rest.replace("\\n", "\n").replace("\\\\", "\\"),
                "TYPE" => family.kind = rest.to_owned(),
                "UNIT" => assert!(open_metrics && name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, labels, value) = sample(line);
        let family = page.get_mut(&current).unwrap_or_else(|| panic!("{line}: no family before it"));
        let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("{line}: not of {current}"));
        match (family.kind.as_str(), suffix) {
            ("counter", "_total") if open_metrics => {}
            ("counter", _) if open_metrics => panic!("{line}: a counter without _total"),
            ("histogram", "_bucket" | "_sum" | "_count") | ("counter" | "gauge", "") => {}
            // Only others have these.
            ("summary", "" | "_sum" | "_count") => {}
            ("unknown", "") if open_metrics => {}
            ("untyped", "") if !open_metrics => {}
            (kind, _) => panic!("{line}: in a family of type {kind}"),
        }
        assert!(seen.insert((name.clone(), labels.clone())), "{line}: twice");
        family.samples.push((name, labels, value));
    }
    for (name, family) in &page {
        assert!(!family.samples.is_empty(), "{name} is empty");
    }
    page
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let value = match value {
        "NaN" => f64::NAN,
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        value => value.parse().unwrap_or_else(|_| panic!("{line}: no number")),
    };
    let Some((name, rest)) = head.split_once('{') else { return (head.to_owned(), Labels::new(), value) };
    let mut labels = Labels::new();
    let mut rest = rest.strip_suffix('}').unwrap();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap();
        let mut text = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at + 1,
                (_, '\\') => text.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => text.push(other),
            }
        };
        assert!(labels.insert(label.to_owned(), text).is_none(), "{line}: {label} twice");
        rest = &after[end..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    (name.to_owned(), labels, value)
}

/// The value of a series; labels that are not named don't matter.
pub(crate) fn value(page: &Page, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let family = page.get(name)?;
    let fits = |of: &Labels| labels.iter().all(|(name, value)| of.get(*name).map(String::as_str) == Some(*value));
    family.samples.iter().find(|(_, of, _)| fits(of)).map(|(_, _, value)| *value)
}
