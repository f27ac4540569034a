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
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::session_state::SessionState;

use super::error::{Place, SqlError};
use super::graph::{self, Graph, Node};
use super::keys::{self, KeySource};
use super::session;
use super::slot::Slot;
use super::state::{self, StateColumns};
use super::view::{HeldRows, View};
use super::view_files::ViewFiles;
use super::{BATCH, TableSpec};
use crate::batch::{ViewResults, ViewTiming};
use crate::database::ColumnType;

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
    states: Vec<PlannedState>,
    unused: Vec<String>,
    tables_read: Vec<usize>,
    held: HeldRows,
    /// What `now()` gives; the time of each batch's start where `None`.
    clock: Option<DateTime<Utc>>,
    run: Run,
}

/// A state table, as its view has made it.
#[derive(Debug)]
pub struct PlannedState {
    /// Its place among the tables.
    pub table: usize,
    /// Its columns as SQL reads them: those of its view, without `_delete`, with the types that the database gives back.
    pub schema: SchemaRef,
    /// Whether its view has `_delete`.
    pub deletes: bool,
    /// The place of its view in the steps.
    step: usize,
}

/// What [`Pipeline::next`] has come to.
#[derive(Debug)]
pub enum Step {
    /// The rows of this table (by its place among the tables) are needed.
    Table {
        table: usize,
        /// The keys that occur in the batch, as they stand there: not distinct, with nulls, one column for each
        /// column of the key, then `kafka_topic` and `kafka_partition` where the table follows the partitions of the
        /// messages. The alternatives follow one another. Empty for a table that is seen whole.
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
    /// Plans every view that the outputs and the state tables need, once.
    ///
    /// `batch` has the columns of every batch to come. `tables` are all tables that SQL may read; their order
    /// is how they are spoken of later. `outputs` names views; `None` means every view that no other view
    /// reads and that computes no state. `memory_max` bounds, in bytes, what queries and their results hold.
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
        let mut states = StateColumns::named(files, &tables)?;
        for _ in 0..state::ROUNDS_MAX {
            let planned = Planning::run(files, &tables, &states, &batch, &graph, memory_max).await?;
            let mut is_settled = true;
            for state in &mut states {
                let view = tables[state.table].state_view().unwrap_or_default();
                if let Some(schema) = planned.slots.get(view).map(Slot::schema) {
                    is_settled &= !state.settle(schema)?;
                }
            }
            if is_settled {
                let untyped: Vec<SqlError> = states.iter().flat_map(StateColumns::untyped).collect();
                return if untyped.is_empty() {
                    Ok(Self::new(planned, graph, states, &tables))
                } else {
                    Err(untyped)
                };
            }
        }
        Err(states.iter().map(|state| state.unsettled(&tables[state.table].place)).collect())
    }

    fn new(planned: Planned, graph: Graph, states: Vec<StateColumns>, tables: &[TableSpec]) -> Self {
        let Planned { state, batch, steps, .. } = planned;
        let step_of = |wanted: &str| {
            steps
                .iter()
                .position(|step| matches!(step, PreparedStep::View { view, .. } if *view.name == *wanted))
        };
        let output_steps: Vec<usize> = graph.outputs.iter().filter_map(|output| step_of(output)).collect();
        let outputs = graph.outputs.iter().zip(&output_steps);
        let outputs =
            outputs.map(|(name, step)| (name.clone(), Arc::clone(steps[*step].slot().schema()))).collect();
        let states = states.into_iter().filter_map(|columns| {
            let StateColumns { table, schema, deletes, .. } = columns;
            let step = step_of(tables[table].state_view()?)?;
            Some(PlannedState { table, schema, deletes, step })
        });
        let states = states.collect();
        let tables_read = steps.iter().filter_map(PreparedStep::table).collect();
        let reservation = MemoryConsumer::new("results of views").register(&state.runtime_env().memory_pool);
        Self {
            context: state.task_ctx(),
            state,
            batch,
            steps,
            outputs,
            output_steps,
            states,
            unused: graph.unused,
            tables_read,
            held: HeldRows { reservation, counter: RecordBatchMemoryCounter::new() },
            clock: None,
            run: Run { is_empty: true, ..Run::default() },
        }
    }

    /// The outputs and the columns of their rows, in the order they were asked for.
    pub fn outputs(&self) -> &[(String, SchemaRef)] {
        &self.outputs
    }

    /// The state tables, in the order of the tables.
    pub fn states(&self) -> &[PlannedState] {
        &self.states
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

    /// Lets the clock stand: `now()`, and what else follows from it, tells this moment in all batches to come.
    pub fn stop_clock(&mut self, at: DateTime<Utc>) {
        self.clock = Some(at);
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
            if self.clock.is_some() {
                self.state.execution_props_mut().query_execution_start_time = self.clock;
            }
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
        let states = self.states.iter().map(|state| self.steps[state.step].slot().rows()).collect();
        ViewResults { outputs, states, views: std::mem::take(&mut self.run.timings) }
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
    files: &'a ViewFiles,
    tables: &'a [TableSpec],
    states: &'a [StateColumns],
    planned: Planned,
    errors: Vec<SqlError>,
}

/// Everything planned, in a session of its own.
struct Planned {
    state: SessionState,
    batch: Slot,
    /// By name; what is wrong, or reads what is wrong, is absent.
    slots: BTreeMap<String, Slot>,
    steps: Vec<PreparedStep>,
}

impl<'a> Planning<'a> {
    /// Plans everything with these columns of state tables.
    async fn run(
        files: &'a ViewFiles,
        tables: &'a [TableSpec],
        states: &'a [StateColumns],
        batch: &SchemaRef,
        graph: &Graph,
        memory_max: usize,
    ) -> Result<Planned, Vec<SqlError>> {
        let internal = |error: datafusion::error::DataFusionError| {
            vec![SqlError::wrong(Place::default(), format!("cannot make the SQL session: {error}"))]
        };
        let mut state = session::session(memory_max).map_err(internal)?;
        state.mark_start_execution();
        let slot = Slot::new(BATCH, Arc::clone(batch), BATCH_ROWS_EXPECTED);
        session::register(&state, BATCH, Arc::new(slot.clone())).map_err(internal)?;
        let slots = BTreeMap::from([(BATCH.to_owned(), slot.clone())]);
        let steps = Vec::with_capacity(graph.order.len());
        let planned = Planned { state, batch: slot, slots, steps };
        let mut planning = Self { files, tables, states, planned, errors: Vec::new() };
        for node in &graph.order {
            let step = match node {
                Node::Table(table) => planning.table_step(*table),
                Node::View(name) => planning.view_step(name).await,
            };
            match step {
                Ok(step) => planning.planned.steps.extend(step),
                Err(faults) => planning.errors.extend(faults),
            }
        }
        if planning.errors.is_empty() { Ok(planning.planned) } else { Err(planning.errors) }
    }

    /// `None` where something it reads is wrong, which has been said.
    fn table_step(&mut self, table: usize) -> Result<Option<PreparedStep>, Vec<SqlError>> {
        let spec = &self.tables[table];
        if spec.matches.iter().flatten().any(|place| !self.planned.slots.contains_key(&place.relation)) {
            return Ok(None);
        }
        let state = self.states.iter().find(|state| state.table == table);
        let schema = state.map_or_else(|| Arc::clone(&spec.schema), |state| self.with_key_types(spec, state));
        // Views may be planned on the table though its key is wrong: its columns are known.
        let slot = self.add_slot(&spec.name, Arc::clone(&schema), TABLE_ROWS_EXPECTED);
        let slot = slot.map_err(|error| {
            let place = Place { file: spec.place.clone(), span: None };
            vec![SqlError::wrong(place, format!("cannot make the table `{}` known: {error}", spec.name))]
        })?;
        let keys = keys::resolve(spec, &schema, &self.planned.slots)?;
        Ok(Some(PreparedStep::Table { table, slot, keys }))
    }

    /// The columns of a state table; those of the key that have no type yet have the type of what they match.
    fn with_key_types(&self, spec: &TableSpec, state: &StateColumns) -> SchemaRef {
        let matched = |column: &str| {
            let place = spec.key.iter().position(|key| key == column)?;
            let place = spec.matches.first()?.get(place)?;
            let field =
                self.planned.slots.get(&place.relation)?.schema().field_with_name(&place.column).ok()?;
            ColumnType::given_back(field.data_type()).ok()
        };
        let fields = state.schema.fields().iter().map(|field| match field.data_type() {
            DataType::Null => Field::new(field.name(), matched(field.name()).unwrap_or(DataType::Null), true),
            _ => Field::clone(field),
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    async fn view_step(&mut self, name: &str) -> Result<Option<PreparedStep>, Vec<SqlError>> {
        let Some(file) = self.files.get(name) else { return Ok(None) };
        if file.reads.iter().any(|reference| !self.planned.slots.contains_key(&reference.relation)) {
            return Ok(None);
        }
        let view = View::plan(&self.planned.state, file).await?;
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
        session::register(&self.planned.state, name, Arc::new(slot.clone()))?;
        self.planned.slots.insert(name.to_owned(), slot.clone());
        Ok(slot)
    }
}
