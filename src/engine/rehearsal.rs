//! A job without servers: messages from memory, reference rows and state that are given, and rows that are handed back
//! in place of being written. Between them stand the stages of the job, and faults of data are narrowed to single
//! messages as the job does it, so what SQL does here it does there.
//!
//! What is left out: what a database refuses beyond the types of its columns (foreign keys, CHECK, lengths of tables
//! that somebody else made), and everything about offsets.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, Utc};

use super::draft::{Besides, Draft, Inputs};
use super::error::EngineError;
use super::plan::{PlanError, REACH};
use super::stages::Stages;
use super::stop::Stop;
use super::targets;
use super::work::{Reason, Work};
use crate::batch::{Advance, Commit, DELETE_COLUMN, DeadLetter, Messages, Polled, TopicPartition};
use crate::config::{Config, Mode};
use crate::database::{Address, Dialect};
use crate::decode::Decoder;
use crate::mask::Masks;
use crate::memory::Budget;
use crate::sink::{Tables, Target};
use crate::sql::ViewFiles;
use crate::tables::{ColumnsOf, ReferenceTables, TableError};

/// The views of a job, planned once and run as often as wanted. One run at a time.
pub struct Rehearsal {
    stages: Stages,
    /// Those of the outputs, which are the first of `views`, and of state.
    written: Tables,
    views: Vec<RehearsedView>,
    states: Vec<RehearsedState>,
}

/// A view whose rows a run hands back.
#[derive(Clone, Debug)]
pub struct RehearsedView {
    pub name: String,
    /// Of the rows that a run hands back.
    pub schema: SchemaRef,
    /// How its rows would be written; `None` where it is no output.
    pub mode: Option<Mode>,
}

/// A state table whose rows a run begins with and hands back.
#[derive(Clone, Debug)]
pub struct RehearsedState {
    pub name: String,
    pub schema: SchemaRef,
    pub key: Vec<String>,
}

/// What a run leaves.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// For each of [`Rehearsal::views`], the rows of its batches one after the other; of an output with a key, the rows
    /// that are left.
    pub views: Vec<Vec<RecordBatch>>,
    /// For each of [`Rehearsal::states`], its rows after the last batch, in the order of their keys.
    pub states: Vec<RecordBatch>,
    /// In the order in which messages failed.
    pub dead_letters: Vec<DeadLetter>,
}

impl Rehearsal {
    /// Plans the views that a job of this configuration computes, and those of `also`.
    ///
    /// Reference tables in files are read. Those in the database have the columns that `columns` says and no rows.
    ///
    /// # Errors
    /// As [`super::Plan::prepare`].
    pub async fn prepare(
        config: &Config,
        decoder: Decoder,
        also: &[String],
        columns: &ColumnsOf<'_>,
    ) -> Result<Self, PlanError> {
        let views = &ViewFiles::read_some(&config.sql);
        let budget = Budget::of_job(config.memory_max, targets::uses(config));
        let read = targets::read_by(config, views);
        let is_read = |name: &str| read.contains(name);
        let configured = &config.reference_tables;
        let tables = ReferenceTables::open_without_database(configured, &is_read, columns, budget.tables);
        let tables = tables.await.map_err(|errors| PlanError::of_tables(config, &errors))?;
        let inputs =
            Inputs { config, views, tables: &tables, table_faults: &[], decoder: Some(&decoder), budget };
        let draft = Draft::over(&inputs, REACH, Besides::Views(also)).await;
        let is_right = draft.is_right();
        let Draft { diagnostics, pipeline, states, targets, places, .. } = draft;
        let pipeline = pipeline.filter(|_| is_right).ok_or(PlanError(diagnostics))?;
        // Why: the messages of a test are written by people, and its faults are compared with what they expect.
        let pipeline = pipeline.with_masks(Masks::default());
        let written = Tables::expected(&targets, dialect(&config.database))
            .map_err(|faults| PlanError(places.diagnostics(&faults)))?;
        let mode = |view: &str| {
            let is_it = |target: &&Target| !target.is_state() && target.name == view;
            targets.iter().find(is_it).map(|target| target.mode.clone())
        };
        let views = pipeline.outputs().iter().map(|(name, schema)| {
            let mode = mode(name);
            let schema = match mode {
                Some(Mode::Upsert(_)) => without_delete(schema),
                Some(Mode::Append) | None => schema.clone(),
            };
            RehearsedView { name: name.clone(), schema, mode }
        });
        let views = views.collect();
        let states = states.emptied();
        let rehearsed = states.specs().map(|state| RehearsedState {
            name: state.name.clone(),
            schema: state.schema.clone(),
            key: state.key.clone(),
        });
        let rehearsed = rehearsed.collect();
        // Nothing is waited for here, so nobody has to ask for an end.
        let (_, stop) = Stop::new();
        let stages = Stages::new(decoder, tables, states, pipeline, stop);
        Ok(Self { stages, written, views, states: rehearsed })
    }

    /// Outputs first, in the order of the configuration.
    pub fn views(&self) -> &[RehearsedView] {
        &self.views
    }

    /// In the order of the configuration.
    pub fn states(&self) -> &[RehearsedState] {
        &self.states
    }

    /// The reference tables.
    pub fn tables(&self) -> &ReferenceTables {
        &self.stages.tables
    }

    /// What `now()` gives in all runs to come.
    pub fn stop_clock(&mut self, at: DateTime<Utc>) {
        self.stages.pipeline.stop_clock(at);
    }

    /// Puts rows in place of those of a reference table (by its place); with `None` its own are back.
    ///
    /// # Errors
    /// Two rows with one key.
    pub fn give(&mut self, table: usize, rows: Option<RecordBatch>) -> Result<(), TableError> {
        self.stages.tables.give(table, rows)
    }

    /// Says what state a run begins with: one batch of rows for each of [`Rehearsal::states`].
    ///
    /// # Errors
    /// Two rows with one key, or a key of NULL.
    pub fn begin_with(&mut self, states: &[RecordBatch]) -> Result<(), TableError> {
        states.iter().enumerate().try_for_each(|(index, rows)| self.stages.states.replace(index, rows))
    }

    /// Runs batches, one after the other, on the state that is there.
    ///
    /// # Errors
    /// The error that would stop the job.
    pub async fn run(&mut self, batches: Vec<Messages>) -> Result<Outcome, EngineError> {
        let mut outcome = Outcome::default();
        // For each view the rows of each batch.
        let mut computed = vec![Vec::new(); self.views.len()];
        let mut backlog: VecDeque<Work> = batches.into_iter().map(work_of).collect();
        while let Some(work) = backlog.pop_front() {
            match self.compute(&work).await {
                Ok(commit) => {
                    self.stages.states.committed();
                    for (rows, batches) in commit.outputs.into_iter().zip(&mut computed) {
                        batches.push(rows);
                    }
                    outcome.dead_letters.extend(commit.dead_letters);
                }
                Err(error) => match Reason::of(&error) {
                    Some(reason) => {
                        self.stages.states.forget_staged();
                        work.narrow(reason).into_iter().rev().for_each(|part| backlog.push_front(part));
                    }
                    None => return Err(error),
                },
            }
        }
        let mut outputs = 0..;
        let left = self.views.iter().zip(computed).map(|(view, batches)| match view.mode {
            Some(_) => self.written.left(outputs.next().unwrap_or_default(), batches),
            None => Ok(batches.into_iter().flatten().collect()),
        });
        outcome.views = left.collect::<Result<_, _>>()?;
        let rows = (0..self.states.len()).map(|index| self.stages.states.all_rows(index));
        outcome.states = rows.collect::<Result<_, _>>()?;
        Ok(outcome)
    }

    async fn compute(&mut self, work: &Work) -> Result<Commit, EngineError> {
        let (commit, _) = self.stages.compute(work, None).await?;
        let outputs = self.views.iter().zip(&commit.outputs).filter(|(view, _)| view.mode.is_some());
        let outputs = outputs.map(|(_, rows)| rows.clone()).collect();
        self.written.prepare(Commit { outputs, states: commit.states.clone(), ..Commit::default() })?;
        Ok(commit)
    }
}

impl fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { views, states, .. } = self;
        f.debug_struct("Rehearsal").field("views", views).field("states", states).finish_non_exhaustive()
    }
}

/// The columns that an output with a key has in its table.
fn without_delete(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| field.name() != DELETE_COLUMN);
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

/// Messages as if they had been polled.
fn work_of(messages: Messages) -> Work {
    let mut advances: Vec<Advance> = Vec::new();
    for message in messages.iter() {
        let partition = TopicPartition { topic: message.topic.clone(), partition: message.partition };
        let (to, message_time_ms) = (message.offset + 1, message.timestamp_ms);
        match advances.last_mut().filter(|advance| advance.partition == partition) {
            Some(advance) => (advance.to, advance.message_time_ms) = (to, message_time_ms),
            None => {
                advances.push(Advance { partition, epoch: 1, from: message.offset, to, message_time_ms });
            }
        }
    }
    // Files are not read again in a run.
    Work::of(Polled { messages, advances }).again()
}

fn dialect(address: &Address) -> Dialect {
    match address {
        Address::MySql(_) => Dialect::MySql,
        Address::Sqlite { .. } => Dialect::Sqlite,
    }
}
