//! Unit tests of views: files of messages, reference rows and state before, and of the rows that are expected of them,
//! run without a server by the way a job goes ([`crate::engine::Rehearsal`]). Every test is run again with its messages cut
//! into batches in other ways, and fails where that changes what is left in the end.

mod time;
mod number;
mod suite;
mod reader;
mod messages;
mod given;
mod table;
mod value;
mod difference;
mod compare;
mod run;
mod cuts;
mod bind;
mod report;
mod junit;
mod select;
mod update;

use std::time::Instant;

use crate::avro::{Encoder, KeyEncoder, SchemaError};
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Finding};
use crate::engine::{PlanError, Rehearsal};
use run::Case;
use suite::Suite;

pub use junit::junit;
pub use report::{Failure, FileReport, Report, TestReport};
pub use select::tests_folder;
pub use update::Update;

/// The tests of a project, ready to run: every file was read, every view planned, every name found.
pub struct Tests {
    suites: Vec<Bound>,
    rehearsal: Rehearsal,
}

/// A file, and its tests with what they name.
struct Bound {
    suite: Suite,
    cases: Vec<Case>,
}

/// Why no test was run.
#[derive(Debug, thiserror::Error)]
pub enum TestsError {
    /// Of test files, the schema, the SQL or reference tables.
    #[error("{}", crate::diagnostic::render(.0))]
    Faults(Vec<Diagnostic>),
    /// A name that was asked for names no test.
    #[error("{0}")]
    NoSuchTest(Finding),
}

impl From<SchemaError> for TestsError {
    fn from(error: SchemaError) -> Self {
        Self::Faults(vec![error.into()])
    }
}

impl From<PlanError> for TestsError {
    fn from(PlanError(faults): PlanError) -> Self {
        Self::Faults(faults)
    }
}

impl Tests {
    /// Reads the test files beside the views of a project, plans the views, and checks the tests against them. `names`
    /// chooses among the tests: files, or parts of the tests' names; none means all.
    ///
    /// # Errors
    /// Everything that is wrong with test files, schema, SQL or reference tables, in one go.
    pub async fn prepare(config: &Config, names: &[String]) -> Result<Self, TestsError> {
        let (suites, unread) = select::read(config, names)?;
        let (suites, unread) = select::chosen(suites, names, unread)?;
        // A registry is not asked for what the messages of tests are written with.
        let config = &Config { avro: config.avro.of_own_messages(), ..config.clone() };
        let encoder = Encoder::for_config(&config.avro)?;
        let keys = KeyEncoder::for_config(&config.avro.key)?;
        bind::bind(config, suites, unread, &encoder, &keys).await
    }

    /// Runs all of them.
    pub async fn run(&mut self) -> Report {
        let mut report = Report::default();
        for bound in &self.suites {
            let mut tests = Vec::new();
            for case in &bound.cases {
                tests.push(run_case(&mut self.rehearsal, case).await);
            }
            report.files.push(FileReport { file: bound.suite.file.clone(), tests });
        }
        report
    }

    /// The files as they would have to be for the tests to pass, where rows alone are in the way.
    pub fn updates(&self, report: &Report) -> Vec<Update> {
        let files = self.suites.iter().zip(&report.files);
        let update = |(bound, file): (&Bound, &FileReport)| {
            let outcomes = bound.cases.iter().zip(&file.tests);
            let outcomes = outcomes.filter_map(|(case, test)| Some((case, test.observed.as_ref()?)));
            update::update(&bound.suite, &outcomes.collect::<Vec<_>>(), &self.rehearsal)
        };
        files.filter_map(update).collect()
    }
}

/// One test: whole, then cut.
async fn run_case(rehearsal: &mut Rehearsal, case: &Case) -> TestReport {
    let started = Instant::now();
    let mut failures = Vec::new();
    let mut observed = None;
    rehearsal.stop_clock(case.test.now);
    let given =
        case.tables.iter().enumerate().try_for_each(|(table, rows)| rehearsal.give(table, rows.clone()));
    match given {
        Err(error) => failures.push(Failure::Stopped(error.to_string())),
        Ok(()) => {
            let whole = run::run(rehearsal, case, &[(0..case.recording.messages.len()).collect()]).await;
            match &whole {
                Ok(observed) => {
                    if case.test.expectations.is_empty() {
                        failures.push(Failure::NothingExpected);
                    }
                    let unmet = run::check(case, observed, rehearsal);
                    failures.extend(unmet.into_iter().map(Failure::Unmet));
                }
                Err(stop) => failures.push(Failure::Stopped(stop.clone())),
            }
            if whole.is_ok()
                && case.test.cuts_ignored.is_none()
                && let Some(breach) = cuts::find_breach(rehearsal, case, &whole).await
            {
                let messages = case.recording.written.clone();
                failures.push(Failure::Cuts(report::CutsFailure { breach, messages }));
            }
            observed = whole.ok();
        }
    }
    TestReport {
        name: case.test.name.clone(),
        line: case.test.spot.line,
        failures,
        observed,
        elapsed: started.elapsed(),
        cuts_ignored: case.test.cuts_ignored.clone(),
    }
}
