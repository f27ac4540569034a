//! `offsets`: where the job goes on, shown and changed.

use std::path::Path;

use chrono::{DateTime, NaiveDate};
use serde_json::json;

use super::confirm::confirm;
use super::failure::Failure;
use super::results::Results;
use super::terminal;
use crate::batch::TopicPartition;
use crate::config::{Config, Mode, OutputConfig};
use crate::engine;
use crate::sink::{StoredOffset, StoredOffsets};
use crate::source::{Bounds, TopicLookup};
use crate::sql::ViewFiles;

/// Show where the job goes on, or change it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor offsets show",
    "realtime-processor offsets reset --to 2026-03-01T06:00:00Z",
    "realtime-processor offsets reset --to 1200 --partition 3 --yes",
]))]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(ShowArguments),
    Reset(ResetArguments),
}

/// Show what is stored of each partition, and what Kafka has of it.
///
/// One line a partition: the offset of the message to read next, the first and the last offset of Kafka, how many
/// messages are left, the epoch (how often the partition was claimed), the time of the last message, and when that was
/// stored. Where no broker answers, what Kafka has is left out.
#[derive(Debug, clap::Args)]
struct ShowArguments {
    /// A table for people, or one JSON object a line.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Store another offset to go on with.
///
/// What will happen is shown first, and asked about: which messages are processed again or skipped, and what becomes of
/// the rows they have given already. An instance of the job that is running is fenced and goes on from there. Nothing is
/// deleted.
#[derive(Debug, clap::Args)]
struct ResetArguments {
    /// `earliest`, `latest`, an offset, or a moment: the first message at or after it (a date, or RFC 3339).
    #[arg(long, value_name = "WHERE", value_parser = parse_target)]
    to: Target,
    /// The partition, if not all of them.
    #[arg(long, value_name = "P")]
    partition: Option<i32>,
    /// The topic, if not all of the configuration.
    #[arg(long, value_name = "T")]
    topic: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Earliest,
    Latest,
    Offset(i64),
    /// Milliseconds since the epoch.
    Moment(i64),
}

/// Where one partition is moved.
#[derive(Debug)]
struct Move {
    bounds: Bounds,
    /// `None`: the job never had it.
    from: Option<i64>,
    to: i64,
}

fn parse_target(text: &str) -> Result<Target, String> {
    let moment = |text: &str| {
        let exact = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_millis());
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        exact.or_else(|| day().map(|midnight| midnight.and_utc().timestamp_millis()))
    };
    match text {
        "earliest" => Ok(Target::Earliest),
        "latest" => Ok(Target::Latest),
        text => match text.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(Target::Offset(offset)),
            Ok(_) => Err("expected an offset of 0 or more".into()),
            Err(_) => moment(text).map(Target::Moment).ok_or_else(|| {
                "expected `earliest`, `latest`, an offset, a date (2026-03-01) or a moment (2026-03-01T06:00:00Z)"
                    .to_owned()
            }),
        },
    }
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    match &arguments.action {
        Action::Show(arguments) => show(&config, arguments).await,
        Action::Reset(arguments) => reset(&config, arguments).await,
    }
}

async fn show(config: &Config, arguments: &ShowArguments) -> Result<(), Failure> {
    let stored = stored(config).await?;
    let mut topics: Vec<String> = stored.iter().map(|row| row.partition.topic.to_string()).collect();
    topics.dedup();
    let kafka = config.kafka.clone();
    let bounds = tokio::task::spawn_blocking(move || {
        let lookup = TopicLookup::new(&kafka)?;
        topics.iter().map(|topic| lookup.bounds(topic)).collect::<Result<Vec<_>, _>>()
    });
    let bounds = match bounds.await.map_err(|error| Failure::failed(error.to_string()))? {
        Ok(bounds) => bounds.concat(),
        Err(error) => {
            tracing::warn!("{error}");
            Vec::new()
        }
    };
    let of = |row: &StoredOffset| bounds.iter().find(|bounds| bounds.partition == row.partition);
    let text = match arguments.format {
        Format::Json => stored.iter().map(|row| json_of(row, of(row))).collect(),
        Format::Table => table_of(&stored, of),
    };
    Results::to_stdout().write(&text).map(drop)
}

/// Messages that are left (gaps in the offsets count).
fn lag(row: &StoredOffset, bounds: &Bounds) -> i64 {
    (bounds.high - row.next_offset).max(0)
}

fn json_of(row: &StoredOffset, bounds: Option<&Bounds>) -> String {
    let line = json!({
        "kafka_topic": &*row.partition.topic,
        "kafka_partition": row.partition.partition,
        "next_offset": row.next_offset,
        "first_offset": bounds.map(|bounds| bounds.low),
        "end_offset": bounds.map(|bounds| bounds.high),
        "lag": bounds.map(|bounds| lag(row, bounds)),
        "epoch": row.epoch,
        "message_time": row.message_time,
        "updated_at": row.updated_at,
    });
    format!("{line}\n")
}

fn table_of<'b>(stored: &[StoredOffset], of: impl Fn(&StoredOffset) -> Option<&'b Bounds>) -> String {
    if stored.is_empty() {
        return String::new();
    }
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let line = |[partition, next, first, end, lag, epoch, message_time, stored_at]: [&str; 8]| {
        format!(
            "{partition:<40} {next:>14} {first:>14} {end:>14} {lag:>12} {epoch:>6}  {message_time:<23}  {stored_at}\n"
        )
    };
    let mut lines = line(["partition", "next", "first", "end", "lag", "epoch", "message time", "stored at"]);
    for row in stored {
        let bounds = of(row);
        lines += &line([
            &row.partition.to_string(),
            &row.next_offset.to_string(),
            &number(bounds.map(|bounds| bounds.low)),
            &number(bounds.map(|bounds| bounds.high)),
            &number(bounds.map(|bounds| lag(row, bounds))),
            &row.epoch.to_string(),
            row.message_time.as_deref().unwrap_or("-"),
            &row.updated_at,
        ]);
    }
    lines
}

async fn stored(config: &Config) -> Result<Vec<StoredOffset>, Failure> {
    let opened = StoredOffsets::open(&config.database, &config.job).await.map_err(database_failed)?;
    let stored = match opened {
        Some(mut offsets) => offsets.all().await.map_err(database_failed)?,
        None => Vec::new(),
    };
    if stored.is_empty() {
        tracing::warn!("nothing is stored for the job `{}`: it has not run with this database", config.job);
    }
    Ok(stored)
}

fn database_failed(error: crate::sink::SinkError) -> Failure {
    Failure::failed(format!("the database: {error}"))
}

async fn reset(config: &Config, arguments: &ResetArguments) -> Result<(), Failure> {
    let stored = stored(config).await?;
    if stored.is_empty() {
        return Err(Failure::failed(
            "there is nothing to reset\nhint: `starting_offsets` says where the first run begins",
        ));
    }
    let moves = moves(config, arguments, &stored).await?;
    terminal::say(&plan(config, &moves)?);
    if !arguments.yes {
        confirm()?;
    }
    let targets: Vec<(TopicPartition, i64)> =
        moves.iter().map(|moved| (moved.bounds.partition.clone(), moved.to)).collect();
    // Why opened anew: the server closes what was idle while somebody thought about the answer.
    let offsets = StoredOffsets::open(&config.database, &config.job).await.map_err(database_failed)?;
    let mut offsets =
        offsets.ok_or_else(|| Failure::failed("the table of offsets is gone; nothing was changed"))?;
    offsets.reset(&targets).await.map_err(database_failed)?;
    tracing::info!("{} partitions reset", targets.len());
    Ok(())
}

async fn moves(
    config: &Config,
    arguments: &ResetArguments,
    stored: &[StoredOffset],
) -> Result<Vec<Move>, Failure> {
    let kafka = config.kafka.clone();
    let topics = match &arguments.topic {
        Some(topic) if !kafka.topics.contains(topic) => {
            let known = kafka.topics.join(", ");
            return Err(Failure::failed(format!("--topic {topic}: the configuration has {known}")));
        }
        Some(topic) => vec![topic.clone()],
        None => kafka.topics.clone(),
    };
    let (to, partition) = (arguments.to, arguments.partition);
    let asked = tokio::task::spawn_blocking(move || {
        let lookup = TopicLookup::new(&kafka)?;
        let mut found = Vec::new();
        for topic in &topics {
            let mut bounds = lookup.bounds(topic)?;
            bounds.retain(|bounds| partition.is_none_or(|wanted| bounds.partition.partition == wanted));
            let targets = match to {
                Target::Earliest => bounds.iter().map(|bounds| bounds.low).collect(),
                Target::Latest => bounds.iter().map(|bounds| bounds.high).collect(),
                Target::Offset(offset) => vec![offset; bounds.len()],
                Target::Moment(moment) => lookup.offsets_at(&bounds, moment)?,
            };
            found.extend(bounds.into_iter().zip(targets));
        }
        Ok::<_, crate::source::SourceError>(found)
    });
    let found = asked.await.map_err(|error| Failure::failed(error.to_string()))?;
    let found = found.map_err(|error| Failure::failed(error.to_string()))?;
    if let (Some(partition), true) = (arguments.partition, found.is_empty()) {
        return Err(Failure::failed(format!("--partition {partition}: no topic has this partition")));
    }
    let outside = found.iter().find(|(bounds, to)| !(bounds.low..=bounds.high).contains(to));
    if let Some((Bounds { partition, low, high }, to)) = outside {
        return Err(Failure::failed(format!(
            "{partition}: offset {to} is not there, Kafka has {low} to {high}\n\
             hint: name one of these, or the partition with --partition"
        )));
    }
    let from = |bounds: &Bounds| stored.iter().find(|row| row.partition == bounds.partition);
    let moved = |(bounds, to)| Move { from: from(&bounds).map(|row| row.next_offset), bounds, to };
    Ok(found.into_iter().map(moved).collect())
}

/// What a reset will do, in words.
fn plan(config: &Config, moves: &[Move]) -> Result<String, Failure> {
    let mut lines = Vec::new();
    let mut is_again = false;
    for Move { bounds, from, to } in moves {
        let partition = &bounds.partition;
        lines.push(match *from {
            None => format!("{partition}: starts at {to}; it was never read"),
            Some(from) if from == *to => format!("{partition}: stays at {to}"),
            Some(from) if from > *to => {
                is_again = true;
                format!("{partition}: {from} -> {to}: up to {} messages are processed again", from - to)
            }
            Some(from) => format!("{partition}: {from} -> {to}: up to {} messages are skipped", to - from),
        });
    }
    if is_again {
        for OutputConfig { view, table, mode, .. } in engine::outputs(config, &read_views(config)?) {
            lines.push(match mode {
                Mode::Append => format!("{view}: rows that stand in {table} already are appended once more"),
                Mode::Upsert { .. } => format!("{view}: rows that stand in {table} already are overwritten"),
            });
        }
        lines.push("dead letters of these messages are kept, and may be written once more".to_owned());
    }
    Ok(lines.join("\n"))
}

fn read_views(config: &Config) -> Result<ViewFiles, Failure> {
    ViewFiles::read(&config.sql).map_err(|errors| Failure::bad_config(crate::sql::render(&errors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_words_offsets_and_moments() {
        assert_eq!(parse_target("earliest"), Ok(Target::Earliest));
        assert_eq!(parse_target("latest"), Ok(Target::Latest));
        assert_eq!(parse_target("1200"), Ok(Target::Offset(1200)));
        assert_eq!(parse_target("1970-01-02"), Ok(Target::Moment(86_400_000)));
        assert_eq!(parse_target("1970-01-01T01:00:00.5+01:00"), Ok(Target::Moment(500)));
        assert!(parse_target("-1").is_err());
        assert!(parse_target("yesterday").is_err());
    }
}
