//! The results of the tests, and how people read them.

use std::fmt::Write as _;
use std::time::Duration;

use super::cuts::{Breach, Found};
use super::messages::WrittenMessage;
use super::run::{Observed, Unmet};
use crate::diagnostic::counted;

/// The results of all tests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub files: Vec<FileReport>,
}

/// The results of the tests of one file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// As a person would open it.
    pub file: String,
    pub tests: Vec<TestReport>,
}

/// The result of one test.
#[derive(Clone, Debug)]
pub struct TestReport {
    pub name: String,
    /// Its place in the file.
    pub line: usize,
    /// Nothing where it has passed.
    pub failures: Vec<Failure>,
    pub elapsed: Duration,
    /// What came out of all messages in one batch; `None` where the job would stop.
    pub(super) observed: Option<Observed>,
    /// Why it was not run with its messages cut.
    pub cuts_ignored: Option<String>,
}

/// Why a test has failed.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The job would have stopped.
    Stopped(String),
    /// The test says of no row what it should be.
    NothingExpected,
    /// Rows that are not those expected.
    Unmet(Unmet),
    /// The SQL depends on where batches are cut.
    Cuts(CutsFailure),
}

/// The smallest cut that shows it.
#[derive(Clone, Debug)]
pub struct CutsFailure {
    pub(super) breach: Breach,
    /// All messages of the test.
    pub(super) messages: Vec<WrittenMessage>,
}

impl Report {
    pub fn tests(&self) -> usize {
        self.files.iter().map(|file| file.tests.len()).sum()
    }

    pub fn failed(&self) -> usize {
        self.files.iter().flat_map(|file| &file.tests).filter(|test| !test.failures.is_empty()).count()
    }

    /// Each file and each failure.
    pub fn render(&self, is_coloured: bool) -> String {
        let mut out = String::new();
        for file in &self.files {
            file.render(is_coloured, &mut out);
        }
        out
    }

    /// The last line.
    pub fn summary(&self, elapsed: Duration) -> String {
        let (tests, failed) = (self.tests(), self.failed());
        let seconds = elapsed.as_secs_f64();
        match failed {
            0 => format!("{} passed, {seconds:.2} s\n", counted(tests, "test")),
            _ => format!("{failed} of {} failed, {seconds:.2} s\n", counted(tests, "test")),
        }
    }
}

impl FileReport {
    fn render(&self, is_coloured: bool, out: &mut String) {
        let failed = self.tests.iter().filter(|test| !test.failures.is_empty()).count();
        let uncut = self.tests.iter().filter(|test| test.cuts_ignored.is_some()).count();
        let (word, colour) = if failed == 0 { ("ok  ", "\x1b[32m") } else { ("FAIL", "\x1b[31m") };
        let (colour, reset) = if is_coloured { (colour, "\x1b[0m") } else { ("", "") };
        let mut notes = counted(self.tests.len(), "test");
        if failed > 0 {
            let _ = write!(notes, ", {failed} failed");
        }
        if uncut > 0 {
            let _ = write!(notes, ", {uncut} not cut");
        }
        let _ = writeln!(out, "{colour}{word}{reset} {} ({notes})", self.file);
        for test in self.tests.iter().filter(|test| !test.failures.is_empty()) {
            let _ = writeln!(out, "\n{}:{}: {}", self.file, test.line, test.name);
            for failure in &test.failures {
                out.push_str(&failure.render(is_coloured));
            }
        }
        if failed > 0 {
            out.push('\n');
        }
    }
}

impl Failure {
    /// In one line.
    pub fn headline(&self) -> String {
        match self {
            Self::Stopped(_) => "the job would stop".into(),
            Self::NothingExpected => "the test expects nothing".into(),
            Self::Unmet(unmet) => unmet.headline(),
            Self::Cuts(CutsFailure { breach, .. }) => match &breach.found {
                Found::Unrepeatable { relation, .. } => {
                    format!("`{relation}`: other rows each time the same messages are run")
                }
                Found::Rows { .. } | Found::Stop { .. } => "the SQL depends on where batches are cut".into(),
            },
        }
    }

    /// With everything that helps to mend it.
    pub fn render(&self, is_coloured: bool) -> String {
        let mut out = format!("  {}\n", self.headline());
        match self {
            Self::Stopped(message) => {
                for line in message.lines() {
                    let _ = writeln!(out, "    {line}");
                }
            }
            Self::NothingExpected => out.push_str("  hint: `test --update` writes what comes out\n"),
            Self::Unmet(unmet) => out.push_str(&unmet.difference.render(is_coloured)),
            Self::Cuts(failure) => failure.render(is_coloured, &mut out),
        }
        out
    }
}

impl Unmet {
    fn headline(&self) -> String {
        let Self { name, expected, came, .. } = self;
        let order = if self.is_ordered { ", in this order" } else { "" };
        let expected = match expected {
            0 => "no row".into(),
            expected => counted(*expected, "row"),
        };
        match name.as_str() {
            "expect_dead_letters" if self.expected == 0 => {
                format!("{} that the test does not expect", counted(*came, "dead letter"))
            }
            _ => format!("`{name}`: expected (-) {expected}{order}, {came} came out (+)"),
        }
    }
}

impl CutsFailure {
    fn render(&self, is_coloured: bool, out: &mut String) {
        let Breach { batches, found } = &self.breach;
        let number = |place: &usize| (place + 1).to_string();
        let numbers = |places: &[usize]| places.iter().map(number).collect::<Vec<_>>().join(" ");
        if !matches!(found, Found::Unrepeatable { .. }) {
            let cut: Vec<String> = batches.iter().map(|batch| numbers(batch)).collect();
            let _ = writeln!(out, "    in one batch:  {}", numbers(&batches.concat()));
            let _ = writeln!(out, "    cut:           {}", cut.join(" | "));
            for place in batches.concat() {
                let message = &self.messages[place];
                let _ =
                    writeln!(out, "      message {} (line {}): {}", place + 1, message.line, message.text);
            }
        }
        match found {
            Found::Rows { relation, kind, difference } => {
                let what = if kind.is_empty() { String::new() } else { format!(", {kind}") };
                let _ = writeln!(out, "  `{relation}`{what}: in one batch (-) and cut (+)");
                out.push_str(&difference.render(is_coloured));
                let _ = writeln!(out, "  hint: {}", hint(relation, kind));
            }
            Found::Stop { whole, cut } => {
                for (how, stop) in [("in one batch", whole), ("cut", cut)] {
                    let text = stop.as_deref().unwrap_or("it goes on");
                    let _ = writeln!(out, "  {how}: {}", text.replace('\n', "\n    "));
                }
            }
            Found::Unrepeatable { difference, .. } => {
                out.push_str(&difference.render(is_coloured));
                out.push_str("  hint: random(), uuid() and the like give other values each time\n");
            }
        }
    }
}

/// What to do about rows that depend on where batches are cut.
fn hint(relation: &str, kind: &str) -> String {
    match kind {
        "append output" => "an appended row may follow from its message and those before it, not from the rest of its batch:\n  \
                            keep what is known of earlier messages in a state table, and order windows by kafka_topic,\n  \
                            kafka_partition, kafka_offset"
            .into(),
        "dead letters" => "a message may not fail because of others in its batch".into(),
        _ => format!(
            "begin with the row that `{relation}` has from before the batch, and order what is first or last by\n  \
             kafka_topic, kafka_partition, kafka_offset"
        ),
    }
}
