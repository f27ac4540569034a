//! All that can be known of the views before there is a batch: everything is planned that can be, a fault in one place
//! hides none in another, and what could be planned can be looked at, right or wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;

use super::error::Blame;
use super::error::SqlError;
use super::faulty::Faulty;
use super::graph::{self, Graph, Node, Scope};
use super::keys;
use super::pipeline::{Pipeline, PreparedStep};
use super::session;
use super::slot::Slot;
use super::state::{self, StateColumns};
use super::view::View;
use super::view_files::ViewFiles;
use super::{BATCH, TableSpec};
use crate::database::ColumnType;
use crate::diagnostic::Code;

/// What the planner is told of the rows in a batch and in a view, to choose the sides of joins: more than a
/// table has, so that the table is hashed and the batch streams by, which keeps the batch's order.
const BATCH_ROWS_EXPECTED: usize = 10_000;
/// The same for the rows of a table.
const TABLE_ROWS_EXPECTED: usize = 1_000;

/// The views of a project, right or wrong.
pub struct Survey<'a> {
    pub(super) files: &'a ViewFiles,
    pub(super) tables: Vec<TableSpec>,
    /// Names of tables whose columns could not be found out.
    unknown_tables: &'a BTreeSet<String>,
    pub(super) graph: Graph,
    pub(super) states: Vec<StateColumns>,
    /// `None` only where there is no session to plan in.
    pub(super) planned: Option<Planned>,
    /// False where the batch or a table is not known, so that views could not be planned though they may be right.
    is_all_known: bool,
    faults: Vec<Blame>,
}

impl<'a> Survey<'a> {
    /// Plans every view that can be planned.
    ///
    /// As for [`Pipeline::prepare`]; `batch` is `None` if its schema has a fault, and `unknown_tables` names those
    /// of `tables` whose columns are not known. Views that read such things are left out, and not reported.
    pub async fn of(
        files: &'a ViewFiles,
        batch: Option<SchemaRef>,
        tables: Vec<TableSpec>,
        unknown_tables: &'a BTreeSet<String>,
        scope: Scope<'_>,
        memory_max: usize,
    ) -> Self {
        let (graph, mut faults) = graph::resolve(files, &tables, scope);
        let (states, unnamed) = StateColumns::named(files, &tables);
        faults.extend(unnamed);
        let is_all_known = batch.is_some() && unknown_tables.is_empty();
        let planned = None;
        let mut survey = Self { files, tables, unknown_tables, graph, states, planned, is_all_known, faults };
        survey.settle(batch.as_ref(), memory_max).await;
        survey
    }

    /// Plans again and again, until the columns of the state tables stay as they are.
    async fn settle(&mut self, batch: Option<&SchemaRef>, memory_max: usize) {
        let mut states = std::mem::take(&mut self.states);
        for round in 1..=state::ROUNDS_MAX {
            let (planned, mut faults) = match Planning::run(self, batch, &states, memory_max).await {
                Ok(planned) => planned,
                Err(error) => {
                    let error = SqlError::internal(format!("cannot make the SQL session: {error}"));
                    self.faults.push((String::new(), error));
                    break;
                }
            };
            let mut changed = Vec::new();
            for state in &mut states {
                match planned.slots.get(&state.view).map(|slot| state.settle(slot.schema())) {
                    Some(Ok(true)) => changed.push(state.table),
                    Some(Err(unfit)) => {
                        faults.extend(unfit.into_iter().map(|fault| (state.view.clone(), fault)));
                    }
                    Some(Ok(false)) | None => {}
                }
            }
            if changed.is_empty() || round == state::ROUNDS_MAX {
                let unsettled = states.iter().filter(|state| changed.contains(&state.table));
                faults.extend(unsettled.map(|state| {
                    let TableSpec { name, place, .. } = &self.tables[state.table];
                    (name.clone(), state.unsettled(place.clone()))
                }));
                self.faults.extend(faults);
                self.planned = Some(planned);
                break;
            }
        }
        self.states = states;
        // Why of sound ones alone: the type may be unknown because of what the view reads.
        let faulty = self.faulty(Faulty::default());
        let sound = self.states.iter().filter(|state| !faulty.has(&state.view));
        let untyped =
            sound.flat_map(|state| state.untyped().into_iter().map(|fault| (state.view.clone(), fault)));
        let untyped: Vec<Blame> = untyped.collect();
        self.faults.extend(untyped);
    }

    /// Beside what is faulty already, everything that has a fault, is not known, or reads such a thing.
    pub fn faulty(&self, mut faulty: Faulty) -> Faulty {
        for (name, fault) in &self.faults {
            faulty.add(name, fault.clone().into());
        }
        self.files
            .broken()
            .chain(self.unknown_tables.iter().map(String::as_str))
            .for_each(|name| faulty.mark(name));
        let is_batch_known = self.planned.iter().all(|planned| planned.slots.contains_key(BATCH));
        if !is_batch_known {
            faulty.mark(BATCH);
        }
        loop {
            let reader = self.graph.order.iter().find_map(|node| {
                let (name, reads) = match node {
                    Node::View(name) => (name, self.files.reads(name)),
                    Node::Table(table) => (&self.tables[*table].name, self.tables[*table].reads().collect()),
                };
                let read = reads.into_iter().find(|read| faulty.has(read)).filter(|_| !faulty.has(name))?;
                Some((name.clone(), read.to_owned()))
            });
            match reader {
                Some((name, read)) => faulty.add_reader(&name, &read),
                None => return faulty,
            }
        }
    }

    /// All that is wrong.
    pub fn faults(&self) -> impl ExactSizeIterator<Item = &SqlError> {
        self.faults.iter().map(|(_, fault)| fault)
    }

    /// The columns of a view that could be planned.
    pub fn columns(&self, view: &str) -> Option<&SchemaRef> {
        self.files.get(view)?;
        Some(self.planned.as_ref()?.slots.get(view)?.schema())
    }

    /// The outputs, in the order they were asked for.
    pub fn outputs(&self) -> &[String] {
        &self.graph.outputs
    }

    /// For each state table whose view could be planned: its place among the tables, its columns, and whether its view
    /// has `_delete`.
    pub fn states(&self) -> impl Iterator<Item = (usize, &SchemaRef, bool)> {
        let is_planned = |state: &&StateColumns| self.columns(&state.view).is_some();
        self.states.iter().filter(is_planned).map(|state| (state.table, &state.schema, state.deletes))
    }

    /// The views in the order of computing, those that nothing needs last: each with what it reads.
    pub fn graph(&self) -> Vec<(&str, BTreeSet<&str>)> {
        let views = self.graph.order.iter().filter_map(|node| match node {
            Node::View(name) => Some(name.as_str()),
            Node::Table(_) => None,
        });
        views.map(|name| (name, self.files.reads(name))).collect()
    }

    /// Views that neither an output nor state needs.
    pub fn unused_views(&self) -> &[String] {
        &self.graph.unused
    }

    /// The views that could be planned, in the order of computing.
    pub(super) fn views(&self) -> impl Iterator<Item = &View> {
        let steps = self.planned.iter().flat_map(|planned| &planned.steps);
        steps.filter_map(|step| match step {
            PreparedStep::View { view, .. } => Some(&**view),
            PreparedStep::Table { .. } => None,
        })
    }

    /// The views, ready to run.
    ///
    /// # Errors
    /// All that is wrong; nothing where the batch or a table is not known.
    pub fn into_pipeline(self) -> Result<Pipeline, Vec<SqlError>> {
        if !self.faults.is_empty() || !self.is_all_known {
            return Err(self.faults.into_iter().map(|(_, fault)| fault).collect());
        }
        let (pipeline, _) = self.into_sound_pipeline(Faulty::default());
        pipeline.ok_or_else(Vec::new)
    }

    /// The part that is sound, ready to run, beside all that is not. `faulty` is what was found faulty elsewhere.
    ///
    /// There is no pipeline only if there is no session to plan in.
    pub fn into_sound_pipeline(self, faulty: Faulty) -> (Option<Pipeline>, Faulty) {
        let faulty = self.faulty(faulty);
        let Self { planned, graph, states, tables, .. } = self;
        let Some(mut planned) = planned else { return (None, faulty) };
        planned.steps.retain(|step| !faulty.has(step.slot().name()));
        let is_planned = |node: &Node| match node {
            Node::View(name) => planned.steps.iter().any(|step| step.view_name() == Some(name)),
            Node::Table(table) => planned.steps.iter().any(|step| step.table() == Some(*table)),
        };
        let graph = graph.only(is_planned);
        (Some(Pipeline::new(planned, graph, states, &tables)), faulty)
    }
}

/// The views as far as they are planned.
struct Planning<'a> {
    survey: &'a Survey<'a>,
    states: &'a [StateColumns],
    planned: Planned,
    errors: Vec<Blame>,
}

/// Everything planned, in a session of its own.
pub(super) struct Planned {
    pub(super) state: SessionState,
    pub(super) batch: Slot,
    /// By name; what is wrong, or reads what is wrong, is absent.
    pub(super) slots: BTreeMap<String, Slot>,
    pub(super) steps: Vec<PreparedStep>,
}

impl<'a> Planning<'a> {
    /// Plans everything that can be planned with these columns of state tables, and says what is wrong with the rest.
    async fn run(
        survey: &'a Survey<'a>,
        batch: Option<&SchemaRef>,
        states: &'a [StateColumns],
        memory_max: usize,
    ) -> datafusion::error::Result<(Planned, Vec<Blame>)> {
        let mut state = session::session(memory_max)?;
        state.mark_start_execution();
        let mut slots = BTreeMap::new();
        let schema = batch.map_or_else(|| Arc::new(Schema::empty()), Arc::clone);
        let slot = Slot::new(BATCH, schema, BATCH_ROWS_EXPECTED);
        if batch.is_some() {
            session::register(&state, BATCH, Arc::new(slot.clone()))?;
            slots.insert(BATCH.to_owned(), slot.clone());
        }
        let steps = Vec::with_capacity(survey.graph.order.len());
        let planned = Planned { state, batch: slot, slots, steps };
        let mut planning = Self { survey, states, planned, errors: Vec::new() };
        for node in &survey.graph.order {
            let (name, step) = match node {
                Node::Table(table) => (&survey.tables[*table].name, planning.table_step(*table)),
                Node::View(name) => (name, planning.view_step(name).await),
            };
            match step {
                Ok(step) => planning.planned.steps.extend(step),
                Err(faults) => {
                    planning.errors.extend(faults.into_iter().map(|fault| (name.clone(), fault)));
                }
            }
        }
        Ok((planning.planned, planning.errors))
    }

    /// `None` where something it reads is wrong, which has been said.
    fn table_step(&mut self, table: usize) -> Result<Option<PreparedStep>, Vec<SqlError>> {
        let spec = &self.survey.tables[table];
        if self.survey.unknown_tables.contains(&spec.name) {
            return Ok(None);
        }
        let is_nameless_state = spec.state.is_some() && !self.states.iter().any(|state| state.table == table);
        if is_nameless_state || self.planned.slots.contains_key(&spec.name) {
            return Ok(None);
        }
        if spec.matches.iter().flatten().any(|place| !self.planned.slots.contains_key(&place.relation)) {
            return Ok(None);
        }
        let state = self.states.iter().find(|state| state.table == table);
        let schema = state.map_or_else(|| Arc::clone(&spec.schema), |state| self.with_key_types(spec, state));
        // Views may be planned on the table though its key is wrong: its columns are known.
        let slot = self.add_slot(&spec.name, Arc::clone(&schema), TABLE_ROWS_EXPECTED);
        let slot = slot.map_err(|error| {
            let place = spec.place.clone();
            vec![SqlError::wrong(
                Code::Sql,
                place,
                format!("cannot make the table `{}` known: {error}", spec.name),
            )]
        })?;
        let keys = keys::resolve(spec, &schema, &self.planned.slots)?;
        Ok(Some(PreparedStep::Table { table, slot, keys }))
    }

    /// The columns of a state table; those of the key that have no type yet have the type of what they match.
    fn with_key_types(&self, spec: &TableSpec, state: &StateColumns) -> SchemaRef {
        let matched = |column: &str| {
            let place = spec.key.iter().position(|key| key == column)?;
            let place = spec.matches.first()?.get(place)?;
            let field =
                self.planned.slots.get(&place.relation)?.schema().field_with_name(&place.column).ok()?;
            ColumnType::given_back(field.data_type()).ok()
        };
        let fields = state.schema.fields().iter().map(|field| match field.data_type() {
            DataType::Null => Field::new(field.name(), matched(field.name()).unwrap_or(DataType::Null), true),
            _ => Field::clone(field),
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    async fn view_step(&mut self, name: &str) -> Result<Option<PreparedStep>, Vec<SqlError>> {
        let Some(file) = self.survey.files.get(name) else { return Ok(None) };
        // A name that is taken twice, which has been said.
        if self.planned.slots.contains_key(name) {
            return Ok(None);
        }
        if file.reads.iter().any(|reference| !self.planned.slots.contains_key(&reference.relation)) {
            return Ok(None);
        }
        let view = View::plan(&self.planned.state, file).await?;
        let slot = self.add_slot(name, view.schema(), BATCH_ROWS_EXPECTED).map_err(|error| {
            vec![SqlError::wrong(
                Code::Sql,
                file.start(),
                format!("cannot make the view known to others: {error}"),
            )]
        })?;
        Ok(Some(PreparedStep::View { view: Box::new(view), slot }))
    }

    fn add_slot(
        &mut self,
        name: &str,
        schema: SchemaRef,
        rows_expected: usize,
    ) -> datafusion::error::Result<Slot> {
        let slot = Slot::new(name, schema, rows_expected);
        session::register(&self.planned.state, name, Arc::new(slot.clone()))?;
        self.planned.slots.insert(name.to_owned(), slot.clone());
        Ok(slot)
    }
}
