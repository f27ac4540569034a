//! Several engines at once: the lanes of one job. Each has partitions, plans, state and a write connection of its own,
//! and a thread, since computing blocks; they share nothing but the source's member of the group.
//!
//! Invariant: the lanes end together. Whatever ends one before it is done, the others are asked to stop: they finish what
//! they are working on and commit it. The first error is the job's.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::error::EngineError;
use super::report::Report;
use super::stop::{Stop, StopSender};
use super::{Engine, JobParts, Options, Reloads, Schemas};
use crate::fault_point;
use crate::source::Source;

/// Reports that wait to be seen; a lane that has one more waits, too.
const REPORTS_MAX: usize = 64;

/// A job, in one lane or several.
pub struct Lanes<S> {
    engines: Vec<Engine<S>>,
    /// The sender that asks the job to stop.
    stop: Stop,
    /// Asks several lanes to stop.
    asked: StopSender,
}

impl<S: Source + Send + 'static> Lanes<S> {
    /// A lane for each of `parts`.
    pub fn new(parts: Vec<JobParts<S>>, options: Options, stop: Stop) -> Self {
        let (asked, seen) = Stop::new();
        let is_alone = parts.len() == 1;
        let seen = if is_alone { stop.clone() } else { seen.with_telemetry(stop.telemetry().clone()) };
        let engines = parts.into_iter().enumerate().map(|(lane, parts)| {
            let engine = Engine::new(parts, options, seen.clone());
            if is_alone { engine } else { engine.beside_others(lane) }
        });
        Self { engines: engines.collect(), stop, asked }
    }

    /// Takes new SQL over while it runs, each lane by itself.
    #[must_use]
    pub fn with_reloads(self, reloads: Vec<Reloads>) -> Self {
        let engines = self.engines.into_iter().zip(reloads);
        let engines = engines.map(|(engine, reloads)| engine.with_reloads(reloads));
        Self { engines: engines.collect(), ..self }
    }

    /// Decodes messages by the schemas of a registry, which all lanes share.
    #[must_use]
    pub fn with_schemas(self, schemas: Option<&Schemas>) -> Self {
        let engines = self.engines.into_iter().map(|engine| engine.with_schemas(schemas.cloned()));
        Self { engines: engines.collect(), ..self }
    }

    /// Runs until it is asked to stop, or has caught up where that is wanted. `report` sees each committed batch of every
    /// lane, numbered through. Dropping the future ends all lanes where they stand.
    ///
    /// # Errors
    /// The first fault that ended a lane; what was committed stays.
    pub async fn run(mut self, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        if self.engines.len() == 1
            && let Some(engine) = self.engines.pop()
        {
            return engine.run(report).await;
        }
        self.run_all(report).await
    }

    async fn run_all(self, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        let Self { engines, mut stop, asked } = self;
        let (sender, mut reports) = Reports::new();
        let (_alive, dropped) = watch::channel(());
        let mut running = JoinSet::new();
        for engine in engines {
            running.spawn_blocking(on_its_thread(engine, sender.clone(), dropped.clone()));
        }
        let mut first_error = None;
        let mut is_asked = false;
        loop {
            tokio::select! {
                () = stop.asked(), if !is_asked => {
                    is_asked = true;
                    asked.ask();
                }
                () = reports.told.notified() => {}
                ended = running.join_next() => {
                    let Some(ended) = ended else { break };
                    let ended = ended.unwrap_or_else(|error| Err(EngineError::Lane(error.to_string())));
                    if let Err(error) = ended {
                        asked.ask();
                        first_error.get_or_insert(error);
                    }
                }
            }
            reports.show(report);
        }
        reports.show(report);
        first_error.map_or(Ok(()), Err)
    }
}

/// Runs an engine on the thread that calls this, until it ends or nobody waits for it any more.
fn on_its_thread<S: Source + Send + 'static>(
    engine: Engine<S>,
    reports: ReportSender,
    mut dropped: watch::Receiver<()>,
) -> impl FnOnce() -> Result<(), EngineError> + Send + 'static {
    let runtime = Handle::current();
    let script = fault_point::share();
    move || {
        script.join();
        let report = &mut |report: &Report| reports.send(report);
        runtime.block_on(async {
            tokio::select! {
                // Nobody ever sends: it only ends.
                _ = dropped.changed() => Ok(()),
                ended = engine.run(report) => ended,
            }
        })
    }
}

/// Where a lane's reports go.
#[derive(Clone)]
struct ReportSender {
    reports: SyncSender<Report>,
    told: Arc<Notify>,
}

/// The reports of all lanes.
struct Reports {
    reports: Receiver<Report>,
    told: Arc<Notify>,
    /// How many were shown.
    shown: u64,
}

impl ReportSender {
    fn send(&self, report: &Report) {
        // Why: nobody sees the reports of a job that was dropped.
        let _ = self.reports.send(report.clone());
        self.told.notify_one();
    }
}

impl Reports {
    fn new() -> (ReportSender, Self) {
        let (sender, reports) = sync_channel(REPORTS_MAX);
        let told = Arc::new(Notify::new());
        (ReportSender { reports: sender, told: Arc::clone(&told) }, Self { reports, told, shown: 0 })
    }

    /// Shows those that wait.
    fn show(&mut self, report: &mut dyn FnMut(&Report)) {
        while let Ok(mut next) = self.reports.try_recv() {
            next.batch_id = self.shown;
            self.shown += 1;
            report(&next);
        }
    }
}
