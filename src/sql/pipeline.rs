//! The views of a job, ready to run: what to compute, in which order, with plans made once.
//!
//! The rows of a keyed table are looked up by others, with keys that may first have to be computed: [`Pipeline::run`] asks
//! for them in the midst of a batch.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::session_state::SessionState;

use super::TableSpec;
use super::error::SqlError;
use super::graph::{Graph, Scope};
use super::keys::{self, KeySource};
use super::slot::Slot;
use super::state::StateColumns;
use super::survey::{Planned, Survey};
use super::view::{HeldRows, View};
use super::view_files::ViewFiles;
use crate::batch::{RelationRows, ViewResults, ViewTiming};
use crate::mask::{Mask, Masks};

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
    /// For each of `steps`, the places of those that it reads.
    reads: Vec<Vec<usize>>,
    /// The outputs and state tables that give no rows for now.
    left_out: BTreeSet<String>,
    /// For each of `steps`, whether the others need it.
    is_needed: Vec<bool>,
    /// For each of `steps`, whether it is set aside for a fault of its own or of what it reads.
    is_aside: Vec<bool>,
    unused: Vec<String>,
    tables_read: Vec<usize>,
    held: HeldRows,
    /// Whether results have the rows of all tables and views.
    keeps_rows: bool,
    /// What of the rows must not be shown.
    masks: Masks,
    /// The same for each of `steps`.
    masks_of_steps: Vec<Arc<[Mask]>>,
    /// What `now()` gives; the time of each batch's start where `None`.
    clock: Option<DateTime<Utc>>,
    /// The step at which the last batch failed, until another is started.
    failed: Option<usize>,
}

/// A state table, as its view has made it.
#[derive(Debug)]
pub struct PlannedState {
    pub name: String,
    /// Its place among the tables.
    pub table: usize,
    /// Its columns as SQL reads them: those of its view, without `_delete`, with the types that the database gives back.
    pub schema: SchemaRef,
    /// Whether its view has `_delete`.
    pub deletes: bool,
    /// The place of its view in the steps.
    step: usize,
    /// The place of its old rows in the steps.
    table_step: usize,
}

/// A view or table that is computed for each batch.
#[derive(Clone, Copy, Debug)]
pub struct Computed<'p> {
    pub name: &'p str,
    /// Its place among the tables; `None` for a view.
    pub table: Option<usize>,
    /// The columns of its rows.
    pub schema: &'p SchemaRef,
    /// The places, among [`Pipeline::steps`], of what it reads.
    pub reads: &'p [usize],
}

#[derive(Debug)]
pub(super) enum PreparedStep {
    Table { table: usize, slot: Slot, keys: Vec<KeySource> },
    View { view: Box<View>, slot: Slot },
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
        let scope = outputs.map_or(Scope::Leaves, Scope::Outputs);
        Survey::of(files, Some(batch), tables, &BTreeSet::new(), scope, memory_max).await.into_pipeline()
    }

    /// Keeps of what was planned the part that the scope needs. The steps are those of the graph.
    pub(super) fn new(
        planned: Planned,
        graph: Graph,
        states: Vec<StateColumns>,
        tables: &[TableSpec],
    ) -> Self {
        let Planned { state, batch, mut steps, .. } = planned;
        steps.truncate(graph.needed);
        let step_of = |wanted: &str| steps.iter().position(|step| step.view_name() == Some(wanted));
        let found = graph.outputs.into_iter().filter_map(|name| Some((step_of(&name)?, name)));
        let outputs = found.map(|(step, name)| (step, (name, Arc::clone(steps[step].slot().schema()))));
        let (output_steps, outputs): (Vec<usize>, Vec<(String, SchemaRef)>) = outputs.unzip();
        let states = states.into_iter().filter_map(|columns| {
            let StateColumns { table, schema, deletes, .. } = columns;
            let step = step_of(tables[table].state_view()?)?;
            let table_step = steps.iter().position(|step| step.table() == Some(table))?;
            let name = tables[table].name.clone();
            Some(PlannedState { name, table, schema, deletes, step, table_step })
        });
        let states = states.collect();
        let tables_read = steps.iter().filter_map(PreparedStep::table).collect();
        let reservation = MemoryConsumer::new("results of views").register(&state.runtime_env().memory_pool);
        Self {
            context: state.task_ctx(),
            state,
            batch,
            is_needed: vec![true; steps.len()],
            is_aside: vec![false; steps.len()],
            steps,
            outputs,
            output_steps,
            states,
            reads: graph.reads,
            left_out: BTreeSet::new(),
            unused: graph.unused,
            tables_read,
            held: HeldRows { reservation, counter: RecordBatchMemoryCounter::new() },
            keeps_rows: false,
            masks: Masks::default(),
            masks_of_steps: Vec::new(),
            clock: None,
            failed: None,
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

    /// What is written: outputs by the names of their views, state tables by their own.
    pub fn written(&self) -> BTreeSet<String> {
        let outputs = self.outputs.iter().map(|(view, _)| view.clone());
        outputs.chain(self.states.iter().map(|state| state.name.clone())).collect()
    }

    /// From the next batch on these outputs and state tables give no rows, and what only they need is not computed.
    pub fn leave_out(&mut self, names: &BTreeSet<String>) {
        let roots = self.written();
        let roots = roots.difference(names).flat_map(|name| self.roots(name));
        self.is_needed = self.needed_by(roots.collect());
        self.left_out.clone_from(names);
    }

    /// The step at which the last batch failed: its place among [`Pipeline::steps`].
    pub fn failed(&self) -> Option<usize> {
        self.failed
    }

    /// From the next batch on, this step and what reads it are not computed. Returns what reads it, each with the place of
    /// the one that it reads.
    pub fn set_aside(&mut self, step: usize) -> Vec<(usize, usize)> {
        self.is_aside[step] = true;
        let mut readers = Vec::new();
        // Invariant: what a step reads is before it.
        for reader in step + 1..self.steps.len() {
            let read = self.reads[reader].iter().find(|read| self.is_aside[**read]);
            if let Some(read) = read.filter(|_| !self.is_aside[reader]) {
                readers.push((reader, *read));
                self.is_aside[reader] = true;
            }
        }
        readers
    }

    /// Whether an output or a state table gives no rows for now.
    pub fn is_left_out(&self, name: &str) -> bool {
        self.left_out.contains(name)
    }

    /// What is written, beside a state table that it is computed from, where one of the two is among `names` and the
    /// other is not.
    pub fn split_by(&self, names: &BTreeSet<String>) -> Vec<(String, String)> {
        let mut split = Vec::new();
        for written in self.written() {
            let needed = self.needed_by(self.roots(&written));
            let read = self.states.iter().filter(|state| needed[state.table_step]);
            let split_off = read.filter(|state| names.contains(&state.name) != names.contains(&written));
            split.extend(split_off.map(|state| (written.clone(), state.name.clone())));
        }
        split
    }

    /// The steps whose rows are those of an output or of a state table.
    fn roots(&self, name: &str) -> Vec<usize> {
        let outputs = self.outputs.iter().zip(&self.output_steps).filter(|((view, _), _)| view == name);
        let states = self.states.iter().filter(|state| state.name == name);
        let states = states.flat_map(|state| [state.step, state.table_step]);
        outputs.map(|(_, step)| *step).chain(states).collect()
    }

    /// For each step, whether it is one of `roots` or is read for one.
    fn needed_by(&self, roots: Vec<usize>) -> Vec<bool> {
        let mut is_needed = vec![false; self.steps.len()];
        roots.into_iter().for_each(|root| is_needed[root] = true);
        // Invariant: what a step reads comes before it.
        for step in (0..self.steps.len()).rev() {
            if is_needed[step] {
                self.reads[step].iter().for_each(|read| is_needed[*read] = true);
            }
        }
        is_needed
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
        self.steps.iter().filter_map(PreparedStep::view_name)
    }

    /// The columns of `batch`.
    pub fn batch(&self) -> &SchemaRef {
        self.batch.schema()
    }

    /// From the next batch on, results have the rows of all tables and views, or those of outputs and state only.
    pub fn keep_rows(&mut self, keeps_rows: bool) {
        self.keeps_rows = keeps_rows;
    }

    /// What of the rows must not be shown: they are computed and returned as they are.
    pub fn masks(&self) -> &Masks {
        &self.masks
    }

    #[must_use]
    pub fn with_masks(self, masks: Masks) -> Self {
        let slots = self.steps.iter().map(PreparedStep::slot);
        let masks_of_steps = slots.map(|slot| masks.of(slot.name(), slot.schema()).into()).collect();
        Self { masks, masks_of_steps, ..self }
    }

    /// The computed views and the tables they read, in the order of computing.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = Computed<'_>> {
        self.steps.iter().zip(&self.reads).map(|(step, reads)| Computed {
            name: step.slot().name(),
            table: step.table(),
            schema: step.slot().schema(),
            reads,
        })
    }

    /// The view that computes a state table.
    pub fn view_of(&self, state: &PlannedState) -> Option<&str> {
        self.steps.get(state.step).and_then(PreparedStep::view_name)
    }

    /// Lets the clock stand: `now()`, and what else follows from it, tells this moment in all batches to come.
    pub fn stop_clock(&mut self, at: DateTime<Utc>) {
        self.clock = Some(at);
    }

    /// Computes a batch, and drops whatever was left of one before. `rows_of` returns the rows of a table, by its place among
    /// the tables.
    ///
    /// `rows_of` gets the keys that occur in the batch, as they are there: not distinct, with nulls, one column for each
    /// column of the key, then `kafka_topic` and `kafka_partition` if the table follows the partitions of the messages. The
    /// alternatives follow one another. A table that is seen whole has no keys.
    ///
    /// A batch without rows runs no view and returns no rows: an aggregate without GROUP BY would make a row out of nothing,
    /// for a trigger in which nothing arrived.
    ///
    /// # Errors
    /// The first view that fails, or the first table that has no rows to give: [`Pipeline::failed`] says which.
    pub async fn run<E: From<SqlError>>(
        &mut self,
        batch: RecordBatch,
        rows_of: impl AsyncFnMut(usize, Vec<RecordBatch>) -> Result<Vec<RecordBatch>, E>,
    ) -> Result<ViewResults, E> {
        self.clear();
        let results = self.compute(batch, rows_of).await;
        self.clear();
        results
    }

    async fn compute<E: From<SqlError>>(
        &mut self,
        batch: RecordBatch,
        mut rows_of: impl AsyncFnMut(usize, Vec<RecordBatch>) -> Result<Vec<RecordBatch>, E>,
    ) -> Result<ViewResults, E> {
        self.failed = None;
        let (is_empty, mut timings) = (batch.num_rows() == 0, Vec::new());
        self.held.counter.count_batch(&batch);
        self.batch.fill(vec![batch]).map_err(SqlError::internal)?;
        if is_empty {
            return Ok(self.results(timings));
        }
        if self
            .steps
            .iter()
            .any(|step| matches!(step, PreparedStep::View { view, .. } if view.is_planned_each_batch))
        {
            // One moment for all views of the batch.
            self.state.mark_start_execution();
            if self.clock.is_some() {
                self.state.execution_props_mut().query_execution_start_time = self.clock;
            }
        }
        for (place, step) in self.steps.iter().enumerate() {
            if !self.is_needed[place] || self.is_aside[place] {
                continue;
            }
            self.failed = Some(place);
            match step {
                PreparedStep::Table { table, slot, keys } => {
                    let rows = rows_of(*table, keys::collect(keys)?).await?;
                    // Why: what the tables hold is theirs to account for; here it counts as nothing.
                    for batch in &rows {
                        self.held.counter.count_batch(batch);
                    }
                    slot.fill(rows).map_err(SqlError::internal)?;
                }
                PreparedStep::View { view, slot } => {
                    let started = Instant::now();
                    let rows = view.run(&self.state, &self.context, &mut self.held).await?;
                    timings.push(ViewTiming {
                        view: Arc::clone(&view.name),
                        rows: rows.iter().map(RecordBatch::num_rows).sum(),
                        elapsed: started.elapsed(),
                    });
                    slot.fill(rows).map_err(SqlError::internal)?;
                }
            }
        }
        self.failed = None;
        Ok(self.results(timings))
    }

    fn results(&self, views: Vec<ViewTiming>) -> ViewResults {
        // Why asked by name: the view of one that is left out may be computed for another.
        let rows = |name: &str, step: usize| match self.left_out.contains(name) {
            true => Vec::new(),
            false => self.steps[step].slot().rows(),
        };
        let outputs = self.outputs.iter().zip(&self.output_steps);
        let outputs = outputs.map(|((name, _), step)| rows(name, *step)).collect();
        let states = self.states.iter().map(|state| rows(&state.name, state.step)).collect();
        let relations = if self.keeps_rows { self.relations() } else { Vec::new() };
        ViewResults { outputs, states, views, relations }
    }

    fn relations(&self) -> Vec<RelationRows> {
        let slots = self.steps.iter().map(PreparedStep::slot).enumerate();
        let rows = slots.map(|(place, slot)| RelationRows {
            name: Arc::clone(slot.name()),
            rows: slot.rows(),
            masks: self.masks_of_steps.get(place).cloned().unwrap_or_default(),
            is_cut: false,
        });
        rows.collect()
    }

    /// Drops all rows of the current batch.
    fn clear(&mut self) {
        self.batch.clear();
        self.steps.iter().for_each(|step| step.slot().clear());
        self.held.reservation.free();
        self.held.counter = RecordBatchMemoryCounter::new();
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Why: a session prints every function it has.
        f.debug_struct("Pipeline").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl PreparedStep {
    pub(super) fn slot(&self) -> &Slot {
        match self {
            Self::Table { slot, .. } | Self::View { slot, .. } => slot,
        }
    }

    pub(super) fn table(&self) -> Option<usize> {
        match self {
            Self::Table { table, .. } => Some(*table),
            Self::View { .. } => None,
        }
    }

    pub(super) fn view_name(&self) -> Option<&str> {
        match self {
            Self::Table { .. } => None,
            Self::View { view, .. } => Some(&view.name),
        }
    }
}
