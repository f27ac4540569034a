//! Everything that can fail, before it does: configuration, schemas, SQL, tables and topics, all faults in one run. No
//! message is read, no group is joined and no table is made.

mod json;
mod lengths;
mod nulls;
mod registry;
mod tables;
mod text;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use crate::batch::Fault;
use crate::config::{Config, KafkaConfig};
use crate::database::{Address, Dialect};
use crate::decode::Decoder;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::engine::{Draft, Reach, split_fills};
use crate::sink::{Inspection, Sink};
use crate::source::{SourceError, TopicLookup, check_properties};

pub(crate) use registry::{
    compare as compare_with_registry, is_same as is_same_schema, key_subject_of, subject_of,
};
pub use tables::{ColumnFinding, TableFinding};

/// What a check has found.
#[derive(Debug, Default)]
pub struct Findings {
    /// In the order of the files, and of the lines in each.
    pub diagnostics: Vec<Diagnostic>,
    /// In the order of computing, those that nothing needs last.
    pub views: Vec<ViewFinding>,
    /// The tables of the program, then of outputs, then of state.
    pub tables: Vec<TableFinding>,
}

/// A view in the graph.
#[derive(Clone, Debug)]
pub struct ViewFinding {
    pub name: String,
    /// `batch`, tables and other views.
    pub reads: Vec<String>,
    /// Whether an output or state needs it; otherwise a job does not compute it.
    pub is_used: bool,
}

/// The worst of what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing, or warnings.
    Good,
    /// A server did not answer, and nothing else is wrong.
    Unreachable,
    Wrong,
}

impl Verdict {
    pub(crate) fn of(diagnostics: &[Diagnostic]) -> Self {
        let verdict = |diagnostic: &Diagnostic| match (diagnostic.is_error(), diagnostic.code) {
            (false, _) => Self::Good,
            (true, Code::Unreachable) => Self::Unreachable,
            (true, _) => Self::Wrong,
        };
        diagnostics.iter().map(verdict).max().unwrap_or(Self::Good)
    }
}

impl Findings {
    /// Checks the project of a configuration file; `offline`: without asking a broker or a database server.
    pub async fn of(config: &Path, offline: bool) -> Self {
        let mut findings = Self::default();
        match Config::load(config) {
            Ok(config) => findings.look(&config, offline).await,
            Err(error) => {
                findings.diagnostics = error.diagnostics;
                if let Some(config) = error.readable {
                    findings.look_past_faults(&config).await;
                }
            }
        }
        sort(&mut findings.diagnostics);
        findings
    }

    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.diagnostics)
    }

    async fn look(&mut self, config: &Config, offline: bool) {
        let topics = tokio::task::spawn_blocking({
            let kafka = config.kafka.clone();
            move || {
                if offline { check_properties(&kafka).err().into_iter().collect() } else { topics(&kafka) }
            }
        });
        let draft = self.draft(config, Reach { servers: !offline, warns: true }).await;
        let inspection = self.inspect(config, &draft, offline).await;
        self.tables = TableFinding::all(config, &draft.targets, &inspection);
        // Where the database does not answer, that was said.
        if let Some(pipeline) = draft.pipeline.as_ref().filter(|_| !offline)
            && let Ok(split) = split_fills(pipeline, config).await
        {
            self.diagnostics.extend(split);
        }
        self.diagnostics.extend(draft.places.diagnostics(&inspection.faults));
        let added = inspection.additions.iter();
        let added = added.map(|column| draft.places.diagnostic(Severity::Warning, Code::NewColumn, column));
        self.diagnostics.extend(added);
        let misspelt = inspection.misspelt.iter();
        let misspelt =
            misspelt.map(|table| draft.places.diagnostic(Severity::Warning, Code::NewTable, table));
        self.diagnostics.extend(misspelt);
        self.diagnostics.extend(words::warnings(&draft, &inspection));
        let cycles = inspection.cycles.iter();
        let cycles = cycles.map(|table| draft.places.diagnostic(Severity::Warning, Code::Table, table));
        self.diagnostics.extend(cycles);
        let warnings = inspection.warnings.iter();
        let warnings = warnings.map(|table| draft.places.diagnostic(Severity::Warning, Code::Table, table));
        self.diagnostics.extend(warnings);
        self.diagnostics.extend(nulls::warnings(&draft, &inspection));
        self.diagnostics.extend(lengths::warnings(&draft, &inspection));
        if let Ok(decoder) = Decoder::new(&config.avro)
            && !offline
        {
            self.diagnostics.extend(registry::compare(config, &decoder).await);
        }
        let topics = topics.await.unwrap_or_else(|error| vec![SourceError::Broken(error.to_string().into())]);
        self.diagnostics.extend(topics.iter().map(|error| source_diagnostic(config, error)));
    }

    /// Looks for more where the configuration has faults: what depends on what could not be read is left alone.
    async fn look_past_faults(&mut self, config: &Config) {
        let known = std::mem::take(&mut self.diagnostics);
        self.draft(config, Reach { servers: false, warns: false }).await;
        // A table that could not be read is missing, and whatever reads it would be blamed.
        self.diagnostics.retain(|found| {
            !matches!(found.code, Code::UnknownRelation | Code::Output | Code::ReferenceTable | Code::State)
        });
        self.diagnostics.splice(0..0, known);
        self.views.clear();
    }

    async fn draft(&mut self, config: &Config, reach: Reach) -> Draft {
        let schema_faults = Decoder::faults(&config.avro);
        let decoder = Decoder::new(&config.avro).ok();
        self.diagnostics.extend(schema_faults.into_iter().map(Diagnostic::from));
        if reach.warns {
            let ignored = Decoder::ignored(&config.avro).into_iter();
            let warning = |found| Diagnostic {
                severity: Severity::Warning,
                code: Code::LogicalType,
                ..Diagnostic::from(found)
            };
            self.diagnostics.extend(ignored.map(warning));
        }
        let mut draft = Draft::of(config, decoder.as_ref(), reach).await;
        self.diagnostics.append(&mut draft.diagnostics);
        let views = std::mem::take(&mut draft.graph).into_iter();
        let views = views.map(|(name, reads)| ViewFinding {
            is_used: !draft.unused_views.contains(&name),
            name,
            reads,
        });
        self.views = views.collect();
        draft
    }

    async fn inspect(&mut self, config: &Config, draft: &Draft, offline: bool) -> Inspection {
        let targets = &draft.targets;
        let without = |dialect| Inspection::without_database(targets, dialect);
        if offline && matches!(config.database, Address::MySql(_)) {
            return without(Dialect::MySql);
        }
        match Sink::check(config.database.clone(), &config.job, targets, config.create_tables).await {
            Ok(inspection) => inspection,
            Err(error) => {
                let (code, what) = match error.fault() {
                    Fault::Infrastructure => (Code::Unreachable, "cannot be reached"),
                    _ => (Code::Database, "cannot be used"),
                };
                let found = error
                    .found()
                    .clone()
                    .within(format!("the database {} {what}", config.database.redacted()));
                self.diagnostics.push(Diagnostic::error(code, config.file.place(&["database"]), found));
                without(if matches!(config.database, Address::MySql(_)) {
                    Dialect::MySql
                } else {
                    Dialect::Sqlite
                })
            }
        }
    }
}

/// What is wrong with the topics; only the first where no broker answers.
fn topics(kafka: &KafkaConfig) -> Vec<SourceError> {
    let lookup = match TopicLookup::new(kafka) {
        Ok(lookup) => lookup,
        Err(error) => return vec![error],
    };
    let mut faults = Vec::new();
    for topic in &kafka.topics {
        match lookup.check_topic(topic) {
            Ok(()) => {}
            Err(error @ SourceError::Unavailable(_)) => return vec![error],
            Err(error) => faults.push(error),
        }
    }
    faults
}

fn source_diagnostic(config: &Config, error: &SourceError) -> Diagnostic {
    let (code, key) = match error {
        SourceError::Unavailable(_) => (Code::Unreachable, "kafka_server"),
        SourceError::Properties(_) => (Code::Kafka, "kafka_properties"),
        SourceError::Broken(_) => (Code::Kafka, "kafka_topic"),
    };
    Diagnostic::error(code, config.file.place(&[key]), error.found().clone())
}

/// By file in the order they came up, then by line and column; what was found twice is listed once.
fn sort(diagnostics: &mut Vec<Diagnostic>) {
    let mut files = BTreeMap::new();
    for diagnostic in diagnostics.iter() {
        let next = files.len();
        files.entry(diagnostic.place.file.clone()).or_insert(next);
    }
    let position = |diagnostic: &Diagnostic| {
        let span = diagnostic.place.span.as_ref();
        (files.get(&diagnostic.place.file).copied(), span.map(|span| (span.line, span.column)))
    };
    diagnostics.sort_by_key(position);
    diagnostics.dedup();
}
