//! Queries that people type, over relations whose rows are in memory: `batch`, tables and views as the job computes
//! them, and schemas of others. The session is the one that views are planned in, so the dialect and the errors are
//! the same.
//!
//! Nothing can be written or changed here. A query runs in a task of its own and gives its rows as they come; when they
//! are dropped, it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::SchemaProvider;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::ast::Statement;
use futures::TryStreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::{SqlError, SqlErrorKind};
use super::failing::{SEARCH_MAX, failing_rows};
use super::names::WHERE_NAMED;
use super::run_errors::{self, Failed};
use super::slot::{Cancel, Slot};
use super::view_files::{ViewFile, is_plain_query};
use super::{FunctionHelp, bounded, functions, lineage, lint, locate, names, session, statement};
use crate::diagnostic::{Code, Diagnostic, Finding, Place};
use crate::mask::{Mask, Masks, masked};
use crate::panics;

/// Rows that operators pass on at once: fewer than in a job, so that a query that is cancelled ends soon.
const OPERATOR_ROWS: usize = 1024;
/// Record batches of an answer that wait to be taken.
const WAITING_MAX: usize = 2;

/// Relations with their rows, and the session that queries over them run in.
pub struct QuerySession {
    state: SessionState,
    memory_max: usize,
    relations: BTreeMap<String, SchemaRef>,
    /// Those of the relations; the buffers are shared with what queries read.
    rows: BTreeMap<String, Vec<RecordBatch>>,
    schemas: BTreeMap<String, Arc<dyn SchemaProvider>>,
    /// What of the relations must not be shown.
    masks: Masks,
}

/// A query as it was typed, parsed.
#[derive(Clone, Debug)]
pub struct Typed {
    file: ViewFile,
}

/// A query that can run.
pub struct TypedPlan {
    place: String,
    text: String,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    cancel: Arc<Cancel>,
    counted: BTreeSet<String>,
    warnings: Vec<Diagnostic>,
    is_explanation: bool,
    sight: Sight,
}

/// What of an answer may be seen.
#[derive(Clone)]
struct Sight {
    /// Of its columns.
    masks: Vec<Mask>,
    /// Whether an error may quote a value.
    hides_values: bool,
}

/// The rows of a query that runs. Dropped, the query ends.
pub struct QueryRows {
    place: String,
    text: String,
    /// What the session may hold, in bytes.
    memory_max: usize,
    receiver: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: JoinHandle<()>,
    cancel: Arc<Cancel>,
    is_over: bool,
    sight: Sight,
}

impl Typed {
    /// Parses one statement. `place` is what errors call the text: `query`. `text` is all that was typed, for the line
    /// that an error shows, and `statement` is the same with everything but the statement blanked out.
    ///
    /// # Errors
    /// Syntax errors; anything that does not just read.
    pub fn parse(place: &str, text: &str, statement: &str) -> Result<Self, Vec<SqlError>> {
        let here = |line: u64, column: u64| locate::place(place, text, line, column, 1);
        let tokens = statement::tokens(place, text, statement).map_err(|error| vec![error])?;
        let parsed = statement::parse(place, text, &tokens).map_err(|error| vec![error])?;
        let Some(inner) = read_only(&parsed) else {
            let first = tokens.first();
            let found = first.map_or_else(String::new, |token| token.token.to_string().to_uppercase());
            let place = first
                .map_or_else(|| here(1, 1), |token| here(token.span.start.line, token.span.start.column));
            let error = SqlError::wrong(Code::Syntax, place, format!("found {found}, expected a query"));
            return Err(vec![
                error.with_hint("here everything is only read: SELECT, VALUES, EXPLAIN, DESCRIBE and SHOW"),
            ]);
        };
        let statement = Box::new(inner.clone());
        let ready = statement::ready(place, text, parsed).map_err(|error| vec![error])?;
        let (name, file, text) = (place.to_owned(), place.to_owned(), text.to_owned());
        Ok(Self { file: ViewFile { name, file, text, tokens, statement, ready, reads: Vec::new() } })
    }

    fn place_of(&self, name: &str) -> Place {
        let found = locate::find_word(&self.file, name).map(|token| self.file.place_of(token));
        found.unwrap_or_else(|| self.file.start())
    }
}

/// The statement itself, without EXPLAIN, where it only reads.
fn read_only(parsed: &ParsedStatement) -> Option<&Statement> {
    match parsed {
        ParsedStatement::Explain(explain) => match explain.statement.as_ref() {
            ParsedStatement::Statement(inner) if is_plain_query(inner) => Some(inner),
            _ => None,
        },
        ParsedStatement::Statement(statement) => {
            let is_shown = matches!(
                statement.as_ref(),
                Statement::ExplainTable { .. }
                    | Statement::ShowTables { .. }
                    | Statement::ShowColumns { .. }
                    | Statement::ShowFunctions { .. }
                    | Statement::ShowVariable { .. }
            );
            (is_shown || is_plain_query(statement)).then_some(statement)
        }
        _ => None,
    }
}

impl QuerySession {
    /// A session without relations, whose queries may hold `memory_max` bytes together.
    ///
    /// # Errors
    /// DataFusion cannot be set up.
    pub fn new(memory_max: usize) -> Result<Self, SqlError> {
        let internal =
            |error: DataFusionError| SqlError::internal(format!("cannot make the SQL session: {error}"));
        let mut state = session::session(memory_max).map_err(internal)?;
        let options = state.config_mut().options_mut();
        options.catalog.information_schema = true;
        options.set("datafusion.execution.batch_size", &OPERATOR_ROWS.to_string()).map_err(internal)?;
        let (relations, rows, schemas, masks) = Default::default();
        Ok(Self { state, memory_max, relations, rows, schemas, masks })
    }

    /// Makes rows readable under a name, in place of what had the name before.
    ///
    /// # Errors
    /// Rows of other columns than `schema`.
    pub fn put(&mut self, name: &str, schema: SchemaRef, rows: Vec<RecordBatch>) -> Result<(), SqlError> {
        let count = rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        let slot = Slot::new(name, Arc::clone(&schema), count);
        let failed = |message: String| SqlError::internal(message);
        slot.fill(rows.clone()).map_err(failed)?;
        self.remove(name);
        session::register(&self.state, name, Arc::new(slot)).map_err(|error| failed(error.to_string()))?;
        self.relations.insert(name.to_owned(), schema);
        self.rows.insert(name.to_owned(), rows);
        Ok(())
    }

    /// Masks what answers show of the relations, and of what is computed from them.
    pub fn mask(&mut self, masks: Masks) {
        self.masks = masks;
    }

    /// Takes a relation away.
    pub fn remove(&mut self, name: &str) {
        self.relations.remove(name);
        self.rows.remove(name);
        let reference = TableReference::bare(name.to_owned());
        if let Ok(schema) = self.state.schema_for_ref(reference) {
            // Why: a relation that was not there is as good as one that is gone.
            let _ = schema.deregister_table(name);
        }
    }

    /// Makes the tables of a schema readable as `name.table`.
    ///
    /// # Errors
    /// There is no catalogue to put it in.
    pub fn add_schema(&mut self, name: &str, tables: Arc<dyn SchemaProvider>) -> Result<(), SqlError> {
        let catalog = &self.state.config_options().catalog.default_catalog;
        let failed = |message: String| SqlError::internal(message);
        let catalog = self.state.catalog_list().catalog(catalog);
        let catalog = catalog.ok_or_else(|| failed("the SQL session has no catalogue".into()))?;
        catalog.register_schema(name, Arc::clone(&tables)).map_err(|error| failed(error.to_string()))?;
        self.schemas.insert(name.to_owned(), tables);
        Ok(())
    }

    /// The relations by name, with their columns.
    pub fn relations(&self) -> &BTreeMap<String, SchemaRef> {
        &self.relations
    }

    /// How many rows a relation has.
    pub fn count(&self, name: &str) -> Option<usize> {
        Some(self.rows.get(name)?.iter().map(RecordBatch::num_rows).sum())
    }

    /// The names of all functions.
    pub fn functions(&self) -> BTreeSet<String> {
        let scalar = self.state.scalar_functions().keys();
        let aggregate = self.state.aggregate_functions().keys();
        scalar.chain(aggregate).chain(self.state.window_functions().keys()).cloned().collect()
    }

    /// What the functions say of themselves, by name.
    pub fn function_help(&self) -> BTreeMap<String, FunctionHelp> {
        functions::help(&self.state)
    }

    /// The names that a query reads and that stand alone, without a schema's name.
    pub fn reads(&self, typed: &Typed) -> Vec<String> {
        let references = self.state.resolve_table_references(&typed.file.ready).unwrap_or_default();
        let bare = references.into_iter().filter_map(|reference| match reference {
            TableReference::Bare { table } => Some(table.to_string()),
            _ => None,
        });
        bare.collect()
    }

    /// Plans a query.
    ///
    /// # Errors
    /// Every fault the planner finds in it, each with its place; what the schemas' tables say when they are opened.
    pub async fn plan(&self, typed: &Typed) -> Result<TypedPlan, Vec<SqlError>> {
        self.check_relations(typed).await?;
        let located = |error: DataFusionError| locate::plan_errors(&typed.file, &error);
        let mut state = self.state.clone();
        let cancel = Arc::new(Cancel::default());
        state.config_mut().set_extension(Arc::clone(&cancel));
        state.mark_start_execution();
        let logical = statement::logical_plan(&state, &typed.file).await?;
        let plan = statement::physical_plan(&state, &typed.file, &logical).await?;
        let is_explanation = matches!(logical, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
        Ok(TypedPlan {
            place: typed.file.file.clone(),
            text: typed.file.text.clone(),
            plan: letting_go(plan).map_err(located)?,
            context: state.task_ctx(),
            cancel,
            counted: counted(&logical),
            warnings: lint::of_query(&typed.file, &logical),
            is_explanation,
            sight: Sight {
                masks: lineage::of_query(&self.masks, &logical),
                hides_values: self.masks.is_on(),
            },
        })
    }

    /// The row of a relation over which alone a query fails, if there is one and it is found soon: by halving, in a session of
    /// its own, so that this one stays as it is whenever the search is dropped.
    pub async fn failing_row(&self, typed: &Typed, relation: &str) -> Option<RecordBatch> {
        let (schema, rows) = (self.relations.get(relation)?, self.rows.get(relation)?);
        let rows = concat_batches(schema, rows).ok()?;
        let mut search = Self::new(self.memory_max).ok()?;
        for (name, schema) in &self.relations {
            search.put(name, Arc::clone(schema), self.rows.get(name)?.clone()).ok()?;
        }
        for (name, tables) in &self.schemas {
            search.add_schema(name, Arc::clone(tables)).ok()?;
        }
        let (failing, _) = failing_rows(&rows, 0, Instant::now() + SEARCH_MAX, async |rows| {
            search.fails_over(typed, relation, rows).await.then_some(())
        })
        .await;
        failing.first().map(|(row, ())| rows.slice(*row, 1))
    }

    async fn fails_over(&mut self, typed: &Typed, relation: &str, rows: RecordBatch) -> bool {
        if self.put(relation, rows.schema(), vec![rows]).is_err() {
            return false;
        }
        let Ok(plan) = self.plan(typed).await else { return false };
        let mut answer = plan.run();
        loop {
            match answer.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(error) => return error.kind() == SqlErrorKind::Row,
            }
        }
    }

    /// Whether every relation is there; the planner's own message names no place.
    async fn check_relations(&self, typed: &Typed) -> Result<(), Vec<SqlError>> {
        let located = |error: DataFusionError| locate::plan_errors(&typed.file, &error);
        let references = self.state.resolve_table_references(&typed.file.ready).map_err(located)?;
        let mut errors = Vec::new();
        for reference in references {
            let name = reference.table().to_owned();
            match &reference {
                TableReference::Bare { .. } if !self.relations.contains_key(&name) => {
                    let error = SqlError::wrong(
                        Code::UnknownRelation,
                        typed.place_of(&name),
                        format!("no view or table `{name}`"),
                    );
                    errors.push(error.with_hint(self.hint_for(&name).await));
                }
                TableReference::Partial { schema, .. } => {
                    if let Some(tables) = self.schemas.get(&**schema)
                        && let Err(found) = check_table(tables.as_ref(), schema, &name).await
                    {
                        errors.push(SqlError::wrong(Code::UnknownRelation, typed.place_of(&name), found));
                    }
                }
                _ => {}
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// What a bare name may have been meant to be: a table of a schema, or a relation; and how a table comes in.
    async fn hint_for(&self, name: &str) -> String {
        for (schema, tables) in &self.schemas {
            // Why: if the schema cannot be asked, the other hints are still right.
            if matches!(tables.table(name).await, Ok(Some(_))) {
                return format!("the table of the database is `{schema}.{name}`; {WHERE_NAMED}");
            }
        }
        names::relation_hint(name, self.relations.keys().map(String::as_str))
    }
}

/// Asks a schema for a table; where it has none, what to say and what to do.
async fn check_table(tables: &dyn SchemaProvider, schema: &str, name: &str) -> Result<(), Finding> {
    match tables.table(name).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let known = tables.table_names();
            let known: Vec<String> = known.iter().map(|known| format!("{schema}.{known}")).collect();
            let wrong = format!("{schema}.{name}");
            let hint = names::hint(&wrong, known.iter().map(String::as_str));
            Err(Finding::new(format!("no table `{wrong}`")).with_hint_if_some(hint))
        }
        Err(error) => Err(run_errors::found(error.find_root())),
    }
}

/// The plan, with a place after each operator that may give very many rows where the task lets others work, and can
/// be ended.
fn letting_go(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let wrapped = plan.transform_up(|node| {
        if node.children().len() > 1 || node.name() == "UnnestExec" {
            return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(wrapped.data)
}

/// The relations whose rows an aggregate counts or sums as they are, not joined with anything.
fn counted(plan: &LogicalPlan) -> BTreeSet<String> {
    fn walk(plan: &LogicalPlan, is_aggregated: bool, found: &mut BTreeSet<String>) {
        match plan {
            LogicalPlan::TableScan(scan) if is_aggregated => {
                found.insert(scan.table_name.table().to_owned());
            }
            LogicalPlan::Join(_) => plan.inputs().into_iter().for_each(|input| walk(input, false, found)),
            _ => {
                let is_aggregated = is_aggregated || matches!(plan, LogicalPlan::Aggregate(_));
                plan.inputs().into_iter().for_each(|input| walk(input, is_aggregated, found));
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(plan, false, &mut found);
    found
}

impl TypedPlan {
    /// The columns of its rows, as they are shown.
    pub fn schema(&self) -> SchemaRef {
        let schema = self.plan.schema();
        let shown = masked(&RecordBatch::new_empty(Arc::clone(&schema)), &self.sight.masks);
        shown.map_or(schema, |rows| rows.schema())
    }

    /// The relations that it counts, or sums, without joining them.
    pub fn counted(&self) -> &BTreeSet<String> {
        &self.counted
    }

    /// What runs and probably does not do what is meant.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Whether its rows are a plan, in text of several lines.
    pub fn is_explanation(&self) -> bool {
        self.is_explanation
    }

    /// Starts it, in a task of the runtime.
    pub fn run(self) -> QueryRows {
        let Self { place, text, plan, context, cancel, sight, .. } = self;
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let memory_max = run_errors::memory_max(context.memory_pool().as_ref());
        let task = tokio::spawn(async move {
            // Why: a kernel that panics on some value must not take the program with it, nor print the value.
            let ended = panics::expected_of(send_all(&plan, &context, &sender)).await;
            let ended = ended.unwrap_or_else(|panic| {
                Err(DataFusionError::Execution(format!("the SQL engine panicked: {panic}")))
            });
            if let Err(error) = ended {
                // The caller has gone: nobody waits for this.
                let _ = sender.send(Err(error)).await;
            }
        });
        QueryRows { place, text, memory_max, receiver, task, cancel, is_over: false, sight }
    }
}

async fn send_all(
    plan: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    sender: &mpsc::Sender<Result<RecordBatch, DataFusionError>>,
) -> Result<(), DataFusionError> {
    let context = &bounded::context_of(plan, context);
    // One partition after the other, as views are computed.
    for partition in 0..plan.properties().partitioning.partition_count() {
        let mut stream = plan.execute(partition, Arc::clone(context))?;
        bounded::refill(context.session_config());
        while let Some(rows) = stream.try_next().await? {
            // Why: the caller does not keep them all, so what they took is free again.
            bounded::refill(context.session_config());
            if sender.send(Ok(rows)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl QueryRows {
    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// The query failed, and has ended.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        if self.is_over {
            return Ok(None);
        }
        match self.receiver.recv().await {
            Some(Ok(rows)) => {
                let shown = masked(&rows, &self.sight.masks);
                shown.map(Some).map_err(|error| SqlError::internal(error.to_string()))
            }
            Some(Err(error)) => {
                self.is_over = true;
                let error = self.run_error(&error);
                Err(if self.sight.hides_values { error.without_values() } else { error })
            }
            None => {
                self.is_over = true;
                Ok(None)
            }
        }
    }

    fn run_error(&self, error: &DataFusionError) -> SqlError {
        let (file, text, memory_max) = (self.place.as_str(), self.text.as_str(), self.memory_max);
        let memory_hint =
            "select only the columns that are needed, take fewer messages (`--rows`), or raise `memory_max`";
        Failed { what: "query", file, text, memory_max, memory_hint }.told(error)
    }
}

impl Drop for QueryRows {
    fn drop(&mut self) {
        self.cancel.ask();
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
