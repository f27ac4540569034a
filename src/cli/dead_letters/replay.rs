//! `dead-letters replay`: messages brought in once their cause is mended.

use super::{counted, database_failed};
use crate::cli::failure::Failure;
use crate::cli::results::Results;
use crate::cli::{job, signals};
use crate::config::Config;
use crate::engine::ReplayReport;
use crate::sink::{Selection, StoredLetters};

/// Send dead letters through the SQL and the state as they are now.
///
/// Messages go through the present views, in the order of their offsets, and see reference tables and state as they
/// are now, not as they were when the message came. Their rows, state and the mark that they were replayed are one
/// transaction, so each is brought in once, however often and by how many this is called. A message that fails again
/// stays, with the new reason, and the exit code is 1.
///
/// The job may run meanwhile. Where state follows the partitions of messages, it gives them up for a moment, for each
/// batch that is replayed, and goes on. A row of an output with a key is overwritten, also where a newer message has
/// written it since.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters replay 17 18",
    "realtime-processor dead-letters replay --all",
]))]
pub(super) struct Arguments {
    /// The ids that `list` shows; at most 1000.
    #[arg(value_name = "ID", num_args = 1..=1000, required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<i64>,
    /// All that wait.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let (_asked, stop) = signals::stop_on_signals()?;
    let Some(mut letters) = super::open(config).await? else { return nothing(&arguments.ids) };
    let wanted = named(config, &mut letters, &arguments.ids).await?;
    let waiting = Selection { is_replayed: Some(false), ids: wanted.clone(), ..Selection::default() };
    let count = letters.count(&waiting).await.map_err(database_failed)?;
    if count == 0 || (wanted.is_empty() && !arguments.all) {
        tracing::info!("no dead letter waits: there is nothing to replay");
        return Ok(());
    }
    let replay = job::open_replay(config, letters, stop).await?;
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
    let ReplayReport { replayed, failed, gone, reasons, is_stopped } = report;
    let replayed = counted(*replayed as u64, "message");
    Results::to_stdout().write(&format!("{replayed} replayed, {failed} failed again\n"))?;
    if *gone > 0 {
        tracing::info!("{gone} were replayed or deleted by somebody else meanwhile");
    }
    let mut faults = Vec::new();
    if *failed > 0 {
        let reasons: String = reasons.iter().map(|reason| format!("\n  {reason}")).collect();
        let failed = counted(*failed as u64, "message");
        faults.push(format!("{failed} failed again and stay waiting; the most frequent reasons:{reasons}"));
    }
    if *is_stopped {
        faults.push("stopped before all were tried; those that are left still wait".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::failed(faults.join("\n"))) }
}
