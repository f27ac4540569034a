//! `test`: the unit tests of the views.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::results::Results;
use super::terminal;
use super::watch::Watched;
use crate::config::{Config, TableOrigin};
use crate::print::takes_colours;
use crate::testing::{Tests, TestsError, Update, junit, tests_folder};

/// Run the unit tests of the views.
///
/// The tests are in sql/tests/*.yaml. Each lists messages and the rows that are expected for them. It may also list
/// rows of reference tables, and the state before the first message. Only the columns that a test names are compared. No
/// server is needed.
///
/// Each test runs again with its messages one at a time, and again cut in two at each place. If that changes the rows of
/// outputs or the final state, the SQL depends on where batches are cut. The command then prints the smallest cut that
/// shows it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("{FILE}\n\n{}", super::help_end(&[
    "realtime-processor test",
    "realtime-processor test reactions 'large withdrawal'",
    "realtime-processor test --watch",
    "realtime-processor test --format junit > report.xml",
])))]
pub(super) struct Arguments {
    /// Names or paths of test files, or parts of the names of tests. Default: all tests.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How results are printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Show the differences, then replace the expected rows by the actual ones. Correct rows, comments and the rest of the
    /// files stay as they are.
    #[arg(long)]
    update: bool,
    /// Run again whenever a test, a view, a schema or a reference file has changed. Ctrl-C ends it.
    #[arg(long)]
    watch: bool,
}

const FILE: &str = "\
A test file:
  message_defaults: { agency: '0001', operation_value: 100, operation_type: 1 }
  tests:
    - name: a withdrawal larger than the balance
      messages:
        - { customer: 7, account_balance: 99.99, date: '2024-05-31 10:00:00' }
      tables:
        accounts: [{ customer_id: 7, age: 29, account_type: basic, credit_score: 500 }]
      expect:
        reactions: [{ customer: 7, reaction: unavailable balance }]";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Junit,
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    match arguments.watch {
        true => watch(config, arguments).await,
        false => once(&Config::load(config)?, arguments).await,
    }
}

/// Runs the tests again and again. Errors are reported and end nothing.
async fn watch(file: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let refused = |error| Failure::failed(format!("signals cannot be received: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    loop {
        let config = Config::load(file);
        // Invariant: looked at before the run, so a change meanwhile is seen after it.
        let mut watched = watched(file, config.as_ref().ok());
        if io::stdout().is_terminal() {
            Results::to_stdout().write(CLEAR)?;
        }
        let ran = match config {
            Ok(config) => once(&config, arguments).await,
            Err(error) => Err(error.into()),
        };
        if let Err(failure) = ran {
            failure.report();
        }
        tokio::select! {
            () = watched.changed() => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
    }
}

/// Clears a terminal.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Everything that tests depend on.
fn watched(file: &Path, config: Option<&Config>) -> Watched {
    let Some(config) = config else { return Watched::new(&[file], &[]) };
    let mut files = config.avro.schema_files();
    files.push(file);
    files.extend(config.reference_tables.iter().filter_map(|table| match &table.origin {
        TableOrigin::File { path, .. } => Some(path.as_path()),
        TableOrigin::Table(_) | TableOrigin::Query(_) => None,
    }));
    let tests = tests_folder(config);
    Watched::new(&files, &[(&config.sql, "sql"), (&tests, "yaml"), (&tests, "yml")])
}

async fn once(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let mut tests = Tests::prepare(config, &arguments.names).await.map_err(refused)?;
    let mut report = tests.run().await;
    if arguments.update {
        let updates = tests.updates(&report);
        if !updates.is_empty() {
            terminal::say(report.render(takes_colours(&io::stderr())).trim_end());
            for update in &updates {
                write(update)?;
                say_written(update);
            }
            report = Tests::prepare(config, &arguments.names).await.map_err(refused)?.run().await;
        }
    }
    let elapsed = started.elapsed();
    let text = match arguments.format {
        Format::Text => report.render(takes_colours(&io::stdout())) + &report.summary(elapsed),
        Format::Junit => junit(&report, elapsed).map_err(Failure::failed)?,
    };
    Results::to_stdout().write(&text)?;
    match report.failed() {
        0 => Ok(()),
        _ => Err(Failure::said()),
    }
}

/// Writes a test file with other expectations.
pub(super) fn write(Update { file, text, .. }: &Update) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| Failure::failed(format!("{file} cannot be written: {error}")))
}

fn say_written(Update { file, expectations, .. }: &Update) {
    let what = if *expectations == 1 { "expectation" } else { "expectations" };
    terminal::say(&format!("{file}: {expectations} {what} written\n"));
}

pub(super) fn refused(error: TestsError) -> Failure {
    match error {
        TestsError::NoSuchTest(text) => Failure::bad_command_line(text),
        error => Failure::bad_config(error.to_string()),
    }
}
