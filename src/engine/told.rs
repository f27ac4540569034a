//! What the loop reports while it runs, for the metrics and the page. Without a place to report to, each of these returns at
//! once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::work::{Facts, Work};
use super::writer::Ended;
use super::{Engine, Stages};
use crate::source::Source;
use crate::telemetry::{BatchResult, Committed, Held, Stage};

/// How long the loop may go without letting go of its thread: one view over one batch.
pub(super) const LANE_PAUSE_MAX: Duration = Duration::from_mins(2);
/// What is held in memory is reported this often, at most: it is counted for that.
const HELD_INTERVAL: Duration = Duration::from_secs(1);

impl<S: Source> Engine<S> {
    /// How a try to commit a batch has ended; one that is committed is reported by [`Engine::tell_committed`].
    pub(super) fn tell_ended(&self, ended: &Ended) {
        let telemetry = self.stop.telemetry();
        match ended {
            Ended::Committed { .. } => {}
            Ended::Refused(..) => telemetry.tried(BatchResult::Refused),
            Ended::Conflict(table) => {
                telemetry.tried(BatchResult::Conflict);
                telemetry.conflict(table);
            }
            Ended::Fenced => telemetry.tried(BatchResult::Fenced),
            Ended::Interrupted | Ended::InVain | Ended::GivenUp => telemetry.tried(BatchResult::Interrupted),
        }
    }

    /// A batch is committed.
    pub(super) fn tell_committed(&mut self, work: &Work, facts: &Facts, write: Duration) {
        let telemetry = self.stop.telemetry();
        if !telemetry.is_on() {
            return;
        }
        let outputs: Vec<_> = self.outputs.iter().cloned().zip(facts.outputs.iter().copied()).collect();
        let dead_letters: Vec<_> = facts.dead_letters.iter().map(|(stage, count)| (*stage, *count)).collect();
        let states = self.stages.pipeline.states().iter().map(|state| Arc::from(state.name.as_str()));
        let null_keys: Vec<_> = states.zip(facts.null_keys.iter().copied()).collect();
        let stages = [
            (Stage::Wait, work.poll),
            (Stage::Decode, facts.decode),
            (Stage::Lookup, facts.lookup),
            (Stage::Sql, facts.sql.saturating_sub(facts.lookup)),
            (Stage::Write, write),
        ];
        telemetry.committed(&Committed {
            messages: &work.polled.messages,
            advances: &work.polled.advances,
            outputs: &outputs,
            dead_letters: &dead_letters,
            null_keys: &null_keys,
            views: &facts.views,
            stages: &stages,
            total: work.taken_at.elapsed(),
            rows: facts.rows.as_ref(),
        });
        self.tell_held();
    }

    /// What this lane holds in memory, now and then.
    pub(super) fn tell_held(&mut self) {
        let telemetry = self.stop.telemetry();
        if !telemetry.is_on() || self.held_told_at.is_some_and(|at| at.elapsed() < HELD_INTERVAL) {
            return;
        }
        self.held_told_at = Some(Instant::now());
        telemetry.holds(self.lane, held(&self.stages));
    }
}

fn held(stages: &Stages) -> Held {
    Held { references: stages.tables.held(), states: stages.states.held() }
}
