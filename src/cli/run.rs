//! `run`: the job.

use std::path::{Path, PathBuf};

use super::dead_letters::acknowledge;
use super::failure::Failure;
use super::job::Job;
use super::progress::{Progress, Style};
use super::{block_on, job, reload, signals, terminal};
use crate::config::Config;
use crate::panics;
use crate::watch::{Watch, WatchError};

/// Run the job: Kafka -> SQL -> database, exactly once.
///
/// The job checks everything before it reads the first message: configuration, schema, SQL, tables and topics.
/// Then it runs until it is stopped. However it ends, the next start continues after the last commit. Several instances
/// with the same `job` share the partitions.
///
/// SIGHUP: the job reads SQL, reference tables and thresholds again, and uses them from the next batch on. If anything in them
/// is wrong, it logs the errors and changes nothing. With `reload: watch` it notices changed files itself.
///
/// Ctrl-C or SIGTERM: the job finishes and commits the current batch, then ends. A second signal ends it at once; nothing
/// is lost. If the database or the broker is unavailable, the job waits and retries.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor run",
    "realtime-processor run --until-caught-up --timings",
    "realtime-processor run --progress json | jq .processedRowsPerSecond",
    "realtime-processor run --pid-file run.pid",
    "realtime-processor run --acknowledge",
]))]
pub(super) struct Arguments {
    /// Stop with exit code 0 when every partition has been read up to the end that it had at the start.
    #[arg(long)]
    until_caught_up: bool,
    /// How progress is shown: `bar` is one live line on stderr, `log` a line in the log every 30 s while messages are
    /// processed, `json` one object per batch on stdout.
    ///
    /// Default: `bar` on a terminal, otherwise `log`.
    #[arg(long, value_enum)]
    progress: Option<Style>,
    /// Print at the end how much time each stage and each view took.
    #[arg(long)]
    timings: bool,
    /// Start the count of dead letters again, as `dead-letters acknowledge` does. For a job that stopped because of
    /// too many of them, when their cause is corrected.
    #[arg(long)]
    acknowledge: bool,
    /// Write the process id into this file, and delete the file at the end. `kill -HUP "$(cat FILE)"` then reaches
    /// only this job.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
}

/// The file with the process id; it goes with the job.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self, Failure> {
        let id = format!("{}\n", std::process::id());
        std::fs::write(path, id)
            .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Why: a file that is left names a process that is gone, which is no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    // Why not more: one for each lane sends what the lane's engine has computed, on a thread of its own. Others would only
    // wake each other, a dozen times for each small batch.
    block_on(config.lanes(), run_job(&config, arguments))
}

async fn run_job(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let (_asked, stop) = signals::stop_on_signals()?;
    let watch = Watch::open(config).map_err(unwatched)?;
    let telemetry = watch.telemetry().clone();
    let stop = stop.with_telemetry(telemetry.clone());
    // Dropped last: until then it is seen how the job ends.
    let watching = watch.start(config, stop.clone()).map_err(unwatched)?;
    if let Some(url) = &watching.url {
        tracing::info!("the job can be watched at {url}");
    }
    let hangup = reload::hangup()?;
    // After this, SIGHUP does not end the process: so nobody who reads the file can end it by asking for a reload.
    let _pid_file = arguments.pid_file.as_deref().map(PidFile::write).transpose()?;
    tracing::info!("this is process {}, of the job {}", std::process::id(), config.job);
    if arguments.acknowledge {
        tracing::info!("{}", acknowledge::forget(config).await?);
    }
    let Job { lanes, running, reload: sender } = job::open(config, arguments.until_caught_up, stop).await?;
    reload::start(hangup, running, sender, telemetry.clone());
    let by_default = if terminal::is_watched() { Style::Bar } else { Style::Log };
    let mut progress = Progress::new(arguments.progress.unwrap_or(by_default));
    let show = &mut |report: &_| progress.show(report);
    let ended = tokio::select! {
        ended = lanes.run(show) => ended.map_err(Failure::from),
        // Whichever thread it was: without it the job may live on and do nothing.
        panic = panics::first() => Err(Failure::panicked(&panic)),
    };
    progress.finish(arguments.timings);
    if let Err(failure) = &ended {
        telemetry.failed(&failure.to_string());
    }
    ended
}

pub(super) fn unwatched(error: WatchError) -> Failure {
    Failure::failed(error.to_string())
}
