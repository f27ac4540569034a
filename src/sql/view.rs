//! One view, planned once and run for every batch.
//!
//! A plan keeps things of its last run (a join's build side, the best rows so far), so each run starts from a
//! plan whose states are new. A view that calls a stable function, such as `now()`, has its value folded in when
//! it is planned, so it is planned again for each batch.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as PlanResult;
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use futures::TryStreamExt;

use super::bounded;
use super::columns;
use super::error::{SqlError, SqlErrorKind};
use super::run_errors::{self, Failed};
use super::statement;
use super::tree;
use super::view_files::ViewFile;
use crate::panics;

/// A view that can run.
#[derive(Debug)]
pub(super) struct View {
    pub(super) name: Arc<str>,
    file: String,
    text: Arc<str>,
    plan: Arc<dyn ExecutionPlan>,
    /// What it was planned from: the SQL as it is written, with names resolved.
    pub(super) logical: LogicalPlan,
    /// Whether the view calls a stable function, so that it is planned again for each batch.
    pub(super) is_planned_each_batch: bool,
}

/// What the rows of a batch's views take of the memory pool; shared buffers count once.
#[derive(Debug)]
pub(super) struct HeldRows {
    pub(super) reservation: MemoryReservation,
    pub(super) counter: RecordBatchMemoryCounter,
}

impl View {
    /// Plans a view over the relations of the session.
    ///
    /// # Errors
    /// Every fault the planner finds in it, each with its place.
    pub(super) async fn plan(state: &SessionState, file: &ViewFile) -> Result<Self, Vec<SqlError>> {
        columns::check_written(file)?;
        let logical = statement::logical_plan(state, file).await?;
        columns::check_planned(file, logical.schema())?;
        let plan = statement::physical_plan(state, file, &logical).await?;
        let is_planned_each_batch = calls_stable_function(&logical);
        let (name, text, file) = (file.name.as_str().into(), file.text.as_str().into(), file.file.clone());
        Ok(Self { name, file, text, plan, logical, is_planned_each_batch })
    }

    /// The columns of its rows.
    pub(super) fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// Computes the view's rows from what the relations hold now. One run at a time.
    ///
    /// # Errors
    /// [`SqlErrorKind::MemoryExhausted`] where the pool did not suffice, else [`SqlErrorKind::Row`].
    pub(super) async fn run(
        &self,
        state: &SessionState,
        context: &Arc<TaskContext>,
        held: &mut HeldRows,
    ) -> Result<Vec<RecordBatch>, SqlError> {
        // Why: a kernel that panics on some value must not take the job with it; the value's message becomes a
        // dead letter. The plan's states are new in each run, so none of a broken run is seen again.
        match panics::expected_of(self.collect(state, context, held)).await {
            Ok(rows) => rows.map_err(|error| self.run_error(state, &error)),
            Err(panic) => {
                let message = format!("the SQL engine panicked: {panic}");
                Err(SqlError::of_kind(SqlErrorKind::Row, &self.file, message))
            }
        }
    }

    async fn collect(
        &self,
        state: &SessionState,
        context: &Arc<TaskContext>,
        held: &mut HeldRows,
    ) -> PlanResult<Vec<RecordBatch>> {
        bounded::refill(state.config());
        let plan = match self.is_planned_each_batch {
            true => state.create_physical_plan(&self.logical).await?,
            false => reset_plan_states(Arc::clone(&self.plan))?,
        };
        let context = bounded::context_of(&plan, context);
        let mut rows = Vec::new();
        // Why: one partition after the other, so that a UNION ALL has its parts in the order they are written.
        for partition in 0..plan.properties().partitioning.partition_count() {
            let mut stream = plan.execute(partition, Arc::clone(&context))?;
            while let Some(batch) = stream.try_next().await? {
                held.reservation.try_grow(held.counter.count_batch(&batch))?;
                if batch.num_rows() > 0 {
                    rows.push(batch);
                }
            }
        }
        Ok(rows)
    }

    fn run_error(&self, state: &SessionState, error: &DataFusionError) -> SqlError {
        let memory_max = run_errors::memory_max(state.runtime_env().memory_pool.as_ref());
        let memory_hint = "it is a share of `memory_max`; a smaller `batch_rows_max` needs less";
        Failed { what: "view", file: &self.file, text: &self.text, memory_max, memory_hint }.told(error)
    }
}

/// Whether a function's value is fixed when the view is planned, though it changes from batch to batch.
fn calls_stable_function(plan: &LogicalPlan) -> bool {
    let mut found = false;
    tree::each_node(plan, &mut |node| {
        tree::each_part_of(node, &mut |part| {
            if let Expr::ScalarFunction(call) = part {
                found |= call.func.signature().volatility == Volatility::Stable;
            }
        });
    });
    found
}

#[cfg(test)]
pub(super) mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::DataType;
    use datafusion::execution::FunctionRegistry as _;
    use datafusion::execution::memory_pool::MemoryConsumer;
    use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

    use super::super::session;
    use super::super::slot::Slot;
    use super::super::view_files::ViewFiles;
    use super::*;

    fn metrics_of(plan: &Arc<dyn ExecutionPlan>) -> usize {
        let own = plan.metrics().map_or(0, |metrics| metrics.iter().count());
        own + plan.children().into_iter().map(metrics_of).sum::<usize>()
    }

    /// A plan is kept for months: what its runs leave behind must not add up.
    #[tokio::test]
    async fn runs_leave_nothing_in_the_plan_or_the_pool() {
        let text = "SELECT a.n, count(*) AS c, (SELECT max(n) FROM batch) AS m, row_number() OVER (ORDER BY a.n) AS r \
                    FROM batch a JOIN batch b ON a.n = b.n LEFT JOIN batch c ON c.n > a.n \
                    WHERE a.n IN (SELECT n FROM batch) GROUP BY a.n \
                    UNION ALL SELECT DISTINCT n, 1, 1, 1 FROM batch ORDER BY n LIMIT 5";
        let files = ViewFiles::from_texts(&[("v", text)]).unwrap();
        let state = session::session(1 << 20).unwrap();
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20));
        let rows = RecordBatch::try_from_iter([("n", rows)]).unwrap();
        let slot = Slot::new("batch", rows.schema(), 10);
        session::register(&state, "batch", Arc::new(slot.clone())).unwrap();
        slot.fill(vec![rows]).unwrap();
        let view = View::plan(&state, files.get("v").unwrap()).await.unwrap();
        let pool = Arc::clone(&state.runtime_env().memory_pool);
        let before = metrics_of(&view.plan);
        for _ in 0..50 {
            let reservation = MemoryConsumer::new("test").register(&pool);
            let mut held = HeldRows { reservation, counter: RecordBatchMemoryCounter::new() };
            let rows = view.run(&state, &state.task_ctx(), &mut held).await.unwrap();
            assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
        }
        assert_eq!(metrics_of(&view.plan), before);
        assert_eq!(pool.reserved(), 0);
    }

    /// A function that panics on every value.
    pub(in crate::sql) fn panicking() -> Arc<ScalarUDF> {
        Arc::new(Panics(Signature::any(1, Volatility::Immutable)).into())
    }

    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Panics(Signature);

    impl ScalarUDFImpl for Panics {
        fn name(&self) -> &str {
            "panics"
        }

        fn signature(&self) -> &Signature {
            &self.0
        }

        fn return_type(&self, types: &[DataType]) -> PlanResult<DataType> {
            Ok(types[0].clone())
        }

        fn invoke_with_args(&self, _: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
            panic!("never shown: by a function")
        }
    }

    /// Some values make DataFusion's kernels panic: that is a fault of the rows, and must not end the job.
    #[tokio::test]
    async fn a_panic_is_a_fault_of_the_rows_and_is_not_noted() {
        let mut state = session::session(1 << 20).unwrap();
        state.register_udf(panicking()).unwrap();
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20));
        let rows = RecordBatch::try_from_iter([("n", rows)]).unwrap();
        let slot = Slot::new("batch", rows.schema(), 10);
        session::register(&state, "batch", Arc::new(slot.clone())).unwrap();
        slot.fill(vec![rows]).unwrap();
        let files = ViewFiles::from_texts(&[("v", "SELECT panics(n) AS n FROM batch")]).unwrap();
        let view = View::plan(&state, files.get("v").unwrap()).await.unwrap();
        let reservation = MemoryConsumer::new("test").register(&state.runtime_env().memory_pool);
        let mut held = HeldRows { reservation, counter: RecordBatchMemoryCounter::new() };
        let error = view.run(&state, &state.task_ctx(), &mut held).await.unwrap_err();
        assert_eq!(error.kind(), SqlErrorKind::Row);
        assert!(error.to_string().contains("the SQL engine panicked: never shown: by a function"), "{error}");
        assert!(panics::noted().is_none_or(|noted| !noted.contains("by a function")));
    }
}
