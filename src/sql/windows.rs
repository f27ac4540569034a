//! Window functions over a batch that is there as a whole.
//!
//! DataFusion computes windows that begin at the first row of a partition while more rows may come, which takes state for
//! each partition and function, and a call for each row. Here the rows of all partitions stand together, so the functions
//! that state is kept with ([`running`]) run over all of them at once. The rows are the same.

mod copied;
mod running;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{concat, concat_batches, partition};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayFormatType, ExecutionPlan, InputOrderMode, PlanProperties, SendableRecordBatchStream,
};
use futures::TryStreamExt as _;

use super::bounded::Budget;
use super::physical::{Physical, PhysicalOperator, over};
use running::Running;

/// Puts [`WholeWindows`] where the rows of a partition stand together.
#[derive(Debug)]
pub(super) struct WindowsOfWholeBatches;

impl PhysicalOptimizerRule for WindowsOfWholeBatches {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(of_whole_batch).data()
    }

    fn name(&self) -> &'static str {
        "windows_of_whole_batches"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn of_whole_batch(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let (functions, input, keys) = match plan.downcast_ref::<BoundedWindowAggExec>() {
        Some(bounded) if bounded.input_order_mode == InputOrderMode::Sorted => {
            (bounded.window_expr().to_vec(), Arc::clone(bounded.input()), bounded.partition_keys())
        }
        _ => match plan.downcast_ref::<WindowAggExec>() {
            Some(whole) => (whole.window_expr().to_vec(), Arc::clone(whole.input()), whole.partition_keys()),
            None => return Ok(Transformed::no(plan)),
        },
    };
    let planned = WindowAggExec::try_new(functions, input, !keys.is_empty())?;
    Ok(Transformed::yes(Arc::new(Physical(WholeWindows::new(Arc::new(planned))))))
}

/// What [`WindowAggExec`] computes, over all partitions at once where the functions allow it.
#[derive(Debug)]
struct WholeWindows {
    planned: Arc<dyn ExecutionPlan>,
    functions: Arc<[Function]>,
}

/// One column that is added to the rows.
#[derive(Clone, Debug)]
struct Function {
    planned: Arc<dyn WindowExpr>,
    running: Option<Running>,
}

impl WholeWindows {
    fn new(planned: Arc<WindowAggExec>) -> Self {
        let function = |planned: &Arc<dyn WindowExpr>| Function {
            planned: Arc::clone(planned),
            running: Running::of(planned.as_ref()),
        };
        let functions = planned.window_expr().iter().map(function).collect();
        Self { planned, functions }
    }
}

impl Function {
    fn evaluate(
        &self,
        rows: &RecordBatch,
        partitions: &[Range<usize>],
        budget: Option<&Budget>,
    ) -> Result<ArrayRef> {
        if let Some(running) = &self.running
            && let Some(column) = running.evaluate(rows, partitions)?
        {
            return Ok(column);
        }
        if let Some(budget) = budget {
            budget.take(self.planned.name(), copied::bytes_max(self.planned.as_ref(), rows, partitions)?)?;
        }
        let of_partition =
            |range: &Range<usize>| self.planned.evaluate(&rows.slice(range.start, range.len()));
        let columns = partitions.iter().map(of_partition).collect::<Result<Vec<_>>>()?;
        let columns: Vec<_> = columns.iter().map(|column| column.as_ref()).collect();
        Ok(concat(&columns)?)
    }
}

/// The rows of each partition. They stand together.
fn partitions(rows: &RecordBatch, keys: &[Arc<dyn PhysicalExpr>]) -> Result<Vec<Range<usize>>> {
    if keys.is_empty() {
        return Ok(std::iter::once(0..rows.num_rows()).collect());
    }
    let column = |key: &Arc<dyn PhysicalExpr>| key.evaluate(rows)?.into_array(rows.num_rows());
    let columns = keys.iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok(partition(&columns)?.ranges())
}

impl PhysicalOperator for WholeWindows {
    const NAME: &'static str = "WholeWindowAggExec";

    fn properties(&self) -> &Arc<PlanProperties> {
        self.planned.properties()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.planned.schema();
        let budget = context.session_config().get_extension::<Budget>();
        let input = self.planned.children()[0].execute(partition, context)?;
        let evaluated = {
            let (functions, schema) = (Arc::clone(&self.functions), Arc::clone(&schema));
            async move {
                let batches: Vec<_> = input.try_collect().await?;
                evaluate(&functions, &batches, schema, budget.as_deref())
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(evaluated))))
    }

    fn input(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        self.planned.children().pop()
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let planned = over(Arc::clone(&self.planned), vec![input])?;
        Ok(Arc::new(Physical(Self { planned, functions: Arc::clone(&self.functions) })))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.planned.apply_expressions(visit)
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Whole")?;
        self.planned.fmt_as(format, f)
    }
}

/// The rows with a column more for each function.
fn evaluate(
    functions: &[Function],
    batches: &[RecordBatch],
    schema: SchemaRef,
    budget: Option<&Budget>,
) -> Result<RecordBatch> {
    let (Some(first), Some(function)) = (batches.first(), functions.first()) else {
        return Ok(RecordBatch::new_empty(schema));
    };
    let rows = concat_batches(first.schema_ref(), batches)?;
    if rows.num_rows() == 0 {
        return Ok(RecordBatch::new_empty(schema));
    }
    // All functions of an operator have the same.
    let partitions = partitions(&rows, function.planned.partition_by())?;
    let mut columns = rows.columns().to_vec();
    for function in functions {
        columns.push(function.evaluate(&rows, &partitions, budget)?);
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}
