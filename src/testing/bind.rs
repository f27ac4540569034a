//! Tests against the planned SQL: the views, tables and columns that they name are found, their messages encoded and
//! their rows turned into Arrow, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::given;
use super::messages::Recorder;
use super::run::Case;
use super::suite::{DeclaredColumn, Expectation, GivenTable, Of, Row, Suite, Test};
use super::table::Table;
use super::{Bound, Tests, TestsError};
use crate::avro::{Encoder, KeyEncoder};
use crate::config::{Config, TableOrigin};
use crate::decode::Decoder;
use crate::diagnostic::Diagnostic;
use crate::engine::{PlanError, Rehearsal};
use crate::sql::{ViewFiles, type_of};
use crate::tables::TableError;
use crate::yaml::{Fault, Spot};

/// Plans the views of a project and binds its tests to them. `unread` are the faults of files that could not be read.
///
/// # Errors
/// Everything that is wrong with the test files, the SQL, the reference tables, or what the tests name.
pub(super) async fn bind(
    config: &Config,
    mut suites: Vec<Suite>,
    unread: Vec<Diagnostic>,
    encoder: &Encoder,
    keys: &KeyEncoder,
) -> Result<Tests, TestsError> {
    let all_faults = |suites: &[Suite], others: Vec<Diagnostic>| {
        let mut faults = unread.clone();
        faults.extend(others);
        faults.extend(suites.iter().flat_map(Suite::diagnostics));
        TestsError::Faults(faults)
    };
    let of_plan = |PlanError(faults): PlanError| faults;
    let views = match ViewFiles::read(&config.sql) {
        Ok(views) => views,
        Err(errors) => return Err(all_faults(&suites, of_plan(PlanError::of_sql(errors)))),
    };
    let also = named_views(config, &views, &mut suites);
    let decoder = Decoder::new(&config.avro)?;
    let declared = match declared_columns(config, &mut suites).await {
        Ok(declared) => declared,
        // Views that read a table of unknown columns would be refused for it.
        Err(UnknownColumns) => return Err(all_faults(&suites, Vec::new())),
    };
    let columns = |table: &str| declared.get(table).cloned().or_else(|| seeming_columns(table, &suites));
    let rehearsal = match Rehearsal::prepare(config, decoder, &also, &columns).await {
        Ok(rehearsal) => rehearsal,
        Err(errors) => return Err(all_faults(&suites, of_plan(errors))),
    };
    let topics: Vec<Arc<str>> = config.kafka.topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
    let mut binder = Binder { rehearsal, recorder: Recorder { encoder, keys, topics: &topics } };
    let mut bound = Vec::new();
    for suite in &mut suites {
        let mut cases = Vec::new();
        for test in &suite.tests {
            match binder.case(test, &suite.text) {
                Ok(case) => cases.push(case),
                Err(found) => suite.faults.extend(found),
            }
        }
        bound.push(cases);
    }
    if !unread.is_empty() || suites.iter().any(|suite| !suite.faults.is_empty()) {
        return Err(all_faults(&suites, Vec::new()));
    }
    let suites = suites.into_iter().zip(bound).map(|(suite, cases)| Bound { suite, cases }).collect();
    Ok(Tests { suites, rehearsal: binder.rehearsal })
}

/// The views that tests expect rows of. One that is not there is a fault of its file.
fn named_views(config: &Config, views: &ViewFiles, suites: &mut [Suite]) -> Vec<String> {
    let mut named = Vec::new();
    for Suite { tests, faults, .. } in suites {
        let expectations = tests.iter().flat_map(|test| &test.expectations);
        for expectation in expectations.filter(|expectation| expectation.of == Of::View) {
            let name = &expectation.name;
            if views.names().any(|view| view == name) {
                named.push(name.clone());
                continue;
            }
            let fault = Fault::new(expectation.spot, format!("expect: there is no view `{name}`"));
            let is_state = config.state_tables.iter().any(|table| table.name == *name);
            faults.push(match is_state {
                true => fault.hint("rows of a state table stand under `expect_state`"),
                false => fault.or_one_of(name, views.names().collect::<Vec<_>>().into_iter()),
            });
        }
    }
    named.sort();
    named.dedup();
    named
}

/// What the rows that tests give of a table seem to have; `None` where they give none.
fn seeming_columns(table: &str, suites: &[Suite]) -> Option<SchemaRef> {
    let tests = suites.iter().flat_map(|suite| &suite.tests);
    let given = tests.flat_map(|test| &test.tables).filter(|given| given.name == table);
    let rows = given.flat_map(|given| &given.rows);
    rows.clone().next()?;
    Some(given::columns(rows))
}

/// The columns that tests declare for tables of the database, by the tables' names. What is wrong with them is a fault of
/// their file.
async fn declared_columns(
    config: &Config,
    suites: &mut [Suite],
) -> Result<BTreeMap<String, SchemaRef>, UnknownColumns> {
    let mut declared: BTreeMap<String, SchemaRef> = BTreeMap::new();
    let mut is_wrong = false;
    for Suite { tests, faults, .. } in suites {
        let before = faults.len();
        for given in tests.iter().flat_map(|test| &test.tables) {
            let Some(columns) = &given.columns else { continue };
            let name = &given.name;
            let table = config.reference_tables.iter().find(|table| table.name == *name);
            if table.is_some_and(|table| matches!(table.origin, TableOrigin::File { .. })) {
                let message = format!("columns: those of `{name}` are those of its file");
                faults.push(Fault::new(given.spot, message).hint("take them out"));
                continue;
            }
            match schema_of(columns).await {
                Ok(schema) => match declared.get(name) {
                    Some(other) if *other != schema => {
                        let message = format!("columns: another test says otherwise of `{name}`");
                        faults.push(Fault::new(given.spot, message));
                    }
                    _ => drop(declared.insert(name.clone(), schema)),
                },
                Err(fault) => faults.push(fault),
            }
        }
        is_wrong |= faults.len() > before;
    }
    if is_wrong { Err(UnknownColumns) } else { Ok(declared) }
}

/// Columns that a test declares are wrong, and so they are not known.
struct UnknownColumns;

async fn schema_of(columns: &[DeclaredColumn]) -> Result<SchemaRef, Fault> {
    let mut fields = Vec::new();
    for DeclaredColumn { name, spot, kind } in columns {
        let kind = type_of(kind).await.map_err(|reason| {
            let message = format!("columns.{name}: found `{kind}`, expected a type of SQL: {reason}");
            Fault::new(*spot, message)
                .hint("for example BIGINT, TEXT, DOUBLE, DATE, TIMESTAMP, DECIMAL(10, 2)")
        })?;
        fields.push(Field::new(name, kind, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

struct Binder<'a> {
    rehearsal: Rehearsal,
    recorder: Recorder<'a>,
}

impl Binder<'_> {
    fn case(&mut self, test: &Test, text: &str) -> Result<Case, Vec<Fault>> {
        let mut faults = Vec::new();
        let recording = self.recorder.record(test, text).map_err(|found| faults.extend(found)).ok();
        let tables = self.tables(test, &mut faults);
        let states = self.states(test, &mut faults);
        for expectation in &test.expectations {
            self.check_expectation(expectation, &mut faults);
        }
        match recording.filter(|_| faults.is_empty()) {
            Some(recording) => Ok(Case { test: test.clone(), recording, tables, states }),
            None => Err(faults),
        }
    }

    fn tables(&mut self, test: &Test, faults: &mut Vec<Fault>) -> Vec<Option<RecordBatch>> {
        let specs = self.rehearsal.tables().specs().to_vec();
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        check_names("tables", "reference table", &test.tables, &names, faults);
        let mut tables = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let Some(given) = test.tables.iter().find(|given| given.name == spec.name) else {
                tables.push(None);
                continue;
            };
            if spec.schema.fields().is_empty() && !given.rows.is_empty() {
                let message = format!("tables: no view reads `{}`", spec.name);
                faults.push(Fault::new(given.spot, message).hint("take it out"));
            }
            check_keys(given, &spec.key, faults);
            match given::batch(&spec.name, &given.rows, &spec.schema) {
                Ok(rows) => {
                    if let Err(error) = self.rehearsal.give(index, Some(rows.clone())) {
                        faults.push(fault_of(given.spot, &spec.name, &error));
                    }
                    tables.push(Some(rows));
                }
                Err(found) => faults.extend(found),
            }
        }
        tables
    }

    fn states(&mut self, test: &Test, faults: &mut Vec<Fault>) -> Vec<RecordBatch> {
        let specs = self.rehearsal.states().to_vec();
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        check_names("state", "state table", &test.state, &names, faults);
        let before = faults.len();
        let mut states = Vec::new();
        for spec in &specs {
            let given = test.state.iter().find(|given| given.name == spec.name);
            let rows = given.map_or(&[][..], |given| &given.rows);
            if let Some(given) = given {
                check_keys(given, &spec.key, faults);
            }
            match given::batch(&spec.name, rows, &spec.schema) {
                Ok(rows) => states.push(rows),
                Err(found) => faults.extend(found),
            }
        }
        if faults.len() == before
            && let Err(error) = self.rehearsal.begin_with(&states)
        {
            let given = test.state.iter().find(|given| given.name == error.table());
            let spot = given.map_or(test.spot, |given| given.spot);
            faults.push(fault_of(spot, error.table(), &error));
        }
        states
    }

    fn check_expectation(&self, expectation: &Expectation, faults: &mut Vec<Fault>) {
        let name = &expectation.name;
        let columns: Vec<String> = match expectation.of {
            Of::View => {
                // A view that is not there was reported before.
                let Some(view) = self.rehearsal.views().iter().find(|view| view.name == *name) else {
                    return;
                };
                names_of(&view.schema)
            }
            Of::State => {
                let states = self.rehearsal.states();
                let Some(state) = states.iter().find(|state| state.name == *name) else {
                    let message = format!("expect_state: there is no state table `{name}`");
                    let names = states.iter().map(|state| state.name.as_str());
                    faults.push(Fault::new(expectation.spot, message).or_one_of(name, names));
                    return;
                };
                names_of(&state.schema)
            }
            Of::DeadLetters => Table::dead_letter_columns().into_iter().map(|column| column.name).collect(),
        };
        for cell in expectation.rows.iter().flat_map(|row| &row.cells) {
            if !columns.contains(&cell.column) {
                let message = format!("no column `{}` in `{name}`", cell.column);
                let known = columns.iter().map(String::as_str);
                faults.push(Fault::new(cell.spot, message).or_one_of(&cell.column, known));
            }
        }
        let empty = expectation.rows.iter().filter(|row| row.cells.is_empty());
        faults.extend(empty.map(|row| Fault::new(row.spot, format!("{name}: a row that says nothing"))));
    }
}

fn names_of(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

fn check_names(key: &str, what: &str, given: &[GivenTable], names: &[&str], faults: &mut Vec<Fault>) {
    for table in given.iter().filter(|table| !names.contains(&table.name.as_str())) {
        let fault = Fault::new(table.spot, format!("{key}: there is no {what} `{}`", table.name));
        faults.push(fault.or_one_of(&table.name, names.iter().copied()));
    }
}

/// A row without its key would never be found.
fn check_keys(given: &GivenTable, key: &[String], faults: &mut Vec<Fault>) {
    let says = |row: &Row, column: &String| {
        row.cells.iter().any(|cell| cell.column == *column && !cell.value.is_null())
    };
    for row in &given.rows {
        if let Some(missing) = key.iter().find(|column| !says(row, column)) {
            faults.push(Fault::new(row.spot, format!("{}: a row without its key ({missing})", given.name)));
        }
    }
}

/// What is wrong with the rows of a table.
fn fault_of(spot: Spot, table: &str, error: &TableError) -> Fault {
    Fault::new(spot, error.found().clone().within(table))
}
