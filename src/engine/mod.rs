//! The trigger loop: take what has arrived, compute, commit. While one batch commits, the next is collected,
//! decoded and computed, and its rows may be in flight already; it commits only after. The stages do not know each
//! other: they meet here.
//!
//! What fails decides what happens: a fault of data is narrowed down by halving until single messages become
//! dead letters, a fault of infrastructure is waited out, a lost partition makes this instance join the group
//! again, and anything else ends the job with all that was committed in place.

mod blame;
mod breaker;
mod claim;
mod compare;
mod error;
mod expiry;
mod filler;
mod fill_preview;
mod lanes;
mod lost;
mod batch_size;
mod pace;
mod commits;
mod draft;
mod plan;
mod reasons;
mod rehearsal;
mod reload;
mod replay;
mod report;
mod retry;
mod schemas;
mod settle;
mod stages;
mod stop;
mod targets;
mod told;
mod turn;
mod waiting;
mod work;
mod writer;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::{Claim, Commit};
use crate::config::{Config, DeadLettersConfig, LostData, StartingOffsets};
use crate::database::Home;
use crate::decode::Decoder;
use crate::fault_point;
use crate::sink::{Prepared, RefusedRow, Sink, Tables};
use crate::source::{Assignment, Event, Fill, Recreated, Source};
use crate::sql::Pipeline;
use crate::tables::{ReferenceTables, StateTables};
use batch_size::BatchSize;
use breaker::Breaker;
use commits::{Commits, Milestone};
use compare::COMPARE_INTERVAL;
use expiry::Expiry;
use pace::Pace;
use retry::Retry;
use settle::Settled;
use stages::Stages;
use told::LANE_PAUSE_MAX;
use waiting::{WaitingFor, next_schema};
use work::{Facts, Reason, Work};
use writer::Writer;

pub(crate) use draft::{Besides, Inputs, table_diagnostic, unknown_sensitive};
pub use draft::{Draft, Reach};
pub use error::EngineError;
pub use fill_preview::{Preview, preview};
pub use filler::{FillOptions, FillParts, FillReport, Filler, fill_together, nothing_to_fill, split_fills};
pub use lanes::Lanes;
pub use plan::{Plan, PlanError};
pub use rehearsal::{Outcome, Rehearsal, RehearsedState, RehearsedView};
pub use reload::{Reload, ReloadError, ReloadSender, Reloads, Running, Settings};
pub use replay::{Replay, ReplayParts, ReplayReport};
pub use report::{Durations, PartitionProgress, Report};
pub use schemas::Schemas;
pub use stop::{Stop, StopSender};
pub use targets::TargetPlaces;
pub(crate) use targets::{outputs, uses};

/// What drives the loop besides its parts.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The shortest time between the starts of two triggers; a full batch starts earlier.
    pub trigger_interval: Duration,
    pub starting_offsets: StartingOffsets,
    pub lost_data: LostData,
    pub dead_letters: DeadLettersConfig,
    /// End when every partition was read up to the end it had at the start.
    pub until_caught_up: bool,
}

impl Options {
    /// As a configuration has them.
    pub fn of(config: &Config, until_caught_up: bool) -> Self {
        Self {
            trigger_interval: config.trigger.interval,
            starting_offsets: config.kafka.starting_offsets,
            lost_data: config.kafka.lost_data,
            dead_letters: config.dead_letters,
            until_caught_up,
        }
    }
}

/// The stages of a job, ready to run.
pub struct JobParts<S> {
    pub source: S,
    pub decoder: Decoder,
    pub tables: ReferenceTables,
    /// Those of the pipeline, in its order; among its tables they stand behind all reference tables.
    pub states: StateTables,
    pub pipeline: Pipeline,
    pub sink: Sink,
}

/// After another instance took partitions over, this one waits at most this long before it joins the group again.
const FENCED_PAUSE_MAX: Duration = Duration::from_millis(500);

/// After this many conflicts in a row, a batch is computed with its keys locked.
const CONFLICTS_MAX: u32 = 2;

/// A running job, or one lane of it.
pub struct Engine<S> {
    source: S,
    stages: Stages,
    /// The views that are outputs, for reports.
    outputs: Vec<Arc<str>>,
    /// The tables that are written; they make a batch ready while the writers are away.
    written: Tables,
    commits: Commits,
    /// Work that comes before anything new: parts of batches that are done again.
    backlog: VecDeque<Work>,
    /// Since the last batch that was committed: tries that failed.
    spent_in_vain: Duration,
    /// The rows that did not fit of the batch that was computed last.
    misfits: Vec<RefusedRow>,
    options: Options,
    breaker: Breaker,
    expiry: Expiry,
    batch_size: BatchSize,
    pace: Pace,
    stop: Stop,
    /// New SQL, if somebody may give it.
    reloads: Option<Reloads>,
    /// New SQL that waits for the backlog to be done.
    reload: Option<Box<Reload>>,
    /// Whether revoked partitions wait for the backlog.
    is_release_due: bool,
    batches: u64,
    /// Conflicts since the last batch that was committed.
    conflicts: u64,
    /// Of conflicts that came although the keys were locked.
    contention: Retry,
    /// The server that the partitions are claimed on, as every connection of this lane must lead to it.
    home: Home,
    triggered_at: Option<Instant>,
    /// The outputs and state tables that are not written before they are filled.
    to_fill: BTreeSet<String>,
    /// Those that wait for their fill, as of the last claim.
    waiting: BTreeSet<String>,
    /// Partitions whose next message has a schema that is not known yet.
    waiting_for: WaitingFor,
    /// When what is stored was known to be where this instance is: at the last commit, or look.
    compared_at: Instant,
    /// Its number among the lanes, for reports.
    lane: usize,
    /// When it was reported what this lane holds in memory.
    held_told_at: Option<std::time::Instant>,
}

/// What the loop does next.
enum Next {
    Claim(Assignment),
    GoAnew(Claim, Recreated),
    Release,
    Trigger(Work),
    ChangeOver(Box<Reload>),
    Settle,
    Compare,
    GoOn,
    Finish,
    Nothing,
}

impl<S: Source> Engine<S> {
    pub fn new(parts: JobParts<S>, options: Options, stop: Stop) -> Self {
        let outputs = names_of_outputs(&parts.pipeline);
        let JobParts { source, decoder, mut tables, mut states, pipeline, mut sink } = parts;
        let home = Home::default();
        tables.share(&home);
        states.share(&home);
        sink.share(&home);
        let to_fill = sink.to_fill().clone();
        Self {
            source,
            expiry: Expiry::new(states.ttls()),
            batch_size: BatchSize::default(),
            pace: Pace::new(!pipeline.states().is_empty()),
            stages: Stages::new(decoder, tables, states, pipeline, stop.clone()),
            outputs,
            written: sink.tables().clone(),
            commits: Commits::new(Writer::new(sink, stop.clone())),
            backlog: VecDeque::new(),
            spent_in_vain: Duration::ZERO,
            misfits: Vec::new(),
            breaker: Breaker::new(options.dead_letters),
            options,
            stop,
            reloads: None,
            reload: None,
            is_release_due: false,
            batches: 0,
            conflicts: 0,
            contention: Retry::default(),
            home,
            to_fill,
            waiting: BTreeSet::new(),
            waiting_for: WaitingFor::new(),
            triggered_at: None,
            compared_at: Instant::now(),
            lane: 0,
            held_told_at: None,
        }
    }

    /// As one of several lanes, which keep the server busy together: each has one connection.
    #[must_use]
    fn beside_others(mut self, lane: usize) -> Self {
        self.lane = lane;
        self.commits.one_at_a_time();
        self
    }

    /// Decodes messages by the schemas of a registry.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Option<Schemas>) -> Self {
        self.stages.schemas = schemas;
        self
    }

    /// Takes new SQL over while it runs.
    #[must_use]
    pub fn with_reloads(self, reloads: Reloads) -> Self {
        Self { reloads: Some(reloads), ..self }
    }

    /// Runs until it is asked to stop, or has caught up where that is wanted. `report` sees each committed
    /// batch.
    ///
    /// # Errors
    /// The fault that ended the job; what was committed before it stays.
    pub async fn run(mut self, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        self.source.limit(self.rows_max());
        self.tell_held();
        let pulse = self.stop.telemetry().pulse(format!("lane {}", self.lane), LANE_PAUSE_MAX);
        let ended = tokio::select! {
            ended = self.run_loop(report) => ended,
            () = pulse.beat_on() => Ok(()),
        };
        // What is in flight is worth waiting for, whatever ended the loop.
        let settled = self.settle(report).await;
        self.source.close().await;
        let hides = self.stages.pipeline.masks().is_on();
        ended.and(settled.map(|_| ())).map_err(|error| error.shown_by(hides))
    }

    async fn run_loop(&mut self, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        loop {
            match self.do_next(report).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.is_fenced() => {
                    tracing::warn!("{error}");
                    self.settle(report).await?;
                    self.ask_again().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Does the next thing; true when nothing is left to do.
    async fn do_next(&mut self, report: &mut dyn FnMut(&Report)) -> Result<bool, EngineError> {
        match self.next().await? {
            Next::Claim(assignment) => {
                self.settle_and_redo(report).await?;
                self.claim(&assignment).await?;
            }
            Next::GoAnew(claim, how) => {
                self.settle_and_redo(report).await?;
                self.go_anew(claim, how).await?;
            }
            // Parts to be done again belong to the current batch: they come first.
            Next::Release if self.settle_and_redo(report).await? => self.is_release_due = true,
            Next::Release => self.source.release(),
            Next::Trigger(work) => self.trigger(work, report).await?,
            Next::GoOn => self.go_on()?,
            // Parts to be done again belong to the current SQL.
            Next::ChangeOver(reload) if self.settle_and_redo(report).await? => self.reload = Some(reload),
            Next::ChangeOver(reload) => self.change_over(*reload),
            Next::Settle => {
                if let Settled::Redo(parts) = self.settle_first(report).await? {
                    self.redo(parts);
                }
            }
            Next::Compare => self.compare().await?,
            Next::Finish => return Ok(!self.settle_and_redo(report).await?),
            Next::Nothing => {}
        }
        Ok(false)
    }

    /// Waits for the next thing to do.
    async fn next(&mut self) -> Result<Next, EngineError> {
        // Why before the backlog: parts that fail again and again must not keep the job from ending. They are not
        // committed, so the next start does them.
        if self.stop.is_asked() {
            return Ok(Next::Finish);
        }
        if let Some(work) = self.backlog.pop_front() {
            return Ok(Next::Trigger(work));
        }
        if std::mem::take(&mut self.is_release_due) {
            return Ok(Next::Release);
        }
        if let Some(reload) = self.reload.take() {
            return Ok(Next::ChangeOver(reload));
        }
        let now = Instant::now();
        let next_at = self.triggered_at.map_or(now, |at| at + self.options.trigger_interval);
        let is_early = next_at > now;
        let fill = match self.commits.is_empty() {
            _ if is_early => Fill::Full,
            true => Fill::Rows(1),
            false => Fill::Rows(self.pace.ahead()),
        };
        let waited_since = now;
        // Why not computed ahead of two: the server is busy while it is, and rows take memory.
        let (is_idle, compare_at) = (self.commits.is_empty(), self.compared_at + COMPARE_INTERVAL);
        let is_busy = self.commits.are_full() || self.commits.are_sending();
        let event = tokio::select! {
            biased;
            () = self.stop.asked() => return Ok(Next::Finish),
            step = self.commits.step() => {
                if step == Milestone::Sent {
                    return Ok(Next::Nothing);
                }
                if !self.commits.are_full() {
                    self.pace.was_late();
                }
                return Ok(Next::Settle);
            }
            reload = next_reload(self.reloads.as_mut()) => return Ok(Next::ChangeOver(Box::new(reload))),
            () = next_schema(self.stages.schemas.as_mut()) => return Ok(Next::GoOn),
            event = self.source.next(fill), if !is_busy => event?,
            () = tokio::time::sleep_until(next_at), if is_early => return Ok(Next::Nothing),
            () = tokio::time::sleep_until(compare_at), if is_idle => return Ok(Next::Compare),
        };
        Ok(match event {
            Event::Assigned(assignment) => Next::Claim(assignment),
            Event::MadeAnew(claim, how) => Next::GoAnew(claim, how),
            Event::Ready => self.take(waited_since).map_or(Next::Nothing, Next::Trigger),
            Event::CaughtUp if self.options.until_caught_up => Next::Finish,
            Event::Revoked(partitions) => {
                self.breaker.revoked(&partitions);
                self.stop.telemetry().dropped(&partitions);
                Next::Release
            }
            Event::CaughtUp => Next::Nothing,
        })
    }

    /// What has arrived and can be decoded; `None` if that is nothing.
    fn take(&mut self, waited_since: Instant) -> Option<Work> {
        let polled = self.source.take();
        let polled = self.without_unknown(polled);
        if polled.advances.is_empty() {
            return None;
        }
        let taken_at = Instant::now();
        let interval = self.triggered_at.map_or(Duration::ZERO, |before| taken_at - before);
        self.triggered_at = Some(taken_at);
        self.stop.telemetry().taken(polled.messages.len());
        Some(Work { taken_at, poll: taken_at - waited_since, interval, ..Work::of(polled) })
    }

    /// One trigger: decode, compute, wait for the batch before, hand the commit over.
    async fn trigger(&mut self, work: Work, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        fault_point::reach("taken", "").await;
        if self.expiry.needs_clock()
            && let Some(writer) = self.commits.idle()
        {
            self.expiry.read_clock(writer).await?;
        }
        self.stages.message_time_max_ms = self.expiry.message_time_max_ms();
        let is_locked = work.conflicts >= CONFLICTS_MAX;
        let started = Instant::now();
        let computed = if is_locked { None } else { Some(self.compute(&work).await) };
        if matches!(computed, Some(Err(_))) {
            self.spent_in_vain += started.elapsed();
        }
        if !self.commits.are_finished() {
            self.pace.was_early();
        }
        // Invariant: the result of a batch, a fault too, counts only if the batches before it are committed: it was computed
        // from the state which they leave. One that goes ahead is committed only if they are.
        let goes_ahead = matches!(&computed, Some(Ok((prepared, _))) if self.goes_ahead(prepared));
        let settled = if goes_ahead { Settled::Clear } else { self.settle(report).await? };
        match settled {
            Settled::Clear => {}
            Settled::Redo(parts) => {
                // Invariant: the backlog is in the order of offsets: first the parts of the batch before.
                self.backlog.push_front(work.again());
                self.redo(parts);
                return Ok(());
            }
            Settled::Lost => return Ok(()),
        }
        match computed {
            None => self.trigger_locked(work, report).await,
            Some(Ok((mut prepared, facts))) => {
                if !goes_ahead {
                    self.judge(&work, &mut prepared.commit).await?;
                    if let Some(writer) = self.commits.idle() {
                        prepared.commit.expire_before_ms = self.expiry.due(writer, &mut self.source).await?;
                    }
                }
                self.hand_over(work, facts, prepared);
                Ok(())
            }
            Some(Err(error)) => match Reason::of(&error) {
                Some(reason) => {
                    self.stages.states.forget_staged();
                    let refused = std::mem::take(&mut self.misfits);
                    let parts = self.narrow(work, reason, refused).await;
                    self.redo(parts);
                    Ok(())
                }
                None => Err(error),
            },
        }
    }

    /// Whether a batch's rows are sent while others are in flight. Nothing of it depends on the result of those, beyond
    /// whether they are committed.
    fn goes_ahead(&self, prepared: &Prepared) -> bool {
        self.commits.take_ahead(prepared) && self.breaker.has_counted_none() && !self.expiry.is_due()
    }

    /// Computes a batch, and makes its rows ready to be written.
    ///
    /// # Errors
    /// The stages', or values that the tables cannot take. What is staged of the batch must be forgotten then.
    async fn compute(&mut self, work: &Work) -> Result<(Prepared, Facts), EngineError> {
        self.misfits.clear();
        let (commit, facts) = self.stages.compute(work, None).await?;
        self.stop.telemetry().computed(work.polled.messages.len());
        let outputs = commit.outputs.clone();
        let prepared = self.written.prepare(commit);
        let prepared = prepared.inspect_err(|_| self.misfits = self.written.misfits(&outputs))?;
        Ok((prepared, facts))
    }

    /// One trigger in the transaction that writes it, with the keys of its state locked: nothing can come between.
    async fn trigger_locked(
        &mut self,
        work: Work,
        report: &mut dyn FnMut(&Report),
    ) -> Result<(), EngineError> {
        let Some(writer) = self.commits.idle() else {
            self.backlog.push_front(work);
            return Ok(());
        };
        self.stages.states.forget();
        let started = Instant::now();
        let (ended, facts) = match writer.open(&work.polled.advances).await? {
            Some(ended) => (ended, None),
            None => match self.stages.compute(&work, Some(writer.sink())).await {
                Ok((mut commit, facts)) => {
                    let messages = work.polled.messages.len();
                    self.stages.decoder.tell_another_schema(messages, &mut commit.dead_letters);
                    self.stop.telemetry().computed(work.polled.messages.len());
                    commit.tallies = self.breaker.weigh(&work.polled, &commit.dead_letters);
                    if let Err(error) = self.breaker.judge(&work.polled, &commit) {
                        writer.roll_back().await;
                        writer.store_tallies(&commit.advances, &commit.tallies).await?;
                        return Err(error);
                    }
                    match self.written.prepare(commit) {
                        Ok(prepared) => (writer.finish(&prepared, started.into_std()).await?, Some(facts)),
                        Err(error) => (writer.abandon(error.into()).await?, None),
                    }
                }
                Err(error) => (writer.abandon(error).await?, None),
            },
        };
        let facts = facts.unwrap_or_default();
        if let Settled::Redo(parts) = self.conclude(work, facts, ended, report).await {
            self.redo(parts);
        }
        Ok(())
    }

    /// Messages that a batch may have.
    fn rows_max(&self) -> usize {
        self.pace.rows_max().min(self.batch_size.rows_max())
    }

    /// Lets a batch go to its commit, or ends the job where too many messages became dead letters.
    async fn judge(&mut self, work: &Work, commit: &mut Commit) -> Result<(), EngineError> {
        self.stages.decoder.tell_another_schema(work.polled.messages.len(), &mut commit.dead_letters);
        commit.tallies = self.breaker.weigh(&work.polled, &commit.dead_letters);
        let judged = self.breaker.judge(&work.polled, commit);
        if let (Err(_), Some(writer)) = (&judged, self.commits.idle()) {
            writer.store_tallies(&commit.advances, &commit.tallies).await?;
        }
        judged
    }

    /// Computes with new SQL from the next batch on. Nothing is in flight, so nothing that the old SQL staged is left.
    fn change_over(&mut self, reload: Reload) {
        let Reload { plan, written, dead_letters } = reload;
        self.stop.telemetry().plans(plan.sql.clone(), plan.relations());
        let Plan { tables, states, pipeline, sql, to_fill, .. } = plan;
        let has_other_names = pipeline.written() != self.stages.pipeline.written();
        tracing::info!(version = sql.id, "the SQL in use has changed");
        self.outputs = names_of_outputs(&pipeline);
        self.breaker.change(dead_letters);
        self.pace = Pace::new(!pipeline.states().is_empty());
        self.stages.tables = tables;
        self.stages.states = states;
        self.stages.tables.share(&self.home);
        self.stages.states.share(&self.home);
        self.stages.pipeline = pipeline;
        self.stages.pipeline.leave_out(&self.waiting);
        self.expiry = Expiry::new(self.stages.ttls());
        for writer in self.commits.all_idle() {
            self.written = writer.change(written.clone(), sql.clone(), to_fill.clone());
        }
        self.source.limit(self.rows_max());
        // Invariant: what waits for its fill is known from a claim, which tells the fill what this instance leaves out.
        if has_other_names || to_fill != self.to_fill {
            self.source.rejoin();
        }
        self.to_fill = to_fill;
    }

    /// Starts the commit of a batch.
    fn hand_over(&mut self, work: Work, facts: Facts, prepared: Prepared) {
        let facts = Facts { handed_over_at: Some(Instant::now()), ..facts };
        // Invariant: a writer is idle, since nothing is in flight, or less than can be.
        if let Err(work) = self.commits.start(work, facts, prepared) {
            self.backlog.push_front(*work);
        }
    }
}

fn names_of_outputs(pipeline: &Pipeline) -> Vec<Arc<str>> {
    pipeline.outputs().iter().map(|(view, _)| Arc::from(view.as_str())).collect()
}

/// The next change of the SQL; never, where there can be none.
async fn next_reload(reloads: Option<&mut Reloads>) -> Reload {
    match reloads {
        Some(reloads) => reloads.next().await,
        None => std::future::pending().await,
    }
}
