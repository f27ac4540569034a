//! What the operators of this crate are to DataFusion's physical plans: each reads no other operator, or one.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};

/// What takes part in a plan as [`Physical`].
pub(crate) trait PhysicalOperator: fmt::Debug + Send + Sync + Sized + 'static {
    const NAME: &'static str;

    fn properties(&self) -> &Arc<PlanProperties>;

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream>;

    fn input(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        None
    }

    /// The same over another input. Called only where there is an input.
    fn over(&self, _input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        unreachable!("{} has no input", Self::NAME)
    }

    fn maintains_input_order(&self) -> bool {
        false
    }

    /// What the planner is told of the number of rows, where it is told anything.
    fn rows_expected(&self) -> Option<usize> {
        None
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}

/// A [`PhysicalOperator`] in a plan.
#[derive(Debug)]
pub(crate) struct Physical<O>(pub(crate) O);

impl<O: PhysicalOperator> DisplayAs for Physical<O> {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as(format, f)
    }
}

impl<O: PhysicalOperator> ExecutionPlan for Physical<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.0.input().into_iter().collect()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.0.input().map(|_| self.0.maintains_input_order()).into_iter().collect()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(visit)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => self.0.over(input),
            None => Ok(self),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        over(self, children)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, context)
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        // Invariant: never exact, or a plan would have the number of one batch's rows folded into it.
        statistics.num_rows = self.0.rows_expected().map_or(Precision::Absent, Precision::Inexact);
        Ok(Arc::new(statistics))
    }
}

/// The properties of what reads rows from outside the plan.
pub(crate) fn leaf(schema: &SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(Arc::clone(schema)),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// The operator over other inputs, whose properties may be others.
pub(super) fn over(
    plan: Arc<dyn ExecutionPlan>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}
