//! Documents of agents of version 3, which are nested: a push of theirs is stored as if it came
//! from an agent of ours, as far as the figures mean the same.
//!
//! [`table`] says what becomes of each field. What has no place among our measurements is kept as
//! a measurement of its own, `v3_<type>` for what a document says of itself and
//! `v3_<type>_<list>` for its lists: nothing is left out. Statements lose their literals, which
//! those agents sent along.
//!
//! ```text
//! document ── split ──▶ lists of rows ── convert ──▶ metrics as ours ── metric::read ──▶ batches
//! ```

mod convert;
mod split;
mod table;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, value::RawValue};

use self::split::Rows;
use super::{
    error::Failure,
    metric::{self, Context},
};
use crate::batch::Batch;

/// Whether a metric of this type may be such a document. It is one if a field holds a list or an
/// object: ours have `rows`, or plain values.
pub(super) fn is_type(name: &str) -> bool {
    table::TYPES.contains(&name)
}

/// Whether the field of a metric is a list or an object.
pub(super) fn is_nested(field: &RawValue) -> bool {
    field.get().starts_with(['[', '{'])
}

/// Gives each batch that is made of a document, or why one can't be.
pub(super) fn read(text: &str, context: &mut Context<'_>, take: &mut dyn FnMut(Result<Batch, Failure>)) {
    let document: Map<String, Value> = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => return take(Err(Failure::new("bad_metric", error.to_string()))),
    };
    let of = document.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let timestamp = document.get("timestamp").cloned();
    let mut made = 0;
    for rows in split::rows(&of, document) {
        for mut metric in convert::metrics(&of, &rows, context.lookup) {
            made += 1;
            if made > context.limits.max_metrics {
                let most = context.limits.max_metrics;
                return take(Err(Failure::new("too_large", format!("{of}: it would become more than {most} metrics"))));
            }
            if let Some(timestamp) = &timestamp {
                metric.insert("timestamp".to_owned(), timestamp.clone());
            }
            let Rows { at, database, .. } = &rows;
            let batch = metric::read_ours(&Value::Object(metric).to_string(), context).map_err(|failure| {
                let place = database.as_ref().map_or_else(String::new, |name| format!(" of {name:?}"));
                Failure::new(failure.code, format!("{of} {at}{place}: {}", failure.message))
            });
            take(batch);
        }
    }
}
