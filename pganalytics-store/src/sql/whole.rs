//! Finds the questions that need only sums of counters: then whole blocks are answered
//! from what they have noted of their keys (see [`sums`](super::sums)).
//!
//! Such a question groups by key columns and columns of the source, and takes nothing but sums
//! of counters. What a row was and when is of no matter to it, as long as all rows that it asks
//! for are in the sum: of a block that is only partly in the range of time the rows are read.

use std::sync::Arc;

use datafusion::{
    catalog::default_table_source::{provider_as_source, source_as_provider},
    common::{DataFusionError, tree_node::Transformed},
    functions_aggregate::sum::Sum,
    logical_expr::{Aggregate, Expr, LogicalPlan, SubqueryAlias, TableScan, expr::AggregateFunction},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::table::Table;

#[derive(Debug)]
pub(super) struct WholeBlocks;

impl OptimizerRule for WholeBlocks {
    fn name(&self) -> &'static str {
        "whole_blocks"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>, DataFusionError> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let Some(scan) = scan_of(&aggregate.input) else { return Ok(Transformed::no(plan)) };
        let Ok(provider) = source_as_provider(&scan.source) else { return Ok(Transformed::no(plan)) };
        let summed = provider.as_ref().downcast_ref::<Table>().filter(|table| asks_for_sums(aggregate, table));
        let Some(table) = summed.and_then(Table::summed) else { return Ok(Transformed::no(plan)) };
        let scan = TableScan { source: provider_as_source(Arc::new(table)), ..scan.clone() };
        let input = put_scan(&aggregate.input, scan)?;
        let aggregate = Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), aggregate.aggr_expr.clone())?;
        Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
    }
}

/// The table, if nothing but another name for it stands in between.
fn scan_of(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => scan_of(&alias.input),
        _ => None,
    }
}

fn put_scan(plan: &LogicalPlan, scan: TableScan) -> Result<LogicalPlan, DataFusionError> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let input = put_scan(&alias.input, scan)?;
            Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?))
        }
        _ => Ok(LogicalPlan::TableScan(scan)),
    }
}

fn asks_for_sums(aggregate: &Aggregate, table: &Table) -> bool {
    let name = |expr: &Expr| match expr {
        Expr::Column(column) => Some(column.name.clone()),
        _ => None,
    };
    let is_group = |expr: &Expr| name(expr).is_some_and(|name| table.groups_by(&name));
    let is_sum = |expr: &Expr| {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return false };
        let plain = !params.distinct
            && params.filter.is_none()
            && params.order_by.is_empty()
            && params.null_treatment.is_none();
        let sum = func.inner().as_ref().downcast_ref::<Sum>().is_some();
        match params.args.as_slice() {
            [one] => plain && sum && name(one).is_some_and(|name| table.sums(&name)),
            _ => false,
        }
    };
    !aggregate.aggr_expr.is_empty()
        && aggregate.aggr_expr.iter().all(is_sum)
        && aggregate.group_expr.iter().all(is_group)
}
