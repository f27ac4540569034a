//! Ctrl-C and SIGTERM: the first asks the job to finish the current batch, the second ends the process.

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use crate::engine::{Stop, StopSender};

/// What a shell reports for a process that a signal has ended.
const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// A wish to stop that the signals express; `also` expresses it too.
pub(super) fn stop_on_signals() -> Result<(std::sync::Arc<StopSender>, Stop), Failure> {
    let refused = |error| Failure::failed(format!("signals cannot be received: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let (sender, stop) = Stop::new();
    let sender = std::sync::Arc::new(sender);
    let asked = std::sync::Arc::clone(&sender);
    tokio::spawn(async move {
        let mut is_first = true;
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => INTERRUPTED,
                _ = terminate.recv() => TERMINATED,
            };
            if !is_first {
                std::process::exit(code);
            }
            is_first = false;
            tracing::info!("stopping after the current batch; a second signal stops at once");
            asked.ask();
        }
    });
    Ok((sender, stop))
}
