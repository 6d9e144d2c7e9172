//! The alert rules ask for names that we have.

use std::{collections::BTreeSet, fs, path::Path};

use pganalytics_collect::exporter::native_name;
use pganalytics_core::catalog::Catalog;

use crate::lists;

#[test]
fn every_name_in_the_alert_rules_is_one_of_ours() {
    let mut known: BTreeSet<String> = Catalog::builtin()
        .iter()
        .flat_map(|measurement| {
            measurement.columns().iter().filter_map(|column| native_name(measurement, &column.name)).collect::<Vec<_>>()
        })
        .collect();
    for list in [lists::postgres_exporter(), lists::settings(), lists::older(), lists::pgbouncer_exporter()] {
        known.extend(list.iter().map(|expected| expected.name.to_owned()));
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/rules");
    let mut asked = 0;
    for file in fs::read_dir(rules).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        // An expression stands between `expr:` and the next key.
        for expression in text.split("expr: >-").skip(1).filter_map(|rest| rest.split("\n        labels:").next()) {
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for name in words.filter(|word| word.starts_with("pg_") || word.starts_with("pgb")) {
                assert!(known.contains(name), "{}: nobody brings {name}", file.display());
                asked += 1;
            }
        }
    }
    assert!(asked > 30, "only {asked} names were found");
}
