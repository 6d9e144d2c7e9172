//! Who makes which name for Prometheus, so that nobody makes one twice.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use pganalytics_core::catalog::{Catalog, Measurement};

use super::{drop_in, group::Figure, native};

/// The names that are taken, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Names(HashMap<String, String>);

/// Why a measurement can't have the names that it would make.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The column that comes second.
    pub(crate) column: Option<String>,
    /// What is wrong and what to do.
    pub(crate) problem: String,
}

/// Those of the built-in catalog and those that others rely on.
static BUILTIN: LazyLock<Names> = LazyLock::new(|| {
    let (postgres, pgbouncer) = drop_in::mapped();
    let mapped = postgres.iter().chain(pgbouncer).flat_map(|mapped| &mapped.group.metrics);
    let families = mapped.map(|metric| metric.meta.name.clone());
    let made = drop_in::MADE_NAMES.iter().map(|&name| name.to_owned());
    let mut names = Names(families.chain(made).map(|name| (name, String::from("the exporter"))).collect());
    for measurement in Catalog::builtin() {
        for (name, _) in made_by(measurement) {
            names.0.entry(name).or_insert_with(|| measurement.name().to_string());
        }
    }
    names
});

impl Names {
    pub(crate) fn builtin() -> Self {
        BUILTIN.clone()
    }

    /// Takes the names of one more measurement, or says why it can't have them.
    pub(crate) fn add(&mut self, measurement: &Measurement) -> Result<(), Conflict> {
        let mut own: HashMap<String, Option<String>> = HashMap::new();
        for (name, column) in made_by(measurement) {
            if let Some(other) = self.0.get(&name) {
                let problem =
                    format!("{name}, its name for Prometheus, is made by {other} already; choose another name");
                return Err(Conflict { column, problem });
            }
            if let Some(first) = own.get(&name) {
                let problem = format!(
                    "the columns {} and {} are both called {name} for Prometheus, in their base units; rename one",
                    first.as_deref().unwrap_or("of info"),
                    column.as_deref().unwrap_or("of info"),
                );
                return Err(Conflict { column, problem });
            }
            own.insert(name, column);
        }
        self.0.extend(own.into_keys().map(|name| (name, measurement.name().to_string())));
        Ok(())
    }
}

/// The names that a measurement makes, each with its column.
fn made_by(measurement: &Measurement) -> Vec<(String, Option<String>)> {
    let groups = native::groups(measurement, &HashSet::new());
    let metrics = groups.iter().flat_map(|group| &group.metrics);
    let named = metrics.map(|metric| {
        let column = match &metric.figure {
            Figure::Columns(sum) => sum.columns.first().cloned(),
            _ => None,
        };
        (metric.meta.name.clone(), column)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn no_two_columns_of_the_catalog_have_one_name() {
        let mut names = Names(HashMap::new());
        for measurement in Catalog::builtin() {
            assert_eq!(names.add(measurement), Ok(()), "{}", measurement.name());
        }
    }
}
