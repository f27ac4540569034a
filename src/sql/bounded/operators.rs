//! Operators that copy rows: a join, a window function or `unnest` may copy one long text thousands of times before the memory
//! pool sees any of it. And operators that hold rows, which the pool must see once.

use std::sync::Arc;

use arrow::array::{Array as _, RecordBatch};
use arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::common::{DataFusionError, Result};
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{
    ExecutionPlan, PlanProperties, ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::StreamExt as _;

use super::Budget;
use crate::batch::owned;
use crate::sql::physical::{Physical, PhysicalOperator};
use crate::sql::slot::SlotScan;
use crate::sql::width;

/// What an operator passes on at once, as a part of the budget, if all rows are as long as the longest.
const AT_ONCE_SHARES: usize = 4;

/// The context that a plan runs in: the longer the longest row that it reads, the fewer rows its operators pass on at once.
pub(in crate::sql) fn context_of(
    plan: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
) -> Arc<TaskContext> {
    let config = context.session_config();
    let Some(budget) = config.get_extension::<Budget>() else { return Arc::clone(context) };
    let rows_max = budget.bytes_max / AT_ONCE_SHARES / row_bytes_max(plan).max(1);
    if rows_max >= config.batch_size() {
        return Arc::clone(context);
    }
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config.clone().with_batch_size(rows_max.max(1)),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}

fn row_bytes_max(plan: &Arc<dyn ExecutionPlan>) -> usize {
    match plan.downcast_ref::<Physical<SlotScan>>() {
        Some(Physical(scan)) => scan.row_bytes_max(),
        None => plan.children().into_iter().map(row_bytes_max).max().unwrap_or(0),
    }
}

/// Puts an [`Input`] before each UNNEST and before each operator that holds rows.
#[derive(Debug)]
pub(in crate::sql) struct BoundedInputs;

impl PhysicalOptimizerRule for BoundedInputs {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let bounded = |plan: Arc<dyn ExecutionPlan>| {
            let step = match plan.downcast_ref::<UnnestExec>() {
                Some(unnest) => Step::Check(Unnested::of(unnest)),
                None if holds_its_first_input(&plan) => Step::Own,
                None => return Ok(Transformed::no(plan)),
            };
            let mut inputs: Vec<_> = plan.children().into_iter().cloned().collect();
            inputs[0] = Arc::new(Physical(Input { input: Arc::clone(&inputs[0]), step }));
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
            Ok(Transformed::yes(plan.replace_children(inputs, options)?))
        };
        plan.transform_up(bounded).data()
    }

    fn name(&self) -> &'static str {
        "bounded_inputs"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether an operator takes from the memory pool what each part of its first input holds. Hash joins count what parts share
/// once.
fn holds_its_first_input(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<SortExec>() || plan.is::<NestedLoopJoinExec>() || plan.is::<CrossJoinExec>()
}

/// Passes rows on to an operator.
#[derive(Clone, Debug)]
struct Input {
    input: Arc<dyn ExecutionPlan>,
    step: Step,
}

/// What happens to the rows on the way.
#[derive(Clone, Debug)]
enum Step {
    /// They are refused if UNNEST would make too much of them.
    Check(Unnested),
    /// They get memory of their own. Why: scans and aggregates pass on parts that share the memory of a whole, and an
    /// operator that holds them all would count the whole for each.
    Own,
}

impl Step {
    fn take(&self, rows: RecordBatch, budget: Option<&Budget>) -> Result<RecordBatch> {
        match (self, budget) {
            (Self::Check(unnested), Some(budget)) => {
                unnested.check(&rows, budget)?;
                Ok(rows)
            }
            (Self::Own, _) if is_small_part(&rows)? => Ok(owned(&rows, 0..rows.num_rows())?),
            _ => Ok(rows),
        }
    }
}

/// Whether the rows are less than half of the memory that they hold.
fn is_small_part(rows: &RecordBatch) -> Result<bool> {
    let each = rows.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    let bytes: usize = each.sum::<Result<_, ArrowError>>()?;
    Ok(get_record_batch_memory_size(rows) > bytes.saturating_mul(2))
}

/// What UNNEST makes of rows. It emits its rows in parts, but it makes all rows of one list at once, and all rows of its
/// input if it unnests lists of lists.
#[derive(Clone, Debug)]
struct Unnested {
    /// The columns that become rows. All others are copied for each of them.
    lists: Vec<usize>,
    has_lists_in_lists: bool,
}

impl Unnested {
    fn of(unnest: &UnnestExec) -> Self {
        let lists = unnest.list_column_indices();
        Self {
            lists: lists.iter().map(|list| list.index_in_input_schema).collect(),
            has_lists_in_lists: lists.iter().any(|list| list.depth > 1),
        }
    }

    /// Refuses rows if UNNEST would make more of them at once than the budget allows.
    fn check(&self, rows: &RecordBatch, budget: &Budget) -> Result<()> {
        let (lists, copied): (Vec<_>, Vec<_>) =
            rows.columns().iter().enumerate().partition(|(index, _)| self.lists.contains(index));
        let of_row = |row: usize| {
            let items = lists.iter().map(|(_, list)| width::items(list, row)).max().unwrap_or(1);
            let bytes =
                copied.iter().map(|(_, column)| width::of_value(column, row)).fold(0, usize::saturating_add);
            items.saturating_mul(bytes)
        };
        let each = (0..rows.num_rows()).map(of_row);
        let bytes = match self.has_lists_in_lists {
            true => each.fold(0, usize::saturating_add),
            false => each.max().unwrap_or(0),
        };
        if bytes > budget.bytes_max {
            let message = format!(
                "unnest would make {bytes} bytes at once, and {} are the most it may",
                budget.bytes_max
            );
            return Err(DataFusionError::ResourcesExhausted(message));
        }
        Ok(())
    }
}

impl PhysicalOperator for Input {
    const NAME: &'static str = "Input";

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, Arc::clone(&context))?;
        let budget = context.session_config().get_extension::<Budget>();
        let (schema, step) = (self.input.schema(), self.step.clone());
        let taken = rows.map(move |rows| step.take(rows?, budget.as_deref()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, taken)))
    }

    fn input(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        Some(&self.input)
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Physical(Self { input, ..self.clone() })))
    }

    fn maintains_input_order(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int64Type;
    use datafusion::physical_plan::collect;

    use super::*;
    use crate::sql::session;
    use crate::sql::slot::Slot;

    /// The answer to a query in a session of 8 MiB, half of which is the budget.
    async fn answer(rows: i64, text_bytes: usize, items: i64, query: &str) -> Result<Vec<RecordBatch>> {
        answer_of(8 << 20, rows, text_bytes, items, query).await
    }

    /// The answer to a query over a table `batch`. Its rows have a number `n` from 1, a `text` of `text_bytes`, and a list `items`.
    async fn answer_of(
        memory_max: usize,
        rows: i64,
        text_bytes: usize,
        items: i64,
        query: &str,
    ) -> Result<Vec<RecordBatch>> {
        let state = session::session(memory_max)?;
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=rows));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..rows).map(|_| "x".repeat(text_bytes))));
        let list = (0..rows).map(|_| Some((0..items).map(Some)));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(list));
        let rows = RecordBatch::try_from_iter([("n", numbers), ("text", texts), ("items", lists)])?;
        let slot = Slot::new("batch", rows.schema(), 10);
        session::register(&state, "batch", Arc::new(slot.clone()))?;
        slot.fill(vec![rows]).expect("rows of these columns");
        let plan = state.create_logical_plan(query).await?;
        let plan = state.create_physical_plan(&plan).await?;
        let context = context_of(&plan, &state.task_ctx());
        collect(plan, context).await
    }

    #[tokio::test]
    async fn the_longer_the_rows_the_fewer_at_once() {
        let join = "SELECT a.text FROM batch a JOIN batch b ON a.n <= b.n";
        let shorts = answer(200, 10, 0, join).await.unwrap();
        assert!(shorts.iter().any(|rows| rows.num_rows() > 1_000));
        let longs = answer(40, 100_000, 0, join).await.unwrap();
        assert_eq!(longs.iter().map(RecordBatch::num_rows).sum::<usize>(), 40 * 41 / 2);
        let at_once = longs.iter().map(RecordBatch::num_rows).max();
        assert_eq!(at_once, Some((4 << 20) / 4 / (100_000 + 8)));
        // A long column that is not read does not count.
        let unread =
            answer(200, 100_000, 0, "SELECT a.n FROM batch a JOIN batch b ON a.n <= b.n").await.unwrap();
        assert!(unread.iter().any(|rows| rows.num_rows() > 1_000));
    }

    #[tokio::test]
    async fn a_row_that_becomes_too_many_is_refused() {
        let unnest = "SELECT text, unnest(items) AS item FROM batch";
        let kept = answer(100, 10_000, 100, unnest).await.unwrap();
        assert_eq!(kept.iter().map(RecordBatch::num_rows).sum::<usize>(), 10_000);
        let refused = answer(1, 10_000, 1_000, unnest).await.expect_err(unnest);
        assert!(refused.find_root().message().contains("unnest would make 10000000 bytes"), "{refused}");
    }

    /// 50,000 rows of 8 bytes are 400 kB. They are cut into seven parts, and groups come in as many.
    #[tokio::test]
    async fn rows_that_are_held_count_once() {
        for (memory_max, query) in [
            (3 << 20, "SELECT n FROM batch ORDER BY n DESC"),
            (3 << 20, "SELECT n FROM batch ORDER BY n DESC LIMIT 10"),
            (6 << 20, "SELECT n, count(*) AS c FROM batch GROUP BY n ORDER BY c, n"),
            (3 << 20, "SELECT a.n FROM batch a CROSS JOIN (SELECT 1 AS one FROM batch WHERE n < 3) b"),
            (3 << 20, "SELECT a.n FROM batch a JOIN (SELECT n FROM batch WHERE n < 3) b ON a.n < b.n"),
        ] {
            answer_of(memory_max, 50_000, 0, 0, query)
                .await
                .unwrap_or_else(|error| panic!("{query}: {error}"));
        }
    }
}
