//! Which columns were numbers: a JSON push without `columns` says only what its own values
//! look like, and a text among numbers must not become a key.
//!
//! The store is asked once for each measurement; what is pushed here later is remembered.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use pganalytics_core::{ColumnKind, ColumnType, MeasurementName, Schema, TenantId};

/// Most columns that are remembered, some 20 MiB; past it all are forgotten.
const MAX_COLUMNS: usize = 200_000;

/// Columns that were numbers, by tenant and measurement.
#[derive(Debug, Default)]
pub(crate) struct KnownNumbers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    columns: HashMap<(TenantId, MeasurementName), HashSet<String>>,
    count: usize,
}

impl KnownNumbers {
    /// Whether a column was numbers. `stored` reads the measurement's schema from the store:
    /// `Err` when it can't be read, and then nothing is remembered.
    pub(crate) fn has<E>(
        &self,
        tenant: TenantId,
        name: &MeasurementName,
        column: &str,
        stored: impl FnOnce() -> Result<Option<std::sync::Arc<Schema>>, E>,
    ) -> bool {
        let key = (tenant, name.clone());
        if let Some(known) = self.lock().columns.get(&key) {
            return known.contains(column);
        }
        let Ok(schema) = stored() else { return false };
        let mut known = self.lock();
        known.add(key.clone(), schema.iter().flat_map(|schema| numbers(schema)));
        known.columns.get(&key).is_some_and(|columns| columns.contains(column))
    }

    /// Takes in what is pushed now of a measurement that was asked for.
    pub(crate) fn learn(&self, tenant: TenantId, schema: &Schema) {
        let mut known = self.lock();
        let key = (tenant, schema.measurement().clone());
        if known.columns.contains_key(&key) {
            known.add(key, numbers(schema));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add<'a>(&mut self, key: (TenantId, MeasurementName), columns: impl Iterator<Item = &'a str>) {
        if self.count + pganalytics_core::schema::MAX_COLUMNS > MAX_COLUMNS {
            self.columns.clear();
            self.count = 0;
        }
        // A measurement counts as a column, too.
        let before = self.columns.get(&key).map_or(0, |known| known.len() + 1);
        let known = self.columns.entry(key).or_default();
        let new = columns.filter(|column| !known.contains(*column)).map(str::to_owned).collect::<Vec<_>>();
        known.extend(new);
        self.count += known.len() + 1 - before;
    }
}

fn numbers(schema: &Schema) -> impl Iterator<Item = &str> {
    let is_number = |ty| matches!(ty, ColumnType::Int | ColumnType::Float);
    let columns = schema.columns().iter().filter(move |column| column.kind != ColumnKind::Key && is_number(column.ty));
    columns.map(|column| column.name.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use pganalytics_core::{Column, CounterFamily};

    use super::*;

    fn schema(name: &str, columns: &[&str]) -> Arc<Schema> {
        let columns = columns.iter().map(|name| Column::new(name, ColumnKind::Gauge, ColumnType::Int)).collect();
        Arc::new(Schema::new(MeasurementName::new(name).unwrap(), CounterFamily::None, columns).unwrap())
    }

    #[test]
    fn the_store_is_asked_once_and_pushes_are_remembered() {
        let known = KnownNumbers::default();
        let (tenant, name) = (TenantId::DEFAULT, MeasurementName::new("m").unwrap());
        let asked = std::cell::Cell::new(0);
        let ask = |column: &str| {
            known.has(tenant, &name, column, || {
                asked.set(asked.get() + 1);
                Ok::<_, ()>(Some(schema("m", &["a"])))
            })
        };
        assert!(!known.has(tenant, &name, "a", || Err(())), "a store that can't be read");
        assert!(ask("a") && !ask("b"));
        known.learn(tenant, &schema("m", &["b"]));
        assert!(ask("a") && ask("b"));
        assert_eq!(asked.get(), 1);
        assert!(!known.has(TenantId::random(), &name, "a", || Ok::<_, ()>(None)), "another tenant");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = KnownNumbers::default();
        for number in 0..MAX_COLUMNS + 10 {
            let name = MeasurementName::new(&format!("m{number}")).unwrap();
            known.has(TenantId::DEFAULT, &name, "a", || Ok::<_, ()>(None));
        }
        let held = known.lock();
        assert!(held.count <= MAX_COLUMNS && held.columns.len() <= held.count);
    }
}
