//! From a configuration and its SQL to planned views, opened tables, and the tables that are written: everything a job
//! knows before it meets Kafka. There is a plan only where nothing is wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use super::draft::{Draft, Reach, TargetPlaces, table_diagnostic};
use crate::batch::SqlVersion;
use crate::config::{Config, Created, Mode, OutputConfig, StateTableConfig, Upsert};
use crate::decode::Decoder;
use crate::diagnostic::{Code, Diagnostic};
use crate::sink::{Target, TargetKind};
use crate::sql::{BATCH, Pipeline, SqlError, StateView, StepName, Survey, TableSpec, ViewFiles};
use crate::tables::{ReferenceTables, StateTableSpec, StateTables, TableError};
use crate::telemetry::{Relation, RelationKind};

/// The part of the memory that reference tables may hold.
pub(super) const TABLES_SHARES: usize = 4;
/// The part of the memory that rows of state tables may be held in.
pub(super) const STATE_SHARES: usize = 8;
/// The part of the memory that the plans of the views may use.
pub(super) const SQL_SHARES: usize = 2;

/// How far a job looks.
const REACH: Reach = Reach { servers: true, warns: false };

/// The views, planned, and the tables they read and write.
pub struct Plan {
    pub tables: ReferenceTables,
    pub states: StateTables,
    pub pipeline: Pipeline,
    /// Outputs, then state tables, each in the pipeline's order.
    pub targets: Vec<Target>,
    /// Where the targets are written, for what is wrong with their tables.
    pub places: TargetPlaces,
    pub sql: SqlVersion,
    /// The outputs, by their views, and the state tables that are not written before they are filled.
    pub to_fill: BTreeSet<String>,
}

/// What is wrong with a configuration's SQL or tables: all that was found.
#[derive(Debug, thiserror::Error)]
#[error("{}", crate::diagnostic::render(.0))]
pub struct PlanError(pub Vec<Diagnostic>);

impl PlanError {
    /// Faults of views.
    pub(crate) fn of_sql(errors: Vec<SqlError>) -> Self {
        Self(errors.into_iter().map(Diagnostic::from).collect())
    }

    /// Faults of reference and state tables.
    pub(super) fn of_tables(config: &Config, errors: &[TableError]) -> Self {
        Self(errors.iter().map(|error| table_diagnostic(config, error)).collect())
    }

    /// True where a server is away and nothing else is wrong.
    pub fn is_away(&self) -> bool {
        self.0.iter().all(|diagnostic| diagnostic.code == Code::Unreachable)
    }
}

impl Plan {
    /// Reads and plans the views, and opens the tables they read.
    ///
    /// # Errors
    /// All that is wrong with the views and the tables.
    pub async fn prepare(config: &Config, decoder: &Decoder) -> Result<Self, PlanError> {
        let draft = Draft::of(config, Some(decoder), REACH).await;
        draft.plan.ok_or(PlanError(draft.diagnostics))
    }

    /// What SQL reads and computes, in the order of computing, for people.
    pub fn relations(&self) -> Vec<Relation> {
        let states: Vec<&str> = self.states.names().collect();
        let references = self.tables.specs();
        let name_of = |step: &StepName<'_>| match step {
            StepName::View(view) => (*view).to_owned(),
            StepName::Table(table) => match table.checked_sub(references.len()) {
                None => references[*table].name.clone(),
                Some(state) => states.get(state).map(|name| (*name).to_owned()).unwrap_or_default(),
            },
        };
        let names: Vec<String> = self.pipeline.steps().map(|(step, ..)| name_of(&step)).collect();
        let texts = ViewFiles::of_version(&self.sql);
        let of_step = |(step, schema, reads): (StepName<'_>, &SchemaRef, &[usize])| {
            let name = name_of(&step);
            let mut read: Vec<String> = reads.iter().map(|place| names[*place].clone()).collect();
            let kind = match step {
                StepName::View(_) => RelationKind::View,
                StepName::Table(table) if table < references.len() => RelationKind::Reference,
                StepName::Table(_) => RelationKind::State,
            };
            let is_of_batch = match step {
                StepName::View(view) => texts.reads(view).contains(BATCH),
                StepName::Table(table) => {
                    reads.is_empty() && references.get(table).is_none_or(|table| !table.key.is_empty())
                }
            };
            if is_of_batch {
                read.insert(0, BATCH.to_owned());
            }
            let output = self.targets.iter().find(|target| !target.is_state() && target.name == name);
            let state =
                self.pipeline.states().iter().find(|state| self.pipeline.view_of(state) == Some(&*name));
            Relation {
                name: name.as_str().into(),
                kind,
                schema: SchemaRef::clone(schema),
                reads: read,
                output: output.filter(|_| kind == RelationKind::View).map(|target| target.table.clone()),
                state_of: state.filter(|_| kind == RelationKind::View).map(|state| state.name.clone()),
                is_used: true,
            }
        };
        let unused = self.pipeline.unused_views().iter().map(|name| Relation {
            name: name.as_str().into(),
            kind: RelationKind::View,
            schema: Arc::new(Schema::empty()),
            reads: texts.reads(name).into_iter().map(str::to_owned).collect(),
            output: None,
            state_of: None,
            is_used: false,
        });
        let batch = Relation {
            name: BATCH.into(),
            kind: RelationKind::Batch,
            schema: SchemaRef::clone(self.pipeline.batch()),
            reads: Vec::new(),
            output: None,
            state_of: None,
            is_used: true,
        };
        std::iter::once(batch).chain(self.pipeline.steps().map(of_step)).chain(unused).collect()
    }

    /// A plan for each lane, all of the same files, each with its part of the memory.
    ///
    /// # Errors
    /// As [`Plan::prepare`]; or a reference table has other columns meanwhile.
    pub async fn of_lanes(config: &Config, decoder: &Decoder, lanes: usize) -> Result<Vec<Self>, PlanError> {
        let config = &Config { memory_max: config.memory_max / lanes.max(1), ..config.clone() };
        let views = ViewFiles::read_some(&config.sql);
        let mut plans: Vec<Self> = Vec::with_capacity(lanes);
        for _ in 0..lanes {
            let draft = Draft::of_views(config, &views, Some(decoder), REACH).await;
            let plan = draft.plan.ok_or(PlanError(draft.diagnostics))?;
            // Invariant: the lanes write the same columns to the same tables.
            if plans.first().is_some_and(|first| first.targets != plan.targets) {
                let message = "the columns of a reference table changed while the views were planned";
                let error = Diagnostic::error(Code::ReferenceTable, config.file.place(0, &[]), message);
                return Err(PlanError(vec![error.with_hint("try again")]));
            }
            plans.push(plan);
        }
        Ok(plans)
    }
}

/// The state tables that are in use: those of the configuration, or the shipped one where its view is.
pub(crate) fn state_tables<'c>(config: &'c Config, views: &ViewFiles) -> Vec<&'c StateTableConfig> {
    let is_there = |table: &&StateTableConfig| table.line > 0 || views.names().any(|view| view == table.view);
    config.state_tables.iter().filter(is_there).collect()
}

/// The outputs: those of the configuration, or every view that no other reads and that computes neither state nor the
/// keys of a table.
pub(crate) fn outputs(config: &Config, views: &ViewFiles) -> Vec<OutputConfig> {
    if let Some(outputs) = &config.outputs {
        return outputs.clone();
    }
    let states = state_tables(config, views);
    let references = config.reference_tables.iter().flat_map(|table| &table.matches);
    let keys = references.chain(states.iter().flat_map(|state| &state.matches)).flatten();
    let is_key: BTreeSet<&str> = keys.map(|place| place.relation.as_str()).collect();
    let is_output =
        |view: &String| states.iter().all(|state| state.view != *view) && !is_key.contains(view.as_str());
    views.leaves().iter().filter(|view| is_output(view)).map(|view| output_of(config, view)).collect()
}

/// The outputs, by their views, and the state tables that are not written before they are filled.
pub(super) fn to_fill(config: &Config) -> BTreeSet<String> {
    let outputs = config.outputs.iter().flatten().filter(|output| output.fill).map(|output| &output.view);
    let states = config.state_tables.iter().filter(|table| table.fill).map(|table| &table.name);
    outputs.chain(states).cloned().collect()
}

/// What is configured of an output; where nothing is, it is appended to the table of its name.
fn output_of(config: &Config, view: &str) -> OutputConfig {
    let written = config.outputs.iter().flatten().find(|output| output.view == view);
    written.cloned().unwrap_or_else(|| OutputConfig {
        view: view.to_owned(),
        line: 0,
        table: view.to_owned(),
        mode: Mode::Append,
        created: Created::default(),
        fill: false,
    })
}

/// What views read, and what the keys of state tables are compared with.
pub(super) fn read_by<'a>(views: &'a ViewFiles, states: &[&'a StateTableConfig]) -> BTreeSet<&'a str> {
    let mut read = views.read_by_any();
    let places = states.iter().flat_map(|table| table.matches.iter().flatten());
    read.extend(places.map(|place| place.relation.as_str()));
    read
}

/// The state tables with the columns that their views compute, as far as these could be planned.
pub(super) fn state_specs(
    survey: &Survey<'_>,
    states: &[&StateTableConfig],
    config: &Config,
) -> Vec<StateTableSpec> {
    let first = config.reference_tables.len();
    let specs = survey.states().filter_map(|(table, schema, deletes)| {
        let table = states.get(table.checked_sub(first)?)?;
        Some(StateTableSpec {
            name: table.name.clone(),
            view: table.view.clone(),
            schema: schema.clone(),
            key: table.key.clone(),
            deletes,
            follows_partition: table.follows_partition,
            ttl: table.ttl,
        })
    });
    specs.collect()
}

/// All tables as SQL knows them: reference tables, then state tables.
pub(crate) fn table_specs(
    config: &Config,
    tables: &ReferenceTables,
    states: &[&StateTableConfig],
) -> Vec<TableSpec> {
    let place = |line: usize, name: &str| config.file.place(line, &[name]);
    let references = tables.specs().iter().map(|spec| TableSpec {
        name: spec.name.clone(),
        schema: spec.schema.clone(),
        key: spec.key.clone(),
        matches: spec.matches.clone(),
        state: None,
        place: place(spec.line, &spec.name),
    });
    let states = states.iter().map(|table| TableSpec {
        name: table.name.clone(),
        schema: Arc::new(Schema::empty()),
        key: table.key.clone(),
        matches: table.matches.clone(),
        state: Some(StateView { view: table.view.clone(), follows_partition: table.follows_partition }),
        place: place(table.line, &table.name),
    });
    references.chain(states).collect()
}

/// Where the rows of each output and of each state table go, as far as the views could be planned.
pub(super) fn targets(config: &Config, survey: &Survey<'_>, states: &[StateTableSpec]) -> Vec<Target> {
    let outputs = survey.outputs().iter().filter_map(|view| {
        let schema = survey.columns(view)?.clone();
        let OutputConfig { view, table, mode, created, .. } = output_of(config, view);
        let mode = match mode {
            Mode::Append => Mode::Append,
            Mode::Upsert(upsert) => Mode::Upsert(upsert.ordered(&schema)),
        };
        let created = created_by(survey, &view, &schema, created);
        Some(Target { name: view, table, mode, schema, kind: TargetKind::Output, created })
    });
    let states = states.iter().map(|state| Target {
        name: state.view.clone(),
        table: state.name.clone(),
        mode: Mode::Upsert(Upsert::by(state.key.iter().cloned())),
        schema: state.rows_schema(),
        kind: TargetKind::State { expires: state.ttl.is_some() },
        created: Created::default(),
    });
    outputs.chain(states).collect()
}

/// What the view adds to what is configured of a table that is created: columns that are taken unchanged from required
/// fields of `batch` take no NULL.
fn created_by(survey: &Survey<'_>, view: &str, schema: &Schema, created: Created) -> Created {
    // Why not all that the view never makes NULL: a change of an expression may let it make NULL, and the table stays.
    let required = schema
        .fields()
        .iter()
        .filter(|field| !field.is_nullable() && !survey.batch_columns(view, field.name()).is_empty());
    Created { required: required.map(|field| field.name().clone()).collect(), ..created }
}
