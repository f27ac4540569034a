//! The views of a job, ready to run: what to compute, in which order, with plans made once.
//!
//! A batch goes through in steps, because the rows of a keyed table are looked up by somebody else, with keys
//! that may first have to be computed: [`Pipeline::start`], then [`Pipeline::next`] until it is done; where it
//! asks for the rows of a table, [`Pipeline::provide`] gives them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::session_state::SessionState;

use super::error::{Place, SqlError};
use super::graph::{self, Graph, Node};
use super::keys::{self, KeySource};
use super::session;
use super::slot::Slot;
use super::view::{HeldRows, View};
use super::view_files::ViewFiles;
use super::{BATCH, TableSpec};
use crate::batch::{ViewResults, ViewTiming};

/// What the planner is told of the rows in a batch and in a view, to choose the sides of joins: more than a
/// table has, so that the table is hashed and the batch streams by, which keeps the batch's order.
const BATCH_ROWS_EXPECTED: usize = 10_000;
/// The same for the rows of a table.
const TABLE_ROWS_EXPECTED: usize = 1_000;

/// The prepared views of one lane. One batch at a time.
pub struct Pipeline {
    state: SessionState,
    context: Arc<TaskContext>,
    batch: Slot,
    steps: Vec<PreparedStep>,
    outputs: Vec<(String, SchemaRef)>,
    /// For each output, its place in `steps`.
    output_steps: Vec<usize>,
    unused: Vec<String>,
    tables_read: Vec<usize>,
    held: HeldRows,
    run: Run,
}

/// What [`Pipeline::next`] has come to.
#[derive(Debug)]
pub enum Step {
    /// The rows of this table (by its place among the tables) are needed.
    Table {
        table: usize,
        /// The keys that occur in the batch, as they stand there: not distinct, with nulls, one column for each
        /// column of the key. The alternatives follow one another. Empty for a table that is seen whole.
        keys: Vec<RecordBatch>,
    },
    /// Every view is computed.
    Done(ViewResults),
}

#[derive(Debug)]
enum PreparedStep {
    Table { table: usize, slot: Slot, keys: Vec<KeySource> },
    View { view: Box<View>, slot: Slot },
}

/// The batch in hand.
#[derive(Debug, Default)]
struct Run {
    next: usize,
    is_empty: bool,
    timings: Vec<ViewTiming>,
    fault: Option<SqlError>,
}

impl Pipeline {
    /// Plans every view that the outputs need, once.
    ///
    /// `batch` has the columns of every batch to come. `tables` are all tables that SQL may read; their order
    /// is how they are spoken of later. `outputs` names views; `None` means every view that no other view
    /// reads. `memory_max` bounds, in bytes, what queries and their results hold.
    ///
    /// # Errors
    /// All faults that can be found at once: names first, then whatever the planner finds in the views whose
    /// inputs are right.
    pub async fn prepare(
        files: &ViewFiles,
        batch: SchemaRef,
        tables: Vec<TableSpec>,
        outputs: Option<&[String]>,
        memory_max: usize,
    ) -> Result<Self, Vec<SqlError>> {
        let graph = graph::resolve(files, &tables, outputs)?;
        let internal = |error: datafusion::error::DataFusionError| {
            vec![SqlError::wrong(Place::default(), format!("cannot make the SQL session: {error}"))]
        };
        let mut state = session::session(memory_max).map_err(internal)?;
        state.mark_start_execution();
        let mut planning =
            Planning { state: &state, files, tables: &tables, slots: BTreeMap::new(), errors: Vec::new() };
        let batch = planning.add_slot(BATCH, batch, BATCH_ROWS_EXPECTED).map_err(internal)?;
        let steps = planning.steps(&graph).await;
        if !planning.errors.is_empty() {
            return Err(planning.errors);
        }
        let step_of = |output: &String| {
            steps
                .iter()
                .position(|step| matches!(step, PreparedStep::View { view, .. } if *view.name == **output))
        };
        let output_steps: Vec<usize> = graph.outputs.iter().filter_map(step_of).collect();
        let outputs = graph.outputs.iter().zip(&output_steps);
        let outputs =
            outputs.map(|(name, step)| (name.clone(), Arc::clone(steps[*step].slot().schema()))).collect();
        let tables_read = steps.iter().filter_map(PreparedStep::table).collect();
        let reservation = MemoryConsumer::new("results of views").register(&state.runtime_env().memory_pool);
        Ok(Self {
            context: state.task_ctx(),
            state,
            batch,
            steps,
            outputs,
            output_steps,
            unused: graph.unused,
            tables_read,
            held: HeldRows { reservation, counter: RecordBatchMemoryCounter::new() },
            run: Run { is_empty: true, ..Run::default() },
        })
    }

    /// The outputs and the columns of their rows, in the order they were asked for.
    pub fn outputs(&self) -> &[(String, SchemaRef)] {
        &self.outputs
    }

    /// The tables that are read, by their place, in the order they are asked for.
    pub fn tables_read(&self) -> &[usize] {
        &self.tables_read
    }

    /// Views that no output needs: they are not computed.
    pub fn unused_views(&self) -> &[String] {
        &self.unused
    }

    /// The computed views in the order of computing.
    pub fn views(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match step {
            PreparedStep::View { view, .. } => Some(&*view.name),
            PreparedStep::Table { .. } => None,
        })
    }

    /// Takes a batch, and drops whatever was left of the one before. It may be a batch that was started before,
    /// or a part of one.
    ///
    /// A batch without rows runs no view and gives no rows: an aggregate without GROUP BY would make a row out
    /// of nothing, for a trigger in which nothing arrived.
    pub fn start(&mut self, batch: RecordBatch) {
        self.clear();
        self.run = Run { is_empty: batch.num_rows() == 0, ..Run::default() };
        if self
            .steps
            .iter()
            .any(|step| matches!(step, PreparedStep::View { view, .. } if view.is_planned_each_batch()))
        {
            // One moment for all views of the batch.
            self.state.mark_start_execution();
        }
        self.held.counter.count_batch(&batch);
        if let Err(difference) = self.batch.fill(vec![batch]) {
            self.run.fault = Some(SqlError::wrong(Place::default(), difference));
        }
    }

    /// Goes on with the batch, up to the next table whose rows are needed, or to the end.
    ///
    /// # Errors
    /// The first view that fails; what the batch had come to is dropped, and [`Pipeline::start`] begins anew.
    pub async fn next(&mut self) -> Result<Step, SqlError> {
        let step = self.advance().await;
        if !matches!(step, Ok(Step::Table { .. })) {
            self.clear();
        }
        step
    }

    /// Gives the rows of the table that [`Pipeline::next`] asked for.
    ///
    /// Rows with other columns than the table was planned with are a fault that the next step reports.
    pub fn provide(&mut self, table: usize, rows: Vec<RecordBatch>) {
        let asked = self.steps.get(self.run.next);
        match asked {
            Some(PreparedStep::Table { table: asked, slot, .. }) if *asked == table => {
                for batch in &rows {
                    // Why: what the tables hold is theirs to account for; here it counts as nothing.
                    self.held.counter.count_batch(batch);
                }
                if let Err(difference) = slot.fill(rows) {
                    self.run.fault = Some(SqlError::wrong(Place::default(), difference));
                }
                self.run.next += 1;
            }
            _ => {
                let message = format!("rows were given for table {table}, which was not asked for");
                self.run.fault = Some(SqlError::wrong(Place::default(), message));
            }
        }
    }

    async fn advance(&mut self) -> Result<Step, SqlError> {
        if let Some(fault) = self.run.fault.take() {
            return Err(fault);
        }
        if self.run.is_empty {
            return Ok(Step::Done(self.results()));
        }
        while let Some(step) = self.steps.get(self.run.next) {
            match step {
                PreparedStep::Table { table, keys, .. } => {
                    let keys = keys::collect(keys)?;
                    return Ok(Step::Table { table: *table, keys });
                }
                PreparedStep::View { view, slot } => {
                    let started = Instant::now();
                    let rows = view.run(&self.state, &self.context, &mut self.held).await?;
                    self.run.timings.push(ViewTiming {
                        view: Arc::clone(&view.name),
                        rows: rows.iter().map(RecordBatch::num_rows).sum(),
                        elapsed: started.elapsed(),
                    });
                    slot.fill(rows).map_err(|difference| SqlError::wrong(Place::default(), difference))?;
                    self.run.next += 1;
                }
            }
        }
        Ok(Step::Done(self.results()))
    }

    fn results(&mut self) -> ViewResults {
        let outputs = self.output_steps.iter().map(|step| self.steps[*step].slot().rows()).collect();
        ViewResults { outputs, views: std::mem::take(&mut self.run.timings) }
    }

    /// Drops all rows of the batch in hand.
    fn clear(&mut self) {
        self.batch.clear();
        self.steps.iter().for_each(|step| step.slot().clear());
        self.held.reservation.free();
        self.held.counter = RecordBatchMemoryCounter::new();
        self.run = Run { is_empty: true, ..Run::default() };
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Why: a session prints every function it has.
        f.debug_struct("Pipeline").field("steps", &self.steps).field("run", &self.run).finish_non_exhaustive()
    }
}

impl PreparedStep {
    fn slot(&self) -> &Slot {
        match self {
            Self::Table { slot, .. } | Self::View { slot, .. } => slot,
        }
    }

    fn table(&self) -> Option<usize> {
        match self {
            Self::Table { table, .. } => Some(*table),
            Self::View { .. } => None,
        }
    }
}

/// The views as far as they are planned.
struct Planning<'a> {
    state: &'a SessionState,
    files: &'a ViewFiles,
    tables: &'a [TableSpec],
    /// By name; what is wrong, or reads what is wrong, is absent.
    slots: BTreeMap<String, Slot>,
    errors: Vec<SqlError>,
}

impl Planning<'_> {
    async fn steps(&mut self, graph: &Graph) -> Vec<PreparedStep> {
        let mut steps = Vec::with_capacity(graph.order.len());
        for node in &graph.order {
            let step = match node {
                Node::Table(table) => self.table_step(*table),
                Node::View(name) => self.view_step(name).await,
            };
            match step {
                Ok(step) => steps.extend(step),
                Err(faults) => self.errors.extend(faults),
            }
        }
        steps
    }

    /// `None` where something it reads is wrong, which has been said.
    fn table_step(&mut self, table: usize) -> Result<Option<PreparedStep>, Vec<SqlError>> {
        let spec = &self.tables[table];
        if spec.matches.iter().flatten().any(|place| !self.slots.contains_key(&place.relation)) {
            return Ok(None);
        }
        // Views may be planned on the table though its key is wrong: its columns are known.
        let slot = self.add_slot(&spec.name, Arc::clone(&spec.schema), TABLE_ROWS_EXPECTED);
        let slot = slot.map_err(|error| {
            let place = Place { file: spec.place.clone(), span: None };
            vec![SqlError::wrong(place, format!("cannot make the table `{}` known: {error}", spec.name))]
        })?;
        let keys = keys::resolve(spec, &self.slots)?;
        Ok(Some(PreparedStep::Table { table, slot, keys }))
    }

    async fn view_step(&mut self, name: &str) -> Result<Option<PreparedStep>, Vec<SqlError>> {
        let Some(file) = self.files.get(name) else { return Ok(None) };
        if file.reads.iter().any(|reference| !self.slots.contains_key(&reference.relation)) {
            return Ok(None);
        }
        let view = View::plan(self.state, file).await?;
        let slot = self.add_slot(name, view.schema(), BATCH_ROWS_EXPECTED).map_err(|error| {
            vec![SqlError::wrong(file.start(), format!("cannot make the view known to others: {error}"))]
        })?;
        Ok(Some(PreparedStep::View { view: Box::new(view), slot }))
    }

    fn add_slot(
        &mut self,
        name: &str,
        schema: SchemaRef,
        rows_expected: usize,
    ) -> datafusion::error::Result<Slot> {
        let slot = Slot::new(name, schema, rows_expected);
        session::register(self.state, name, Arc::new(slot.clone()))?;
        self.slots.insert(name.to_owned(), slot.clone());
        Ok(slot)
    }
}
