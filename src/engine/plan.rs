//! From a configuration and its SQL to planned views, opened tables, and the tables that are written: everything a job
//! knows before it meets Kafka.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;

use crate::batch::{Fault, SqlVersion};
use crate::config::{Config, Mode, OutputConfig, StateTableConfig};
use crate::decode::Decoder;
use crate::sink::{Target, TargetKind};
use crate::sql::{Pipeline, SqlError, StateView, TableSpec, ViewFiles};
use crate::tables::{ReferenceTables, StateTableSpec, StateTables, TableError};

/// The part of the memory that reference tables may hold.
pub(super) const TABLES_SHARES: usize = 4;
/// The part of the memory that rows of state tables may be held in.
pub(super) const STATE_SHARES: usize = 8;
/// The part of the memory that the plans of the views may use.
pub(super) const SQL_SHARES: usize = 2;

/// The views, planned, and the tables they read and write.
pub struct Plan {
    pub tables: ReferenceTables,
    pub states: StateTables,
    pub pipeline: Pipeline,
    /// Outputs, then state tables, each in the pipeline's order.
    pub targets: Vec<Target>,
    pub sql: SqlVersion,
}

/// What is wrong with a configuration's SQL or tables: all that was found.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    Sql(Vec<SqlError>),
    Tables(Vec<TableError>),
    /// Neither an output nor state.
    NothingWritten(String),
}

impl PlanError {
    /// True where a server is away and nothing else is wrong.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Tables(errors) => errors.iter().all(|error| error.fault() == Fault::Infrastructure),
            Self::Sql(_) | Self::NothingWritten(_) => false,
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(errors) => f.write_str(&crate::sql::render(errors)),
            Self::NothingWritten(text) => f.write_str(text),
            Self::Tables(errors) => {
                let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
                f.write_str(&text.join("\n"))
            }
        }
    }
}

impl Plan {
    /// Reads and plans the views, and opens the tables they read.
    ///
    /// # Errors
    /// All that is wrong with the views, or with the tables.
    pub async fn prepare(config: &Config, decoder: &Decoder) -> Result<Self, PlanError> {
        let views = ViewFiles::read(&config.sql).map_err(PlanError::Sql)?;
        let outputs = config
            .outputs
            .as_ref()
            .map(|outputs| outputs.iter().map(|output| output.view.clone()).collect::<Vec<_>>());
        let state_configs = state_tables(config, &views);
        let tables = open_references(config, &views, &state_configs).await?;
        let specs = table_specs(config, &tables, &state_configs);
        let memory = config.memory_max / SQL_SHARES;
        let pipeline = Pipeline::prepare(&views, decoder.schema(), specs, outputs.as_deref(), memory)
            .await
            .map_err(PlanError::Sql)?;
        if pipeline.outputs().is_empty() && state_configs.is_empty() {
            return Err(PlanError::NothingWritten(format!(
                "{}: error: nothing would be written: there are no outputs\nhint: write a view in {}",
                config.file.display(),
                config.sql.display()
            )));
        }
        let states = state_specs(&pipeline, &state_configs);
        let targets = targets(config, &pipeline, &states);
        let states = StateTables::new(states, &config.database, config.memory_max / STATE_SHARES);
        let states = states.map_err(PlanError::Tables)?;
        Ok(Self { tables, states, pipeline, targets, sql: views.version() })
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

/// What is configured of an output; where nothing is, it is appended to the table of its name.
fn output_of(config: &Config, view: &str) -> OutputConfig {
    let written = config.outputs.iter().flatten().find(|output| output.view == view);
    written.cloned().unwrap_or_else(|| OutputConfig {
        view: view.to_owned(),
        line: 0,
        table: view.to_owned(),
        mode: Mode::Append,
    })
}

/// What views read, and what the keys of state tables are compared with.
pub(super) fn read_by<'a>(views: &'a ViewFiles, states: &[&'a StateTableConfig]) -> BTreeSet<&'a str> {
    let mut read = views.read_by_any();
    let places = states.iter().flat_map(|table| table.matches.iter().flatten());
    read.extend(places.map(|place| place.relation.as_str()));
    read
}

/// The state tables with the columns that their views compute.
pub(super) fn state_specs(pipeline: &Pipeline, states: &[&StateTableConfig]) -> Vec<StateTableSpec> {
    let specs = pipeline.states().iter().zip(states).map(|(planned, table)| StateTableSpec {
        name: table.name.clone(),
        view: table.view.clone(),
        schema: planned.schema.clone(),
        key: table.key.clone(),
        deletes: planned.deletes,
        follows_partition: table.follows_partition,
        ttl: table.ttl,
    });
    specs.collect()
}

/// Opens the reference tables that views read, or that the keys of state tables are compared with.
async fn open_references(
    config: &Config,
    views: &ViewFiles,
    states: &[&StateTableConfig],
) -> Result<ReferenceTables, PlanError> {
    let read = read_by(views, states);
    let is_read = |name: &str| read.contains(name);
    let held_max = config.memory_max / TABLES_SHARES;
    let opened = ReferenceTables::open(&config.reference_tables, &is_read, &config.database, held_max);
    opened.await.map_err(PlanError::Tables)
}

/// All tables as SQL knows them: reference tables, then state tables.
pub(super) fn table_specs(
    config: &Config,
    tables: &ReferenceTables,
    states: &[&StateTableConfig],
) -> Vec<TableSpec> {
    let file = config.file.display();
    let place = |line: usize| if line == 0 { file.to_string() } else { format!("{file}:{line}") };
    let references = tables.specs().iter().map(|spec| TableSpec {
        name: spec.name.clone(),
        schema: spec.schema.clone(),
        key: spec.key.clone(),
        matches: spec.matches.clone(),
        state: None,
        place: place(spec.line),
    });
    let states = states.iter().map(|table| TableSpec {
        name: table.name.clone(),
        schema: Arc::new(Schema::empty()),
        key: table.key.clone(),
        matches: table.matches.clone(),
        state: Some(StateView { view: table.view.clone(), follows_partition: table.follows_partition }),
        place: place(table.line),
    });
    references.chain(states).collect()
}

/// Where the rows of each output and of each state table go.
pub(super) fn targets(config: &Config, pipeline: &Pipeline, states: &[StateTableSpec]) -> Vec<Target> {
    let outputs = pipeline.outputs().iter().map(|(view, schema)| {
        let OutputConfig { view, table, mode, .. } = output_of(config, view);
        Target { name: view, table, mode, schema: schema.clone(), kind: TargetKind::Output }
    });
    let states = states.iter().map(|state| Target {
        name: state.view.clone(),
        table: state.name.clone(),
        mode: Mode::Upsert { key: state.key.clone() },
        schema: state.rows_schema(),
        kind: TargetKind::State { expires: state.ttl.is_some() },
    });
    outputs.chain(states).collect()
}
