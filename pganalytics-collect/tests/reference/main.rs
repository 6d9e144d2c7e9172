//! The page of measurements is as the catalog says.
#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path};

use pganalytics_collect::reference::to_markdown;
use pganalytics_core::catalog::Catalog;

#[test]
fn the_page_is_fresh() {
    // A packaged crate comes without the pages.
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    if !docs.is_dir() {
        return;
    }
    let file = docs.join("measurements.md");
    let page = to_markdown(Catalog::builtin());
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == page, "docs/measurements.md is not as the catalog says; run: make reference");
}

#[test]
fn everything_is_on_the_page() {
    let page = to_markdown(Catalog::builtin());
    for measurement in Catalog::builtin() {
        assert!(page.contains(&format!("\n### {}\n", measurement.name())), "{}", measurement.name());
        for column in measurement.columns() {
            assert!(page.contains(&format!("\n| `{}` |", column.name)), "{}.{}", measurement.name(), column.name);
        }
    }
    assert!(page.contains("| `up` | gauge | bool |  |  | `pg_up` |"));
    // A table's rows have as many cells as its heading.
    let mut cells = 0;
    for line in page.lines() {
        let count = line.replace("\\|", "").matches('|').count();
        match (line.starts_with('|'), cells) {
            (false, _) => cells = 0,
            (true, 0) => cells = count,
            (true, cells) => assert_eq!(count, cells, "{line}"),
        }
    }
}
