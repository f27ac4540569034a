//! From a configuration and its SQL to planned views, opened tables, and the tables that are written: everything a job
//! knows before it meets Kafka. There is a plan only if nothing is wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use super::draft::{Besides, Draft, Inputs, Reach, open_references, table_diagnostic};
use super::targets::{self, TargetPlaces};
use crate::batch::SqlVersion;
use crate::config::Config;
use crate::decode::Decoder;
use crate::diagnostic::{Code, Diagnostic};
use crate::memory::Budget;
use crate::sink::Target;
use crate::sql::{BATCH, Computed, Pipeline, SqlError, ViewFiles};
use crate::tables::{ReferenceTables, StateTables, TableError};
use crate::telemetry::{Relation, RelationKind};

/// How far a job looks.
pub(super) const REACH: Reach = Reach { servers: true, warns: false };

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
        let budget = Budget::of_job(config.memory_max, targets::uses(config));
        Self::of_views(config, &ViewFiles::read_some(&config.sql), decoder, budget).await
    }

    async fn of_views(
        config: &Config,
        views: &ViewFiles,
        decoder: &Decoder,
        budget: Budget,
    ) -> Result<Self, PlanError> {
        let (tables, table_faults) = open_references(config, views, budget, REACH.servers).await;
        let (opened, table_faults) = (&tables, table_faults.as_slice());
        let inputs = Inputs { config, views, tables: opened, table_faults, decoder: Some(decoder), budget };
        let draft = Draft::over(&inputs, REACH, Besides::Nothing).await;
        let is_right = draft.is_right();
        let Draft { diagnostics, pipeline, states, targets, places, .. } = draft;
        let pipeline = pipeline.filter(|_| is_right).ok_or(PlanError(diagnostics))?;
        let (sql, to_fill) = (views.version(), targets::to_fill(config));
        Ok(Self { tables, states, pipeline, targets, places, sql, to_fill })
    }

    /// What SQL reads and computes, in the order of computing, for people.
    pub fn relations(&self) -> Vec<Relation> {
        let (references, masks) = (self.tables.specs(), self.pipeline.masks());
        let names: Vec<&str> = self.pipeline.steps().map(|step| step.name).collect();
        let texts = ViewFiles::of_version(&self.sql);
        let of_step = |Computed { name, table, schema, reads }: Computed<'_>| {
            let mut read: Vec<String> = reads.iter().map(|place| names[*place].to_owned()).collect();
            let kind = match table {
                None => RelationKind::View,
                Some(table) if table < references.len() => RelationKind::Reference,
                Some(_) => RelationKind::State,
            };
            let is_of_batch = match table {
                None => texts.reads(name).contains(BATCH),
                Some(table) => {
                    reads.is_empty() && references.get(table).is_none_or(|table| !table.key.is_empty())
                }
            };
            if is_of_batch {
                read.insert(0, BATCH.to_owned());
            }
            let output = self.targets.iter().find(|target| !target.is_state() && target.name == name);
            let state =
                self.pipeline.states().iter().find(|state| self.pipeline.view_of(state) == Some(name));
            Relation {
                name: name.into(),
                kind,
                masks: masks.of(name, schema),
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
            masks: Vec::new(),
            reads: texts.reads(name).into_iter().map(str::to_owned).collect(),
            output: None,
            state_of: None,
            is_used: false,
        });
        let batch = Relation {
            name: BATCH.into(),
            kind: RelationKind::Batch,
            schema: SchemaRef::clone(self.pipeline.batch()),
            masks: masks.of(BATCH, self.pipeline.batch()),
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
        let budget = Budget::of_job(config.memory_max, targets::uses(config)).of_lane(lanes);
        let views = ViewFiles::read_some(&config.sql);
        let mut plans: Vec<Self> = Vec::with_capacity(lanes);
        for _ in 0..lanes {
            let plan = Self::of_views(config, &views, decoder, budget).await?;
            // Invariant: the lanes write the same columns to the same tables.
            if plans.first().is_some_and(|first| first.targets != plan.targets) {
                let message = "the columns of a reference table changed while the views were planned";
                let error = Diagnostic::error(Code::ReferenceTable, config.file.place(&[]), message);
                return Err(PlanError(vec![error.with_hint("try again")]));
            }
            plans.push(plan);
        }
        Ok(plans)
    }
}
