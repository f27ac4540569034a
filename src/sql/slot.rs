//! A relation whose rows change from batch to batch while plans over it stay: the table provider that views are
//! planned on. Between two runs its rows are swapped; during a run they stand still.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;

use super::numbers::signs;
use super::physical::{Physical, PhysicalOperator, leaf};
use super::width;

/// A wish to end a query that was typed, put into its session's configuration.
///
/// Why: an operator between two answers, such as a join without an equality, may work for minutes without letting go
/// of its thread, but it asks its leaves for rows now and then.
#[derive(Debug, Default)]
pub(super) struct Cancel(AtomicBool);

impl Cancel {
    pub(super) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn cancelled() -> DataFusionError {
    DataFusionError::Execution("cancelled".into())
}

/// The rows of one relation in the current batch. Clones share the rows.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    name: Arc<str>,
    schema: SchemaRef,
    /// What the planner is told, which decides the sides of joins and nothing else.
    rows_expected: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    rows: Vec<RecordBatch>,
    /// The bytes of the longest value of each column, or a bound of them.
    widths: Vec<usize>,
}

impl Slot {
    pub(super) fn new(name: &str, schema: SchemaRef, rows_expected: usize) -> Self {
        Self { name: name.into(), schema, rows_expected, held: Arc::default() }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Puts in the rows of a batch.
    ///
    /// # Errors
    /// Their columns are not those of the relation; the error says what was expected and found.
    pub(super) fn fill(&self, rows: Vec<RecordBatch>) -> Result<(), String> {
        for batch in &rows {
            check_columns(&self.schema, &batch.schema()).map_err(|difference| {
                format!("the rows given for `{}` are not as planned: {difference}", self.name)
            })?;
        }
        let longest =
            |column: usize| rows.iter().map(move |batch| width::longest(batch.column(column))).max();
        let widths = (0..self.schema.fields().len()).map(|column| longest(column).unwrap_or(0)).collect();
        let rows = rows.into_iter().map(signs::clear_rows).collect();
        *self.lock() = Held { rows, widths };
        Ok(())
    }

    pub(super) fn clear(&self) {
        *self.lock() = Held::default();
    }

    pub(super) fn rows(&self) -> Vec<RecordBatch> {
        self.lock().rows.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // A panic elsewhere leaves whole rows or none here, so they can be used.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_columns(expected: &SchemaRef, found: &SchemaRef) -> Result<(), String> {
    if Arc::ptr_eq(expected, found) {
        return Ok(());
    }
    if expected.fields().len() != found.fields().len() {
        return Err(format!("{} columns, expected {}", found.fields().len(), expected.fields().len()));
    }
    for (expected, found) in expected.fields().iter().zip(found.fields()) {
        if expected.name() != found.name() || expected.data_type() != found.data_type() {
            return Err(format!(
                "found `{}` {}, expected `{}` {}",
                found.name(),
                found.data_type(),
                expected.name(),
                expected.data_type()
            ));
        }
    }
    Ok(())
}

#[async_trait]
impl TableProvider for Slot {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Physical(SlotScan::try_new(self.clone(), projection.cloned())?)))
    }
}

/// Reads a slot: the leaf of every plan.
#[derive(Debug)]
pub(super) struct SlotScan {
    slot: Slot,
    projection: Option<Vec<usize>>,
    projected: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl SlotScan {
    fn try_new(slot: Slot, projection: Option<Vec<usize>>) -> Result<Self> {
        let projected = match &projection {
            Some(columns) => Arc::new(slot.schema.project(columns)?),
            None => Arc::clone(&slot.schema),
        };
        let properties = leaf(&projected);
        Ok(Self { slot, projection, projected, properties })
    }

    /// The bytes of the longest row that it reads, or a bound of them.
    pub(super) fn row_bytes_max(&self) -> usize {
        let widths = &self.slot.lock().widths;
        match &self.projection {
            Some(columns) => columns.iter().filter_map(|column| widths.get(*column)).sum(),
            None => widths.iter().sum(),
        }
    }
}

impl PhysicalOperator for SlotScan {
    const NAME: &'static str = "SlotScan";

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let config = context.session_config();
        let rows_max = config.batch_size();
        let parts = self.slot.rows().iter().flat_map(|batch| cut(batch, rows_max)).collect();
        let stream = MemoryStream::try_new(parts, Arc::clone(&self.projected), self.projection.clone())?;
        let Some(cancel) = config.get_extension::<Cancel>() else { return Ok(Box::pin(stream)) };
        let parts = stream.map(move |part| if cancel.is_asked() { Err(cancelled()) } else { part });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.projected), parts)))
    }

    fn rows_expected(&self) -> Option<usize> {
        Some(self.slot.rows_expected)
    }

    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotScan: {}", self.slot.name)
    }
}

/// Parts of at most `rows_max` rows, sharing the memory of the whole.
fn cut(batch: &RecordBatch, rows_max: usize) -> Vec<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(rows_max.max(1));
    starts.map(|start| batch.slice(start, rows_max.min(batch.num_rows() - start))).collect()
}
