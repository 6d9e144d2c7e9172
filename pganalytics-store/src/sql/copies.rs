//! Operators that copy values: what a copy takes, times how often.
//!
//! The memory of a query counts what operators hold, not what they write. A join
//! writes a value once for each row that it is paired with: a list of a million
//! numbers beside eight thousand rows is 64 GB in one batch. So lists are not let
//! into joins, and for long texts (views of texts share them, others are copied)
//! the most that a batch may take is counted before it is written.

use std::sync::Arc;

use super::counted::Counted;
use datafusion::{
    arrow::{
        array::{Array, AsArray as _, OffsetSizeTrait, RecordBatch},
        buffer::OffsetBuffer,
        datatypes::{DataType, Schema},
    },
    common::{
        DataFusionError, plan_err,
        tree_node::{Transformed, TreeNode as _},
    },
    physical_plan::{
        ExecutionPlan,
        execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions},
        joins::{
            CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec,
            SymmetricHashJoinExec,
        },
        unnest::UnnestExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};

/// The plan with its copies bounded.
///
/// # Errors
/// Where it would copy lists.
pub(super) fn bounded(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let plan = plan.transform_up(|plan| {
        refuse_growing_windows(&plan)?;
        let times = if is_join(&plan) {
            if plan.children().iter().any(|input| has_list(&input.schema(), &[])) {
                return plan_err!(
                    "lists and structs can't go through a join, which would copy them for each row; \
                     join first, or unnest them"
                );
            }
            Times::RowsOfABatch
        } else if let Some(unnest) = plan.downcast_ref::<UnnestExec>() {
            let lists: Vec<usize> =
                unnest.list_column_indices().iter().map(|list| list.index_in_input_schema).collect();
            let inputs = plan.children();
            let spread: Vec<usize> = lists.iter().chain(unnest.struct_column_indices()).copied().collect();
            if inputs.iter().any(|input| has_list(&input.schema(), &spread)) {
                return plan_err!("unnest would copy another list or struct for each element; leave that one out");
            }
            Times::Elements(lists)
        } else {
            return Ok(Transformed::no(plan));
        };
        let inputs = plan.children().into_iter();
        let inputs = inputs.map(|input| Counted::copies(input, times.clone())).collect();
        let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Transformed::yes(plan.replace_children(inputs, recompute)?))
    })?;
    Ok(plan.data)
}

fn is_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CrossJoinExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<SymmetricHashJoinExec>()
        || plan.is::<PiecewiseMergeJoinExec>()
}

/// Whether there is a list or struct in other columns than these.
fn has_list(schema: &Schema, but: &[usize]) -> bool {
    schema.fields().iter().enumerate().any(|(at, field)| !but.contains(&at) && field.data_type().is_nested())
}

/// A window that gathers writes all so far into each row.
fn refuse_growing_windows(plan: &Arc<dyn ExecutionPlan>) -> Result<(), DataFusionError> {
    let exprs = if let Some(window) = plan.downcast_ref::<WindowAggExec>() {
        window.window_expr()
    } else if let Some(window) = plan.downcast_ref::<BoundedWindowAggExec>() {
        window.window_expr()
    } else {
        return Ok(());
    };
    for expr in exprs {
        if expr.field()?.data_type().is_nested() || expr.name().starts_with("string_agg") {
            return plan_err!(
                "array_agg and string_agg can't have OVER, which would write all so far into each row; use GROUP BY"
            );
        }
    }
    Ok(())
}

/// How often a value may be copied into one batch.
#[derive(Debug, Clone)]
pub(super) enum Times {
    RowsOfABatch,
    /// As often as these lists have elements.
    Elements(Vec<usize>),
}

impl Times {
    /// Most bytes that copies of a row may take in one batch.
    pub(super) fn most(&self, batch: &RecordBatch, batch_rows: usize) -> usize {
        let rows = match self {
            Self::RowsOfABatch => batch_rows,
            Self::Elements(lists) => lists.iter().filter_map(|&at| batch.columns().get(at)).map(elements).sum(),
        };
        batch.columns().iter().map(longest).sum::<usize>().saturating_mul(rows)
    }
}

fn elements(list: &Arc<dyn Array>) -> usize {
    match list.data_type() {
        DataType::List(_) => list.as_list::<i32>().values().len(),
        DataType::LargeList(_) => list.as_list::<i64>().values().len(),
        DataType::FixedSizeList(..) => list.as_fixed_size_list().values().len(),
        _ => list.len(),
    }
}

/// Bytes of the longest value that is copied with its row; short ones don't matter.
fn longest(column: &Arc<dyn Array>) -> usize {
    fn of<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> usize {
        offsets.lengths().max().unwrap_or(0)
    }
    let longest = match column.data_type() {
        DataType::Utf8 => of(column.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => of(column.as_string::<i64>().offsets()),
        DataType::Binary => of(column.as_binary::<i32>().offsets()),
        DataType::LargeBinary => of(column.as_binary::<i64>().offsets()),
        _ => 0,
    };
    if longest > 256 { longest } else { 0 }
}
