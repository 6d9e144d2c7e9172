//! `pganalytics_streams`: what became of the frames of each agent's stream.

use std::{collections::HashMap, sync::Arc};

use datafusion::{arrow::array::ArrayRef, catalog::TableProvider, common::DataFusionError};

use super::own_table::{numbers, table_of, texts, times};
use crate::{fork::StoredFork, stream_account::StreamAccount};

/// Its name.
pub(super) const NAME: &str = "pganalytics_streams";

/// A stream, and the fork that was seen of it.
type Row<'a> = (&'a StreamAccount, Option<&'a StoredFork>);

/// The table of these streams.
pub(super) fn table(
    accounts: &[StreamAccount],
    forks: &[StoredFork],
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let forks: HashMap<_, _> = forks.iter().map(|fork| ((fork.collector, fork.stream), fork)).collect();
    let rows: Vec<Row<'_>> =
        accounts.iter().map(|account| (account, forks.get(&(account.collector, account.stream)).copied())).collect();
    let missing = |account: &StreamAccount| Some(account.missing()).filter(|ranges| !ranges.is_empty());
    let columns: [(&str, bool, ArrayRef); 11] = [
        ("collector_id", false, texts(&rows, |(account, _)| Some(account.collector.to_string()))),
        ("stream", false, texts(&rows, |(account, _)| Some(account.stream.to_string()))),
        ("newest_seq", true, numbers(&rows, |(account, _)| account.stored.last().map(|seq| seq.0))),
        ("stored_frames", false, numbers(&rows, |(account, _)| Some(account.stored.len()))),
        ("lost_frames", false, numbers(&rows, |(account, _)| Some(account.lost().len()))),
        ("missing_frames", false, numbers(&rows, |(account, _)| Some(account.missing().len()))),
        ("missing", true, texts(&rows, |(account, _)| missing(account).map(|ranges| ranges.to_string()))),
        ("forks", false, numbers(&rows, |(_, fork)| Some(fork.map_or(0, |fork| fork.times)))),
        ("fork_reason", true, texts(&rows, |(_, fork)| fork.map(|fork| fork.fork.reason.as_str().to_owned()))),
        ("first_fork_at", true, times(&rows, |(_, fork)| fork.map(|fork| fork.first_at))),
        ("last_fork_at", true, times(&rows, |(_, fork)| fork.map(|fork| fork.last_at))),
    ];
    table_of(columns)
}
