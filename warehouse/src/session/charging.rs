//! Windows that pay for what they hold. DataFusion's window over whole partitions keeps its input, and once more in
//! one piece, without a word to the pool of memory.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use super::answer::row_bytes;

/// Of its input's bytes, how many a window holds: as it came, and in one piece.
const TIMES: usize = 2;

/// Puts a toll below every window that holds whole partitions.
#[derive(Debug)]
pub(crate) struct Charging;

impl PhysicalOptimizerRule for Charging {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if !node.is::<WindowAggExec>() {
                return Ok(Transformed::no(node));
            }
            let paid = node.children().into_iter().map(|child| Arc::new(Toll(child.clone())) as _).collect();
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            Ok(Transformed::yes(node.replace_children(paid, options)?))
        })
        .map(|done| done.data)
    }

    fn name(&self) -> &str {
        "Charging"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Passes its input on and reserves memory for it until its reader is done.
#[derive(Debug)]
struct Toll(Arc<dyn ExecutionPlan>);

impl DisplayAs for Toll {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Toll")
    }
}

impl ExecutionPlan for Toll {
    fn name(&self) -> &str {
        "Toll"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.0]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(child), true) => Ok(Arc::new(Toll(child))),
            _ => Err(DataFusionError::Internal("a toll has one input".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = MemoryConsumer::new("Window").register(context.memory_pool());
        let input = self.0.execute(partition, context)?;
        let schema = input.schema();
        let paid = input.map(move |batch| {
            let batch = batch?;
            held.try_grow(row_bytes(&batch).saturating_mul(TIMES))?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, paid)))
    }
}
