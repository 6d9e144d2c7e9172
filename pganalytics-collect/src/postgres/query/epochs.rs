//! The epoch of a batch: read on the same session as the values, before them.
//!
//! A session does not outlive a restart or a crash, so values read on it later
//! belong to the same run of the server. Behind a pooler it does; there the
//! transaction around both takes its place.

use pganalytics_core::{
    CounterFamily, Epoch, Rows, Timestamp, Value,
    catalog::{self, Measurement},
};

use super::{
    decode::{Codec, Raw},
    fault::QueryFault,
};
use crate::postgres::session::Session;

/// What a statement of epochs says: its timestamps and integers by name.
async fn ask(session: &mut Session, sql: &str) -> Result<Vec<(String, i64)>, QueryFault> {
    let encoding = session.facts.encoding;
    let values = session
        .first(sql, |row| {
            let mut scratch = String::new();
            let mut values = Vec::new();
            for (at, column) in row.columns().iter().enumerate() {
                let target = [pganalytics_core::ColumnType::Timestamp, pganalytics_core::ColumnType::Int];
                for to in target {
                    let Some(codec) = Codec::of(column.type_(), to) else { continue };
                    let Ok(Some(Raw(raw))) = row.try_get::<_, Option<Raw<'_>>>(at) else { continue };
                    if let Some(Value::Int(value) | Value::Timestamp(value)) =
                        codec.read(raw, to, encoding, &mut scratch)
                    {
                        values.push((column.name().to_owned(), value));
                    }
                }
            }
            values
        })
        .await?;
    Ok(values.unwrap_or_default())
}

fn of<'a>(values: &'a [(String, i64)], name: &str) -> Option<&'a i64> {
    values.iter().find(|(other, _)| other == name).map(|(_, value)| value)
}

/// The cluster's part, for all batches of a visit.
pub(crate) async fn cluster(session: &mut Session) -> Result<Epoch, QueryFault> {
    let sql = catalog::epoch_sql(session.facts.version);
    let values = ask(session, sql).await?;
    let time = |name| of(&values, name).copied().map(Timestamp::from_micros);
    Ok(Epoch { stamp: time("cluster_stamp"), started: time("started"), evictions: None })
}

/// The part of `pg_stat_statements`, which is in this schema.
pub(crate) async fn statements(session: &mut Session, schema: &str) -> Result<Epoch, QueryFault> {
    let sql = catalog::statements_epoch_sql(schema);
    let values = ask(session, &sql).await?;
    Ok(Epoch {
        stamp: of(&values, "stamp").copied().map(Timestamp::from_micros),
        started: None,
        evictions: of(&values, "dealloc").copied(),
    })
}

/// The epoch of one batch.
pub(crate) fn of_batch(measurement: &Measurement, rows: &Rows, cluster: Epoch, statements: Epoch) -> Epoch {
    let started = cluster.started;
    match measurement.schema().family() {
        CounterFamily::None => Epoch::default(),
        CounterFamily::Cumulative => cluster,
        CounterFamily::Statements => Epoch { started, ..statements },
        CounterFamily::Shared => {
            let column = measurement.epoch_stamp().and_then(|name| measurement.schema().position(name));
            let stamp = column.and_then(|column| {
                (0..rows.len()).find_map(|row| match rows.get(row, column) {
                    Value::Timestamp(micros) => Some(Timestamp::from_micros(micros)),
                    _ => None,
                })
            });
            Epoch { stamp, started, evictions: None }
        }
        CounterFamily::Process | CounterFamily::Host => Epoch { started, ..Epoch::default() },
    }
}
