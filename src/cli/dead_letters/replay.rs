//! `dead-letters replay`: messages brought in once their cause is mended.

use super::{FILTERS, Filter, counted, database_failed};
use crate::cli::confirm::confirm;
use crate::cli::failure::Failure;
use crate::cli::results::Results;
use crate::cli::{job, signals, terminal};
use crate::config::Config;
use crate::engine::{Replay, ReplayReport};
use crate::sink::{Age, Replaced, Selection, StoredLetters};

/// Process dead letters again, with the SQL and the state as they are now.
///
/// The messages are processed in the order of their offsets, with the current views, reference tables and state, not with
/// those of the time when they arrived. Rows, state and the mark that a message was replayed are written in one
/// transaction. So each message is applied once, even if a replay is repeated, or several run at the same time. A message
/// that fails again stays a dead letter, with the new reason, and the exit code is 1.
///
/// The job may run meanwhile. If a state table has `follows_partition`, the replay takes over the partitions of each batch
/// while it processes that batch, and the job takes them back.
///
/// An output with a key has one row for each key, and a newer message may have written it since. The command first
/// computes everything without writing, counts such rows and asks. `--skip-newer` leaves their messages out. It is
/// known which row is newer if the table has the columns that the output is ordered by. If these are the partition and the
/// offset, it is known only within one partition. With `only_newer`, the output itself keeps the newer row.
///
/// A message that only a fill could not process is applied to the tables of that fill; the other tables have it already.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters replay 17 18",
    "realtime-processor dead-letters replay --all",
    "realtime-processor dead-letters replay --stage write --place orders.colour --skip-newer",
    "realtime-processor dead-letters replay --since 2h --yes",
]))]
pub(super) struct Arguments {
    /// The ids that `list` shows; at most 1000.
    #[arg(value_name = "ID", num_args = 1..=1000, conflicts_with = "all", conflicts_with_all = FILTERS)]
    #[arg(required_unless_present = "all", required_unless_present_any = FILTERS)]
    ids: Vec<i64>,
    /// All that were not replayed yet; with filters, all that match.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Leave out the messages whose row would replace a newer one. They stay dead letters.
    #[arg(long)]
    skip_newer: bool,
    /// Do not ask, and do not count first.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let (_asked, stop) = signals::stop_on_signals()?;
    let Some(mut letters) = super::open(config).await? else { return nothing(&arguments.ids) };
    let ids = named(config, &mut letters, &arguments.ids).await?;
    let is_none_left = ids.is_empty() && !arguments.ids.is_empty();
    let now = letters.now_micros().await.map_err(database_failed)?;
    let wanted = Selection { is_replayed: Some(false), ids, ..arguments.filter.selection(now) };
    let count = letters.count(&wanted).await.map_err(database_failed)?;
    if count == 0 || is_none_left {
        tracing::info!("no dead letter waits: there is nothing to replay");
        return Ok(());
    }
    let mut replay = job::open_replay(config, letters, stop).await?;
    if arguments.skip_newer {
        replay = replay.skipping_newer();
    }
    if !arguments.yes {
        ask(&mut replay, &wanted, arguments.skip_newer).await?;
    }
    tracing::info!(
        "replaying {} of the job `{}` through the SQL in {} as it is now, and the present state",
        counted(count.unsigned_abs(), "dead letter"),
        config.job,
        config.sql.display()
    );
    let mut progress = |report: &ReplayReport| {
        tracing::info!("replayed {}, failed again {}", report.replayed, report.failed);
    };
    let report = replay.run(&wanted, &mut progress).await?;
    conclude(&report)
}

/// Says which rows would be replaced though newer messages may have written them, and asks if there are any.
async fn ask(replay: &mut Replay, wanted: &Selection, skips_newer: bool) -> Result<(), Failure> {
    let replaced = replay.preview(wanted).await?;
    if !replaced.is_empty() {
        terminal::say(&told(&replaced, skips_newer));
    }
    let is_asked = |rows: &Replaced| match rows.age {
        Age::Newer => !skips_newer,
        Age::Unknown => true,
        // The SQL takes a late message in as it takes any other.
        Age::State => false,
    };
    if replaced.iter().any(is_asked) { confirm() } else { Ok(()) }
}

/// What a replay will replace, in words.
fn told(replaced: &[Replaced], skips_newer: bool) -> String {
    let line = |Replaced { table, rows, age }: &Replaced| {
        let rows = counted(rows.unsigned_abs(), "row");
        match age {
            Age::Newer if skips_newer => {
                format!("{table}: {rows} newer than the messages: these messages would be left out")
            }
            Age::Newer => format!("{table}: {rows} newer than the messages would be replaced by older rows"),
            Age::Unknown => {
                format!("{table}: {rows} would be replaced, and the table does not say what is newer")
            }
            Age::State => format!(
                "{table}: {rows} of state were written since by batches with newer messages; the SQL sees them as they are now"
            ),
        }
    };
    let mut lines: Vec<String> = replaced.iter().map(line).collect();
    if !skips_newer && replaced.iter().any(|rows| rows.age == Age::Newer) {
        lines.push("hint: --skip-newer leaves out the messages of newer rows".to_owned());
    }
    lines.join("\n")
}

fn nothing(ids: &[i64]) -> Result<(), Failure> {
    match ids.first() {
        Some(id) => Err(Failure::failed(format!("there is no dead letter {id}"))),
        None => Ok(()),
    }
}

/// Those of the ids that wait. One that is not there is a fault, before anything is replayed.
async fn named(config: &Config, letters: &mut StoredLetters, ids: &[i64]) -> Result<Vec<i64>, Failure> {
    let mut waiting = Vec::with_capacity(ids.len());
    for id in ids {
        let found = letters.by_ids(&[*id]).await.map_err(database_failed)?.pop();
        let found = found.ok_or_else(|| {
            let job = &config.job;
            Failure::failed(format!("the job `{job}` has no dead letter {id}; nothing was replayed"))
        })?;
        match found.replayed_at {
            None => waiting.push(*id),
            Some(at) => tracing::info!("dead letter {id} was replayed already, {at}"),
        }
    }
    Ok(waiting)
}

fn conclude(report: &ReplayReport) -> Result<(), Failure> {
    let ReplayReport { replayed, failed, gone, skipped, reasons, is_stopped, .. } = report;
    let replayed = counted(*replayed, "message");
    Results::to_stdout().write(&format!("{replayed} replayed, {failed} failed again\n"))?;
    if *gone > 0 {
        tracing::info!("{gone} were replayed or deleted by somebody else meanwhile");
    }
    if *skipped > 0 {
        let skipped = counted(*skipped, "message");
        tracing::info!("{skipped} left out, as newer rows are there; they still wait");
    }
    let mut faults = Vec::new();
    if *failed > 0 {
        let reasons: String = reasons.iter().map(|reason| format!("\n  {reason}")).collect();
        let failed = counted(*failed, "message");
        faults.push(format!("{failed} failed again and stay waiting; the most frequent reasons:{reasons}"));
    }
    if *is_stopped {
        faults.push("stopped before all were tried; those that are left still wait".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::failed(faults.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_replaced_is_said_by_what_is_known_of_it() {
        let of = |rows, age| Replaced { table: "latest".into(), rows, age };
        let all = [of(2, Age::Newer), of(1, Age::Unknown), of(3, Age::State)];
        insta::assert_snapshot!(told(&all, false), @r"
        latest: 2 rows newer than the messages would be replaced by older rows
        latest: 1 row would be replaced, and the table does not say what is newer
        latest: 3 rows of state were written since by batches with newer messages; the SQL sees them as they are now
        hint: --skip-newer leaves out the messages of newer rows
        ");
        assert_eq!(
            told(&all[..1], true),
            "latest: 2 rows newer than the messages: these messages would be left out"
        );
    }
}
