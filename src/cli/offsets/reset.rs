//! `offsets reset`: another place to go on from, and what becomes of rows and of state then.

use std::collections::BTreeSet;

use super::{database_failed, stored};
use crate::batch::TopicPartition;
use crate::cli::confirm::confirm;
use crate::cli::failure::Failure;
use crate::cli::terminal;
use crate::config::{Config, Mode, OutputConfig, StateTableConfig, Upsert};
use crate::diagnostic::Finding;
use crate::engine;
use crate::sink::{CLEARED_ROWS_MAX, Sink, StateRows, StoredOffset, StoredOffsets};
use crate::source::{Bounds, StartAt, TopicLookup};
use crate::sql::ViewFiles;

/// Store other offsets, from which the job continues.
///
/// The command first shows what will happen, and asks: which messages are processed again or skipped, and what happens to
/// the rows that they have already produced. A running instance picks up the new offsets. Nothing is deleted, except
/// state with `--state clear`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// `beginning`, `end`, an offset, or a time: the first message at or after it (a date, or RFC 3339). Kafka's words
    /// `earliest` and `latest` are the same as `beginning` and `end`.
    #[arg(long, value_name = "WHERE")]
    to: StartAt,
    /// The partition. Default: all.
    #[arg(long, value_name = "P")]
    partition: Option<i32>,
    /// The topic. Default: all topics of the configuration.
    #[arg(long, value_name = "T")]
    topic: Option<String>,
    /// What happens to state. Required if the job has any.
    ///
    /// `keep`: rows stay, so messages that are processed again are counted twice in them. `clear`: rows are
    /// deleted in the same transaction, and state is computed again from the messages that follow.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum State {
    Keep,
    Clear,
}

/// Where one partition is moved.
#[derive(Debug)]
struct Move {
    bounds: Bounds,
    /// `None`: the job never had it.
    from: Option<i64>,
    to: i64,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let views = read_views(config)?;
    refuse_while_filling(config).await?;
    let tables = &config.state_tables;
    let fate = fate(tables, arguments.state)?;
    let stored = stored(config).await?;
    if stored.is_empty() {
        let found = Finding::new("there is nothing to reset");
        return Err(Failure::failed(found.with_hint("`starting_offsets` says where the first run begins")));
    }
    let moves = moves(config, arguments, &stored).await?;
    let cleared = match fate {
        State::Keep => Vec::new(),
        State::Clear => cleared(tables, &stored, &moves)?,
    };
    let mut lines = ranges(&moves);
    lines.extend(rows_again(&engine::outputs(config, &views), &moves));
    let mut offsets = open(config).await?;
    match fate {
        State::Keep => lines.extend(state_kept(tables, &moves)),
        State::Clear => lines.extend(state_cleared(&mut offsets, &cleared).await?),
    }
    terminal::say(&lines.join("\n"));
    if !arguments.yes {
        confirm()?;
        // Why opened again: the server closes what was idle while somebody thought about the answer.
        offsets = open(config).await?;
    }
    let targets: Vec<(TopicPartition, i64)> =
        moves.iter().map(|moved| (moved.bounds.partition.clone(), moved.to)).collect();
    offsets.reset(&targets, &cleared).await.map_err(database_failed)?;
    tracing::info!("{} partitions reset", targets.len());
    Ok(())
}

/// A fill counts on it that the job moves on from where it was, and that nobody else deletes its rows.
async fn refuse_while_filling(config: &Config) -> Result<(), Failure> {
    let filling = Sink::look_waiting(&config.database, &config.job, &BTreeSet::new()).await;
    match filling.map_err(database_failed)?.first() {
        Some(name) => {
            let found = Finding::new(format!("the fill of `{name}` has begun and is not finished"));
            Err(Failure::failed(found.with_hint(format!("let `fill {name}` end first"))))
        }
        None => Ok(()),
    }
}

async fn open(config: &Config) -> Result<StoredOffsets, Failure> {
    let offsets = StoredOffsets::open(&config.database, &config.job).await.map_err(database_failed)?;
    offsets.ok_or_else(|| Failure::failed("the table of offsets is gone; nothing was changed"))
}

/// What becomes of state, which has to be said where there is some.
fn fate(tables: &[StateTableConfig], said: Option<State>) -> Result<State, Failure> {
    if let (None, false) = (said, tables.is_empty()) {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let message = format!("the job has state ({}): what should happen to it?", names.join(", "));
        return Err(Failure::bad_command_line(Finding::new(message).with_hint(
            "with `--state keep` rows stay, and messages that are processed again are counted twice in them; with \
             `--state clear` rows are deleted, and state is computed again from the messages that follow",
        )));
    }
    Ok(said.unwrap_or(State::Keep))
}

/// The rows of state that belong to the partitions that are moved.
fn cleared(
    tables: &[StateTableConfig],
    stored: &[StoredOffset],
    moves: &[Move],
) -> Result<Vec<StateRows>, Failure> {
    let is_moved = |row: &&StoredOffset| moves.iter().any(|moved| moved.bounds.partition == row.partition);
    let stays = stored.iter().find(|row| !is_moved(row));
    let rows = |table: &StateTableConfig| {
        let table_name = table.name.clone();
        match stays {
            None => Ok(StateRows { table: table_name, partitions: None }),
            Some(_) if table.follows_partition => {
                let moved = moves.iter().map(|moved| moved.bounds.partition.clone()).collect();
                Ok(StateRows { table: table_name, partitions: Some(moved) })
            }
            Some(stays) => {
                let found = Finding::new(format!(
                    "{} stays where it is, and nobody knows which rows of {table_name} its messages have changed",
                    stays.partition
                ));
                Err(Failure::bad_command_line(found.with_hint(
                    "reset all partitions, or say --state keep; rows say their partition where a state table has \
                     `follows_partition: true`",
                )))
            }
        }
    };
    tables.iter().map(rows).collect()
}

async fn moves(
    config: &Config,
    arguments: &Arguments,
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
            let targets = to.offsets(&lookup, &bounds)?;
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
        let found = Finding::new(format!("{partition}: offset {to} is not there, Kafka has {low} to {high}"));
        return Err(Failure::failed(found.with_hint("name one of these, or the partition with --partition")));
    }
    let from = |bounds: &Bounds| stored.iter().find(|row| row.partition == bounds.partition);
    let moved = |(bounds, to)| Move { from: from(&bounds).map(|row| row.next_offset), bounds, to };
    Ok(found.into_iter().map(moved).collect())
}

/// Which messages come again, and which never.
fn ranges(moves: &[Move]) -> Vec<String> {
    let line = |Move { bounds, from, to }: &Move| {
        let partition = &bounds.partition;
        match *from {
            None => format!("{partition}: would start at {to}; it was never read"),
            Some(from) if from == *to => format!("{partition}: would stay at {to}"),
            Some(from) if from > *to => {
                format!("{partition}: {from} -> {to}: up to {} messages would be processed again", from - to)
            }
            Some(from) => {
                format!("{partition}: {from} -> {to}: up to {} messages would be skipped", to - from)
            }
        }
    };
    moves.iter().map(line).collect()
}

fn are_again(moves: &[Move]) -> bool {
    moves.iter().any(|moved| moved.from.is_some_and(|from| from > moved.to))
}

/// What becomes of rows and dead letters that messages have given before.
fn rows_again(outputs: &[OutputConfig], moves: &[Move]) -> Vec<String> {
    if !are_again(moves) {
        return Vec::new();
    }
    let line = |OutputConfig { view, table, mode, .. }: &OutputConfig| match mode {
        Mode::Append => {
            format!("{view}: existing rows of {table} would stay, and the same rows would be appended again")
        }
        Mode::Upsert(Upsert { only_newer: Some(_), .. }) => {
            format!("{view}: existing rows of {table} would be overwritten, except newer ones")
        }
        Mode::Upsert(_) => format!("{view}: existing rows of {table} would be overwritten"),
    };
    let mut lines: Vec<String> = outputs.iter().map(line).collect();
    lines.push("dead letters of these messages would stay, and might be written again".to_owned());
    lines
}

fn state_kept(tables: &[StateTableConfig], moves: &[Move]) -> Vec<String> {
    let again = if are_again(moves) {
        "; messages that are processed again would be counted twice in it"
    } else {
        ""
    };
    tables.iter().map(|table| format!("{}: state would be kept{again}", table.name)).collect()
}

async fn state_cleared(offsets: &mut StoredOffsets, cleared: &[StateRows]) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for rows in cleared {
        let table = &rows.table;
        let count = offsets.count_state(rows).await.map_err(database_failed)?;
        let Some(count) = count else {
            return Err(Failure::failed(format!("{table}: there is no such table; nothing was changed")));
        };
        if count > CLEARED_ROWS_MAX {
            let found = Finding::new(format!(
                "{table}: {count} rows would be deleted, but one transaction deletes at most {CLEARED_ROWS_MAX}"
            ));
            let hint = format!("stop the job, `TRUNCATE TABLE {table}`, then use --state keep");
            return Err(Failure::failed(found.with_hint(hint)));
        }
        let which = if rows.partitions.is_some() { ", those of these partitions," } else { "" };
        lines.push(format!("{table}: {count} rows{which} would be deleted, and state computed again"));
    }
    Ok(lines)
}

fn read_views(config: &Config) -> Result<ViewFiles, Failure> {
    ViewFiles::read(&config.sql).map_err(|errors| Failure::bad_config(crate::diagnostic::render(&errors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn stored_at(number: i32) -> StoredOffset {
        let updated_at = String::new();
        StoredOffset {
            partition: partition(number),
            next_offset: 10,
            epoch: 1,
            message_time: None,
            updated_at,
        }
    }

    fn moved(number: i32) -> Move {
        let bounds = Bounds { partition: partition(number), low: 0, high: 20 };
        Move { bounds, from: Some(10), to: 4 }
    }

    fn state_table(follows_partition: bool) -> StateTableConfig {
        StateTableConfig {
            name: "totals".into(),
            view: "next_totals".into(),
            key: vec!["customer".into()],
            matches: Vec::new(),
            follows_partition,
            ttl: None,
            fill: false,
        }
    }

    #[test]
    fn what_becomes_of_state_has_to_be_said() {
        let table = state_table(false);
        assert_eq!(fate(&[], None).expect("there is no state"), State::Keep);
        assert_eq!(fate(std::slice::from_ref(&table), Some(State::Clear)).expect("it is said"), State::Clear);
        assert!(
            format!("{:?}", fate(std::slice::from_ref(&table), None).expect_err("it is not said"))
                .contains("has state (totals)")
        );
    }

    #[test]
    fn only_rows_of_the_partitions_that_are_moved_are_cleared() {
        let (checked, following) = (state_table(false), state_table(true));
        let stored = [stored_at(0), stored_at(1)];
        let all = cleared(&[checked.clone(), following.clone()], &stored, &[moved(0), moved(1)])
            .expect("all are moved");
        assert!(all.iter().all(|rows| rows.partitions.is_none()));
        let one = cleared(std::slice::from_ref(&following), &stored, &[moved(1)])
            .expect("its rows say their partition");
        assert_eq!(one, [StateRows { table: "totals".into(), partitions: Some(vec![partition(1)]) }]);
        let unknown = cleared(std::slice::from_ref(&checked), &stored, &[moved(1)])
            .expect_err("rows do not say their partition");
        assert!(format!("{unknown:?}").contains("t[0] stays where it is"));
    }
}
