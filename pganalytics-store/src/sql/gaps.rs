//! `pganalytics_gaps`: what agents have declared lost.
//!
//! One row for each measurement of each source that a gap cut; one with NULLs
//! there when its agent does not know which.

use std::sync::Arc;

use datafusion::{arrow::array::ArrayRef, catalog::TableProvider, common::DataFusionError};
use pganalytics_core::Source;

use super::own_table::{numbers, table_of, texts, times};
use crate::metric_store::StoredGap;

/// Its name.
pub(super) const NAME: &str = "pganalytics_gaps";

/// A gap and one of the series that it cut.
type Row<'a> = (&'a StoredGap, Option<(&'a Source, &'a str)>);

/// The table of these gaps.
pub(super) fn table(gaps: &[StoredGap]) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let rows: Vec<Row<'_>> = gaps.iter().flat_map(rows).collect();
    let columns: [(&str, bool, ArrayRef); 15] = [
        ("time", false, times(&rows, |(gap, _)| Some(gap.gap.from))),
        ("collector_id", false, texts(&rows, |(gap, _)| Some(gap.collector.to_string()))),
        ("server_id", true, texts(&rows, |(_, cut)| cut.map(|(source, _)| source.server_id.to_string()))),
        ("instance_id", true, texts(&rows, |(_, cut)| cut.map(|(source, _)| source.instance_id.to_string()))),
        ("server", true, texts(&rows, |(_, cut)| cut.map(|(source, _)| source.server.to_string()))),
        (
            "database_name",
            true,
            texts(&rows, |(_, cut)| cut.and_then(|(source, _)| source.database.as_ref().map(ToString::to_string))),
        ),
        ("measurement", true, texts(&rows, |(_, cut)| cut.map(|(_, measurement)| measurement.to_owned()))),
        ("stream", false, texts(&rows, |(gap, _)| Some(gap.stream.to_string()))),
        ("seq", false, numbers(&rows, |(gap, _)| Some(gap.seq.0))),
        ("first_seq", false, numbers(&rows, |(gap, _)| Some(gap.gap.first.0))),
        ("last_seq", false, numbers(&rows, |(gap, _)| Some(gap.gap.last.0))),
        ("gap_from", false, times(&rows, |(gap, _)| Some(gap.gap.from))),
        ("gap_to", false, times(&rows, |(gap, _)| Some(gap.gap.to))),
        ("reason", false, texts(&rows, |(gap, _)| Some(gap.gap.reason.to_string()))),
        ("detail", false, texts(&rows, |(gap, _)| Some(gap.gap.detail.clone()))),
    ];
    table_of(columns)
}

fn rows(gap: &StoredGap) -> Vec<Row<'_>> {
    let cut = gap.gap.cut.iter().flat_map(|cut| cut.measurements.iter().map(move |name| (&cut.source, name.as_str())));
    let mut rows: Vec<Row<'_>> = cut.map(|cut| (gap, Some(cut))).collect();
    if rows.is_empty() {
        rows.push((gap, None));
    }
    rows
}
