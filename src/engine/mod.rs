//! The trigger loop: take what has arrived, compute, commit. While one batch commits, the next is collected,
//! decoded and computed, and its rows may be on their way already; it commits only after. The stages do not know each
//! other: they meet here.
//!
//! What fails decides what happens: a fault of data is narrowed down by halving until single messages become
//! dead letters, a fault of infrastructure is waited out, a lost partition makes this instance ask the group
//! anew, and anything else ends the job with all that was committed in place.

mod breaker;
mod claim;
mod compare;
mod error;
mod expiry;
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
mod stages;
mod stop;
mod turn;
mod work;
mod writer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::batch::{Claim, Commit};
use crate::config::{Config, DeadLettersConfig, LostData, StartingOffsets};
use crate::decode::Decoder;
use crate::fault_point;
use crate::sink::{EXPIRED_ROWS_MAX, Prepared, Sink, Tables};
use crate::source::{Assignment, Event, Fill, Recreated, Source};
use crate::sql::Pipeline;
use crate::tables::{ReferenceTables, StateTables};
use batch_size::BatchSize;
use breaker::Breaker;
use commits::{Commits, Step};
use compare::COMPARE_INTERVAL;
use expiry::Expiry;
use pace::Pace;
use stages::Stages;
use work::{Facts, Reason, Work};
use writer::{Ended, Writer};

pub use draft::{Draft, Reach, TargetPlaces};
pub use error::EngineError;
pub use lanes::Lanes;
pub use plan::{Plan, PlanError};
pub(crate) use plan::{outputs, state_tables, table_specs};
pub use rehearsal::{Outcome, Rehearsal, RehearsedState, RehearsedView};
pub use reload::{Reload, ReloadError, ReloadSender, Reloads, Running};
pub use replay::{Replay, ReplayParts, ReplayReport};
pub use report::{Durations, PartitionProgress, Report};
pub use stop::{Stop, StopSender};

/// What drives the loop besides its parts.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The least time between the starts of two triggers.
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
pub struct Parts<S> {
    pub source: S,
    pub decoder: Decoder,
    pub tables: ReferenceTables,
    /// Those of the pipeline, in its order; among its tables they stand behind all reference tables.
    pub states: StateTables,
    pub pipeline: Pipeline,
    pub sink: Sink,
}

/// After another instance took partitions over, this one waits at most so long before it asks the group again.
const FENCED_PAUSE_MAX: Duration = Duration::from_millis(500);

/// After so many conflicts in a row a batch is computed with its keys locked.
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
    triggered_at: Option<Instant>,
    /// When what is stored was known to be where this instance is: at the last commit, or look.
    compared_at: Instant,
}

/// What the wait for a commit came to.
enum Settled {
    /// What was waited for is committed.
    Clear,
    /// The batch must be done again, in these parts, before anything that came after it.
    Redo(Vec<Work>),
    /// Partitions were lost: everything computed or collected is gone.
    Lost,
}

/// What the loop does next.
enum Turn {
    Claim(Assignment),
    GoAnew(Claim, Recreated),
    Release,
    Trigger(Work),
    ChangeOver(Box<Reload>),
    Settle,
    Compare,
    Finish,
    Nothing,
}

impl<S: Source> Engine<S> {
    pub fn new(parts: Parts<S>, options: Options, stop: Stop) -> Self {
        let outputs = names_of_outputs(&parts.pipeline);
        let Parts { source, decoder, tables, states, pipeline, sink } = parts;
        Self {
            source,
            expiry: Expiry::new(states.ttls()),
            batch_size: BatchSize::default(),
            pace: Pace::new(!pipeline.states().is_empty()),
            stages: Stages { decoder, tables, states, pipeline, stop: stop.clone() },
            outputs,
            written: sink.tables().clone(),
            commits: Commits::new(Writer::new(sink, stop.clone())),
            backlog: VecDeque::new(),
            breaker: Breaker::new(options.dead_letters),
            options,
            stop,
            reloads: None,
            reload: None,
            is_release_due: false,
            batches: 0,
            conflicts: 0,
            triggered_at: None,
            compared_at: Instant::now(),
        }
    }

    /// As one of several lanes, which keep the server busy together: each has one connection.
    #[must_use]
    fn beside_others(mut self) -> Self {
        self.commits.one_at_a_time();
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
        let ended = self.turns(report).await;
        // What is on its way is worth waiting for, whatever ended the loop.
        let settled = self.settle(report).await;
        self.source.close().await;
        ended.and(settled.map(|_| ()))
    }

    async fn turns(&mut self, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        loop {
            match self.turn().await? {
                Turn::Claim(assignment) => {
                    self.settle_and_redo(report).await?;
                    self.claim(&assignment).await?;
                }
                Turn::GoAnew(claim, how) => {
                    self.settle_and_redo(report).await?;
                    self.go_anew(claim, how).await?;
                }
                // Parts to be done again belong to the batch in hand: they come first.
                Turn::Release if self.settle_and_redo(report).await? => self.is_release_due = true,
                Turn::Release => self.source.release(),
                Turn::Trigger(work) => self.trigger(work, report).await?,
                // Parts to be done again belong to the SQL in hand.
                Turn::ChangeOver(reload) if self.settle_and_redo(report).await? => self.reload = Some(reload),
                Turn::ChangeOver(reload) => self.change_over(*reload),
                Turn::Settle => {
                    if let Settled::Redo(parts) = self.settle_first(report).await? {
                        self.redo(parts);
                    }
                }
                Turn::Compare => self.compare().await?,
                Turn::Finish if self.settle_and_redo(report).await? => {}
                Turn::Finish => return Ok(()),
                Turn::Nothing => {}
            }
        }
    }

    /// Waits for the next thing to do.
    async fn turn(&mut self) -> Result<Turn, EngineError> {
        if let Some(work) = self.backlog.pop_front() {
            return Ok(Turn::Trigger(work));
        }
        if std::mem::take(&mut self.is_release_due) {
            return Ok(Turn::Release);
        }
        if let Some(reload) = self.reload.take() {
            return Ok(Turn::ChangeOver(reload));
        }
        if self.stop.is_asked() {
            return Ok(Turn::Finish);
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
            () = self.stop.asked() => return Ok(Turn::Finish),
            step = self.commits.step() => {
                if step == Step::Sent {
                    return Ok(Turn::Nothing);
                }
                if !self.commits.are_full() {
                    self.pace.was_late();
                }
                return Ok(Turn::Settle);
            }
            reload = next_reload(self.reloads.as_mut()) => return Ok(Turn::ChangeOver(Box::new(reload))),
            event = self.source.next(fill), if !is_busy => event?,
            () = tokio::time::sleep_until(next_at), if is_early => return Ok(Turn::Nothing),
            () = tokio::time::sleep_until(compare_at), if is_idle => return Ok(Turn::Compare),
        };
        Ok(match event {
            Event::Assigned(assignment) => Turn::Claim(assignment),
            Event::MadeAnew(claim, how) => Turn::GoAnew(claim, how),
            Event::Ready => Turn::Trigger(self.take(waited_since)),
            Event::CaughtUp if self.options.until_caught_up => Turn::Finish,
            Event::Revoked(partitions) => {
                self.breaker.revoked(&partitions);
                Turn::Release
            }
            Event::CaughtUp => Turn::Nothing,
        })
    }

    fn take(&mut self, waited_since: Instant) -> Work {
        let taken_at = Instant::now();
        let interval = self.triggered_at.map_or(Duration::ZERO, |before| taken_at - before);
        self.triggered_at = Some(taken_at);
        Work {
            polled: self.source.take(),
            condemned: None,
            is_again: false,
            conflicts: 0,
            reached_ms: None,
            taken_at,
            started_at: SystemTime::now(),
            poll: taken_at - waited_since,
            interval,
        }
    }

    /// One trigger: decode, compute, wait for the batch before, hand the commit over.
    async fn trigger(&mut self, work: Work, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        fault_point::reach("taken", "").await;
        let is_locked = work.conflicts >= CONFLICTS_MAX;
        let computed = if is_locked { None } else { Some(self.compute(&work).await) };
        if !self.commits.are_finished() {
            self.pace.was_early();
        }
        // Invariant: what came of a batch, a fault too, counts only if the batches before it are committed: it was computed
        // from the state which they leave. One that goes ahead is committed only if they are.
        let goes_ahead = matches!(&computed, Some(Ok((prepared, _))) if self.goes_ahead(prepared));
        let settled = if goes_ahead { Settled::Clear } else { self.settle(report).await? };
        match settled {
            Settled::Clear => {}
            Settled::Redo(parts) => {
                // Invariant: the backlog stands in the order of offsets: first the parts of the batch before.
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
                    let parts = self.narrow(work, reason);
                    self.redo(parts);
                    Ok(())
                }
                None => Err(error),
            },
        }
    }

    /// Whether a batch's rows are sent while others are on their way. Nothing of it depends on what comes of those, beyond
    /// whether they are committed.
    fn goes_ahead(&self, prepared: &Prepared) -> bool {
        self.commits.take_ahead(prepared) && self.breaker.has_counted_none() && !self.expiry.is_due()
    }

    /// Computes a batch, and makes its rows ready to be written.
    ///
    /// # Errors
    /// The stages', or values that the tables cannot take. What is staged of the batch must be forgotten then.
    async fn compute(&mut self, work: &Work) -> Result<(Prepared, Facts), EngineError> {
        let (commit, facts) = self.stages.compute(work, None).await?;
        Ok((self.written.prepare(commit)?, facts))
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
        commit.tallies = self.breaker.weigh(&work.polled, &commit.dead_letters);
        let judged = self.breaker.judge(&work.polled, commit);
        if let (Err(_), Some(writer)) = (&judged, self.commits.idle()) {
            writer.store_tallies(&commit.advances, &commit.tallies).await?;
        }
        judged
    }

    /// Finds the messages to blame; where the size may be, the batches to come are smaller for a while.
    fn narrow(&mut self, work: Work, reason: Reason) -> Vec<Work> {
        let rows = work.polled.messages.len();
        if reason.is_of_size && rows > 1 {
            self.batch_size.failed(rows);
            self.source.limit(self.rows_max());
        }
        work.narrow(reason)
    }

    /// Puts parts of a batch before everything else.
    fn redo(&mut self, parts: Vec<Work>) {
        for part in parts.into_iter().rev() {
            self.backlog.push_front(part);
        }
    }

    /// Computes with new SQL from the next batch on. Nothing is on its way, so nothing that the old SQL staged is left.
    fn change_over(&mut self, reload: Reload) {
        let Reload { plan: Plan { tables, states, pipeline, sql, .. }, written, dead_letters } = reload;
        tracing::info!(version = sql.id, "the SQL in use has changed");
        self.outputs = names_of_outputs(&pipeline);
        self.expiry = Expiry::new(states.ttls());
        self.breaker.change(dead_letters);
        self.pace = Pace::new(!pipeline.states().is_empty());
        self.stages.tables = tables;
        self.stages.states = states;
        self.stages.pipeline = pipeline;
        for writer in self.commits.all_idle() {
            self.written = writer.change(written.clone(), sql.clone());
        }
        self.source.limit(self.rows_max());
    }

    /// Starts the commit of a batch.
    fn hand_over(&mut self, work: Work, facts: Facts, prepared: Prepared) {
        // Invariant: a writer is idle, since nothing is on its way, or less than can be.
        if let Err(work) = self.commits.start(work, facts, prepared) {
            self.backlog.push_front(*work);
        }
    }

    /// Waits for all commits that are on their way; whether a batch must be done again.
    async fn settle_and_redo(&mut self, report: &mut dyn FnMut(&Report)) -> Result<bool, EngineError> {
        let Settled::Redo(parts) = self.settle(report).await? else { return Ok(false) };
        self.redo(parts);
        Ok(true)
    }

    /// Waits for all commits that are on their way.
    async fn settle(&mut self, report: &mut dyn FnMut(&Report)) -> Result<Settled, EngineError> {
        while !self.commits.is_empty() {
            match self.settle_first(report).await? {
                Settled::Clear => {}
                settled => return Ok(settled),
            }
        }
        Ok(Settled::Clear)
    }

    /// Waits for the first commit that is on its way, if one is. Where it fails, nothing is on its way any more: those
    /// behind it are to be done again, too.
    async fn settle_first(&mut self, report: &mut dyn FnMut(&Report)) -> Result<Settled, EngineError> {
        let Some((work, facts, ended)) = self.commits.first().await? else { return Ok(Settled::Clear) };
        Ok(match self.conclude(work, facts, ended, report).await {
            Settled::Clear => Settled::Clear,
            Settled::Redo(mut parts) => {
                parts.extend(self.commits.drain().await?.into_iter().map(Work::again));
                Settled::Redo(parts)
            }
            Settled::Lost => {
                self.commits.drain().await?;
                Settled::Lost
            }
        })
    }

    /// Draws the conclusions from how a commit ended: for the state that is staged, and for what comes next.
    async fn conclude(
        &mut self,
        work: Work,
        facts: Facts,
        ended: Ended,
        report: &mut dyn FnMut(&Report),
    ) -> Settled {
        let states = &mut self.stages.states;
        match ended {
            Ended::Committed { elapsed, is_ahead, expired } => {
                states.committed();
                self.compared_at = Instant::now();
                if expired > 0 {
                    states.forget_held();
                }
                self.expiry.deleted(expired < EXPIRED_ROWS_MAX);
                self.breaker.committed(&work.polled, &facts.tallies);
                self.source.stored(&work.polled.advances);
                // A commit that only moves positions is no batch that anybody waits for.
                if !work.polled.messages.is_empty() {
                    let has_changed = self.pace.committed(work.polled.messages.len(), elapsed, is_ahead);
                    if self.batch_size.passed().is_some() || has_changed {
                        self.source.limit(self.rows_max());
                    }
                    report(&self.describe(&work, facts, elapsed));
                    self.batches += 1;
                }
                self.conflicts = 0;
                Settled::Clear
            }
            Ended::Refused(reason) => {
                states.forget_staged();
                Settled::Redo(self.narrow(work, reason))
            }
            Ended::Conflict(table) => {
                tracing::debug!("another instance has written `{table}`, computing again");
                states.forget();
                self.conflicts += 1;
                let conflicts = work.conflicts + 1;
                Settled::Redo(vec![Work { conflicts, ..work.again() }])
            }
            Ended::Interrupted => {
                states.forget();
                Settled::Redo(vec![work.again()])
            }
            Ended::GivenUp => {
                states.forget_staged();
                self.commits.pause();
                Settled::Redo(vec![work.again()])
            }
            Ended::Fenced => {
                tracing::warn!("another instance took partitions over; asking the group again");
                self.ask_again().await;
                Settled::Lost
            }
        }
    }

    /// Drops everything that was computed or collected, and asks the group again.
    async fn ask_again(&mut self) {
        self.stages.states.forget();
        self.backlog.clear();
        // Why: two that take partitions from each other must not do so in step.
        let pause = FENCED_PAUSE_MAX.mul_f64(0.2 + 0.8 * fastrand::f64());
        self.stop.sleep(pause).await;
        self.source.rejoin();
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
