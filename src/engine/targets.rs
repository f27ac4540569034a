//! What a configuration makes of the views: which are outputs, which tables SQL knows, where rows are written, and the places
//! of all this in the files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::Schema;

use crate::config::{Config, Created, Mode, OutputConfig, Upsert};
use crate::diagnostic::{Code, Diagnostic, Place, Severity};
use crate::memory::Uses;
use crate::sink::{TableFault, Target, TargetKind};
use crate::sql::{StateView, Survey, TableSpec, ViewFiles};
use crate::tables::{ReferenceTables, StateTableSpec};

/// What of a project needs memory beside its views.
pub(crate) fn uses(config: &Config) -> Uses {
    Uses { tables: !config.reference_tables.is_empty(), state: !config.state_tables.is_empty() }
}

/// The outputs: those of the configuration, or every view that no other reads and that computes neither state nor the
/// keys of a table.
pub(crate) fn outputs(config: &Config, views: &ViewFiles) -> Vec<OutputConfig> {
    if let Some(outputs) = &config.outputs {
        return outputs.clone();
    }
    let states = &config.state_tables;
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
        table: view.to_owned(),
        mode: Mode::Append,
        created: Created::default(),
        fill: false,
    })
}

/// What views read, and what the keys of state tables are compared with.
pub(super) fn read_by<'a>(config: &'a Config, views: &'a ViewFiles) -> BTreeSet<&'a str> {
    let mut read = views.read_by_any();
    let places = config.state_tables.iter().flat_map(|table| table.matches.iter().flatten());
    read.extend(places.map(|place| place.relation.as_str()));
    read
}

/// The state tables with the columns that their views compute, as far as these could be planned.
pub(super) fn state_specs(survey: &Survey<'_>, config: &Config) -> Vec<StateTableSpec> {
    let first = config.reference_tables.len();
    let specs = survey.states().filter_map(|(table, schema, deletes)| {
        let table = config.state_tables.get(table.checked_sub(first)?)?;
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
pub(crate) fn table_specs(config: &Config, tables: &ReferenceTables) -> Vec<TableSpec> {
    let references = tables.specs().iter().map(|spec| TableSpec {
        name: spec.name.clone(),
        schema: spec.schema.clone(),
        key: spec.key.clone(),
        matches: spec.matches.clone(),
        state: None,
        place: config.file.place(&["reference_tables", &spec.name]),
    });
    let states = config.state_tables.iter().map(|table| TableSpec {
        name: table.name.clone(),
        schema: Arc::new(Schema::empty()),
        key: table.key.clone(),
        matches: table.matches.clone(),
        state: Some(StateView { view: table.view.clone(), follows_partition: table.follows_partition }),
        place: config.file.place(&["state_tables", &table.name]),
    });
    references.chain(states).collect()
}

/// Where the rows of each output and of each state table go, as far as the views could be planned.
pub(super) fn targets(
    config: &Config,
    survey: &Survey<'_>,
    outputs: &[String],
    states: &[StateTableSpec],
) -> Vec<Target> {
    let outputs = outputs.iter().filter_map(|view| {
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

/// Where the columns of tables are written in the SQL, and the tables in the configuration: the places of what is
/// wrong with tables.
#[derive(Clone, Debug, Default)]
pub struct TargetPlaces {
    /// By the name of the table, in lower case.
    tables: BTreeMap<String, TargetPlace>,
}

#[derive(Clone, Debug)]
struct TargetPlace {
    table: Place,
    columns: BTreeMap<String, Place>,
}

impl TargetPlaces {
    pub(super) fn of(config: &Config, views: &ViewFiles, targets: &[Target]) -> Self {
        let tables = targets.iter().map(|target| {
            let key = match target.kind {
                TargetKind::Output => ["outputs", &target.name],
                TargetKind::State { .. } => ["state_tables", &target.table],
            };
            let table = config.file.place_if_written(&key);
            let table = table.or_else(|| views.place(&target.name)).unwrap_or_default();
            let columns = target.schema.fields().iter().filter_map(|field| {
                Some((field.name().clone(), views.column_place(&target.name, field.name())?))
            });
            (target.table.to_lowercase(), TargetPlace { table, columns: columns.collect() })
        });
        Self { tables: tables.collect() }
    }

    /// Where a column of a table is written; the table's place where it is none of the view's.
    pub fn place(&self, table: &str, column: Option<&str>) -> Place {
        let Some(target) = self.tables.get(&table.to_lowercase()) else { return Place::default() };
        column.and_then(|column| target.columns.get(column)).unwrap_or(&target.table).clone()
    }

    /// The faults of tables with their places.
    pub fn diagnostics(&self, faults: &[TableFault]) -> Vec<Diagnostic> {
        faults.iter().map(|fault| self.diagnostic(Severity::Error, Code::Table, fault)).collect()
    }

    /// What is to be said of a table, with its place.
    pub fn diagnostic(&self, severity: Severity, code: Code, fault: &TableFault) -> Diagnostic {
        let place = self.place(&fault.table, fault.column.as_deref());
        let found = fault.found.clone().within(format!("table {}", fault.subject()));
        Diagnostic { severity, ..Diagnostic::error(code, place, found) }
    }
}
