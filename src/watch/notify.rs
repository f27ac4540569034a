//! systemd's notifications: READY when the job runs, STATUS with the sentence of the page, WATCHDOG as long as all loops go
//! on, STOPPING when the job is asked to stop. Without a service manager nothing is sent.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::{Shared, health};
use crate::telemetry::Phase;

/// Whether a service manager wants to hear of the job.
pub(super) fn is_wanted() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// What was told already.
#[derive(Debug)]
pub(super) struct Notifier {
    is_ready: bool,
    is_stopping: bool,
    status: String,
    /// Half of what the watchdog allows between two signs of life.
    watchdog: Option<Duration>,
    alive_at: Option<Instant>,
}

impl Notifier {
    pub fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|interval| interval / 2);
        Self { is_ready: false, is_stopping: false, status: String::new(), watchdog, alive_at: None }
    }

    /// Tells what has changed.
    pub fn tick(&mut self, shared: &Shared) {
        let is_stopping = shared.is_stopping();
        let told = shared.job.sentence(is_stopping);
        if !self.is_ready && shared.job.standing().phase == Phase::Running {
            self.is_ready = true;
            send(&[NotifyState::Ready]);
        }
        if is_stopping && !self.is_stopping {
            self.is_stopping = true;
            send(&[NotifyState::Stopping]);
        }
        if told.text != self.status {
            send(&[NotifyState::Status(&told.text)]);
            self.status = told.text;
        }
        let is_due = |interval: Duration| self.alive_at.is_none_or(|at| at.elapsed() >= interval);
        if self.watchdog.is_some_and(is_due) && health::live(shared).is_empty() {
            self.alive_at = Some(Instant::now());
            send(&[NotifyState::Watchdog]);
        }
    }
}

/// The job has ended.
pub(super) fn leave() {
    if is_wanted() {
        send(&[NotifyState::Stopping]);
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager was not reached: {error}");
    }
}
