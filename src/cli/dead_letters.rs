//! `dead-letters`: the messages that could not be processed, shown, sent through the job again, exported and deleted.

pub(super) mod acknowledge;
mod export;
mod letter;
mod list;
mod purge;
mod replay;
mod show;
mod sight;
mod summary;

use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;

use super::failure::Failure;
use crate::batch::Stage;
use crate::config::{Config, read_duration};
use crate::diagnostic::counted;
use crate::moment::moment;
use crate::sink::{Selection, SinkError, StoredLetters};

/// Show the messages that could not be processed, replay, export or delete them.
///
/// A message that cannot be decoded, or that SQL or the database refuses, is kept in the table `dead_letters`, with its
/// bytes and the reason, in the transaction of its batch. When the cause is corrected, `replay`
/// processes it again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor dead-letters summary",
    "realtime-processor dead-letters list",
    "realtime-processor dead-letters show 17",
    "realtime-processor dead-letters replay --all",
    "realtime-processor dead-letters replay --stage write --place orders.colour --skip-newer",
    "realtime-processor dead-letters export --out dead.jsonl",
    "realtime-processor dead-letters purge --older-than 30d",
]))]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Summary(summary::Arguments),
    List(list::Arguments),
    Show(show::Arguments),
    Replay(replay::Arguments),
    Export(export::Arguments),
    Purge(purge::Arguments),
    Acknowledge(acknowledge::Arguments),
}

/// Which dead letters are meant.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only those that failed in this stage.
    #[arg(long, value_enum)]
    stage: Option<StageName>,
    /// Only those whose place contains this text: a file, a table, `table.column`, or a field that cannot be decoded.
    #[arg(long, value_name = "TEXT")]
    place: Option<String>,
    /// Only those with this error code of the database.
    #[arg(long, value_name = "N")]
    code: Option<i64>,
    /// Only those written since this time: how long ago (`2h`), or a time in UTC (`2026-03-01T06:00:00`).
    #[arg(long, value_name = "T", value_parser = parse_moment)]
    since: Option<Moment>,
    /// Only those written before this time.
    #[arg(long, value_name = "T", value_parser = parse_moment)]
    until: Option<Moment>,
}

/// The names of the options of [`Filter`].
const FILTERS: [&str; 5] = ["stage", "place", "code", "since", "until"];

/// Which dead letters are shown.
#[derive(Debug, clap::Args)]
struct Shown {
    #[command(flatten)]
    filter: Filter,
    /// Only those that were replayed, instead of those that were not.
    #[arg(long)]
    replayed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StageName {
    Decode,
    Sql,
    Write,
}

/// A point in time, as it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Ago(Duration),
    /// Microseconds since the epoch.
    At(i64),
}

fn parse_moment(text: &str) -> Result<Moment, String> {
    let at = || moment(text).map(|moment| Moment::At(moment.timestamp_micros()));
    read_duration(text)
        .map(Moment::Ago)
        .or_else(at)
        .ok_or_else(|| "expected a time with its unit, such as 2h, or 2026-03-01T06:00:00".to_owned())
}

impl Moment {
    fn micros(self, now: i64) -> i64 {
        match self {
            Self::Ago(duration) => {
                now.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
            }
            Self::At(micros) => micros,
        }
    }
}

impl Shown {
    async fn selection(&self, letters: &mut StoredLetters) -> Result<Selection, Failure> {
        let now = letters.now_micros().await.map_err(database_failed)?;
        Ok(Selection { is_replayed: Some(self.replayed), ..self.filter.selection(now) })
    }
}

impl Filter {
    /// `now`: the database's clock, in microseconds.
    fn selection(&self, now: i64) -> Selection {
        let micros = |moment: Option<Moment>| moment.map(|moment| moment.micros(now));
        let stage = self.stage.map(|stage| match stage {
            StageName::Decode => Stage::Decode,
            StageName::Sql => Stage::Sql,
            StageName::Write => Stage::Write,
        });
        Selection {
            stage,
            place: self.place.clone(),
            code: self.code,
            created_from_micros: micros(self.since),
            created_before_micros: micros(self.until),
            ..Selection::default()
        }
    }
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    match &arguments.action {
        Action::Summary(arguments) => summary::run(&config, arguments).await,
        Action::Acknowledge(_) => acknowledge::run(&config).await,
        Action::List(arguments) => list::run(&config, arguments).await,
        Action::Show(arguments) => show::run(&config, arguments).await,
        Action::Replay(arguments) => replay::run(&config, arguments).await,
        Action::Export(arguments) => export::run(&config, arguments).await,
        Action::Purge(arguments) => purge::run(&config, arguments).await,
    }
}

/// A time as text, up to its seconds.
fn seconds(time: &str) -> &str {
    const CHARACTERS: usize = 19;
    time.get(..CHARACTERS).unwrap_or(time)
}

/// The dead letters of the job; `None`, and said, where no job has run with this database.
async fn open(config: &Config) -> Result<Option<StoredLetters>, Failure> {
    let opened = StoredLetters::open(config).await.map_err(database_failed)?;
    if opened.is_none() {
        tracing::warn!("no dead letters are stored: no job has run with this database");
    }
    Ok(opened)
}

fn database_failed(error: SinkError) -> Failure {
    Failure::failed(format!("the database: {error}"))
}
