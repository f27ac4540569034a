//! The views over a batch, computed as a job does, except that a faulty view keeps no other one back: it is left out,
//! together with what reads it, and its fault is kept for people who ask.
//!
//! State tables are read as of one [`Moment`]; nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::batch::message_of;
use super::left_out::{LeftOut, Refused};
use super::masks;
use super::moment::Moment;
use crate::batch::{ViewResults, ViewTiming};
use crate::config::Config;
use crate::database::{Address, Connection, DatabaseError, table};
use crate::decode::Decoder;
use crate::diagnostic::{Code, Diagnostic, Finding};
use crate::engine::{Besides, Draft, Inputs, Reach, table_diagnostic, uses};
use crate::mask::{Masks, of_sql};
use crate::memory::Budget;
use crate::sql::{Faulty, Pipeline, SEARCH_MAX, SqlError, SqlErrorKind, ViewFiles, failing_rows};
use crate::tables::{ReferenceTables, StateTables, TableError};

/// The views of a folder, planned as far as they are sound.
pub(super) struct Views {
    files: ViewFiles,
    faulty: Faulty,
    unused: Vec<String>,
    pipeline: Option<Pipeline>,
    states: StateTables,
    /// What of the views and tables must not be shown, and of the tables of the database that they are written to.
    masks: Masks,
    /// For each state table that was asked for, whether there is one to read. A job that never ran has made none.
    has_rows: BTreeMap<String, bool>,
}

/// Where rows of state tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateStore {
    /// They are read, and nothing is written.
    Database,
    /// No rows at first, then what the views have computed.
    Memory,
}

/// What the views and tables hold over one batch.
#[derive(Debug, Default)]
pub(super) struct Computed {
    /// By name: views and tables.
    pub relations: BTreeMap<String, Relation>,
    /// In the order of computing.
    pub timings: Vec<ViewTiming>,
    /// What of the relations must not be shown.
    pub masks: Masks,
    /// The messages that the views are computed without.
    pub left_out: LeftOut,
}

#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub schema: SchemaRef,
    pub rows: Vec<RecordBatch>,
}

impl Relation {
    pub fn without_rows(&self) -> Self {
        Self { schema: Arc::clone(&self.schema), rows: Vec::new() }
    }
}

/// What views are computed with, beside the batch.
struct Given<'a> {
    config: &'a Config,
    tables: &'a mut ReferenceTables,
    moment: &'a mut Moment,
}

/// Why a batch could not be computed.
struct Failed {
    fault: Diagnostic,
    /// Where SQL failed on a row, if it did, as a dead letter says it.
    place_of_row: Option<String>,
}

impl From<SqlError> for Failed {
    fn from(error: SqlError) -> Self {
        let is_of_row = error.kind() == SqlErrorKind::Row;
        Self { place_of_row: is_of_row.then(|| error.place_of_row()), fault: error.into() }
    }
}

/// Opens the reference tables of a configuration, also those that no view reads; beside it the faults of those that cannot
/// be opened.
pub(super) async fn open_references(
    config: &Config,
    files: &ViewFiles,
) -> (ReferenceTables, Vec<TableError>) {
    let read = files.read_by_any();
    let is_configured = |name: &str| config.reference_tables.iter().any(|table| table.name == name);
    let is_used = |name: &str| read.contains(name) || is_configured(name);
    let held_max = Budget::of_prompt(config.memory_max, uses(config)).tables;
    let tables = &config.reference_tables;
    ReferenceTables::open_some(tables, &is_used, &|_| true, &config.database, held_max).await
}

impl Views {
    /// Plans what can be planned of `files`. With [`StateStore::Memory`] that is what a job computes, else everything.
    pub async fn prepare(
        config: &Config,
        files: ViewFiles,
        decoder: &Decoder,
        tables: &ReferenceTables,
        table_faults: &[TableError],
        store: StateStore,
    ) -> Self {
        let (besides, is_read) = match store {
            StateStore::Database => (Besides::Everything, true),
            StateStore::Memory => (Besides::Nothing, false),
        };
        let budget = Budget::of_prompt(config.memory_max, uses(config));
        let inputs = Inputs { config, views: &files, tables, table_faults, decoder: Some(decoder), budget };
        let draft = Draft::over(&inputs, Reach { servers: true, warns: false }, besides).await;
        let Draft { mut pipeline, states, faulty, unused_views: unused, targets, .. } = draft;
        let masks = pipeline.as_ref().map(|pipeline| pipeline.masks().clone());
        let masks = masks.unwrap_or_else(|| Masks::new(&config.sensitive));
        let masks = masks::with_tables(masks, &targets);
        pipeline.iter_mut().for_each(|pipeline| pipeline.keep_rows(is_read));
        let (states, has_rows) = match store {
            StateStore::Database => (states, BTreeMap::new()),
            StateStore::Memory => {
                let has_rows = states.names().map(|name| (name.to_owned(), true)).collect();
                (states.emptied(), has_rows)
            }
        };
        Self { files, faulty, unused, pipeline, states, masks, has_rows }
    }

    /// What cannot be computed, and why.
    pub fn faulty(&self) -> &Faulty {
        &self.faulty
    }

    pub fn files(&self) -> &ViewFiles {
        &self.files
    }

    /// The views that a job does not compute, because nothing needs them.
    pub fn unused(&self) -> &[String] {
        &self.unused
    }

    /// The columns of all views and tables that are sound, by name.
    pub fn schemas(&self) -> Vec<(String, SchemaRef)> {
        let steps = self.pipeline.iter().flat_map(Pipeline::steps);
        let sound = steps.filter(|step| !self.faulty.has(step.name));
        sound.map(|step| (step.name.to_owned(), Arc::clone(step.schema))).collect()
    }

    /// What of the views and tables must not be shown, and of the tables of the database that they are written to.
    pub fn masks(&self) -> &Masks {
        &self.masks
    }

    /// Whether a state table is read or computed.
    pub fn has_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// Computes a batch on state in memory, which is then what the views have computed of it.
    ///
    /// # Errors
    /// The first fault; the state is as it was.
    pub async fn advance(
        &mut self,
        config: &Config,
        batch: &RecordBatch,
        tables: &mut ReferenceTables,
    ) -> Result<(), String> {
        let results = self.run(batch, &mut Given { config, tables, moment: &mut Moment::default() }).await;
        let results = results.map_err(|failed| self.shown(failed.fault).to_string())?;
        let staged = self.states.stage(&results.states, None);
        staged.map_err(|error| error.to_string())?;
        self.states.committed();
        Ok(())
    }

    /// All rows of state in memory, by the name of the table.
    ///
    /// # Errors
    /// Rows that do not have the columns of their table.
    pub fn state_rows(&self) -> Result<Vec<(String, RecordBatch)>, String> {
        let tables = self.states.names().enumerate();
        let rows = tables.map(|(index, name)| Ok((name.to_owned(), self.states.all_rows(index)?)));
        rows.collect::<Result<_, TableError>>().map_err(|error| error.to_string())
    }

    /// Computes everything over a batch, on the state of this moment. Messages that a view of the job refuses are left out, as
    /// long as they are few. Otherwise the view is, and its fault is kept.
    pub async fn compute(
        &mut self,
        config: &Config,
        batch: &RecordBatch,
        tables: &mut ReferenceTables,
        moment: &mut Moment,
    ) -> Computed {
        let mut given = Given { config, tables, moment };
        let mut left_out = LeftOut::default();
        let until = Instant::now() + SEARCH_MAX;
        // Each round leaves out messages or a step.
        while let Ok(rows) = left_out.others(batch) {
            let failed = match self.run(&rows, &mut given).await {
                Ok(results) => return self.computed(results, left_out),
                Err(failed) => failed,
            };
            let Some(step) = self.failed_step() else { break };
            let view = self.name_of(step);
            let max = match self.unused.contains(&view) {
                true => 0,
                false => left_out.room(batch.num_rows(), config.dead_letters.ratio_max),
            };
            let (refused, are_all) = match failed.place_of_row {
                Some(_) => self.refused(step, &rows, max, until, &mut given).await,
                None => (Vec::new(), false),
            };
            if are_all && !refused.is_empty() {
                left_out.add(batch, refused);
                continue;
            }
            left_out.take_back(&view);
            let message = refused.first().and_then(|(row, _)| message_of(&rows.slice(*row, 1)));
            let fault = self.shown(failed.fault);
            self.set_aside(step, fault, message);
        }
        Computed::default()
    }

    fn computed(&self, results: ViewResults, left_out: LeftOut) -> Computed {
        let steps = self.pipeline.iter().flat_map(Pipeline::steps);
        let sound = steps.zip(results.relations).filter(|(step, _)| !self.faulty.has(step.name));
        let relations = sound.map(|(step, relation)| {
            (step.name.to_owned(), Relation { schema: Arc::clone(step.schema), rows: relation.rows })
        });
        let masks = self.masks.clone();
        Computed { relations: relations.collect(), timings: results.views, masks, left_out }
    }

    /// A fault that was met while views ran, without what may quote a value if values must not be shown.
    fn shown(&self, fault: Diagnostic) -> Diagnostic {
        if !self.masks.is_on() || fault.code == Code::Unreachable {
            return fault;
        }
        let Finding { message, hint } = of_sql(&Finding { message: fault.message, hint: fault.hint });
        Diagnostic { message, hint, ..fault }
    }

    async fn run(&mut self, batch: &RecordBatch, given: &mut Given<'_>) -> Result<ViewResults, Failed> {
        let Given { config, tables, moment } = given;
        let Self { pipeline, states, has_rows, .. } = self;
        let Some(pipeline) = pipeline else {
            return Err(SqlError::internal("no view can be computed").into());
        };
        pipeline.stop_clock(moment.now);
        states.begin_batch();
        states.forget();
        let state_places: Vec<usize> = pipeline.states().iter().map(|state| state.table).collect();
        let results = pipeline.run(batch.clone(), async |table, keys: Vec<RecordBatch>| {
            let rows = match state_places.iter().position(|place| *place == table) {
                None => tables.gather(table, &keys).await,
                Some(state) => state_rows(states, state, &keys, moment, has_rows, &config.database).await,
            };
            rows.map_err(|error| Failed { fault: table_diagnostic(config, &error), place_of_row: None })
        });
        results.await
    }

    /// The step at which the last run failed.
    fn failed_step(&self) -> Option<usize> {
        self.pipeline.as_ref().and_then(Pipeline::failed)
    }

    /// Leaves a step out from now on, and what reads it.
    fn set_aside(&mut self, step: usize, fault: Diagnostic, message: Option<String>) {
        let Some(pipeline) = &mut self.pipeline else { return };
        let readers = pipeline.set_aside(step);
        let names: Vec<&str> = pipeline.steps().map(|step| step.name).collect();
        self.faulty.add_met(names[step], fault, message);
        for (reader, read) in readers {
            self.faulty.add_reader(names[reader], names[read]);
        }
    }

    /// The rows over each of which alone a step fails, in their order, and why; and whether these are all of them, at most `max`,
    /// found in time.
    async fn refused(
        &mut self,
        step: usize,
        rows: &RecordBatch,
        max: usize,
        until: Instant,
        given: &mut Given<'_>,
    ) -> (Vec<(usize, Refused)>, bool) {
        let (failing, are_all) = failing_rows(rows, max, until, async |rows: RecordBatch| {
            let failed = self.run(&rows, given).await.err()?;
            (self.failed_step() == Some(step)).then_some(failed)
        })
        .await;
        let are_all = are_all && failing.iter().all(|(_, failed)| failed.place_of_row.is_some());
        let refused = failing.into_iter().filter_map(|(row, failed)| {
            let Diagnostic { message, hint, .. } = self.shown(failed.fault);
            let found = Finding { message, hint };
            Some((row, Refused { view: self.name_of(step), place: failed.place_of_row?, found }))
        });
        (refused.collect(), are_all)
    }

    fn name_of(&self, step: usize) -> String {
        let named = self.pipeline.iter().flat_map(Pipeline::steps).nth(step);
        named.map_or_else(String::new, |step| step.name.to_owned())
    }
}

/// The rows of a state table for these keys, as of the moment.
async fn state_rows(
    states: &mut StateTables,
    state: usize,
    keys: &[RecordBatch],
    moment: &mut Moment,
    has_rows: &mut BTreeMap<String, bool>,
    database: &Address,
) -> Result<Vec<RecordBatch>, TableError> {
    if let Some(missing) = states.missing(state, keys)? {
        let (columns, name) = (states.held_columns(state), states.name(state).to_owned());
        let failed = |error: ArrowError| TableError::state(&name, error.to_string());
        if let Some(unknown) = moment.unknown(&name, &missing).map_err(failed)? {
            if !has_rows.contains_key(&name) {
                let exists = exists(database, &name).await;
                let exists = exists.map_err(|error| TableError::state(&name, error.to_string()))?;
                has_rows.insert(name.clone(), exists);
            }
            let rows = match has_rows.get(&name) {
                Some(true) => states.fetch(state, &unknown).await?,
                _ => RecordBatch::new_empty(Arc::clone(&columns)),
            };
            moment.keep(&name, &unknown, rows);
        }
        let rows = moment.rows(&name, &missing, &columns).map_err(failed)?;
        states.hold(state, &missing, &rows)?;
    }
    Ok(vec![states.rows(state, keys)?])
}

/// Whether the database has a table.
async fn exists(database: &Address, name: &str) -> Result<bool, DatabaseError> {
    let Some(mut connection) = Connection::look(database).await? else { return Ok(false) };
    Ok(table(&mut connection, name).await?.is_some())
}
