//! The values of rows, in the order of the columns in the catalog files.

use std::borrow::Cow;

use pganalytics_core::{Timestamp, Value};

use crate::logs::{
    class::Class,
    entry::{Entry, SqlState},
    facts::{Autovacuum, Checkpoint, DeadlockMember, Facts, LockWait, Plan},
    redact::{Redaction, Texts, statement},
};

/// What the rows of an entry are made of.
pub(super) struct Row<'a> {
    pub(super) file: &'a str,
    pub(super) entry: &'a Entry<'a>,
    pub(super) class: Class,
    pub(super) facts: &'a Facts<'a>,
    pub(super) texts: &'a Texts<'a>,
    pub(super) redaction: Redaction,
}

/// `MB/s` of PostgreSQL are of 1,048,576 bytes.
const MEGABYTE: f64 = 1_048_576.0;

fn text(value: Option<&str>) -> Value<'_> {
    value.map_or(Value::Null, Value::Text)
}

fn shown<'a>(value: Option<&'a Cow<'_, str>>) -> Value<'a> {
    value.map_or(Value::Null, |text| Value::Text(text))
}

fn int<N: Into<i64>>(value: Option<N>) -> Value<'static> {
    value.map_or(Value::Null, |number| Value::Int(number.into()))
}

fn float(value: Option<f64>) -> Value<'static> {
    value.map_or(Value::Null, Value::Float)
}

fn time(value: Option<Timestamp>) -> Value<'static> {
    value.map_or(Value::Null, |time| Value::Timestamp(time.as_micros()))
}

fn size(bytes: u64) -> Value<'static> {
    Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX))
}

impl<'a> Row<'a> {
    fn key(&self) -> [Value<'a>; 3] {
        [Value::Text(self.file), size(self.entry.offset), time(self.entry.time)]
    }

    pub(super) fn log(&self) -> [Value<'_>; 34] {
        let Self { entry, texts, .. } = self;
        let [file, offset, logged] = self.key();
        let (duration, bytes) = match self.facts {
            Facts::SlowStatement(slow) => (Some(slow.duration_ms), None),
            Facts::Plan(plan) => (Some(plan.duration_ms), None),
            Facts::LockWait(wait) => (Some(wait.wait_ms), None),
            Facts::Disconnection { session_ms } => (Some(*session_ms), None),
            Facts::TemporaryFile { size_bytes } => (None, Some(*size_bytes)),
            _ => (None, None),
        };
        [
            file,
            offset,
            logged,
            size(entry.bytes),
            Value::Text(self.class.as_str()),
            Value::Text(entry.severity.as_str()),
            text(entry.sqlstate.as_ref().map(SqlState::as_str)),
            int(entry.pid),
            text(entry.database),
            text(entry.user),
            text(entry.application),
            text(entry.backend_type),
            text(entry.remote_host),
            int(entry.remote_port),
            text(entry.local_host),
            text(entry.session_id),
            int(entry.session_line),
            time(entry.session_start),
            text(entry.virtual_xid),
            int(entry.xid),
            text(entry.command_tag),
            int(entry.leader_pid),
            int(entry.query_id),
            shown(texts.message.as_ref()),
            shown(texts.detail.as_ref()),
            shown(texts.hint.as_ref()),
            shown(texts.context.as_ref()),
            shown(texts.statement.as_ref()),
            shown(texts.internal_query.as_ref()),
            int(entry.position),
            text(entry.location),
            float(duration),
            int(bytes),
            Value::Bool(entry.cut),
        ]
    }

    pub(super) fn checkpoint(&self, of: &Checkpoint, reason: Option<&'a str>) -> OwnedValues<'a> {
        let [file, offset, logged] = self.key();
        let lsn = |lsn: Option<u64>| {
            lsn.map_or(OwnedValue::Value(Value::Null), |lsn| {
                OwnedValue::Text(format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff))
            })
        };
        let mut own = OwnedValues::from([
            file,
            offset,
            logged,
            Value::Bool(of.restartpoint),
            text(reason),
            int(of.buffers),
            float(of.buffers_percent),
            int(of.slru_buffers),
            int(of.wal_added),
            int(of.wal_removed),
            int(of.wal_recycled),
            float(of.write_s),
            float(of.sync_s),
            float(of.total_s),
            int(of.sync_files),
            float(of.longest_s),
            float(of.average_s),
            int(of.distance_bytes),
            int(of.estimate_bytes),
        ]);
        own.0.push(lsn(of.lsn));
        own.0.push(lsn(of.redo_lsn));
        own
    }

    pub(super) fn autovacuum(&self, command: &'static str, of: &Autovacuum<'a>) -> [Value<'a>; 40] {
        let [file, offset, logged] = self.key();
        [
            file,
            offset,
            logged,
            Value::Text(command),
            Value::Text(of.database),
            Value::Text(of.schema),
            Value::Text(of.table),
            Value::Bool(of.to_prevent_wraparound),
            Value::Bool(of.aggressive),
            float(of.elapsed_s),
            float(of.cpu_user_s),
            float(of.cpu_system_s),
            float(of.delay_ms),
            float(of.io_read_ms),
            float(of.io_write_ms),
            int(of.index_scans),
            int(of.pages_removed),
            int(of.pages_remain),
            int(of.pages_scanned),
            int(of.pages_skipped_pins),
            int(of.pages_skipped_frozen),
            int(of.pages_with_dead_items),
            int(of.pages_frozen),
            int(of.pages_set_all_visible),
            int(of.pages_set_all_frozen),
            int(of.tuples_removed),
            int(of.tuples_remain),
            int(of.tuples_dead_not_removable),
            int(of.tuples_frozen),
            int(of.dead_items_removed),
            int(of.removable_cutoff_age),
            int(of.buffer_hits),
            int(of.buffer_reads),
            int(of.buffer_dirtied),
            float(of.read_rate.map(|rate| rate * MEGABYTE)),
            float(of.write_rate.map(|rate| rate * MEGABYTE)),
            int(of.wal_records),
            int(of.wal_fpi),
            int(of.wal_bytes),
            int(of.wal_buffers_full),
        ]
    }

    pub(super) fn lock_wait(&'a self, of: &LockWait<'a>) -> OwnedValues<'a> {
        let [file, offset, logged] = self.key();
        let mut own = OwnedValues::from([
            file,
            offset,
            logged,
            Value::Int(of.pid.into()),
            text(self.entry.database),
            text(self.entry.user),
            text(self.entry.application),
            Value::Text(of.state.as_str()),
            Value::Text(of.mode),
            Value::Text(of.object),
            Value::Float(of.wait_ms),
        ]);
        own.0.push(list(&of.holders));
        own.0.push(list(&of.queue));
        own.0.push(OwnedValue::Value(int(self.entry.query_id)));
        own.0.push(OwnedValue::Value(shown(self.texts.statement.as_ref())));
        own
    }

    pub(super) fn deadlock(&self, of: &DeadlockMember<'a>) -> OwnedValues<'a> {
        let [file, offset, logged] = self.key();
        let mut own = OwnedValues::from([
            file,
            offset,
            logged,
            Value::Int(of.pid.into()),
            text(self.entry.database),
            Value::Text(of.mode),
            Value::Text(of.object),
            Value::Int(of.blocked_by.into()),
            self.entry.pid.map_or(Value::Null, |pid| Value::Bool(pid == of.pid)),
        ]);
        let query = of.statement.and_then(|query| statement(query, self.redaction));
        own.0.push(query.map_or(OwnedValue::Value(Value::Null), |query| OwnedValue::Text(query.into_owned())));
        own
    }

    pub(super) fn plan(&self, of: &Plan<'_>) -> [Value<'_>; 12] {
        let [file, offset, logged] = self.key();
        let Self { entry, texts, .. } = self;
        [
            file,
            offset,
            logged,
            int(entry.pid),
            text(entry.database),
            text(entry.user),
            text(entry.application),
            int(entry.query_id),
            Value::Float(of.duration_ms),
            Value::Text(of.format.as_str()),
            shown(texts.statement.as_ref()),
            shown(texts.plan.as_ref()),
        ]
    }
}

/// `12,34`; NULL for none.
fn list(pids: &[i32]) -> OwnedValue<'static> {
    if pids.is_empty() {
        return OwnedValue::Value(Value::Null);
    }
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    OwnedValue::Text(pids.join(","))
}

/// Values, some of which are texts that were made for them.
pub(super) struct OwnedValues<'a>(Vec<OwnedValue<'a>>);

enum OwnedValue<'a> {
    Value(Value<'a>),
    Text(String),
}

impl<'a, const N: usize> From<[Value<'a>; N]> for OwnedValues<'a> {
    fn from(values: [Value<'a>; N]) -> Self {
        Self(values.into_iter().map(OwnedValue::Value).collect())
    }
}

impl OwnedValues<'_> {
    pub(super) fn values(&self) -> Vec<Value<'_>> {
        let value = |own| match own {
            &OwnedValue::Value(value) => value,
            OwnedValue::Text(text) => Value::Text(text.as_str()),
        };
        self.0.iter().map(value).collect()
    }
}
