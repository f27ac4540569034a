//! What follows from how a commit ended: for the state that is staged, for what comes next, and for how large batches
//! are.

use std::time::Duration;

use tokio::time::Instant;

use super::error::EngineError;
use super::work::{Facts, Reason, Work};
use super::writer::Ended;
use super::{CONFLICTS_MAX, Engine, FENCED_PAUSE_MAX, Report};
use crate::diagnostic::Finding;
use crate::sink::{EXPIRED_ROWS_MAX, RefusedRow};
use crate::source::Source;

/// What the wait for a commit came to.
pub(super) enum Settled {
    /// What was waited for is committed.
    Clear,
    /// The batch must be done again, in these parts, before anything that came after it.
    Redo(Vec<Work>),
    /// Partitions were lost: everything computed or collected is gone.
    Lost,
}

impl<S: Source> Engine<S> {
    /// Waits for all commits that are in flight. Returns whether a batch must be done again.
    pub(super) async fn settle_and_redo(
        &mut self,
        report: &mut dyn FnMut(&Report),
    ) -> Result<bool, EngineError> {
        let Settled::Redo(parts) = self.settle(report).await? else { return Ok(false) };
        self.redo(parts);
        Ok(true)
    }

    /// Waits for all commits that are in flight.
    pub(super) async fn settle(&mut self, report: &mut dyn FnMut(&Report)) -> Result<Settled, EngineError> {
        while !self.commits.is_empty() {
            match self.settle_first(report).await? {
                Settled::Clear => {}
                settled => return Ok(settled),
            }
        }
        Ok(Settled::Clear)
    }

    /// Waits for the first commit that is in flight, if one is. If it fails, nothing is in flight any more: those
    /// after it are to be done again, too.
    pub(super) async fn settle_first(
        &mut self,
        report: &mut dyn FnMut(&Report),
    ) -> Result<Settled, EngineError> {
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
    pub(super) async fn conclude(
        &mut self,
        work: Work,
        facts: Facts,
        ended: Ended,
        report: &mut dyn FnMut(&Report),
    ) -> Settled {
        if !matches!(ended, Ended::Committed { .. }) {
            let writing = facts.handed_over_at.map_or(Duration::ZERO, |at| at.elapsed());
            self.spent_in_vain += facts.decode + facts.sql + writing;
        }
        self.tell_ended(&ended);
        let states = &mut self.stages.states;
        match ended {
            Ended::Committed { elapsed, is_ahead, expired } => {
                states.committed();
                self.compared_at = Instant::now();
                if expired > 0 {
                    states.forget_held();
                }
                self.expiry.deleted(expired < EXPIRED_ROWS_MAX);
                let mut facts = facts;
                self.breaker.committed(&work.polled, &facts.tallies, std::mem::take(&mut facts.reasons));
                self.source.stored(&work.polled.advances);
                self.tell_committed(&work, &facts, elapsed);
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
                std::mem::take(&mut self.contention).succeeded("state", &self.stop);
                Settled::Clear
            }
            Ended::Refused(reason, refused) => {
                states.forget_staged();
                Settled::Redo(self.narrow(work, reason, refused).await)
            }
            Ended::Conflict(table) => {
                tracing::debug!("another instance has written `{table}`, computing again");
                states.forget();
                self.conflicts += 1;
                let conflicts = work.conflicts + 1;
                if conflicts > CONFLICTS_MAX {
                    // Another try at once would only meet the same writer: with the keys locked, none should be there.
                    let found = Finding::new(format!(
                        "another writer of `{table}` comes first, though its keys are locked"
                    ));
                    self.contention.answered(&found);
                    // Patience over is a wish to stop, which the next turn sees.
                    self.contention.pause("state", &found, &mut self.stop).await;
                }
                if self.contention.is_in_vain() {
                    self.contention.begin_again();
                    return Settled::Redo(work.halves());
                }
                Settled::Redo(vec![Work { conflicts, ..work.again() }])
            }
            Ended::InVain => {
                states.forget();
                self.batch_size.failed(work.polled.messages.len());
                self.source.limit(self.rows_max());
                Settled::Redo(work.halves())
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
                self.ask_again().await;
                Settled::Lost
            }
        }
    }

    /// Partitions, or the server they were claimed on, are lost: everything is dropped, and the group asked again.
    pub(super) async fn ask_again(&mut self) {
        tracing::warn!("what is not committed is dropped; asking the group again");
        self.stages.states.forget();
        self.backlog.clear();
        // Why: two that take partitions from each other must not do so in step.
        let pause = FENCED_PAUSE_MAX.mul_f64(0.2 + 0.8 * fastrand::f64());
        self.stop.sleep(pause).await;
        self.source.rejoin();
    }

    /// Finds the messages to blame; where the size may be, the batches to come are smaller for a while.
    /// `refused`: the rows that are known to be refused, which may say at once which messages those are.
    pub(super) async fn narrow(&mut self, work: Work, reason: Reason, refused: Vec<RefusedRow>) -> Vec<Work> {
        let rows = work.polled.messages.len();
        if rows > 1 {
            self.stop.telemetry().narrowed(reason.stage.name(), &reason.place);
        }
        if rows > 1 && !refused.is_empty() {
            let started = Instant::now();
            let blamed = self.blame(&work, refused).await;
            self.spent_in_vain += started.elapsed();
            if let Some(condemned) = blamed {
                return work.condemn(condemned);
            }
        }
        if reason.is_of_size && rows > 1 {
            self.batch_size.failed(rows);
            self.source.limit(self.rows_max());
        }
        work.narrow(reason)
    }

    /// Puts parts of a batch before everything else.
    pub(super) fn redo(&mut self, parts: Vec<Work>) {
        for part in parts.into_iter().rev() {
            self.backlog.push_front(part);
        }
    }
}
