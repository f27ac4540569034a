//! The wish to stop, as every waiting place sees it. A job that is told to stop finishes the current batch; a
//! database that is away then is waited for a bounded time only.
//!
//! Every waiting place has a [`Stop`], so that is also how it finds where to report that it waits.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::telemetry::Telemetry;

/// How long a job that was told to stop waits for a server that is away.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// Asks jobs to stop. Dropping it asks nothing.
#[derive(Debug)]
pub struct StopSender(watch::Sender<Option<Instant>>);

/// Sees when the job was asked to stop. Clones see the same.
#[derive(Clone, Debug)]
pub struct Stop {
    asked_at: watch::Receiver<Option<Instant>>,
    telemetry: Telemetry,
}

impl Stop {
    /// A wish that nobody has yet, and the way to express it.
    pub fn new() -> (StopSender, Self) {
        let (sender, receiver) = watch::channel(None);
        (StopSender(sender), Self { asked_at: receiver, telemetry: Telemetry::default() })
    }

    /// The same wish, for a job that reports what it does.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Where the job reports what it does.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    pub fn is_asked(&self) -> bool {
        self.asked_at.borrow().is_some()
    }

    /// Returns when the job is asked to stop; never, where nobody can ask any more.
    pub async fn asked(&mut self) {
        if self.asked_at.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits, or says that a job that was asked to stop has waited long enough.
    pub(super) async fn sleep(&mut self, wait: Duration) -> Patience {
        let until = Instant::now() + wait;
        loop {
            let asked_at = *self.asked_at.borrow();
            let give_up_at = asked_at.map(|asked_at| asked_at + GIVE_UP_AFTER);
            if give_up_at.is_some_and(|at| at <= Instant::now()) {
                return Patience::Over;
            }
            let wake_at = give_up_at.map_or(until, |at| at.min(until));
            if asked_at.is_some() {
                tokio::time::sleep_until(wake_at).await;
            } else {
                tokio::select! {
                    () = tokio::time::sleep_until(wake_at) => {}
                    () = self.asked() => continue,
                }
            }
            if wake_at == until {
                return Patience::Left;
            }
        }
    }
}

/// Whether to go on waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Left,
    Over,
}

impl StopSender {
    /// Asks to stop; asking again changes nothing.
    pub fn ask(&self) {
        self.0.send_if_modified(|asked_at| {
            let is_first = asked_at.is_none();
            asked_at.get_or_insert_with(Instant::now);
            is_first
        });
    }
}
