//! The stages between polling and writing: decode, look up, run the views, stage the new state.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::error::EngineError;
use super::retry::persist;
use super::schemas::Schemas;
use super::stop::Stop;
use super::work::{Facts, Work};
use crate::batch::{BatchRows, Commit, DeadLetter, Messages, ViewResults};
use crate::decode::Decoder;
use crate::fault_point;
use crate::sink::Sink;
use crate::sql::Pipeline;
use crate::tables::{ReferenceTables, StateTables};

/// What computes a commit from messages.
pub(super) struct Stages {
    pub decoder: Decoder,
    pub tables: ReferenceTables,
    pub states: StateTables,
    pub pipeline: Pipeline,
    pub stop: Stop,
    /// The newest message time that rows of state are written with, if there is a bound.
    pub message_time_max_ms: Option<i64>,
    /// A registry's, where there is one.
    pub schemas: Option<Schemas>,
}

impl Stages {
    pub fn new(
        decoder: Decoder,
        tables: ReferenceTables,
        states: StateTables,
        pipeline: Pipeline,
        stop: Stop,
    ) -> Self {
        Self { decoder, tables, states, pipeline, stop, message_time_max_ms: None, schemas: None }
    }

    /// The `ttl` of each state table that is written.
    pub fn ttls(&self) -> Vec<Option<Duration>> {
        let states = self.states.ttls().into_iter().zip(self.pipeline.states());
        states.map(|(ttl, state)| ttl.filter(|_| !self.pipeline.is_left_out(&state.name))).collect()
    }

    /// Gets to know the schemas that these messages name; waits for the registry where it must. Who opens a transaction
    /// does this before, so that it holds no locks meanwhile.
    ///
    /// # Errors
    /// No schema can be had any more, or the end of patience.
    pub async fn learn(&mut self, messages: &Messages) -> Result<(), EngineError> {
        match &mut self.schemas {
            Some(schemas) => schemas.teach(&mut self.decoder, messages, &mut self.stop).await,
            None => Ok(()),
        }
    }

    /// Decodes the messages, runs the views over them, and stages their new state above what is staged.
    ///
    /// `locked`: the sink whose transaction is open; state is read in it, with the rows locked.
    ///
    /// # Errors
    /// A stage failed. Nothing is staged then.
    pub async fn compute(
        &mut self,
        work: &Work,
        locked: Option<&mut Sink>,
    ) -> Result<(Commit, Facts), EngineError> {
        let (advances, extents) = (work.polled.advances.clone(), work.polled.messages.extents());
        // Nothing is computed of messages that cannot be processed, nor where positions move over no message at all.
        if work.condemned.len() == work.polled.messages.len() {
            let dead_letters = self.shown(work.condemned_letters());
            let commit = Commit { advances, extents, dead_letters, ..Commit::default() };
            self.states.stage_nothing();
            let facts = Facts { outputs: vec![0; self.pipeline.outputs().len()], ..Facts::of(&commit) };
            return Ok((commit, facts));
        }
        // What a job takes was looked through before, so it finds nothing to wait for.
        self.learn(&work.polled.messages).await?;
        let started = Instant::now();
        let decoded = work.without_condemned(self.decoder.decode(&work.polled.messages)?)?;
        let decode = started.elapsed();
        fault_point::reach("decoded", "").await;
        let started = Instant::now();
        let is_watched = self.stop.telemetry().is_on();
        let batch = is_watched.then(|| decoded.batch.clone());
        let (results, lookup) = self.run_views(decoded.batch, work.is_again, locked).await?;
        // Why of these alone: what is wrong with a dead letter may be its time.
        let message_time = if self.states.is_empty() { None } else { work.message_time_ms(&decoded.places) };
        let message_time =
            message_time.map(|time| self.message_time_max_ms.map_or(time, |max| time.min(max)));
        let staged = self.states.stage(&results.states, message_time)?;
        let dead_letters = self.shown(decoded.dead_letters);
        let (outputs, states) = (results.outputs, staged.changes);
        let commit = Commit { advances, extents, outputs, states, dead_letters, ..Commit::default() };
        let (views, null_keys, sql) = (results.views, staged.null_keys, started.elapsed());
        let rows = batch.map(|batch| BatchRows { batch, relations: results.relations });
        let rows = rows.and_then(|rows| self.stop.telemetry().sample(rows));
        let facts = Facts { views, null_keys, rows, decode, sql, lookup, ..Facts::of(&commit) };
        fault_point::reach("computed", "").await;
        Ok((commit, facts))
    }

    /// The dead letters, with reasons that quote no value if values must not be shown.
    fn shown(&self, mut letters: Vec<DeadLetter>) -> Vec<DeadLetter> {
        if self.pipeline.masks().is_on() {
            letters.iter_mut().for_each(DeadLetter::hide_values);
        }
        letters
    }

    async fn run_views(
        &mut self,
        batch: RecordBatch,
        is_again: bool,
        mut locked: Option<&mut Sink>,
    ) -> Result<(ViewResults, Duration), EngineError> {
        let started = Instant::now();
        let Self { tables, states, pipeline, stop, .. } = self;
        if !is_again {
            persist("reference table", stop, async || tables.begin_batch().await).await?;
        }
        let mut lookup = started.elapsed();
        states.begin_batch();
        pipeline.keep_rows(stop.telemetry().is_on());
        let references = tables.specs().len();
        let results = pipeline.run(batch, async |table, keys: Vec<RecordBatch>| -> Result<_, EngineError> {
            let started = Instant::now();
            let rows = match table.checked_sub(references) {
                None => persist("reference table", stop, async || tables.gather(table, &keys).await).await?,
                Some(state) => state_rows(states, state, &keys, stop, locked.as_deref_mut()).await?,
            };
            lookup += started.elapsed();
            Ok(rows)
        });
        Ok((results.await?, lookup))
    }
}

/// The rows of a state table for these keys, as the batch before leaves them.
async fn state_rows(
    states: &mut StateTables,
    table: usize,
    keys: &[RecordBatch],
    stop: &mut Stop,
    locked: Option<&mut Sink>,
) -> Result<Vec<RecordBatch>, EngineError> {
    if let Some(missing) = states.missing(table, keys)? {
        let fetched = match locked {
            Some(sink) => sink.locked_rows(table, &missing).await?,
            None => persist("state table", stop, async || states.fetch(table, &missing).await).await?,
        };
        states.hold(table, &missing, &fetched)?;
    }
    Ok(vec![states.rows(table, keys)?])
}
