//! Measurements together.

use std::{collections::BTreeMap, sync::Arc};

use super::{error::CatalogError, measurement::Measurement};
use crate::{id::MeasurementName, schema::ColumnType};

/// Measurements by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    measurements: BTreeMap<MeasurementName, Arc<Measurement>>,
}

impl Catalog {
    /// A measurement by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Measurement>> {
        let name = MeasurementName::new(name).ok()?;
        self.measurements.get(&name)
    }

    /// All measurements, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Measurement>> {
        self.measurements.values()
    }

    /// Number of measurements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.measurements.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.measurements.is_empty()
    }

    /// This catalog and one file more.
    ///
    /// # Errors
    /// When the file is bad, or its measurement, its table or what it follows
    /// does not go together with what is there.
    pub fn with_file(mut self, text: &str, file: &str) -> Result<Self, CatalogError> {
        let measurement = Measurement::parse(text, file)?;
        self.check(&measurement, text, file)?;
        self.measurements.insert(measurement.name().clone(), Arc::new(measurement));
        Ok(self)
    }

    /// This catalog and these files, as `(file, text)`; each bad one is an
    /// error and the others are taken.
    #[must_use]
    pub fn with_files<F, T>(mut self, files: impl IntoIterator<Item = (F, T)>) -> (Self, Vec<CatalogError>)
    where
        F: AsRef<str>,
        T: AsRef<str>,
    {
        let mut errors = Vec::new();
        let mut parsed = Vec::new();
        for (file, text) in files {
            match Measurement::parse(text.as_ref(), file.as_ref()) {
                Ok(measurement) => parsed.push((measurement, file, text)),
                Err(error) => errors.push(error),
            }
        }
        // What follows comes after what it may follow.
        parsed.sort_by_key(|(measurement, ..)| measurement.follows().is_some());
        for (measurement, file, text) in parsed {
            match self.check(&measurement, text.as_ref(), file.as_ref()) {
                Ok(()) => {
                    self.measurements.insert(measurement.name().clone(), Arc::new(measurement));
                }
                Err(error) => errors.push(error),
            }
        }
        (self, errors)
    }

    fn check(&self, new: &Measurement, text: &str, file: &str) -> Result<(), CatalogError> {
        let line = |field: &str| {
            let at = text.lines().position(|line| line.split('=').next().is_some_and(|key| key.trim() == field));
            at.map_or(1, |at| at + 1)
        };
        if self.measurements.contains_key(new.name()) {
            let problem = format!("there is already a measurement {}; choose another name", new.name());
            return Err(CatalogError::new(file, line("name"), "name", problem));
        }
        if let Some(other) = self.iter().find(|other| other.hypertable() == new.hypertable()) {
            let problem = format!("{} is the table of {}; choose another", new.hypertable(), other.name());
            return Err(CatalogError::new(file, line("hypertable"), "hypertable", problem));
        }
        if let Some(follow) = new.follows() {
            let Some(followed) = self.measurements.get(&follow.measurement) else {
                let problem = format!("there is no measurement {}", follow.measurement);
                return Err(CatalogError::new(file, line("measurement"), "follow: measurement", problem));
            };
            let key = followed.columns().iter().find(|column| column.name == follow.key);
            if key.is_none_or(|column| column.ty != ColumnType::Int) {
                let problem = format!("{} has no column {} of type int", follow.measurement, follow.key);
                return Err(CatalogError::new(file, line("key"), "follow: key", problem));
            }
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Catalog {
    type Item = &'a Arc<Measurement>;
    type IntoIter = std::collections::btree_map::Values<'a, MeasurementName, Arc<Measurement>>;

    fn into_iter(self) -> Self::IntoIter {
        self.measurements.values()
    }
}
