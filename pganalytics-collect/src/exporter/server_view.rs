//! One server as a scrape sees it.

use std::{collections::HashMap, sync::Arc};

use pganalytics_core::Value;

use super::{
    group::number_of,
    text::{Labels, Number},
};
use crate::latest::{LastVisit, LatestBatch};

/// What is known of one server.
#[derive(Debug, Default)]
pub(super) struct ServerView<'a> {
    /// Its name, when series must say it.
    pub(super) label: Option<Arc<str>>,
    /// Host and port.
    pub(super) address: &'a str,
    /// Seconds since 1970.
    pub(super) now: f64,
    /// Whether it answered this scrape.
    pub(super) up: bool,
    pub(super) kept: HashMap<&'a str, Vec<LatestBatch>>,
    pub(super) accounts: HashMap<&'a str, Vec<LastVisit>>,
}

impl ServerView<'_> {
    /// What is kept of a measurement: a batch for each database.
    pub(super) fn batches(&self, measurement: &str) -> &[LatestBatch] {
        self.kept.get(measurement).map_or(&[], Vec::as_slice)
    }

    /// The labels that all series of this server have.
    pub(super) fn finish_labels(&self, labels: &mut Labels) {
        if let Some(server) = &self.label {
            labels.add("server", server);
        }
    }

    /// The rows of a measurement, wherever they come from.
    pub(super) fn rows<'s>(&'s self, measurement: &str) -> impl Iterator<Item = Row<'s>> {
        let rows = |kept: &'s LatestBatch| (0..kept.batch.rows.len()).map(move |row| Row { kept, row });
        self.batches(measurement).iter().flat_map(rows)
    }

    /// The first row of a measurement that has one.
    pub(super) fn row<'s>(&'s self, measurement: &str) -> Option<Row<'s>> {
        self.rows(measurement).next()
    }
}

/// A row whose values are found by name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    kept: &'a LatestBatch,
    row: usize,
}

impl<'a> Row<'a> {
    pub(super) fn value(&self, column: &str) -> Value<'a> {
        let at = self.kept.batch.schema.position(column);
        at.map_or(Value::Null, |at| self.kept.batch.rows.get(self.row, at))
    }

    pub(super) fn text(&self, column: &str) -> &'a str {
        match self.value(column) {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// When it was read, in seconds since 1970.
    pub(super) fn read_at(&self) -> f64 {
        number_of(Value::Timestamp(self.kept.batch.scrape.collected_at.as_micros())).map_or(0.0, Number::as_f64)
    }

    pub(super) fn number(&self, column: &str) -> Option<Number> {
        number_of(self.value(column))
    }
}
