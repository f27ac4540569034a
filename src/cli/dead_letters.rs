//! `dead-letters`: the messages that could not be processed, shown, sent through the job again, exported and deleted.

mod export;
mod letter;
mod list;
mod purge;
mod replay;
mod show;

use std::path::Path;

use clap::ValueEnum;

use super::failure::Failure;
use crate::batch::Stage;
use crate::config::Config;
use crate::sink::{Selection, SinkError, StoredLetters};

/// Show the messages that could not be processed, replay, export or delete them.
///
/// A message that cannot be decoded, or that SQL or the database refuses, is kept in the table `dead_letters`, with its
/// bytes and the reason, in the transaction of its batch. When the cause is mended, `replay` brings it in.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor dead-letters list",
    "realtime-processor dead-letters show 17",
    "realtime-processor dead-letters replay --all",
    "realtime-processor dead-letters export --out dead.jsonl",
    "realtime-processor dead-letters purge --older-than 30d",
]))]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(list::Arguments),
    Show(show::Arguments),
    Replay(replay::Arguments),
    Export(export::Arguments),
    Purge(purge::Arguments),
}

/// Which dead letters are shown.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only those that failed there.
    #[arg(long, value_enum)]
    stage: Option<StageName>,
    /// Those that were replayed, instead of those that wait.
    #[arg(long)]
    replayed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StageName {
    Decode,
    Sql,
    Write,
}

impl Filter {
    fn selection(&self) -> Selection {
        let stage = self.stage.map(|stage| match stage {
            StageName::Decode => Stage::Decode,
            StageName::Sql => Stage::Sql,
            StageName::Write => Stage::Write,
        });
        Selection { is_replayed: Some(self.replayed), stage, ..Selection::default() }
    }
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    match &arguments.action {
        Action::List(arguments) => list::run(&config, arguments).await,
        Action::Show(arguments) => show::run(&config, arguments).await,
        Action::Replay(arguments) => replay::run(&config, arguments).await,
        Action::Export(arguments) => export::run(&config, arguments).await,
        Action::Purge(arguments) => purge::run(&config, arguments).await,
    }
}

/// The dead letters of the job; `None`, and said, where no job has run with this database.
async fn open(config: &Config) -> Result<Option<StoredLetters>, Failure> {
    let opened = StoredLetters::open(&config.database, &config.job).await.map_err(database_failed)?;
    if opened.is_none() {
        tracing::warn!("no dead letters are stored: no job has run with this database");
    }
    Ok(opened)
}

/// `1 message`, `2 messages`.
fn counted(count: u64, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

fn database_failed(error: SinkError) -> Failure {
    Failure::failed(format!("the database: {error}"))
}
