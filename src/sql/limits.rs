//! LIMIT and OFFSET take the rows in the order in which they come. `EnsureRequirements` moves sorts through them, and takes out
//! the sort below them if its columns are not passed on (apache/datafusion#23534, #24958). So it works on what is
//! below a limit and on what is above it one after the other, and sees no limit at all.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, SendableRecordBatchStream};

use super::physical::{Physical, PhysicalOperator, over};

/// [`EnsureRequirements`] for the parts of a plan between its limits.
#[derive(Debug)]
pub(super) struct EnsureRequirementsBetweenLimits;

impl PhysicalOptimizerRule for EnsureRequirementsBetweenLimits {
    fn name(&self) -> &'static str {
        "ensure_requirements_between_limits"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let upper = plan
            .transform_down(|node| {
                if !node.is::<GlobalLimitExec>() && !node.is::<LocalLimitExec>() {
                    return Ok(Transformed::no(node));
                }
                let lower = self.optimize(Arc::clone(node.children()[0]), config)?;
                let limit = over(node, vec![in_one_partition(lower)])?;
                Ok(Transformed::new(Arc::new(Physical(Hidden(limit))) as _, true, TreeNodeRecursion::Jump))
            })
            .data()?;
        let upper = EnsureRequirements::new().optimize(upper, config)?;
        upper
            .transform_down(|node| match node.downcast_ref::<Physical<Hidden>>() {
                Some(Physical(Hidden(limit))) => {
                    Ok(Transformed::new(Arc::clone(limit), true, TreeNodeRecursion::Jump))
                }
                None => Ok(Transformed::no(node)),
            })
            .data()
    }
}

/// A limit counts rows of one partition. A union has one for each of its inputs.
fn in_one_partition(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    match plan.properties().output_partitioning().partition_count() {
        1 => plan,
        _ => Arc::new(CoalescePartitionsExec::new(plan)),
    }
}

/// A limit and all below it, as a leaf.
#[derive(Debug)]
struct Hidden(Arc<dyn ExecutionPlan>);

impl PhysicalOperator for Hidden {
    const NAME: &'static str = "Hidden";

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, context)
    }
}
