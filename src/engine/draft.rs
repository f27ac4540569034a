//! What can be made of a configuration, right or wrong: a fault in one place hides none in another. A job and the tests of
//! views need all of it to be right, `check` shows what is wrong, and the prompt computes what is sound.

use std::collections::BTreeSet;

use arrow::datatypes::Schema;

use super::targets::{self, TargetPlaces};
use crate::batch::Fault;
use crate::config::{
    Config, Mode, OutputConfig, POSITION, ReferenceTableConfig, StateTableConfig, TableOrigin, Upsert,
};
use crate::database::Address;
use crate::decode::Decoder;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::mask::field_names;
use crate::memory::Budget;
use crate::nearest::did_you_mean;
use crate::sink::Target;
use crate::sql::{self, Faulty, Pipeline, Scope, Survey, ViewFiles};
use crate::tables::{ReferenceTables, StateTables, TableError};

/// A configuration's SQL and tables, as far as they could be made sense of.
pub struct Draft {
    /// All that is wrong, and with [`Reach::warns`] what probably is.
    pub diagnostics: Vec<Diagnostic>,
    /// The views and tables that are sound, ready to run; `None` only if there is no session to plan in.
    pub pipeline: Option<Pipeline>,
    /// The state tables of the pipeline, in its order.
    pub states: StateTables,
    /// The views and tables that are not in the pipeline because of faults.
    pub faulty: Faulty,
    /// The tables that are written, of the views that could be planned: outputs, then state tables.
    pub targets: Vec<Target>,
    pub places: TargetPlaces,
    /// The views in the order of computing, those that nothing needs last: each with what it reads.
    pub graph: Vec<(String, Vec<String>)>,
    pub unused_views: Vec<String>,
    /// For each column of each target the most characters of its texts, where that is known; with [`Reach::warns`].
    pub text_lengths: Vec<Vec<Option<u64>>>,
    /// For each target its columns that may be NULL in a row that is written; with [`Reach::warns`].
    pub nullable: Vec<Vec<String>>,
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

/// What is computed beside outputs and state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Besides<'a> {
    Nothing,
    /// These views; the pipeline has them after its outputs.
    Views(&'a [String]),
    /// All views and all open tables.
    Everything,
}

/// What a draft is made of.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub config: &'a Config,
    pub views: &'a ViewFiles,
    /// The reference tables, as far as they could be opened, and the faults of the others.
    pub tables: &'a ReferenceTables,
    pub table_faults: &'a [TableError],
    /// `None` if the schema has a fault, so that views over `batch` cannot be planned.
    pub decoder: Option<&'a Decoder>,
    pub budget: Budget,
}

impl Draft {
    /// Reads and plans the views, and opens the tables they read.
    ///
    /// `decoder`: `None` if the schema has a fault, so that views over `batch` cannot be planned.
    pub async fn of(config: &Config, decoder: Option<&Decoder>, reach: Reach) -> Self {
        let views = &ViewFiles::read_some(&config.sql);
        let budget = Budget::of_job(config.memory_max, targets::uses(config));
        let (tables, table_faults) = open_references(config, views, budget, reach.servers).await;
        let (tables, table_faults) = (&tables, table_faults.as_slice());
        let inputs = Inputs { config, views, tables, table_faults, decoder, budget };
        Self::over(&inputs, reach, Besides::Nothing).await
    }

    /// Plans the views over tables that are open.
    pub(crate) async fn over(inputs: &Inputs<'_>, reach: Reach, besides: Besides<'_>) -> Self {
        let Inputs { config, views, tables, table_faults, decoder, budget } = *inputs;
        let mut faulty = Faulty::default();
        views.faults().for_each(|(view, fault)| faulty.add(view, fault.clone().into()));
        table_faults.iter().for_each(|fault| faulty.add(fault.table(), table_diagnostic(config, fault)));
        let batch = decoder.map(Decoder::schema);
        let mut diagnostics: Vec<Diagnostic> =
            views.faults().map(|(_, fault)| Diagnostic::from(fault.clone())).collect();
        diagnostics.extend(states_of_one_lane(config));
        diagnostics.extend(batch.iter().flat_map(|batch| unknown_sensitive(config, batch)));
        diagnostics.extend(table_faults.iter().map(|error| table_diagnostic(config, error)));
        let unknown = unknown_tables(tables);
        if reach.warns {
            diagnostics.extend(tables_not_checked(config, views, &unknown, reach.servers));
        }
        let outputs = outputs_there(config, views, &mut diagnostics);
        let specs = targets::table_specs(config, tables);
        let also: &[String] = if let Besides::Views(also) = besides { also } else { &[] };
        let computed: Vec<String> =
            outputs.iter().chain(also.iter().filter(|view| !outputs.contains(view))).cloned().collect();
        let scope = match besides {
            Besides::Everything => Scope::Whole(&computed),
            Besides::Nothing | Besides::Views(_) => Scope::Outputs(&computed),
        };
        let survey = Survey::of(views, batch, specs, &unknown, scope, budget.sql).await;
        diagnostics.extend(survey.faults().cloned().map(Diagnostic::from));
        let state_specs = targets::state_specs(&survey, config);
        let targets = targets::targets(config, &survey, &outputs, &state_specs);
        diagnostics.extend(unordered(config, &survey, &targets));
        let places = TargetPlaces::of(config, views, &targets);
        let text_lengths = if reach.warns { text_lengths(&survey, &targets) } else { Vec::new() };
        let nullable = if reach.warns { nullable(&survey, &targets, decoder) } else { Vec::new() };
        let symbols = match decoder.filter(|_| reach.warns) {
            Some(decoder) => symbols(&survey, &targets, decoder),
            None => Vec::new(),
        };
        if reach.warns {
            let is_append =
                |view: &str| targets.iter().any(|target| target.name == view && target.mode == Mode::Append);
            diagnostics.extend(survey.warnings(&is_append));
            diagnostics.extend(orders_of_batches(config, &survey, &targets));
            diagnostics.extend(unused_tables(config, views));
        }
        let mut faulty = survey.faulty(faulty);
        let sound_states = state_specs.into_iter().filter(|state| !faulty.has(&state.name)).collect();
        let (mut states, key_faults) = StateTables::new(sound_states, &config.database, budget.state);
        for fault in &key_faults {
            let fault_found = table_diagnostic(config, fault);
            faulty.add(fault.table(), fault_found.clone());
            diagnostics.push(fault_found);
        }
        let graph = survey.graph().into_iter();
        let graph =
            graph.map(|(view, reads)| (view.to_owned(), reads.into_iter().map(str::to_owned).collect()));
        let graph = graph.collect();
        let unused_views = survey.unused_views().to_vec();
        let masks = survey.masks(&config.sensitive);
        let (pipeline, faulty) = survey.into_sound_pipeline(faulty);
        let pipeline = pipeline.map(|pipeline| pipeline.with_masks(masks));
        let computed = pipeline.iter().flat_map(Pipeline::states).map(|state| state.name.as_str());
        states.retain(&computed.collect());
        Self {
            diagnostics,
            pipeline,
            states,
            faulty,
            targets,
            places,
            graph,
            unused_views,
            text_lengths,
            nullable,
            symbols,
        }
    }

    /// Whether all of it is right.
    pub(super) fn is_right(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// State tables that several lanes could write the same rows of, where there are several. What one lane has staged the
/// others do not see.
fn states_of_one_lane(config: &Config) -> Vec<Diagnostic> {
    let count = config.write_connections;
    let wrong = config.state_tables.iter().filter(|state| count > 1 && !state.follows_partition);
    let errors = wrong.map(|StateTableConfig { name, key, .. }| {
        let message = format!(
            "state table `{name}` cannot be written by {count} connections, as its rows do not follow the partitions"
        );
        let hint = format!(
            "write `follows_partition: true` if the messages are keyed by `{}`, or `write_connections: 1`",
            key.join(", ")
        );
        let place = config.file.place(&["state_tables", name]);
        Diagnostic::error(Code::Config, place, message).with_hint(hint)
    });
    errors.collect()
}

/// Names in `sensitive` that are no fields of the messages. What they were meant to name would be shown.
pub(crate) fn unknown_sensitive(config: &Config, batch: &Schema) -> Vec<Diagnostic> {
    let known = field_names(batch);
    let unknown = config.sensitive.names().filter(|name| !known.iter().any(|known| known == name));
    let errors = unknown.map(|name| {
        let message = format!("sensitive: the messages have no field `{name}`");
        let place = config.file.place_of_item("sensitive", name);
        let error = Diagnostic::error(Code::Config, place, message);
        let hint = did_you_mean(name, known.iter().map(String::as_str));
        error.with_hint(hint.unwrap_or_else(|| {
            "name a field of `avro_schema`, one of a nested record as `record.field`".to_owned()
        }))
    });
    errors.collect()
}

/// Opens the reference tables that views read, or that the keys of state tables are compared with.
pub(super) async fn open_references(
    config: &Config,
    views: &ViewFiles,
    budget: Budget,
    servers: bool,
) -> (ReferenceTables, Vec<TableError>) {
    let read = targets::read_by(config, views);
    let is_read = |name: &str| read.contains(name);
    let is_server = matches!(config.database, Address::MySql(_));
    let may_open = |table: &ReferenceTableConfig| {
        servers || !is_server || matches!(table.origin, TableOrigin::File { .. })
    };
    let tables = &config.reference_tables;
    ReferenceTables::open_some(tables, &is_read, &may_open, &config.database, budget.tables).await
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
        Diagnostic::warning(Code::NotChecked, config.file.place(&["reference_tables", name]), message)
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

fn nullable(survey: &Survey<'_>, targets: &[Target], decoder: Option<&Decoder>) -> Vec<Vec<String>> {
    let of_views = survey.nullable(decoder.map_or_else(Vec::new, Decoder::nulls));
    targets.iter().map(|target| of_views.get(&target.name).cloned().unwrap_or_default()).collect()
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
fn unused_tables(config: &Config, views: &ViewFiles) -> Vec<Diagnostic> {
    let read = targets::read_by(config, views);
    let is_key = |name: &str| {
        let places = config.reference_tables.iter().flat_map(|table| table.matches.iter().flatten());
        places.into_iter().any(|place| place.relation == name)
    };
    let tables = config.reference_tables.iter();
    let unused = tables.filter(|table| !read.contains(table.name.as_str()) && !is_key(&table.name));
    let warnings = unused.map(|table| {
        let message = format!("reference table `{}` is not used: no view reads it", table.name);
        Diagnostic::warning(Code::Unused, config.file.place(&["reference_tables", &table.name]), message)
            .with_hint("take it out; a job does not open it")
    });
    warnings.collect()
}

/// The views of the outputs, as far as they are there.
fn outputs_there(config: &Config, views: &ViewFiles, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let outputs = targets::outputs(config, views);
    for OutputConfig { view, .. } in outputs.iter().filter(|output| !views.has_file(&output.view)) {
        let message = format!("no view for the output `{view}`: {view}.sql does not exist");
        let error = Diagnostic::error(Code::Output, config.file.place(&["outputs", view]), message);
        let hint = sql::name_hint(view, views.names());
        diagnostics.push(Diagnostic { hint, ..error });
    }
    let there = outputs.into_iter().map(|output| output.view);
    there.filter(|view| views.has_file(view)).collect()
}

/// Outputs with a key whose views may give several rows for it in one batch, where nothing says which is the last.
fn unordered(config: &Config, survey: &Survey<'_>, targets: &[Target]) -> Vec<Diagnostic> {
    let outputs = targets.iter().filter(|target| !target.is_state());
    let unordered = outputs.filter_map(|target| {
        let Mode::Upsert(upsert) = &target.mode else { return None };
        let is_unique = || upsert.parent.is_empty() && survey.is_unique(&target.name, &upsert.key);
        if upsert.has_order() || is_unique() {
            return None;
        }
        let (view, key) = (&target.name, upsert.key.join(", "));
        let place = config.file.place_if_written(&["outputs", view])?;
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
        let Mode::Upsert(Upsert { order_by, only_newer, .. }) = &target.mode else { return None };
        if let Some(version) = only_newer {
            if !target.deletes() {
                return None;
            }
            let message = format!(
                "output `{view}`: a deleted row leaves no `{version}` behind, so an older row that comes after it is written"
            );
            let place = config.file.place(&["outputs", view, "only_newer"]);
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
        let place = config.file.place(&["outputs", view, "order_by"]);
        Some(Diagnostic::warning(Code::CutDependent, place, message).with_hint(format!("write `only_newer: {column}`")))
    });
    found.collect()
}

pub(crate) fn table_diagnostic(config: &Config, error: &TableError) -> Diagnostic {
    let code = match error.fault() {
        Fault::Infrastructure => Code::Unreachable,
        _ => Code::ReferenceTable,
    };
    let name = error.table();
    let is_state = config.state_tables.iter().any(|table| table.name == name);
    let tables = if is_state { "state_tables" } else { "reference_tables" };
    let place = match error.place() {
        Some(place) => Place::of_file(place),
        None => config.file.place(&[tables, name]),
    };
    Diagnostic::error(code, place, error.found().clone().within(error.subject()))
}
