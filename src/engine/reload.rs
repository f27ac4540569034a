//! New SQL for a job that runs: planned and checked beside it, taken over between two batches.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tokio::sync::mpsc;

use super::filler::split_fills;
use super::plan::{Plan, PlanError};
use super::targets::TargetPlaces;
use crate::batch::{DELETE_COLUMN, SqlVersion};
use crate::config::{Config, ConfigError, DeadLettersConfig};
use crate::decode::{Decoder, KEY_COLUMN};
use crate::diagnostic::{Code, Diagnostic, render};
use crate::sink::{SinkError, Tables, Target};

/// What a running job takes over.
pub struct Reload {
    pub(super) plan: Plan,
    pub(super) written: Tables,
    pub(super) dead_letters: DeadLettersConfig,
}

/// What is known of the job that runs, to compare new files with.
pub struct Running {
    config: Config,
    batch: SchemaRef,
    /// Its state tables.
    states: Vec<Target>,
    sql: SqlVersion,
    /// What of the configuration is not as its file says.
    set: Option<Settings>,
}

/// Sets what the program decides itself, whatever the file of a configuration says.
pub type Settings = Arc<dyn Fn(&mut Config) + Send + Sync>;

/// Why the job goes on as it is.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The schema, the views or the tables are wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A change that a running job cannot take over.
    #[error("{0}")]
    NeedsRestart(String),
    /// State has other columns.
    #[error("{0}")]
    State(String),
    /// The job has ended.
    #[error("the job has ended")]
    Ended,
}

/// Hands new SQL to a job: to each of its lanes.
#[derive(Clone)]
pub struct ReloadSender(Vec<mpsc::Sender<Reload>>);

/// Where a lane of a job gets new SQL from.
pub struct Reloads(mpsc::Receiver<Reload>);

impl Reloads {
    /// A way to give a job with this many lanes new SQL. At most one change waits, for the current batch.
    pub fn of_lanes(lanes: usize) -> (ReloadSender, Vec<Self>) {
        let (senders, receivers) = (0..lanes).map(|_| mpsc::channel(1)).unzip();
        let receivers: Vec<mpsc::Receiver<Reload>> = receivers;
        (ReloadSender(senders), receivers.into_iter().map(Self).collect())
    }

    /// The next change; never, where nobody can give one any more.
    pub(super) async fn next(&mut self) -> Reload {
        match self.0.recv().await {
            Some(reload) => reload,
            None => std::future::pending().await,
        }
    }
}

impl Running {
    pub fn new(config: &Config, decoder: &Decoder, plan: &Plan) -> Self {
        let states = plan.targets.iter().filter(|target| target.is_state());
        Self {
            config: config.clone(),
            batch: decoder.schema(),
            states: states.cloned().collect(),
            sql: plan.sql.clone(),
            set: None,
        }
    }

    /// The same of a job whose configuration is not in all as its file says: `set` is applied whenever the file is read.
    #[must_use]
    pub fn with_settings(self, set: Settings) -> Self {
        Self { set: Some(set), ..self }
    }

    /// The version of the SQL.
    pub fn version(&self) -> &str {
        &self.sql.id
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the configuration and the SQL again, plans and checks all of it, and hands it to the job. Returns the version
    /// that each lane takes over before its next batch.
    ///
    /// # Errors
    /// Everything that is wrong with the new files; the job is as it was.
    pub async fn reload(&mut self, sender: &ReloadSender) -> Result<&str, ReloadError> {
        let mut config = Config::load(&self.config.file.path)?;
        if let Some(set) = &self.set {
            set(&mut config);
        }
        let needs_restart = self.config.needs_restart(&config);
        if !needs_restart.is_empty() {
            return Err(self.refuse(&needs_restart));
        }
        let decoder = Decoder::new(&config.avro).map_err(|error| PlanError(vec![error.into()]))?;
        if decoder.schema() != self.batch {
            let key = |schema: &SchemaRef| schema.field_with_name(KEY_COLUMN).ok().cloned();
            let is_key = key(&decoder.schema()) != key(&self.batch);
            let what = if is_key { "the type of avro_key_schema" } else { "the columns of avro_schema" };
            return Err(self.refuse(&[what]));
        }
        let plans = Plan::of_lanes(&config, &decoder, sender.0.len()).await?;
        let Some(plan) = plans.first() else { return Err(ReloadError::Ended) };
        self.check_state(plan)?;
        let split = split_fills(&plan.pipeline, &config).await?;
        if !split.is_empty() {
            return Err(PlanError(split).into());
        }
        let written =
            Tables::open(config.database.clone(), &config.job, &plan.targets, config.create_tables).await;
        let written = written.map_err(|error| match error {
            SinkError::Check(faults) => ReloadError::Plan(PlanError(plan.places.diagnostics(&faults))),
            error => ReloadError::Sink(error),
        })?;
        let running = Self { set: self.set.clone(), ..Self::new(&config, &decoder, plan) };
        for (lane, plan) in sender.0.iter().zip(plans) {
            let reload = Reload { plan, written: written.clone(), dead_letters: config.dead_letters };
            lane.send(reload).await.map_err(|_| ReloadError::Ended)?;
        }
        *self = running;
        Ok(&self.sql.id)
    }

    fn refuse(&self, keys: &[&str]) -> ReloadError {
        let message = format!("changed, and needs a restart: {}", keys.join(", "));
        let error = Diagnostic::error(Code::Config, self.config.file.place(&[]), message);
        ReloadError::NeedsRestart(error.with_hint("restart the job, or undo the change").to_string())
    }

    /// State keeps its columns; new ones may come, which no row has a value for.
    fn check_state(&self, plan: &Plan) -> Result<(), ReloadError> {
        let mut faults = Vec::new();
        for old in &self.states {
            let Some(new) = plan.targets.iter().find(|new| new.is_state() && new.table == old.table) else {
                continue;
            };
            // How rows are deleted is no column of the table.
            for field in old.schema.fields().iter().filter(|field| field.name() != DELETE_COLUMN) {
                let found = new.schema.field_with_name(field.name()).ok();
                if found.is_none_or(|found| found.data_type() != field.data_type()) {
                    faults.push(StateFault { table: &old.table, view: &new.name, field, found });
                }
            }
        }
        let faults: Vec<Diagnostic> = faults.iter().map(|fault| fault.diagnostic(&plan.places)).collect();
        if faults.is_empty() { Ok(()) } else { Err(ReloadError::State(render(&faults))) }
    }
}

/// A column of a state table that new SQL gives otherwise, or no more.
struct StateFault<'a> {
    table: &'a str,
    view: &'a str,
    field: &'a arrow::datatypes::Field,
    found: Option<&'a arrow::datatypes::Field>,
}

impl StateFault<'_> {
    fn diagnostic(&self, places: &TargetPlaces) -> Diagnostic {
        let Self { table, view, field, found } = self;
        let (column, had) = (field.name(), field.data_type());
        let (message, hint) = match found {
            Some(found) => (
                format!("view `{view}` now returns {}, but the state has {had}", found.data_type()),
                "cast it to the old type, or give the new column another name: it is added, and existing rows have NULL in it"
                    .to_owned(),
            ),
            None => (
                format!("view `{view}` no longer returns the column, but the state has it"),
                format!(
                    "keep it (`{column}` as it was, or CAST(NULL AS ...)); or stop the job, drop the column, and \
                     start the job"
                ),
            ),
        };
        let message = format!("table {table}.{column}: {message}");
        Diagnostic::error(Code::State, places.place(table, Some(column)), message).with_hint(hint)
    }
}
