//! A step of a plan that counts what goes through it as memory of the query.

use std::{fmt, sync::Arc};

use datafusion::{
    common::{DataFusionError, tree_node::TreeNodeRecursion},
    execution::{TaskContext, memory_pool::MemoryConsumer},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, SendableRecordBatchStream,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::StreamExt as _;

use super::copies::Times;

/// Gives on what its input gives, and counts it until the stream ends.
#[derive(Debug)]
pub(super) struct Counted {
    input: Arc<dyn ExecutionPlan>,
    /// `None`: all of it is held behind this step.
    copies: Option<Times>,
}

impl Counted {
    /// For a step that holds all that it gets, and does not say so.
    pub(super) fn held(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input: Arc::clone(input), copies: None })
    }

    /// For a step that writes rows several times: the most that one batch of its
    /// own can take.
    pub(super) fn copies(input: &Arc<dyn ExecutionPlan>, times: Times) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input: Arc::clone(input), copies: Some(times) })
    }
}

impl DisplayAs for Counted {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl ExecutionPlan for Counted {
    fn name(&self) -> &'static str {
        "Counted"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let Some(input) = children.into_iter().next() else { return Ok(self) };
        Ok(Arc::new(Self { input, copies: self.copies.clone() }))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream, DataFusionError> {
        let held = MemoryConsumer::new("rows and their copies").register(task.memory_pool());
        let rows = task.session_config().batch_size();
        let copies = self.copies.clone();
        let batches = self.input.execute(partition, task)?.map(move |batch| {
            let batch = batch?;
            match &copies {
                None => held.try_grow(batch.get_array_memory_size())?,
                Some(times) => held.try_resize(times.most(&batch, rows).max(held.size()))?,
            }
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
