//! The views over a batch, computed as a job does, but so that a view with a fault keeps no other one back: it is left
//! out, together with what reads it, and the fault is kept to be shown when somebody asks for it.
//!
//! State tables are read as of one [`Moment`]; nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::batch::message_of;
use super::moment::Moment;
use crate::batch::{ViewResults, ViewTiming};
use crate::config::Config;
use crate::database::{Address, Connection, DatabaseError, Purpose, table};
use crate::engine::table_specs;
use crate::sql::{Pipeline, SqlError, SqlErrorKind, Step, TableSpec, ViewFiles, failing_row};
use crate::tables::{ReferenceTables, StateTableSpec, StateTables, TableError};

/// The part of the memory that the plans of the views may use.
const SQL_SHARES: usize = 2;
/// The part of the memory that rows of state tables may be held in.
const STATE_SHARES: usize = 8;
/// The part of the memory that reference tables may hold.
const TABLES_SHARES: usize = 4;
/// A view of this prefix and a table's name passes on the table's rows.
const OF_TABLE: &str = "table ";

/// What keeps a view or a table from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ailment {
    /// Its own fault, as it is printed.
    Fault(String),
    /// It reads this one, which has a fault.
    Reads(String),
}

/// The faults by the name of the view or table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ailments(BTreeMap<String, Ailment>);

/// The views of a folder, planned as far as they are sound.
pub(super) struct Views {
    /// All that could be parsed.
    files: ViewFiles,
    store: StateStore,
    batch: SchemaRef,
    ailments: Ailments,
    planned: Option<Planned>,
}

/// Where rows of state tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateStore {
    /// They are read, and nothing is written.
    Database,
    /// No rows at first, then what the views have computed.
    Memory,
}

/// The sound part.
struct Planned {
    pipeline: Pipeline,
    states: StateTables,
    /// For each table of the pipeline, where its rows come from.
    lookups: Vec<Lookup>,
}

#[derive(Clone, Copy, Debug)]
enum Lookup {
    Reference(usize),
    /// By its place among the state tables; whether it exists in the database.
    State(usize, bool),
}

/// What the views and tables hold over one batch.
#[derive(Debug, Default)]
pub(super) struct Computed {
    /// By name: views and tables.
    pub relations: BTreeMap<String, Relation>,
    /// In the order of computing.
    pub timings: Vec<ViewTiming>,
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

    pub fn count(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }
}

impl Ailments {
    /// What to say to a person who asks for `name`; `None` where nothing is wrong with it.
    pub fn of(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Ailment::Fault(text) => Some(text.clone()),
            Ailment::Reads(other) => {
                let cause = self.of(other).unwrap_or_default();
                Some(format!(
                    "error: `{name}` cannot be computed: it reads `{other}`, which has a fault\n{cause}"
                ))
            }
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn add(&mut self, name: &str, ailment: Ailment) -> bool {
        match self.0.get_mut(name) {
            // Several faults of one file.
            Some(Ailment::Fault(known)) => {
                if let Ailment::Fault(text) = ailment
                    && !known.contains(&text)
                {
                    known.push('\n');
                    known.push_str(&text);
                }
                false
            }
            Some(Ailment::Reads(_)) => false,
            None => self.0.insert(name.to_owned(), ailment).is_none(),
        }
    }
}

impl fmt::Display for Ailments {
    /// The faults themselves, then one line with what they keep from being computed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.0.values().filter_map(|ailment| match ailment {
            Ailment::Fault(text) => Some(text.as_str()),
            Ailment::Reads(_) => None,
        });
        f.write_str(&faults.collect::<Vec<_>>().join("\n"))?;
        let kept_back: Vec<String> = self
            .0
            .iter()
            .filter(|(_, ailment)| matches!(ailment, Ailment::Reads(_)))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        if !kept_back.is_empty() {
            write!(f, "\nnot computed, because they read what has a fault: {}", kept_back.join(", "))?;
        }
        Ok(())
    }
}

/// Opens the reference tables of a configuration. One that cannot be opened keeps the others not back.
pub(super) async fn open_references(config: &Config, files: &ViewFiles) -> (ReferenceTables, Ailments) {
    let read = files.read_by_any();
    let mut ailments = Ailments::default();
    loop {
        let is_used = |name: &str| {
            let is_table = config.reference_tables.iter().any(|table| table.name == name);
            !ailments.has(name) && (read.contains(name) || is_table)
        };
        let held_max = config.memory_max / TABLES_SHARES;
        let opened = ReferenceTables::open(&config.reference_tables, &is_used, &config.database, held_max);
        match opened.await {
            Ok(tables) => return (tables, ailments),
            // Each round leaves a table out, so the rounds are no more than the tables.
            Err(errors) => {
                for error in errors {
                    ailments.add(error.table(), Ailment::Fault(error.to_string()));
                }
            }
        }
    }
}

impl Views {
    /// Plans what can be planned of `files`; `unread` are the faults of files that could not be read or parsed.
    pub async fn prepare(
        config: &Config,
        files: ViewFiles,
        unread: &[SqlError],
        batch: SchemaRef,
        references: &ReferenceTables,
        tables_ailing: &Ailments,
        store: StateStore,
    ) -> Self {
        let mut ailments = tables_ailing.clone();
        for error in unread {
            ailments.add(&culprit(error).unwrap_or_default(), Ailment::Fault(error.to_string()));
        }
        let mut views = Self { files, store, batch, ailments, planned: None };
        views.plan(config, references).await;
        views
    }

    pub fn ailments(&self) -> &Ailments {
        &self.ailments
    }

    pub fn files(&self) -> &ViewFiles {
        &self.files
    }

    /// Plans the sound views, leaving out one after the other until the planner is content.
    async fn plan(&mut self, config: &Config, references: &ReferenceTables) {
        self.planned = None;
        let states = &config.state_tables;
        // Each round leaves one more view or table out.
        for _ in 0..=self.files.names().count() + references.specs().len() + states.len() {
            self.leave_out_readers(config);
            let files = self.files.without(&|name| self.ailments.has(name));
            let specs = self.sound_specs(config, references);
            let with_tables = specs.iter().try_fold(files, |files, spec| {
                let quoted = spec.name.replace('"', "\"\"");
                files.with(&format!("{OF_TABLE}{}", spec.name), &format!("SELECT * FROM \"{quoted}\""))
            });
            let files = match with_tables {
                Ok(files) if files.names().next().is_some() => files,
                _ => return,
            };
            let outputs: Vec<String> = files.names().map(str::to_owned).collect();
            let memory = config.memory_max / SQL_SHARES;
            let prepared =
                Pipeline::prepare(&files, Arc::clone(&self.batch), specs.clone(), Some(&outputs), memory);
            match prepared.await {
                Ok(pipeline) => {
                    match Planned::new(pipeline, &specs, references, config, self.store).await {
                        Ok(planned) => self.planned = Some(planned),
                        Err(text) => {
                            states.iter().for_each(|state| {
                                self.ailments.add(&state.name, Ailment::Fault(text.clone()));
                            });
                            continue;
                        }
                    }
                    return;
                }
                Err(errors) => {
                    let mut is_new = false;
                    for error in &errors {
                        let name = culprit(error).or_else(|| table_at(error, &specs)).unwrap_or_default();
                        is_new |= self.ailments.add(&name, Ailment::Fault(error.to_string()));
                    }
                    if !is_new {
                        return;
                    }
                }
            }
        }
    }

    /// The columns of all views and tables that are sound, by name.
    pub fn schemas(&self) -> Vec<(String, SchemaRef)> {
        let outputs = self.planned.iter().flat_map(|planned| planned.pipeline.outputs());
        let named = |(name, schema): &(String, SchemaRef)| {
            (name.strip_prefix(OF_TABLE).unwrap_or(name).to_owned(), Arc::clone(schema))
        };
        outputs.map(named).collect()
    }

    /// Whatever reads something with a fault cannot be computed.
    fn leave_out_readers(&mut self, config: &Config) {
        loop {
            let mut found: Vec<(String, String)> = Vec::new();
            for name in self.files.names().filter(|name| !self.ailments.has(name)) {
                let ailing = self.files.reads(name).into_iter().find(|read| self.ailments.has(read));
                found.extend(ailing.map(|read| (name.to_owned(), read.to_owned())));
            }
            let keyed = config.reference_tables.iter().map(|table| (&table.name, &table.matches, None));
            let keyed = keyed.chain(
                config.state_tables.iter().map(|table| (&table.name, &table.matches, Some(&table.view))),
            );
            for (name, matches, view) in keyed.filter(|(name, _, _)| !self.ailments.has(name)) {
                let mut read = matches.iter().flatten().map(|place| &place.relation).chain(view);
                found.extend(
                    read.find(|read| self.ailments.has(read)).map(|read| (name.clone(), read.clone())),
                );
            }
            if found.is_empty() {
                return;
            }
            for (name, read) in found {
                self.ailments.add(&name, Ailment::Reads(read));
            }
        }
    }

    /// The tables that can be read, as the planner knows them.
    fn sound_specs(&self, config: &Config, references: &ReferenceTables) -> Vec<TableSpec> {
        let mut specs = table_specs(config, references);
        let is_opened = |spec: &TableSpec| spec.state.is_some() || !spec.schema.fields().is_empty();
        specs.retain(|spec| is_opened(spec) && !self.ailments.has(&spec.name));
        specs
    }

    /// Whether a state table is read or computed.
    pub fn has_states(&self) -> bool {
        self.planned.as_ref().is_some_and(|planned| !planned.states.is_empty())
    }

    /// Computes a batch on state in memory, which is then what the views have computed of it.
    ///
    /// # Errors
    /// The first fault; the state is as it was.
    pub async fn advance(
        &mut self,
        batch: &RecordBatch,
        references: &mut ReferenceTables,
    ) -> Result<(), String> {
        let Some(planned) = &mut self.planned else { return Err("no view can be computed".into()) };
        let results = planned.results(batch, references, &mut Moment::default()).await;
        let results = results.map_err(|failed| failed.text)?;
        let staged = planned.states.stage(&results.states, None);
        staged.map_err(|error| error.to_string())?;
        planned.states.committed();
        Ok(())
    }

    /// All rows of state in memory, by the name of the table.
    ///
    /// # Errors
    /// Rows that do not have the columns of their table.
    pub fn state_rows(&self) -> Result<Vec<(String, RecordBatch)>, String> {
        let Some(planned) = &self.planned else { return Ok(Vec::new()) };
        let tables = planned.states.names().enumerate();
        let rows = tables.map(|(index, name)| Ok((name.to_owned(), planned.states.all_rows(index)?)));
        rows.collect::<Result<_, TableError>>().map_err(|error| error.to_string())
    }

    /// Computes everything over a batch, on the state of this moment. What fails is left out, and its fault is kept.
    pub async fn compute(
        &mut self,
        config: &Config,
        batch: &RecordBatch,
        references: &mut ReferenceTables,
        moment: &mut Moment,
    ) -> Computed {
        // Each round leaves one more view or table out.
        loop {
            let Some(planned) = &mut self.planned else { return Computed::default() };
            let failed = match planned.run(batch, references, moment).await {
                Ok(computed) => return computed,
                Err(failed) => failed,
            };
            let mut text = failed.text.clone();
            if failed.is_of_row {
                let message = planned.failing_message(&failed.name, batch, references, moment).await;
                text.extend(message.map(|message| format!("\nmessage: {message}")));
            }
            if !self.ailments.add(&failed.name, Ailment::Fault(text)) {
                return Computed::default();
            }
            self.plan(config, references).await;
        }
    }
}

/// A view or a table that cannot be computed.
struct Failed {
    /// What is to blame.
    name: String,
    /// The fault, as it is printed.
    text: String,
    /// Whether a row is.
    is_of_row: bool,
}

impl Failed {
    fn view(error: &SqlError) -> Self {
        let (name, is_of_row) = (culprit(error).unwrap_or_default(), error.kind() == SqlErrorKind::Row);
        Self { name, text: error.to_string(), is_of_row }
    }

    fn table(error: &TableError) -> Self {
        Self { name: error.table().to_owned(), text: error.to_string(), is_of_row: false }
    }
}

impl Planned {
    async fn new(
        pipeline: Pipeline,
        specs: &[TableSpec],
        references: &ReferenceTables,
        config: &Config,
        store: StateStore,
    ) -> Result<Self, String> {
        let mut state_specs = Vec::new();
        for planned in pipeline.states() {
            let name = &specs[planned.table].name;
            let Some(table) = config.state_tables.iter().find(|table| table.name == *name) else { continue };
            state_specs.push(StateTableSpec {
                name: name.clone(),
                view: table.view.clone(),
                schema: Arc::clone(&planned.schema),
                key: table.key.clone(),
                deletes: planned.deletes,
                follows_partition: table.follows_partition,
                ttl: table.ttl,
            });
        }
        let names: Vec<&str> = state_specs.iter().map(|spec| spec.name.as_str()).collect();
        let existing = match store {
            StateStore::Database => existing(&config.database, &names).await,
            StateStore::Memory => Ok(names.iter().map(|name| (*name).to_owned()).collect()),
        };
        let existing = existing.map_err(|error| format!("error: {error}"))?;
        let lookups = specs.iter().map(|spec| match names.iter().position(|name| *name == spec.name) {
            Some(state) => Lookup::State(state, existing.contains(&spec.name)),
            None => {
                let place = references.specs().iter().position(|other| other.name == spec.name);
                Lookup::Reference(place.unwrap_or(usize::MAX))
            }
        });
        let lookups = lookups.collect();
        let memory_max = config.memory_max / STATE_SHARES;
        let states = match store {
            StateStore::Database => StateTables::new(state_specs, &config.database, memory_max),
            StateStore::Memory => StateTables::in_memory(state_specs, memory_max),
        };
        let states =
            states.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        Ok(Self { pipeline, states, lookups })
    }

    async fn run(
        &mut self,
        batch: &RecordBatch,
        references: &mut ReferenceTables,
        moment: &mut Moment,
    ) -> Result<Computed, Failed> {
        let results = self.results(batch, references, moment).await?;
        let relations = self.pipeline.outputs().iter().zip(results.outputs).map(|((name, schema), rows)| {
            let name = name.strip_prefix(OF_TABLE).unwrap_or(name);
            (name.to_owned(), Relation { schema: Arc::clone(schema), rows })
        });
        let relations = relations.collect();
        let timings = results.views.into_iter().filter(|timing| !timing.view.starts_with(OF_TABLE));
        Ok(Computed { relations, timings: timings.collect() })
    }

    async fn results(
        &mut self,
        batch: &RecordBatch,
        references: &mut ReferenceTables,
        moment: &mut Moment,
    ) -> Result<ViewResults, Failed> {
        self.states.begin_batch();
        self.states.forget();
        self.pipeline.start(batch.clone());
        loop {
            let step = self.pipeline.next().await;
            match step.map_err(|error| Failed::view(&error))? {
                Step::Table { table, keys } => {
                    let rows = self.rows_of(table, &keys, references, moment).await;
                    let rows = rows.map_err(|error| Failed::table(&error))?;
                    self.pipeline.provide(table, rows);
                }
                Step::Done(results) => return Ok(results),
            }
        }
    }

    /// The message over which alone a view fails, if there is one.
    async fn failing_message(
        &mut self,
        view: &str,
        batch: &RecordBatch,
        references: &mut ReferenceTables,
        moment: &mut Moment,
    ) -> Option<String> {
        let fails_over = async |rows: RecordBatch| {
            let results = self.results(&rows, references, moment).await;
            results.is_err_and(|failed| failed.is_of_row && failed.name == view)
        };
        message_of(&failing_row(batch, fails_over).await?)
    }

    async fn rows_of(
        &mut self,
        table: usize,
        keys: &[RecordBatch],
        references: &mut ReferenceTables,
        moment: &mut Moment,
    ) -> Result<Vec<RecordBatch>, TableError> {
        let (state, exists) = match self.lookups[table] {
            Lookup::Reference(place) => return references.gather(place, keys).await,
            Lookup::State(state, exists) => (state, exists),
        };
        if let Some(missing) = self.states.missing(state, keys)? {
            let (columns, name) = (self.states.held_columns(state), self.states.name(state).to_owned());
            let failed = |error: ArrowError| TableError::state(&name, error.to_string());
            if let Some(unknown) = moment.unknown(&name, &missing).map_err(failed)? {
                let rows = match exists {
                    true => self.states.fetch(state, &unknown).await?,
                    false => RecordBatch::new_empty(Arc::clone(&columns)),
                };
                moment.keep(&name, &unknown, rows);
            }
            let rows = moment.rows(&name, &missing, &columns).map_err(failed)?;
            self.states.hold(state, &missing, &rows)?;
        }
        Ok(vec![self.states.rows(state, keys)?])
    }
}

/// Which of these tables exist. A job that never ran has made none.
async fn existing(database: &Address, names: &[&str]) -> Result<BTreeSet<String>, DatabaseError> {
    let mut found = BTreeSet::new();
    let is_absent = matches!(database, Address::Sqlite { path } if !path.exists());
    if names.is_empty() || is_absent {
        return Ok(found);
    }
    let mut connection = Connection::open(database, Purpose::ReadOnly).await?;
    for name in names {
        if table(&mut connection, name).await?.is_some() {
            found.insert((*name).to_owned());
        }
    }
    Ok(found)
}

/// The view whose file an error names.
fn culprit(error: &SqlError) -> Option<String> {
    let name = error.file().strip_suffix(".sql")?;
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    Some(name.strip_prefix(OF_TABLE).unwrap_or(name).to_owned())
}

/// The table whose place in the configuration an error names.
fn table_at(error: &SqlError, specs: &[TableSpec]) -> Option<String> {
    specs.iter().find(|spec| spec.place == *error.place()).map(|spec| spec.name.clone())
}
