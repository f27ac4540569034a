//! `run`: the job.

use std::path::Path;

use super::block_on;
use super::failure::Failure;
use super::job::Job;
use super::progress::{Progress, Style};
use super::{job, reload, signals, terminal};
use crate::config::Config;
use crate::panics;

/// Run the job: Kafka -> SQL -> database, exactly once.
///
/// Everything is checked before the first message is read: configuration, schema, SQL, tables and topics.
/// Then the job runs until it is told to stop. It may be ended in any way and started again: it goes on where
/// its last commit was. Started several times with the same `job`, the instances share the partitions.
///
/// SIGHUP: SQL, reference tables and thresholds are read again and taken over before the next batch; what is wrong
/// with them is said, and the job goes on as it was. With `reload: watch` it notices changed files by itself.
///
/// Ctrl-C or SIGTERM: the batch in hand is finished and committed, then the job leaves; a second one leaves at
/// once, and nothing is lost either. A database or broker that goes away is waited for.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor run",
    "realtime-processor run --until-caught-up --timings",
    "realtime-processor run --progress json | jq .processedRowsPerSecond",
]))]
pub(super) struct Arguments {
    /// End with exit code 0 when every partition was read up to the end it had at the start.
    #[arg(long)]
    until_caught_up: bool,
    /// How progress is shown: `bar` is one live line on stderr, `json` one object a batch on stdout.
    ///
    /// Without it: `bar` on a terminal, `none` elsewhere.
    #[arg(long, value_enum)]
    progress: Option<Style>,
    /// Say at the end where the time went, stage by stage and view by view.
    #[arg(long)]
    timings: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    // Why not more: one for each lane sends what the lane's engine has computed, on a thread of its own. Others would only
    // wake each other, a dozen times for each small batch.
    block_on(config.lanes(), run_job(&config, arguments))
}

async fn run_job(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let (_asked, stop) = signals::stop_on_signals()?;
    let hangup = reload::hangup()?;
    let Job { lanes, running, reload: sender } = job::open(config, arguments.until_caught_up, stop).await?;
    reload::start(hangup, running, sender);
    let by_default = if terminal::is_watched() { Style::Bar } else { Style::None };
    let mut progress = Progress::new(arguments.progress.unwrap_or(by_default));
    let show = &mut |report: &_| progress.show(report);
    let ended = tokio::select! {
        ended = lanes.run(show) => ended.map_err(Failure::from),
        // Whichever thread it was: without it the job may live on and do nothing.
        panic = panics::first() => Err(Failure::panicked(&panic)),
    };
    progress.finish(arguments.timings);
    ended
}
