//! From rows of a measurement to series: one set of labels a row, a family a
//! column.

use std::sync::Arc;

use pganalytics_core::{Batch, Schema, Value};

use super::{
    page::{FamilyId, Meta, Page, Seen},
    server_view::ServerView,
    text::{Labels, Number},
};

/// Where a label's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LabelFrom {
    /// A column.
    Column(String),
    /// The database that the measurement was taken in.
    Database,
    /// Host and port of the server.
    Address,
    /// A column with an address, which gets its mask as PostgreSQL's `inet` has
    /// as text.
    Inet(String),
}

/// Where a figure comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Figure {
    /// The sum of columns, times a factor.
    Columns(Sum),
    /// Seconds since a time.
    Age(String),
    /// Always the same: what matters stands in the labels.
    Constant(f64),
}

/// A sum of columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sum {
    /// Those that begin with `-` are taken off.
    pub(super) columns: Vec<String>,
    pub(super) factor: f64,
    /// The column to divide by.
    pub(super) per: Option<String>,
    /// Without fractions.
    pub(super) floor: bool,
    /// What NULL counts as; without it there is no sample.
    pub(super) null: Option<f64>,
}

impl Default for Sum {
    fn default() -> Self {
        Self { columns: Vec::new(), factor: 1.0, per: None, floor: false, null: None }
    }
}

/// A family that is made of each row.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    pub(super) meta: Arc<Meta>,
    pub(super) figure: Figure,
    /// Whether the sum over several rows says something.
    pub(super) additive: bool,
}

/// Families of one measurement that have the same labels.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) measurement: String,
    pub(super) labels: Vec<(String, LabelFrom)>,
    pub(super) metrics: Vec<Metric>,
    /// Only rows with this text in this column.
    pub(super) only: Option<(String, String)>,
    /// Only rows where this column is neither NULL nor empty.
    pub(super) present: Option<String>,
    /// Only so many rows: those with most in this column.
    pub(super) top: Option<(String, usize)>,
}

/// A label with its place in a batch.
enum Label<'a> {
    At(usize),
    Inet(usize),
    Text(&'a str),
}

/// Where the parts of a figure stand in a batch.
enum Source<'a> {
    At { columns: Vec<(usize, bool)>, per: Option<usize>, sum: &'a Sum },
    Age(usize),
    Constant(f64),
}

impl Group {
    /// Writes the series of this group at one server. `seen` is of this group
    /// alone and for the whole page; of more than `budget` rows the rest is
    /// summed up in one series.
    pub(super) fn write(
        &self,
        view: &ServerView<'_>,
        page: &mut Page,
        seen: &mut Seen,
        labels: &mut Labels,
        budget: usize,
    ) {
        let batches = view.batches(&self.measurement);
        let rows: usize = batches.iter().map(|kept| kept.batch.rows.len()).sum();
        if rows == 0 {
            return;
        }
        let families: Vec<Option<FamilyId>> = self.metrics.iter().map(|metric| page.family(&metric.meta)).collect();
        // The same keys stay in from scrape to scrape, whatever their order.
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let keep_below = if rows <= budget { u64::MAX } else { (budget as f64 / rows as f64 * u64::MAX as f64) as u64 };
        let mut kept_rows = 0;
        let mut rest = Rest { sums: vec![None; self.metrics.len()], rows: 0 };
        for kept in batches {
            let batch = &*kept.batch;
            let Some(bound) = self.bind(view, batch) else { continue };
            let rows = self.rows(batch);
            for row in rows {
                if !self.takes(batch, row) {
                    continue;
                }
                labels.clear();
                for (name, label) in &bound.labels {
                    write_label(labels, name, label, batch, row);
                }
                self.finish(view, labels);
                let hash = labels.hash();
                if !seen.insert(hash) {
                    continue;
                }
                let keep = hash <= keep_below && kept_rows < budget;
                kept_rows += usize::from(keep);
                rest.rows += u64::from(!keep);
                let parts = bound.sources.iter().zip(&families).zip(&self.metrics).zip(&mut rest.sums);
                for (((source, family), metric), sum) in parts {
                    let (Some(family), Some(value)) = (*family, source.value(batch, row, view.now)) else { continue };
                    if keep {
                        page.push(family, labels, value);
                    } else if metric.additive {
                        *sum.get_or_insert(0.0) += value.as_f64();
                    }
                }
            }
        }
        if rest.rows > 0 {
            self.write_rest(view, page, labels, &families, &rest);
        }
    }

    fn write_rest(
        &self,
        view: &ServerView<'_>,
        page: &mut Page,
        labels: &mut Labels,
        families: &[Option<FamilyId>],
        rest: &Rest,
    ) {
        labels.clear();
        for (name, _) in &self.labels {
            labels.add(name, "other");
        }
        self.finish(view, labels);
        for (family, sum) in families.iter().zip(&rest.sums) {
            let Some(family) = *family else { continue };
            page.overflow(family, rest.rows);
            if let Some(sum) = sum {
                page.push(family, labels, Number::Float(*sum));
            }
        }
    }

    /// The server's label, where there is none of that name yet.
    fn finish(&self, view: &ServerView<'_>, labels: &mut Labels) {
        if !self.labels.iter().any(|(name, _)| name == "server") {
            view.finish_labels(labels);
        }
    }

    /// The rows to take of a batch.
    fn rows(&self, batch: &Batch) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..batch.rows.len()).collect();
        if let Some((column, count)) = &self.top
            && *count < rows.len()
            && let Some(column) = batch.schema.position(column)
        {
            let rank = |row: &usize| number_of(batch.rows.get(*row, column)).map_or(0.0, Number::as_f64);
            rows.select_nth_unstable_by(*count, |a, b| rank(b).total_cmp(&rank(a)));
            rows.truncate(*count);
            rows.sort_unstable();
        }
        rows
    }

    fn takes(&self, batch: &Batch, row: usize) -> bool {
        let value = |column: &str| batch.schema.position(column).map_or(Value::Null, |at| batch.rows.get(row, at));
        let is = |(column, wanted): &(String, String)| match value(column) {
            Value::Text(text) => text == wanted,
            Value::Bool(bool) => wanted == if bool { "true" } else { "false" },
            _ => false,
        };
        self.only.as_ref().is_none_or(is)
            && self.present.as_ref().is_none_or(|column| !matches!(value(column), Value::Null | Value::Text("")))
    }

    /// Finds labels and figures in a batch. A catalog file of the user may lack
    /// what ours has.
    fn bind<'a>(&'a self, view: &'a ServerView<'_>, batch: &'a Batch) -> Option<Bound<'a>> {
        let schema = &batch.schema;
        let label = |(name, from): &'a (String, LabelFrom)| {
            let label = match from {
                LabelFrom::Column(column) => Label::At(schema.position(column)?),
                LabelFrom::Inet(column) => Label::Inet(schema.position(column)?),
                LabelFrom::Database => Label::Text(batch.source.database.as_deref().unwrap_or_default()),
                LabelFrom::Address => Label::Text(view.label.as_deref().unwrap_or(view.address)),
            };
            Some((name.as_str(), label))
        };
        let labels = self.labels.iter().map(label).collect::<Option<_>>()?;
        let sources = self.metrics.iter().map(|metric| metric.figure.bind(schema)).collect();
        Some(Bound { labels, sources })
    }
}

struct Bound<'a> {
    labels: Vec<(&'a str, Label<'a>)>,
    sources: Vec<Source<'a>>,
}

/// What went beyond the budget.
struct Rest {
    sums: Vec<Option<f64>>,
    rows: u64,
}

impl Figure {
    fn bind(&self, schema: &Schema) -> Source<'_> {
        let position = |column: &str| schema.position(column).unwrap_or(usize::MAX);
        match self {
            // Without its columns there is no figure: no source brings any.
            Self::Columns(sum) => Source::At {
                columns: sum
                    .columns
                    .iter()
                    .filter_map(|column| match column.strip_prefix('-') {
                        Some(column) => Some((schema.position(column)?, true)),
                        None => Some((schema.position(column)?, false)),
                    })
                    .collect(),
                per: sum.per.as_deref().map(position),
                sum,
            },
            Self::Age(column) => Source::Age(position(column)),
            Self::Constant(value) => Source::Constant(*value),
        }
    }
}

impl Source<'_> {
    fn value(&self, batch: &Batch, row: usize, now: f64) -> Option<Number> {
        match self {
            Self::Constant(value) => Some(Number::Float(*value)),
            Self::Age(column) => {
                let since = number_of(get(batch, row, *column))?;
                Some(Number::Float((now - since.as_f64()).max(0.0)))
            }
            Self::At { columns, per, sum } => {
                let value =
                    total(batch, row, columns).or(sum.null.filter(|_| !columns.is_empty()).map(Number::Float))?;
                let value = match per {
                    None => value,
                    Some(per) => {
                        let per = number_of(get(batch, row, *per))?.as_f64();
                        Number::Float(if per == 0.0 { 0.0 } else { value.as_f64() / per })
                    }
                };
                // Exactly one: a factor of 1 leaves integers as they are.
                let is_one = sum.factor.to_bits() == 1.0_f64.to_bits();
                let value = if is_one { value } else { Number::Float(value.as_f64() * sum.factor) };
                Some(match value {
                    Number::Float(float) if sum.floor => Number::Float(float.floor()),
                    value => value,
                })
            }
        }
    }
}

fn total(batch: &Batch, row: usize, columns: &[(usize, bool)]) -> Option<Number> {
    let mut total: Option<Number> = None;
    for &(column, taken_off) in columns {
        let Some(value) = number_of(get(batch, row, column)) else { continue };
        let value = match value {
            value if !taken_off => value,
            Number::Int(int) => Number::Int(int.saturating_neg()),
            Number::Float(float) => Number::Float(-float),
        };
        total = Some(match (total, value) {
            (None, value) => value,
            (Some(Number::Int(a)), Number::Int(b)) => Number::Int(a.saturating_add(b)),
            (Some(a), b) => Number::Float(a.as_f64() + b.as_f64()),
        });
    }
    total
}

fn get(batch: &Batch, row: usize, column: usize) -> Value<'_> {
    if column < batch.schema.columns().len() { batch.rows.get(row, column) } else { Value::Null }
}

/// A value as a figure: times in seconds, true as 1.
pub(super) fn number_of(value: Value<'_>) -> Option<Number> {
    Some(match value {
        Value::Int(int) => Number::Int(int),
        Value::Float(float) => Number::Float(float),
        Value::Bool(bool) => Number::Int(i64::from(bool)),
        Value::Timestamp(micros) if micros % 1_000_000 == 0 => Number::Int(micros / 1_000_000),
        #[allow(clippy::cast_precision_loss)]
        Value::Timestamp(micros) => Number::Float(micros as f64 / 1e6),
        Value::Null | Value::Text(_) => return None,
    })
}

fn write_label(labels: &mut Labels, name: &str, label: &Label<'_>, batch: &Batch, row: usize) {
    let value = match label {
        Label::Text(text) => Value::Text(text),
        Label::At(column) => batch.rows.get(row, *column),
        Label::Inet(column) => match batch.rows.get(row, *column) {
            Value::Text(address) if !address.is_empty() => {
                let mask = if address.contains(':') { 128 } else { 32 };
                labels.add(name, &format!("{address}/{mask}"));
                return;
            }
            other => other,
        },
    };
    match (value, number_of(value)) {
        (Value::Text(text), _) => labels.add(name, text),
        (Value::Bool(bool), _) => labels.add(name, if bool { "true" } else { "false" }),
        (_, Some(number)) => labels.add_number(name, number),
        (_, None) => labels.add(name, ""),
    }
}
