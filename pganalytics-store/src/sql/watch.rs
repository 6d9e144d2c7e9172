//! Makes sure that a query can be stopped wherever it is, and holds no more than
//! it may.
//!
//! The engine's operators give way to others when they have read for a while.
//! A join can compute for hours between two reads: so joins (and what else makes
//! many rows of few) give way after some batches of their own, and the conditions
//! of joins, which may be all that is computed while no row comes out, look at
//! the clock. Windows that need all rows at once keep them uncounted: so what goes
//! into them is counted.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{counted::Counted, error::SqlError};
use crate::error::StoreError;
use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, FieldRef, Schema},
    },
    common::{
        DataFusionError,
        tree_node::{Transformed, TreeNode as _},
    },
    logical_expr::ColumnarValue,
    physical_plan::{
        ExecutionPlan, PhysicalExpr,
        coop::CooperativeExec,
        execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions},
        joins::{
            CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, PiecewiseMergeJoinExec,
            SortMergeJoinExec, SymmetricHashJoinExec, utils::JoinFilter,
        },
        unnest::UnnestExec,
        windows::WindowAggExec,
    },
};

/// When a query must stop.
#[derive(Debug)]
pub(super) struct Stop {
    deadline: Instant,
    allowed: Duration,
    /// Nobody waits for the answer any more.
    gone: AtomicBool,
}

impl Stop {
    pub(super) fn after(allowed: Duration) -> Self {
        Self { deadline: Instant::now() + allowed, allowed, gone: AtomicBool::new(false) }
    }

    pub(super) fn now(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), DataFusionError> {
        if !self.gone.load(Ordering::Relaxed) && Instant::now() < self.deadline {
            return Ok(());
        }
        let error = SqlError::Timeout { seconds: self.allowed.as_secs() };
        Err(DataFusionError::External(Box::new(StoreError::Sql(error))))
    }
}

/// The plan with all that is needed to stop it.
pub(super) fn watched(
    plan: Arc<dyn ExecutionPlan>,
    stop: &Arc<Stop>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let plan = plan.transform_up(|plan| {
        let watch = |filter: &JoinFilter| {
            let watch = Watch { inner: Arc::clone(filter.expression()), stop: Arc::clone(stop) };
            JoinFilter::new(Arc::new(watch), filter.column_indices().to_vec(), Arc::clone(filter.schema()))
        };
        let join: Arc<dyn ExecutionPlan> = if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            let filter = join.filter().map(watch);
            Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?)
        } else if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            join.builder().with_filter(join.filter().map(watch)).build_exec()?
        } else if plan.is::<CrossJoinExec>()
            || plan.is::<SortMergeJoinExec>()
            || plan.is::<SymmetricHashJoinExec>()
            || plan.is::<PiecewiseMergeJoinExec>()
            || plan.is::<UnnestExec>()
        {
            plan
        } else {
            return match (plan.is::<WindowAggExec>(), plan.children().as_slice()) {
                (true, [input]) => {
                    let counted = Counted::held(input);
                    let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                    Ok(Transformed::yes(plan.replace_children(vec![counted], recompute)?))
                }
                _ => Ok(Transformed::no(plan)),
            };
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(plan.data)
}

/// A join's condition that fails when it is time to stop.
#[derive(Debug)]
struct Watch {
    inner: Arc<dyn PhysicalExpr>,
    stop: Arc<Stop>,
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PartialEq for Watch {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Watch {}

impl Hash for Watch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl PhysicalExpr for Watch {
    fn data_type(&self, schema: &Schema) -> Result<DataType, DataFusionError> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool, DataFusionError> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef, DataFusionError> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue, DataFusionError> {
        self.stop.check()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        let Some(inner) = children.into_iter().next() else { return Ok(self) };
        Ok(Arc::new(Self { inner, stop: Arc::clone(&self.stop) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
