//! Waiting for a server that is away: growing pauses with jitter, said once when it begins and once when it is
//! over. Nothing is given up while the job runs.

use std::time::{Duration, Instant};

use super::error::EngineError;
use super::stop::{Patience, Stop};
use crate::batch::Fault;
use crate::diagnostic::Finding;
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::tables::TableError;
use crate::telemetry::Server;

const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What is tried where Kafka is asked.
pub(super) const KAFKA: &str = "Kafka";

/// After this many tries with the same answer, another try of the same batch is in vain.
pub(super) const SAME_ANSWERS_MAX: u32 = 8;

/// One spell of waiting, from the first failure to the success that ends it.
#[derive(Debug, Default)]
pub(super) struct Retry {
    attempts: u32,
    /// How often in a row the server gave the same answer.
    same_answers: u32,
    since: Option<Instant>,
    said: Option<Finding>,
}

impl Retry {
    /// Whether the server keeps giving the same answer to what it is sent: something else should be tried.
    pub fn is_in_vain(&self) -> bool {
        self.same_answers >= SAME_ANSWERS_MAX
    }

    /// The same answer was reported, and what it is about changes: the count begins again.
    pub fn begin_again(&mut self) {
        self.same_answers = 0;
    }

    /// The server was reached, and this is what it answered.
    pub fn answered(&mut self, found: &Finding) {
        let is_same = self.same_answers > 0 && self.said.as_ref() == Some(found);
        self.same_answers = if is_same { self.same_answers + 1 } else { 1 };
    }

    /// Pauses before another try. `what` is what is being tried, for the log.
    pub async fn pause(&mut self, what: &str, found: &Finding, stop: &mut Stop) -> Patience {
        self.since.get_or_insert_with(Instant::now);
        let server = server_of(what);
        stop.telemetry().waits(server, &found.to_string());
        if self.said.as_ref() != Some(found) {
            let told =
                found.clone().reworded(|message| format!("{what}: {message}; waiting and trying again"));
            tracing::warn!(server = server.name(), "{told}");
            self.said = Some(found.clone());
        }
        let pause = PAUSE_FIRST.saturating_mul(1 << self.attempts.min(10)).min(PAUSE_MAX);
        self.attempts += 1;
        // Why: jitter between a half and the whole keeps instances that failed together apart.
        stop.sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await
    }

    /// The thing succeeded: says so where the waiting was said.
    pub fn succeeded(self, what: &str, stop: &Stop) {
        if let Some(since) = self.since {
            let server = server_of(what);
            stop.telemetry().works_again(server);
            tracing::info!(
                server = server.name(),
                "{what}: works again after {:.1} s",
                since.elapsed().as_secs_f64()
            );
        }
    }
}

/// Whose failure it is to wait for: all that is not Kafka's is in the database.
fn server_of(what: &str) -> Server {
    if what == KAFKA { Server::Kafka } else { Server::Database }
}

/// An error that says whether waiting helps.
pub(super) trait Classified: Into<EngineError> {
    fn fault(&self) -> Fault;

    fn found(&self) -> Finding;
}

impl Classified for SinkError {
    fn fault(&self) -> Fault {
        self.fault()
    }

    fn found(&self) -> Finding {
        self.found()
    }
}

impl Classified for SourceError {
    fn fault(&self) -> Fault {
        self.fault()
    }

    fn found(&self) -> Finding {
        self.found().clone()
    }
}

impl Classified for TableError {
    fn fault(&self) -> Fault {
        self.fault()
    }

    fn found(&self) -> Finding {
        self.found().clone().within(self.subject())
    }
}

/// Does `attempt` until it works, waiting out faults of infrastructure.
///
/// # Errors
/// Any other fault, or the end of patience of a job that was asked to stop.
pub(super) async fn persist<T, E: Classified>(
    what: &str,
    stop: &mut Stop,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, EngineError> {
    let mut retry = Retry::default();
    loop {
        match attempt().await {
            Ok(value) => {
                retry.succeeded(what, stop);
                return Ok(value);
            }
            Err(error) if error.fault() == Fault::Infrastructure => {
                let found = error.found();
                if retry.pause(what, &found, stop).await == Patience::Over {
                    return Err(EngineError::gave_up(found));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
