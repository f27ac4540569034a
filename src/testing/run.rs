//! One test, run over its messages cut in some way: reference rows and state are provided again, and the results are what
//! tests compare.

use arrow::array::RecordBatch;

use super::compare::{compare, difference};
use super::difference::Difference;
use super::messages::{Recording, select};
use super::suite::{Expectation, Of, Test};
use super::table::Table;
use crate::engine::{Outcome, Rehearsal};

/// A test whose names and values were checked against the planned SQL.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub test: Test,
    pub recording: Recording,
    /// For each reference table the rows that stand in place of its own.
    pub tables: Vec<Option<RecordBatch>>,
    /// For each state table its rows before the first message.
    pub states: Vec<RecordBatch>,
}

/// What came out of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    /// One for each view of the rehearsal; of an upsert, the rows that are left.
    pub views: Vec<Table>,
    /// One for each state table.
    pub states: Vec<Table>,
    pub dead_letters: Table,
}

/// What came out, or what would have stopped the job.
pub(super) type Ran = Result<Observed, String>;

/// Messages, by their places, in the batches that they come in.
pub(super) type Batches = Vec<Vec<usize>>;

/// An expectation that is not met.
#[derive(Clone, Debug)]
pub struct Unmet {
    /// Of the view or table; `expect_dead_letters`.
    pub(super) name: String,
    pub(super) expected: usize,
    pub(super) came: usize,
    pub(super) is_ordered: bool,
    pub(super) difference: Difference,
}

/// Runs a case over its messages in these batches.
pub(super) async fn run(rehearsal: &mut Rehearsal, case: &Case, batches: &[Vec<usize>]) -> Ran {
    rehearsal.begin_with(&case.states).map_err(|error| error.to_string())?;
    let batches = batches.iter().map(|places| select(&case.recording.messages, places)).collect();
    let outcome = rehearsal.run(batches).await.map_err(|error| error.to_string())?;
    Ok(observed(rehearsal, &outcome))
}

fn observed(rehearsal: &Rehearsal, outcome: &Outcome) -> Observed {
    let views = rehearsal.views().iter().zip(&outcome.views);
    let views = views.map(|(view, rows)| Table::of(&view.schema, rows));
    let states = rehearsal.states().iter().zip(&outcome.states);
    Observed {
        views: views.collect(),
        states: states.map(|(state, rows)| Table::of(&state.schema, std::slice::from_ref(rows))).collect(),
        dead_letters: Table::of_dead_letters(&outcome.dead_letters),
    }
}

impl Observed {
    /// The rows that an expectation is about.
    pub fn rows_of(&self, of: Of, name: &str, rehearsal: &Rehearsal) -> Option<&Table> {
        match of {
            Of::View => {
                let place = rehearsal.views().iter().position(|view| view.name == name)?;
                self.views.get(place)
            }
            Of::State => {
                let place = rehearsal.states().iter().position(|state| state.name == name)?;
                self.states.get(place)
            }
            Of::DeadLetters => Some(&self.dead_letters),
        }
    }
}

/// What of a test's expectations is not met.
pub(super) fn check(case: &Case, observed: &Observed, rehearsal: &Rehearsal) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    for expectation in &case.test.expectations {
        if let Some(table) = observed.rows_of(expectation.of, &expectation.name, rehearsal) {
            unmet.extend(compared(expectation, table));
        }
    }
    let says_dead_letters =
        case.test.expectations.iter().any(|expectation| expectation.of == Of::DeadLetters);
    if !says_dead_letters && !observed.dead_letters.rows.is_empty() {
        // Why: a message that becomes a dead letter would be missing in silence.
        let nothing = Expectation::none(Of::DeadLetters, "expect_dead_letters", case.test.line);
        unmet.extend(compared(&nothing, &observed.dead_letters));
    }
    unmet
}

fn compared(expectation: &Expectation, table: &Table) -> Option<Unmet> {
    let comparison = compare(expectation, table);
    (!comparison.is_same()).then(|| Unmet {
        name: expectation.name.clone(),
        expected: expectation.rows.len(),
        came: table.rows.len(),
        is_ordered: expectation.is_ordered,
        difference: difference(expectation, table, &comparison),
    })
}
