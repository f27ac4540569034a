//! A column that is the same in all rows of one side of an outer join is NULL where the other side found no match, and a column
//! that all rows share is NULL in some rows of grouping sets. DataFusion takes both for constant above these operators, too, and
//! takes out the sorts by them. A column that is constant in each input of a union it takes out of the sorts of the inputs; but
//! these share the bound of a LIMIT, which then compares the other columns alone. So it is not told of constants below.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, SendableRecordBatchStream};

use super::physical::{Physical, PhysicalOperator, over};

/// Puts [`WithoutConstants`] below outer joins, grouping sets and unions.
#[derive(Debug)]
pub(super) struct HideConstants;

impl PhysicalOptimizerRule for HideConstants {
    fn name(&self) -> &'static str {
        "hide_constants"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if !changes_constants(node.as_ref()) {
                return Ok(Transformed::no(node));
            }
            let inputs = node.children().into_iter().map(|input| WithoutConstants::of(Arc::clone(input)));
            let inputs = inputs.collect();
            Ok(Transformed::yes(over(node, inputs)?))
        })
        .data()
    }
}

/// Whether a column that is constant in an input of it may have several values in its own rows.
fn changes_constants(node: &dyn ExecutionPlan) -> bool {
    let is_outer = |of: &JoinType| matches!(of, JoinType::Left | JoinType::Right | JoinType::Full);
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        return is_outer(join.join_type());
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        return is_outer(join.join_type());
    }
    if node.is::<UnionExec>() {
        return true;
    }
    node.downcast_ref::<AggregateExec>().is_some_and(|aggregate| !aggregate.group_expr().is_single())
}

/// The rows of its input, of which nothing else is known.
#[derive(Debug)]
struct WithoutConstants {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl WithoutConstants {
    fn of(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let known = input.properties();
        let properties = PlanProperties::new(
            // Nor is an order known: a constant column is taken for an order, too.
            EquivalenceProperties::new(input.schema()),
            known.output_partitioning().clone(),
            known.emission_type,
            known.boundedness,
        );
        Arc::new(Physical(Self { input, properties: Arc::new(properties) }))
    }
}

impl PhysicalOperator for WithoutConstants {
    const NAME: &'static str = "WithoutConstants";

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn input(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        Some(&self.input)
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Self::of(input))
    }
}
