//! What parent and worker say to each other.
//!
//! Down, on the worker's standard input: length (four bytes, little-endian), then a
//! [`Request`] as JSON. Up, on its standard output: a [`Kind`] (one byte), length,
//! then bytes: a piece of an Arrow IPC stream, or JSON. Both sides are one program
//! of one version; nothing here is kept.

use std::{
    io::{self, Read, Write},
    sync::Arc,
    time::Duration,
};

use pganalytics_core::{Schema, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    error::StoreError,
    sql::{SqlError, SqlParam, SqlPrincipal, SqlQuery, query::QueryParts},
    stored_schema,
};

/// Longest message of either side.
pub(super) const MAX_MESSAGE: usize = 32 << 20;

/// How a worker is to work; the first thing that it hears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) memory_bytes: usize,
    pub(super) threads: usize,
    pub(super) cpu: Option<Duration>,
    pub(super) latest_lookback: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Start(Terms),
    /// Measurements that are tables beforehand, from now on; each as JSON.
    Known(Vec<String>),
    Run(Question),
}

/// A query.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    text: String,
    params: Vec<Param>,
    tenant: TenantId,
    max_rows: usize,
    max_columns: usize,
    max_depth: usize,
    timeout: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
enum Param {
    Null,
    Bool(bool),
    Int(i64),
    /// The bits: JSON has no infinity.
    Float(u64),
    Text(String),
    Micros(i64),
}

impl Question {
    pub(super) fn of(query: &SqlQuery, timeout: Duration) -> Self {
        let parts = query.parts();
        let param = |param: &SqlParam| match param {
            SqlParam::Null => Param::Null,
            SqlParam::Bool(value) => Param::Bool(*value),
            SqlParam::Int(value) => Param::Int(*value),
            SqlParam::Float(value) => Param::Float(value.to_bits()),
            SqlParam::Text(text) => Param::Text(text.clone()),
            SqlParam::Timestamp(time) => Param::Micros(time.as_micros()),
        };
        Self {
            text: parts.text.to_owned(),
            params: parts.params.iter().map(param).collect(),
            tenant: parts.principal.tenant,
            max_rows: parts.max_rows,
            max_columns: parts.max_columns,
            max_depth: parts.max_depth,
            timeout: timeout.min(parts.timeout),
        }
    }

    pub(super) fn query(self, known: Arc<[Arc<Schema>]>) -> Result<SqlQuery, SqlError> {
        let param = |param| match param {
            Param::Null => SqlParam::Null,
            Param::Bool(value) => SqlParam::Bool(value),
            Param::Int(value) => SqlParam::Int(value),
            Param::Float(bits) => SqlParam::Float(f64::from_bits(bits)),
            Param::Text(text) => SqlParam::Text(text),
            Param::Micros(time) => SqlParam::Timestamp(Timestamp::from_micros(time)),
        };
        let params: Vec<SqlParam> = self.params.into_iter().map(param).collect();
        let parts = QueryParts {
            text: &self.text,
            params: &params,
            principal: &SqlPrincipal::new(self.tenant),
            max_rows: self.max_rows,
            max_columns: self.max_columns,
            max_depth: self.max_depth,
            timeout: self.timeout,
        };
        SqlQuery::of_parts(&parts, known)
    }
}

pub(super) fn known(schemas: &[Arc<Schema>]) -> Result<Request, serde_json::Error> {
    Ok(Request::Known(schemas.iter().map(|schema| serde_json::to_string(&**schema)).collect::<Result<_, _>>()?))
}

pub(super) fn schemas(known: &[String]) -> Result<Arc<[Arc<Schema>]>, String> {
    known.iter().map(|text| stored_schema::from_json(text).map(Arc::new)).collect()
}

/// What a worker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It can take queries.
    Ready,
    /// A piece of the answer: first its schema, then batch after batch.
    Piece,
    /// All rows are there; whether some were left out.
    Done,
    /// A [`Fault`], and whether the worker is of use for other queries.
    Failed,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        [Self::Ready, Self::Piece, Self::Done, Self::Failed].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// An error on its way up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Fault {
    Sql(SqlError),
    Unavailable(String),
    Corrupt(String),
    Damaged(u64, String),
    Other(String),
}

impl From<&StoreError> for Fault {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Sql(error) => Self::Sql(error.clone()),
            StoreError::Unavailable(why) => Self::Unavailable(why.clone()),
            StoreError::Corrupt(why) => Self::Corrupt(why.clone()),
            StoreError::Damaged { chunk, why } => Self::Damaged(*chunk, why.clone()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => Self::Sql(error),
            Fault::Unavailable(why) => Self::Unavailable(why),
            Fault::Corrupt(why) => Self::Corrupt(why),
            Fault::Damaged(chunk, why) => Self::Damaged { chunk, why },
            Fault::Other(why) => Self::backend("a SQL worker", why),
        }
    }
}

/// A request with its length.
pub(super) fn request(request: &Request) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, request)?;
    let length = length(bytes.len() - 4)?;
    if let Some(head) = bytes.first_chunk_mut() {
        *head = length;
    }
    Ok(bytes)
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    match u32::try_from(bytes) {
        Ok(length) if bytes <= MAX_MESSAGE => Ok(length.to_le_bytes()),
        _ => Err(io::Error::other(format!("a message of {bytes} bytes, at most {MAX_MESSAGE} are allowed"))),
    }
}

/// The next request; `None` when the parent is gone.
pub(super) fn read_request(from: &mut impl Read) -> io::Result<Option<Request>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = usize::try_from(u32::from_le_bytes(head)).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE {
        return Err(io::Error::other("a request is too long"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Sends what a worker says.
pub(super) fn say(to: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let length = length(bytes.len())?;
    to.write_all(&[kind as u8])?;
    to.write_all(&length)?;
    to.write_all(bytes)?;
    to.flush()
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::SqlGuard;

    #[test]
    fn a_query_arrives_as_it_was_sent() {
        let params = vec![
            SqlParam::Null,
            SqlParam::Bool(true),
            SqlParam::Int(i64::MIN),
            SqlParam::Float(f64::INFINITY),
            SqlParam::Text("it's".to_owned()),
            SqlParam::Timestamp(Timestamp::from_micros(1_769_860_800_123_456)),
        ];
        let asks = SqlPrincipal::new(TenantId::DEFAULT);
        let query = SqlGuard::default().check("select $1, $2, $3, $4, $5, $6", params.clone(), asks).unwrap();
        let bytes = request(&Request::Run(Question::of(&query, Duration::from_secs(7)))).unwrap();
        let Some(Request::Run(question)) = read_request(&mut &*bytes).unwrap() else { panic!("no question") };
        let arrived = question.query(Arc::default()).unwrap();
        assert_eq!((arrived.text(), arrived.params()), (query.text(), &*params));
        assert_eq!((arrived.timeout(), arrived.max_rows()), (Duration::from_secs(7), query.max_rows()));
        assert!(read_request(&mut &*Vec::new()).unwrap().is_none());
        assert!(read_request(&mut &[255_u8; 8][..]).is_err());
    }

    #[test]
    fn what_writes_is_refused_once_more() {
        let asks = SqlPrincipal::new(TenantId::DEFAULT);
        let query = SqlGuard::default().check("select 1", Vec::new(), asks).unwrap();
        let mut question = Question::of(&query, query.timeout());
        "drop table m".clone_into(&mut question.text);
        assert_eq!(question.query(Arc::default()).unwrap_err().code(), "not_read_only");
    }
}
