//! What can be made of a configuration, right or wrong: a fault in one place hides none in another. A job needs a
//! [`Plan`], which there is where nothing is wrong; `check` shows the rest as well.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{self, Plan};
use crate::batch::{DELETE_COLUMN, Fault};
use crate::config::{
    Config, Mode, OutputConfig, POSITION, ReferenceTableConfig, StateTableConfig, TableOrigin, Upsert,
    WriteConnections,
};
use crate::database::Address;
use crate::decode::Decoder;
use crate::diagnostic::{Code, Diagnostic, Place, Severity};
use crate::sink::{TableFault, Target};
use crate::sql::{self, SqlError, Survey, ViewFiles};
use crate::tables::{ReferenceTables, StateTables, TableError};

/// A configuration's SQL and tables, as far as they could be made sense of.
pub struct Draft {
    /// All that is wrong, and with [`Reach::warns`] what probably is.
    pub diagnostics: Vec<Diagnostic>,
    /// Where nothing is wrong.
    pub plan: Option<Plan>,
    /// The tables that are written, of the views that could be planned; as in [`Plan::targets`].
    pub targets: Vec<Target>,
    pub places: TargetPlaces,
    /// The views in the order of computing, those that nothing needs last: each with what it reads.
    pub graph: Vec<(String, Vec<String>)>,
    pub unused_views: Vec<String>,
    /// For each column of each target the most characters of its texts, where that is known; with [`Reach::warns`].
    pub text_lengths: Vec<Vec<Option<u64>>>,
    /// For each column of each target the symbols of the Avro enum that it is a copy of; with [`Reach::warns`].
    pub symbols: Vec<Vec<Option<Vec<String>>>>,
}

/// How far a draft goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether servers may be asked for the columns of reference tables. A SQLite file is no server.
    pub servers: bool,
    /// Whether it says what probably is wrong, too.
    pub warns: bool,
}

impl Draft {
    /// Reads and plans the views, and opens the tables they read.
    ///
    /// `decoder`: `None` where the schema has a fault, so that views over `batch` cannot be planned.
    pub async fn of(config: &Config, decoder: Option<&Decoder>, reach: Reach) -> Self {
        Self::of_views(config, &ViewFiles::read_some(&config.sql), decoder, reach).await
    }

    /// The same, of files that were read; with what is wrong with them.
    pub(super) async fn of_views(
        config: &Config,
        (views, faults): &(ViewFiles, Vec<SqlError>),
        decoder: Option<&Decoder>,
        reach: Reach,
    ) -> Self {
        let mut diagnostics: Vec<Diagnostic> = faults.iter().cloned().map(Diagnostic::from).collect();
        let states = plan::state_tables(config, views);
        diagnostics.extend(states_of_one_lane(config, &states));
        let (tables, errors) = open_references(config, views, &states, reach.servers).await;
        diagnostics.extend(errors.iter().map(|error| table_diagnostic(config, error)));
        let unknown = unknown_tables(&tables);
        if reach.warns {
            diagnostics.extend(tables_not_checked(config, views, &unknown, reach.servers));
        }
        let outputs = configured_outputs(config, views, &mut diagnostics);
        let specs = plan::table_specs(config, &tables, &states);
        let batch = decoder.map(Decoder::schema);
        let memory = config.memory_max / plan::SQL_SHARES;
        let survey = Survey::of(views, batch, specs, &unknown, outputs.as_deref(), memory).await;
        diagnostics.extend(survey.faults().iter().cloned().map(Diagnostic::from));
        let state_specs = plan::state_specs(&survey, &states, config);
        let targets = plan::targets(config, &survey, &state_specs);
        diagnostics.extend(unordered(config, &survey, &targets));
        let places = TargetPlaces::of(config, views, &targets);
        let lengths = if reach.warns { text_lengths(&survey, &targets) } else { Vec::new() };
        let symbols = match decoder.filter(|_| reach.warns) {
            Some(decoder) => symbols(&survey, &targets, decoder),
            None => Vec::new(),
        };
        if reach.warns {
            let is_append =
                |view: &str| targets.iter().any(|target| target.name == view && target.mode == Mode::Append);
            diagnostics.extend(survey.warnings(&is_append));
            diagnostics.extend(orders_of_batches(config, &survey, &targets));
            diagnostics.extend(unused_tables(config, views, &states));
        }
        let graph = survey.graph().into_iter();
        let graph =
            graph.map(|(view, reads)| (view.to_owned(), reads.into_iter().map(str::to_owned).collect()));
        let graph = graph.collect();
        let unused_views = survey.unused_views().to_vec();
        let mut draft = Self {
            diagnostics,
            plan: None,
            targets,
            places,
            graph,
            unused_views,
            text_lengths: lengths,
            symbols,
        };
        if draft.diagnostics.iter().any(Diagnostic::is_error) {
            return draft;
        }
        let held = StateTables::new(state_specs, &config.database, config.memory_max / plan::STATE_SHARES);
        let states = match held {
            Ok(states) => states,
            Err(errors) => {
                draft.diagnostics.extend(errors.iter().map(|error| table_diagnostic(config, error)));
                return draft;
            }
        };
        let (targets, places) = (draft.targets.clone(), draft.places.clone());
        if let Ok(pipeline) = survey.into_pipeline() {
            let (sql, to_fill) = (views.version(), plan::to_fill(config));
            draft.plan = Some(Plan { tables, states, pipeline, targets, places, sql, to_fill });
        }
        draft
    }
}

/// State tables that several lanes could write the same rows of, where there are several. What one lane has staged the
/// others do not see.
fn states_of_one_lane(config: &Config, states: &[&StateTableConfig]) -> Vec<Diagnostic> {
    let WriteConnections { count, line: lanes_line } = config.write_connections;
    let wrong = states.iter().filter(|state| count > 1 && !state.follows_partition);
    let errors = wrong.map(|StateTableConfig { name, key, line, .. }| {
        let message = format!(
            "state table `{name}` cannot be written by {count} connections, as its rows do not follow the partitions"
        );
        let line = if *line > 0 { *line } else { lanes_line };
        let hint = format!(
            "write `follows_partition: true` if the messages are keyed by `{}`, or `write_connections: 1`",
            key.join(", ")
        );
        let place = config.file.place(line, &[name, "write_connections"]);
        Diagnostic::error(Code::Config, place, message).with_hint(hint)
    });
    errors.collect()
}

/// Opens the reference tables that views read, or that the keys of state tables are compared with.
async fn open_references(
    config: &Config,
    views: &ViewFiles,
    states: &[&StateTableConfig],
    servers: bool,
) -> (ReferenceTables, Vec<TableError>) {
    let read = plan::read_by(views, states);
    let is_read = |name: &str| read.contains(name);
    let is_server = matches!(config.database, Address::MySql(_));
    let may_open = |table: &ReferenceTableConfig| {
        servers || !is_server || matches!(table.origin, TableOrigin::File { .. })
    };
    let held_max = config.memory_max / plan::TABLES_SHARES;
    let tables = &config.reference_tables;
    ReferenceTables::open_some(tables, &is_read, &may_open, &config.database, held_max).await
}

fn unknown_tables(tables: &ReferenceTables) -> BTreeSet<String> {
    tables.specs().iter().filter(|spec| !spec.is_known).map(|spec| spec.name.clone()).collect()
}

/// What is left out because the columns of a table are in a database that is not asked.
fn tables_not_checked(
    config: &Config,
    views: &ViewFiles,
    unknown: &BTreeSet<String>,
    servers: bool,
) -> Vec<Diagnostic> {
    let is_asked = servers || !matches!(config.database, Address::MySql(_));
    let is_left_out = |table: &&ReferenceTableConfig| {
        !is_asked && unknown.contains(&table.name) && !matches!(table.origin, TableOrigin::File { .. })
    };
    let tables = config.reference_tables.iter().filter(is_left_out);
    let not_checked = tables.map(|table| {
        let name = &table.name;
        let readers: Vec<String> = views
            .names()
            .filter(|view| views.reads(view).contains(name.as_str()))
            .map(|view| format!("`{view}`"))
            .collect();
        let message = format!(
            "the columns of `{name}` are known to the database alone, so {} and what reads it are not checked",
            readers.join(", ")
        );
        Diagnostic::warning(Code::NotChecked, config.file.place(table.line, &[name]), message)
            .with_hint("check without --offline")
    });
    not_checked.collect()
}

fn text_lengths(survey: &Survey<'_>, targets: &[Target]) -> Vec<Vec<Option<u64>>> {
    let of = |target: &Target| {
        let fields = target.schema.fields().iter();
        fields.map(|field| survey.characters_max(&target.name, field.name())).collect()
    };
    targets.iter().map(of).collect()
}

fn symbols(survey: &Survey<'_>, targets: &[Target], decoder: &Decoder) -> Vec<Vec<Option<Vec<String>>>> {
    let of = |target: &Target, field: &str| {
        let columns = survey.batch_columns(&target.name, field);
        let symbols = columns.iter().map(|column| decoder.symbols(column));
        symbols.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty()).map(|all| all.concat())
    };
    let of_target =
        |target: &Target| target.schema.fields().iter().map(|field| of(target, field.name())).collect();
    targets.iter().map(of_target).collect()
}

/// Reference tables that are configured and not read.
fn unused_tables(config: &Config, views: &ViewFiles, states: &[&StateTableConfig]) -> Vec<Diagnostic> {
    let read = plan::read_by(views, states);
    let is_key = |name: &str| {
        let places = config.reference_tables.iter().flat_map(|table| table.matches.iter().flatten());
        places.into_iter().any(|place| place.relation == name)
    };
    let tables = config.reference_tables.iter();
    let unused =
        tables.filter(|table| table.line > 0 && !read.contains(table.name.as_str()) && !is_key(&table.name));
    let warnings = unused.map(|table| {
        let message = format!("reference table `{}` is not used: no view reads it", table.name);
        Diagnostic::warning(Code::Unused, config.file.place(table.line, &[&table.name]), message)
            .with_hint("take it out; a job does not open it")
    });
    warnings.collect()
}

/// The outputs of the configuration whose view is there.
fn configured_outputs(
    config: &Config,
    views: &ViewFiles,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let outputs = config.outputs.as_ref()?;
    for OutputConfig { view, line, .. } in outputs.iter().filter(|output| !views.has_file(&output.view)) {
        let message = format!("no view for the output `{view}`: {view}.sql does not exist");
        let error = Diagnostic::error(Code::Output, config.file.place(*line, &[view]), message);
        let hint = sql::name_hint(view, views.names());
        diagnostics.push(Diagnostic { hint, ..error });
    }
    let there = outputs.iter().filter(|output| views.has_file(&output.view));
    Some(there.map(|output| output.view.clone()).collect())
}

/// Outputs with a key whose views may give several rows for it in one batch, where nothing says which is the last.
pub(super) fn unordered(config: &Config, survey: &Survey<'_>, targets: &[Target]) -> Vec<Diagnostic> {
    let outputs = targets.iter().filter(|target| !target.is_state());
    let unordered = outputs.filter_map(|target| {
        let Mode::Upsert(upsert) = &target.mode else { return None };
        let is_unique = || upsert.parent.is_empty() && survey.is_unique(&target.name, &upsert.key);
        if upsert.has_order() || is_unique() {
            return None;
        }
        let (view, key) = (&target.name, upsert.key.join(", "));
        let line = config.outputs.iter().flatten().find(|output| output.view == *view)?.line;
        let place = config.file.place(line, &[view]);
        if !upsert.parent.is_empty() {
            let message =
                format!("output `{view}`: nothing says which rows are of one message, and which message is the last");
            let hint = "select `kafka_partition` and `kafka_offset` in the view (the table need not have them)";
            return Some(Diagnostic::error(Code::Output, place, message).with_hint(hint));
        }
        let message = format!(
            "output `{view}`: a batch may have several rows for one key ({key}), and nothing says which of them is the last"
        );
        let hint = format!(
            "select `kafka_partition` and `kafka_offset` in the view (the table need not have them), or name other \
             columns in `order_by`; or give one row for each key: GROUP BY {key}, or QUALIFY row_number() OVER \
             (PARTITION BY {key} ORDER BY kafka_topic DESC, kafka_partition DESC, kafka_offset DESC) = 1"
        );
        Some(Diagnostic::error(Code::Output, place, message).with_hint(hint))
    });
    unordered.collect()
}

/// Outputs whose last row is chosen by what does not grow from batch to batch.
fn orders_of_batches(config: &Config, survey: &Survey<'_>, targets: &[Target]) -> Vec<Diagnostic> {
    let found = targets.iter().filter_map(|target| {
        let view = &target.name;
        let line = config.outputs.iter().flatten().find(|output| output.view == *view)?.line;
        let Mode::Upsert(Upsert { order_by, only_newer, .. }) = &target.mode else { return None };
        if let Some(version) = only_newer {
            target.schema.field_with_name(DELETE_COLUMN).ok()?;
            let message = format!(
                "output `{view}`: a deleted row leaves no `{version}` behind, so an older row that comes after it is written"
            );
            let place = config.file.place(line, &["only_newer", view]);
            let hint = "if messages may come late, keep the row and mark it as deleted in a column of its own";
            return Some(Diagnostic::warning(Code::CutDependent, place, message).with_hint(hint));
        }
        let is_position = |column: &&String| {
            let of_batch = survey.batch_columns(view, column);
            !of_batch.is_empty() && of_batch.iter().all(|column| POSITION.contains(&column.as_str()))
        };
        let column = order_by.iter().find(|column| !is_position(column))?;
        let message = format!(
            "output `{view}`: in a batch the row with the largest `{column}` of each key is the last, and the next batch \
             replaces it whatever it has: the rows depend on how the messages are cut into batches"
        );
        let place = config.file.place(line, &["order_by", view]);
        Some(Diagnostic::warning(Code::CutDependent, place, message).with_hint(format!("write `only_newer: {column}`")))
    });
    found.collect()
}

pub(super) fn table_diagnostic(config: &Config, error: &TableError) -> Diagnostic {
    let code = match error.fault() {
        Fault::Infrastructure => Code::Unreachable,
        _ => Code::ReferenceTable,
    };
    let name = error.table();
    let references = config.reference_tables.iter().map(|table| (&table.name, table.line));
    let states = config.state_tables.iter().map(|table| (&table.name, table.line));
    let line = references.chain(states).find(|(table, _)| *table == name).map_or(0, |(_, line)| line);
    let place = match error.place() {
        Some(place) => Place::of_file(place),
        None => config.file.place(line, &[name]),
    };
    Diagnostic::error(code, place, error.found().clone().within(error.subject()))
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
        let outputs = config.outputs.iter().flatten().map(|output| (&output.view, output.line));
        let states = config.state_tables.iter().map(|table| (&table.view, table.line));
        let lines: BTreeMap<&String, usize> = states.chain(outputs).collect();
        let tables = targets.iter().map(|target| {
            let line = lines.get(&target.name).copied().unwrap_or(0);
            let table = match line {
                0 => views.place(&target.name).unwrap_or_default(),
                line => config.file.place(line, &[&target.table, &target.name]),
            };
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
