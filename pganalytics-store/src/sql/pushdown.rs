//! Which of a query's filters the chunks' reader takes over.
//!
//! * A comparison of `time` with a fixed time becomes the range that is read.
//! * A filter over the source's columns decides once for each source.
//! * A filter over key columns decides once for each key of a chunk.
//!
//! All other filters are left to the engine.

use std::collections::HashSet;

use datafusion::{
    common::{Column, ScalarValue, tree_node::TreeNode as _},
    logical_expr::{BinaryExpr, Expr, Operator, expr::InList},
};
use pganalytics_core::{ColumnKind, Schema, Timestamp};

use super::{gather::Shared, rows::ColumnSource};

/// Times from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Bounds {
    pub(super) const ALL: Self = Self { from: Timestamp::from_micros(i64::MIN), to: Timestamp::from_micros(i64::MAX) };

    pub(super) fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// What a filter is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Use {
    Time(Bounds),
    Source,
    Key,
    Nothing,
}

/// Sorts a filter in. `column` says where a column of the table comes from.
pub(super) fn classify(filter: &Expr, schema: &Schema, column: &dyn Fn(&str) -> Option<ColumnSource>) -> Use {
    if filter.is_volatile() || has_subquery(filter) {
        return Use::Nothing;
    }
    let is_time = |name: &Column| column(&name.name) == Some(ColumnSource::Time);
    if let Some(bounds) = time_bounds(filter, &is_time) {
        return Use::Time(bounds);
    }
    let sources: Option<HashSet<bool>> = filter
        .column_refs()
        .into_iter()
        .map(|name| match column(&name.name)? {
            ColumnSource::Shared(_) => Some(true),
            ColumnSource::Stored(at) => (schema.columns().get(at)?.kind == ColumnKind::Key).then_some(false),
            _ => None,
        })
        .collect();
    match sources {
        Some(sources) if sources.len() == 1 => {
            if sources.contains(&true) {
                Use::Source
            } else {
                Use::Key
            }
        }
        _ => Use::Nothing,
    }
}

fn has_subquery(filter: &Expr) -> bool {
    let is_subquery = |expr: &Expr| Ok(matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)));
    filter.exists(is_subquery).unwrap_or(true)
}

fn time_bounds(filter: &Expr, is_time: &dyn Fn(&Column) -> bool) -> Option<Bounds> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(time_bounds(left, is_time)?.and(time_bounds(right, is_time)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if is_time_column(left, is_time) {
                comparison(*op, nanos(right)?)
            } else if is_time_column(right, is_time) {
                comparison(op.swap()?, nanos(left)?)
            } else {
                None
            }
        }
        Expr::Between(between) if !between.negated && is_time_column(&between.expr, is_time) => {
            let from = comparison(Operator::GtEq, nanos(&between.low)?)?;
            Some(from.and(comparison(Operator::LtEq, nanos(&between.high)?)?))
        }
        _ => None,
    }
}

/// `time`, or `time` cast to a type that loses nothing of it.
fn is_time_column(expr: &Expr, is_time: &dyn Fn(&Column) -> bool) -> bool {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    match expr {
        Expr::Column(column) => is_time(column),
        Expr::Cast(cast) => {
            let fine = DataType::Timestamp(TimeUnit::Nanosecond, None);
            let same = DataType::Timestamp(TimeUnit::Microsecond, None);
            let ty = match cast.field.data_type() {
                // Times are in UTC, and so is the session.
                DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
                other => other.clone(),
            };
            (ty == fine || ty == same) && matches!(cast.expr.as_ref(), Expr::Column(column) if is_time(column))
        }
        _ => false,
    }
}

fn nanos(expr: &Expr) -> Option<i128> {
    let Expr::Literal(value, _) = expr else { return None };
    Some(match value {
        ScalarValue::TimestampNanosecond(Some(t), _) => i128::from(*t),
        ScalarValue::TimestampMicrosecond(Some(t), _) => i128::from(*t) * 1_000,
        ScalarValue::TimestampMillisecond(Some(t), _) => i128::from(*t) * 1_000_000,
        ScalarValue::TimestampSecond(Some(t), _) => i128::from(*t) * 1_000_000_000,
        _ => return None,
    })
}

/// The microseconds for which `time op nanos` is true.
fn comparison(op: Operator, nanos: i128) -> Option<Bounds> {
    let micros = |value: i128| {
        Timestamp::from_micros(i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX }))
    };
    let (below, above) = (nanos.div_euclid(1_000), (nanos + 999).div_euclid(1_000));
    let all = Bounds::ALL;
    Some(match op {
        Operator::Gt => Bounds { from: micros(below + 1), ..all },
        Operator::GtEq => Bounds { from: micros(above), ..all },
        Operator::Lt => Bounds { to: micros(above - 1), ..all },
        Operator::LtEq => Bounds { to: micros(below), ..all },
        Operator::Eq => Bounds { from: micros(above), to: micros(below) },
        _ => return None,
    })
}

/// Texts that a source's column must be one of, for the store's index.
pub(super) fn one_of(
    filters: &[Expr],
    wanted: &[Shared],
    column: &dyn Fn(&str) -> Option<ColumnSource>,
) -> Option<Vec<String>> {
    let is_wanted = |expr: &Expr| match expr {
        Expr::Column(name) => {
            matches!(column(&name.name), Some(ColumnSource::Shared(shared)) if wanted.contains(&shared))
        }
        _ => false,
    };
    filters.iter().find_map(|filter| match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            if is_wanted(left) {
                Some(vec![text(right)?])
            } else if is_wanted(right) {
                Some(vec![text(left)?])
            } else {
                None
            }
        }
        // `a = 'x' or a = 'y'` is how the engine writes short lists.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let either = |side: &Expr| one_of(std::slice::from_ref(side), wanted, column);
            let mut all = either(left)?;
            all.extend(either(right)?);
            Some(all)
        }
        Expr::InList(InList { expr, list, negated: false }) if is_wanted(expr) => list.iter().map(text).collect(),
        _ => None,
    })
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used)]
    use datafusion::{
        arrow::datatypes::{DataType, TimeUnit},
        prelude::{cast, col, lit},
    };
    use pganalytics_core::{ColumnType, CounterFamily, MeasurementName};

    use super::*;

    fn columns(name: &str) -> Option<ColumnSource> {
        match name {
            "time" => Some(ColumnSource::Time),
            "server" => Some(ColumnSource::Shared(Shared::Server)),
            "queryid" => Some(ColumnSource::Stored(0)),
            "calls" => Some(ColumnSource::Stored(1)),
            _ => None,
        }
    }

    fn used(filter: &Expr) -> Use {
        let columns_of = vec![
            pganalytics_core::Column::new("queryid", ColumnKind::Key, ColumnType::Int),
            pganalytics_core::Column::new("calls", ColumnKind::Counter, ColumnType::Int),
        ];
        let name = MeasurementName::new("m").unwrap();
        classify(filter, &Schema::new(name, CounterFamily::None, columns_of).unwrap(), &columns)
    }

    fn at(nanos: i64) -> Expr {
        lit(ScalarValue::TimestampNanosecond(Some(nanos), Some("UTC".into())))
    }

    fn range(from: i64, to: i64) -> Use {
        Use::Time(Bounds { from: Timestamp::from_micros(from), to: Timestamp::from_micros(to) })
    }

    #[test]
    fn times_become_whole_microseconds() {
        let time = || cast(col("time"), DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())));
        assert_eq!(used(&time().gt(at(1_500))), range(2, i64::MAX));
        assert_eq!(used(&time().gt(at(2_000))), range(3, i64::MAX));
        assert_eq!(used(&time().gt_eq(at(1_500))), range(2, i64::MAX));
        assert_eq!(used(&time().gt_eq(at(2_000))), range(2, i64::MAX));
        assert_eq!(used(&time().lt(at(1_500))), range(i64::MIN, 1));
        assert_eq!(used(&time().lt(at(2_000))), range(i64::MIN, 1));
        assert_eq!(used(&time().lt_eq(at(1_500))), range(i64::MIN, 1));
        assert_eq!(used(&at(1_500).lt(time())), range(2, i64::MAX));
        assert_eq!(used(&col("time").between(at(1_000), at(5_000))), range(1, 5));
        let seconds = cast(col("time"), DataType::Timestamp(TimeUnit::Second, None));
        assert_eq!(used(&seconds.gt(at(1))), Use::Nothing);
    }

    #[test]
    fn filters_go_where_their_columns_are() {
        assert_eq!(used(&col("server").like(lit("a%"))), Use::Source);
        assert_eq!(used(&(col("queryid") % lit(2)).eq(lit(0))), Use::Key);
        assert_eq!(used(&col("calls").gt(lit(2))), Use::Nothing);
        assert_eq!(used(&col("queryid").eq(lit(2)).or(col("server").eq(lit("a")))), Use::Nothing);
        assert_eq!(used(&lit(true)), Use::Nothing);
    }

    #[test]
    fn names_become_hints() {
        let of = |filter: Expr| one_of(&[filter], &[Shared::Server], &columns);
        assert_eq!(of(col("server").eq(lit("a"))).unwrap(), ["a"]);
        assert_eq!(of(col("server").eq(lit("a")).or(col("server").eq(lit("b")))).unwrap(), ["a", "b"]);
        assert_eq!(of(col("server").in_list(vec![lit("a"), lit("b")], false)).unwrap(), ["a", "b"]);
        assert_eq!(of(col("server").in_list(vec![lit("a")], true)), None);
        assert_eq!(of(col("server").eq(lit("a")).or(col("queryid").eq(lit(1)))), None);
    }
}
