//! `check`: everything that can fail, before it does.

use std::io::{self, Write as _};
use std::path::Path;

use super::failure::Failure;
use super::{proposals, terminal};
use crate::check::{Findings, Verdict};
use crate::config::Config;

/// Check everything that can fail, before it does.
///
/// Configuration, schemas, every view, the tables in the database and the topics: all faults in one run, each with its
/// place and what to do. Warnings tell of SQL that runs and probably does not do what it is meant to: rows that depend
/// on how messages are cut into batches, silent conversions, keyed tables that are read other than by their key.
/// No message is read (but for `--sample`), no consumer group is joined and no table is made.
///
/// As text, faults and warnings go to stderr, and stdout has the graph of the views and each table that is written,
/// with the types of its columns in Arrow and MySQL. As JSON all of it goes to stdout, one object a line: `type` is
/// `diagnostic`, `view`, `table` or, last, `summary`.
///
/// It ends with 78 where there is an error, with 1 where a server did not answer and nothing else is wrong, and with 0
/// where there are only warnings.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor check",
    "realtime-processor check --offline --format json | jq -r 'select(.severity == \"error\").message'",
    "realtime-processor check --ddl --offline | mysql bank",
    "realtime-processor check --sample",
]))]
pub(super) struct Arguments {
    /// Text for people, or one JSON object a line for editors and CI.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Ask no broker and no database server. A SQLite file is looked at all the same.
    #[arg(long)]
    offline: bool,
    /// Print the CREATE TABLE statements of all tables, the program's own too, and nothing else on stdout.
    #[arg(long)]
    ddl: bool,
    /// Print what the last messages say about the tables that would be created, and nothing else on stdout: lengths of
    /// texts and indexes, as lines of the configuration. Messages are read beside the job.
    #[arg(long, conflicts_with_all = ["ddl", "offline", "format"])]
    sample: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.ddl && arguments.format == Format::Json {
        let message = "--ddl prints SQL\nhint: with --format json each table has its statement as `ddl`";
        return Err(Failure::bad_command_line(message));
    }
    if arguments.sample {
        return print(&proposals::of(&Config::load(config)?).await?);
    }
    let findings = Findings::of(config, arguments.offline).await;
    match arguments.format {
        Format::Json => print(&findings.to_json_lines())?,
        Format::Text => {
            print(&if arguments.ddl { findings.ddl_text() } else { findings.project_text() })?;
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
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads the pipe has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(|error| Failure::failed(format!("stdout: {error}"))),
    }
}
