//! `check`: everything that can fail, before it does.

use std::path::Path;

use super::failure::Failure;
use super::proposals;
use super::results::Results;
use super::terminal::{self, TextFormat};
use crate::check::{Findings, Verdict};
use crate::config::Config;
use crate::diagnostic::Finding;
use crate::print::Screen;

/// Check everything that can fail, before it does.
///
/// Reports every error in the configuration, schemas, views, tables and topics in one run, each with its place and what to
/// do. Warnings are about SQL that runs but is probably wrong: rows that depend on how messages are cut into batches,
/// silent conversions, keyed tables that are not joined on their key. `check` reads no message (except with
/// `--sample`), joins no consumer group and creates no table.
///
/// As text, errors and warnings go to stderr. On stdout are the graph of the views, and each table that is written
/// with its column types in Arrow and MySQL. As JSON, everything goes to stdout, one object per line: `type` is
/// `diagnostic`, `view`, `table` or, last, `summary`.
///
/// The exit code is 78 if there is an error, 1 if a server did not answer and nothing else is wrong, and 0 if there are only
/// warnings or nothing at all.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor check",
    "realtime-processor check --offline --format json | jq -r 'select(.severity == \"error\").message'",
    "realtime-processor check --ddl --offline | mysql bank",
    "realtime-processor check --sample",
]))]
pub(super) struct Arguments {
    /// Text for people, or one JSON object per line for editors and CI.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
    /// Contact no broker and no database server. A SQLite file is still read.
    #[arg(long)]
    offline: bool,
    /// Print the CREATE TABLE statements of all tables, including the program's own, and nothing else on stdout.
    #[arg(long)]
    ddl: bool,
    /// Compare the tables with the last messages of the topic, and print nothing else on stdout. For tables that would be
    /// created, propose text lengths and indexes, as lines of the configuration. For tables that exist, report whether the
    /// texts of these messages fit. The job is not disturbed.
    #[arg(long, conflicts_with_all = ["ddl", "offline", "format"])]
    sample: bool,
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.ddl && arguments.format == TextFormat::Json {
        let found = Finding::new("--ddl prints SQL");
        return Err(Failure::bad_command_line(
            found.with_hint("with --format json each table has its statement as `ddl`"),
        ));
    }
    if arguments.sample {
        return print(&proposals::of(&Config::load(config)?).await?);
    }
    let findings = Findings::of(config, arguments.offline).await;
    match arguments.format {
        TextFormat::Json => print(&findings.to_json_lines())?,
        TextFormat::Text => {
            let text = match arguments.ddl {
                true => findings.ddl_text(),
                false => findings.project_text(Screen::of_stdout(false).look())?,
            };
            print(&text)?;
            let faults = findings.faults_text();
            if !faults.is_empty() {
                terminal::say(&faults);
            }
        }
    }
    match findings.verdict() {
        Verdict::Good => Ok(()),
        Verdict::Unreachable => Err(Failure::said()),
        Verdict::Wrong => Err(Failure::said_bad_config()),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    Results::to_stdout().write(text).map(drop)
}
