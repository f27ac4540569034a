//! New SQL for the running job: at SIGHUP, or when a file has changed where that is wanted.

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;
use super::watch::Watched;
use crate::config::ReloadOn;
use crate::engine::{ReloadError, ReloadSender, Running};
use crate::telemetry::Telemetry;

/// Receives SIGHUP from now on, so that it does not end the program.
pub(super) fn hangup() -> Result<Signal, Failure> {
    signal(SignalKind::hangup())
        .map_err(|error| Failure::failed(format!("signals cannot be received: {error}")))
}

/// Reads the SQL again whenever it is asked to, as long as the program runs.
pub(super) fn start(mut hangup: Signal, running: Running, sender: ReloadSender, telemetry: Telemetry) {
    let config = running.config();
    let mut watched = match config.reload {
        ReloadOn::Watch => Some(Watched::new(&[&config.file.path], &[(&config.sql, "sql")])),
        ReloadOn::Signal => None,
    };
    let runtime = Handle::current();
    let reloads = async move {
        let mut running = running;
        loop {
            tokio::select! {
                asked = hangup.recv() => if asked.is_none() { return },
                () = changed(watched.as_mut()) => {}
            }
            if let Err(ReloadError::Ended) = reload(&mut running, &sender, &telemetry).await {
                return;
            }
        }
    };
    // Why a thread: planning blocks, and the job's commits must go on.
    tokio::task::spawn_blocking(move || runtime.block_on(reloads));
}

async fn reload(
    running: &mut Running,
    sender: &ReloadSender,
    telemetry: &Telemetry,
) -> Result<(), ReloadError> {
    let before = running.version().to_owned();
    let reloaded = running.reload(sender).await.map(str::to_owned);
    match reloaded {
        Ok(version) if version == before => {
            tracing::info!(version, "read again: the SQL is the same");
            telemetry.reloaded("unchanged", "read again: the SQL is the same");
        }
        Ok(version) => {
            tracing::info!(version, before, "read again: new SQL");
            telemetry.reloaded("taken_over", &format!("new SQL: version {version}, before it {before}"));
        }
        Err(error) => {
            telemetry.reloaded("refused", &format!("new SQL is refused: {error}"));
            tracing::error!("the job continues with the SQL of version {before}:\n{error}");
            return Err(error);
        }
    }
    Ok(())
}

async fn changed(watched: Option<&mut Watched>) {
    match watched {
        Some(watched) => watched.changed().await,
        None => std::future::pending().await,
    }
}
