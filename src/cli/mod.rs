//! The command line: what was typed becomes one command, and its result an exit code. Each command is a file here, and
//! thin: it builds the parts from the configuration and runs them.

mod check;
mod config;
mod confirm;
mod consume;
mod dead_letters;
mod demo;
mod failure;
mod fill;
mod generate;
mod health;
mod init;
mod job;
mod offsets;
mod produce;
mod progress;
mod proposals;
mod reload;
mod results;
mod run;
mod samples;
mod schema;
mod sender;
mod signals;
mod sql;
mod terminal;
mod test;
mod watch;

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::ExitCode;

use arrow::datatypes::Schema;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Config;
use crate::diagnostic::render;
use crate::engine::unknown_sensitive;
use crate::panics;
use failure::Failure;
use terminal::TextFormat;

/// Kafka to MySQL in columnar micro-batches: Avro messages, SQL files, exactly once.
///
/// A job reads Avro messages from Kafka, turns each batch of them into an Arrow table called `batch`, runs the
/// SQL files of the folder `sql` over it, joined with reference tables, and writes the rows of its outputs to
/// MySQL, MariaDB or SQLite. Rows, dead letters and Kafka offsets are stored in one transaction, so every
/// message counts exactly once, even if a process or server is killed at any moment.
///
/// Start with `realtime-processor demo`: it needs nothing installed.
#[derive(Debug, Parser)]
#[command(name = "realtime-processor", version, max_term_width = 100)]
#[command(after_long_help = format!("{EXIT_CODES}\n\n{STREAMS}"))]
struct Arguments {
    /// The configuration file. Paths in it are relative to its folder.
    #[arg(long, value_name = "FILE", default_value = "config.yaml", global = true, help_heading = GLOBAL)]
    config: PathBuf,
    /// The format of log lines on stderr.
    ///
    /// The environment variable RUST_LOG sets the level: `info` by default, `debug` for more.
    #[arg(long, value_enum, default_value = "text", global = true, help_heading = GLOBAL)]
    log: TextFormat,
    #[command(subcommand)]
    command: Command,
}

const GLOBAL: &str = "Options of every command";

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   the job, a test or a command failed, or a server could not be reached
  2   bad command line
  78  bad configuration, schema, SQL or test file, found before the first message";

const STREAMS: &str = "Results go to stdout, everything else to stderr.";

/// The end of a command's long help.
fn help_end(examples: &[&str]) -> String {
    let examples: String = examples.iter().map(|example| format!("\n  {example}")).collect();
    format!("Examples:{examples}\n\n{EXIT_CODES}")
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Demo(demo::Arguments),
    Produce(produce::Arguments),
    Consume(consume::Arguments),
    Generate(generate::Arguments),
    Test(test::Arguments),
    Offsets(offsets::Arguments),
    Fill(fill::Arguments),
    DeadLetters(dead_letters::Arguments),
    Sql(sql::Arguments),
    Config(config::Arguments),
    Schema(schema::Arguments),
    Health(health::Arguments),
    Init(init::Arguments),
}

/// The whole command line. The documents are compared with it.
pub fn definition() -> clap::Command {
    Arguments::command()
}

/// Reads the command line, runs the command, and says with what code the process ends.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    terminal::start_log(arguments.log);
    let config = &arguments.config;
    let ended = match arguments.command {
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Run(arguments) => run::run(config, &arguments),
        Command::Check(arguments) => block_on(WORKER_THREADS, check::run(config, &arguments)),
        Command::Demo(arguments) => block_on(WORKER_THREADS, demo::run(&arguments)),
        Command::Produce(arguments) => produce::run(config, &arguments),
        Command::Consume(arguments) => consume::run(config, &arguments),
        Command::Test(arguments) => block_on(WORKER_THREADS, test::run(config, &arguments)),
        Command::Offsets(arguments) => block_on(WORKER_THREADS, offsets::run(config, &arguments)),
        Command::Fill(arguments) => block_on(WORKER_THREADS, fill::run(config, &arguments)),
        Command::DeadLetters(arguments) => block_on(WORKER_THREADS, dead_letters::run(config, &arguments)),
        Command::Config(arguments) => config::run(config, &arguments),
        Command::Schema(arguments) => block_on(WORKER_THREADS, schema::run(config, &arguments)),
        Command::Sql(arguments) => block_on(WORKER_THREADS, sql::run(config, &arguments)),
        Command::Health(arguments) => block_on(1, health::run(config, &arguments)),
        Command::Init(arguments) => block_on(WORKER_THREADS, init::run(&arguments)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Threads of the runtime besides the one that computes. A query that was cancelled may keep one for a moment, and the
/// prompt must go on.
const WORKER_THREADS: usize = 3;

/// Whether all fields that must not be shown are fields of the messages.
fn check_sensitive(config: &Config, batch: &Schema) -> Result<(), Failure> {
    let unknown = unknown_sensitive(config, batch);
    if unknown.is_empty() { Ok(()) } else { Err(Failure::bad_config(render(&unknown))) }
}

/// Waits on this thread for something short.
fn wait_for<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(waiting_thread()?.block_on(future))
}

/// What a thread waits with that is no part of a runtime.
fn waiting_thread() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("no thread for the program: {error}")))
}

fn block_on(worker_threads: usize, future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no threads for the program: {error}")))?;
    // Why `dyn`: the runtime is compiled once, not for each command.
    let future: Pin<&mut dyn Future<Output = Result<(), Failure>>> = pin!(future);
    let ended = panics::survive(|| runtime.block_on(future));
    // Why: a thread that waits for a server must not keep a finished program alive.
    runtime.shutdown_background();
    ended.unwrap_or_else(|panic| Err(Failure::panicked(&panic)))
}
