//! The trigger loop: take what has arrived, compute, commit. While one batch commits, the next is collected,
//! decoded and computed; it commits only after. The stages do not know each other: they meet here.
//!
//! What fails decides what happens: a fault of data is narrowed down by halving until single messages become
//! dead letters, a fault of infrastructure is waited out, a lost partition makes this instance ask the group
//! anew, and anything else ends the job with all that was committed in place.

mod error;
mod lost;
mod report;
mod retry;
mod stop;
mod writer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::batch::{
    Advance, Claim, Commit, DeadLetter, Fault, Polled, Stage, TopicPartition, ViewResults, ViewTiming,
};
use crate::config::{LostData, StartingOffsets};
use crate::decode::Decoder;
use crate::sink::{Sink, SinkError};
use crate::source::{Bounds, Event, Fill, Source, SourceError};
use crate::sql::{Pipeline, SqlError, Step};
use crate::tables::ReferenceTables;
use lost::{LostMessages, lost_messages};
use retry::persist;
use writer::{Ended, Writer};

pub use error::EngineError;
pub use report::{Durations, PartitionProgress, Report};
pub use stop::{Stop, StopSender};

/// What drives the loop besides its parts.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The least time between the starts of two triggers.
    pub trigger_interval: Duration,
    pub starting_offsets: StartingOffsets,
    pub lost_data: LostData,
    /// End when every partition was read up to the end it had at the start.
    pub until_caught_up: bool,
}

/// The stages of a job, ready to run.
pub struct Parts<S> {
    pub source: S,
    pub decoder: Decoder,
    pub tables: ReferenceTables,
    pub pipeline: Pipeline,
    pub sink: Sink,
}

/// After another instance took partitions over, this one waits at most so long before it asks the group again.
const FENCED_PAUSE_MAX: Duration = Duration::from_millis(500);

/// A running job.
pub struct Engine<S> {
    source: S,
    decoder: Decoder,
    tables: ReferenceTables,
    pipeline: Pipeline,
    /// The views that are outputs, for reports.
    outputs: Vec<Arc<str>>,
    /// `None` while a commit is on its way.
    writer: Option<Writer>,
    in_flight: Option<InFlight>,
    /// Work that comes before anything new: parts of batches that are done again.
    backlog: VecDeque<Work>,
    options: Options,
    stop: Stop,
    /// Whether revoked partitions wait for the backlog.
    is_release_due: bool,
    batches: u64,
    triggered_at: Option<Instant>,
}

/// Messages on their way to a commit.
#[derive(Clone, Debug)]
struct Work {
    polled: Polled,
    /// Why the one message of it cannot be processed: it becomes a dead letter.
    condemned: Option<Reason>,
    /// Whether it is a part of a batch that is done again: it sees the reference tables the whole batch saw.
    is_part: bool,
    taken_at: Instant,
    started_at: SystemTime,
    poll: Duration,
    interval: Duration,
}

#[derive(Clone, Debug)]
struct Reason {
    stage: Stage,
    place: String,
    text: String,
}

/// The writer, and how its commit ended.
type Written = (Writer, Result<Ended, EngineError>);

/// A commit on its way.
struct InFlight {
    work: Work,
    facts: Facts,
    task: JoinHandle<Written>,
    /// What the task gave, once it was waited for.
    result: Option<Result<Written, JoinError>>,
}

/// What is known of a batch before it is committed.
struct Facts {
    outputs: Vec<usize>,
    dead_letters: usize,
    views: Vec<ViewTiming>,
    decode: Duration,
    sql: Duration,
}

/// What the wait for a commit came to.
enum Settled {
    /// Nothing is on its way any more.
    Clear,
    /// The batch must be done again, in these parts, before anything that came after it.
    Redo(Vec<Work>),
    /// Partitions were lost: everything computed or collected is gone.
    Lost,
}

/// What the loop does next.
enum Turn {
    Claim(Vec<TopicPartition>),
    Release,
    Trigger(Work),
    Settle,
    Finish,
    Nothing,
}

impl<S: Source> Engine<S> {
    pub fn new(parts: Parts<S>, options: Options, stop: Stop) -> Self {
        let outputs = parts.pipeline.outputs().iter().map(|(view, _)| Arc::from(view.as_str())).collect();
        Self {
            source: parts.source,
            decoder: parts.decoder,
            tables: parts.tables,
            pipeline: parts.pipeline,
            outputs,
            writer: Some(Writer::new(parts.sink, stop.clone())),
            in_flight: None,
            backlog: VecDeque::new(),
            options,
            stop,
            is_release_due: false,
            batches: 0,
            triggered_at: None,
        }
    }

    /// Runs until it is asked to stop, or has caught up where that is wanted. `report` sees each committed
    /// batch.
    ///
    /// # Errors
    /// The fault that ended the job; what was committed before it stays.
    pub async fn run(mut self, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        let ended = self.turns(report).await;
        // What is on its way is worth waiting for, whatever ended the loop.
        let settled = self.settle(report).await;
        self.source.close().await;
        ended.and(settled.map(|_| ()))
    }

    async fn turns(&mut self, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        loop {
            match self.turn().await? {
                Turn::Claim(partitions) => {
                    self.settle_and_redo(report).await?;
                    self.claim(&partitions).await?;
                }
                // Parts to be done again belong to the batch in hand: they come first.
                Turn::Release if self.settle_and_redo(report).await? => self.is_release_due = true,
                Turn::Release => self.source.release(),
                Turn::Trigger(work) => self.trigger(work, report).await?,
                Turn::Settle => {
                    self.settle_and_redo(report).await?;
                }
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
        if self.stop.is_asked() {
            return Ok(Turn::Finish);
        }
        let now = Instant::now();
        let next_at = self.triggered_at.map_or(now, |at| at + self.options.trigger_interval);
        // While a commit is on its way, only a full batch is worth computing ahead: a smaller one still grows.
        let is_early = next_at > now;
        let fill = if self.in_flight.is_some() || is_early { Fill::Full } else { Fill::Any };
        let waited_since = now;
        let event = tokio::select! {
            biased;
            () = self.stop.asked() => return Ok(Turn::Finish),
            () = finished(self.in_flight.as_mut()) => return Ok(Turn::Settle),
            event = self.source.next(fill) => event?,
            () = tokio::time::sleep_until(next_at), if is_early => return Ok(Turn::Nothing),
        };
        Ok(match event {
            Event::Assigned(partitions) => Turn::Claim(partitions),
            Event::Ready => Turn::Trigger(self.take(waited_since)),
            Event::CaughtUp if self.options.until_caught_up => Turn::Finish,
            Event::Revoked(_) => Turn::Release,
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
            is_part: false,
            taken_at,
            started_at: SystemTime::now(),
            poll: taken_at - waited_since,
            interval,
        }
    }

    /// One trigger: decode, compute, wait for the batch before, hand the commit over.
    async fn trigger(&mut self, work: Work, report: &mut dyn FnMut(&Report)) -> Result<(), EngineError> {
        let (commit, facts) = match self.compute(&work).await {
            Ok(computed) => computed,
            Err(EngineError::Sql(error)) if error.fault() == Fault::Data => {
                let parts = narrow(work, Stage::Sql, &error);
                self.redo(parts);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match self.settle(report).await? {
            Settled::Clear => self.hand_over(work, facts, commit),
            Settled::Redo(parts) => {
                // Invariant: the backlog stands in the order of offsets: first the parts of the batch before.
                self.backlog.push_front(work);
                self.redo(parts);
            }
            Settled::Lost => {}
        }
        Ok(())
    }

    /// Decodes the messages and runs the views over them.
    async fn compute(&mut self, work: &Work) -> Result<(Commit, Facts), EngineError> {
        let advances = work.polled.advances.clone();
        if let Some(reason) = &work.condemned {
            let dead_letters = work.polled.messages.iter().map(|message| {
                DeadLetter::new(message, reason.stage, reason.place.clone(), reason.text.clone())
            });
            let outputs = vec![Vec::new(); self.outputs.len()];
            let commit = Commit { advances, outputs, dead_letters: dead_letters.collect() };
            let facts = Facts::of(&commit, Vec::new(), Duration::ZERO, Duration::ZERO);
            return Ok((commit, facts));
        }
        let started = Instant::now();
        let decoded = self.decoder.decode(&work.polled.messages)?;
        let decode = started.elapsed();
        let started = Instant::now();
        let results = self.run_views(decoded.batch, work.is_part).await?;
        let sql = started.elapsed();
        let commit = Commit { advances, outputs: results.outputs, dead_letters: decoded.dead_letters };
        let facts = Facts::of(&commit, results.views, decode, sql);
        Ok((commit, facts))
    }

    async fn run_views(&mut self, batch: RecordBatch, is_part: bool) -> Result<ViewResults, EngineError> {
        if !is_part {
            let Self { tables, stop, .. } = self;
            persist("reference table", stop, async || tables.begin_batch().await).await?;
        }
        self.pipeline.start(batch);
        loop {
            match self.pipeline.next().await? {
                Step::Table { table, keys } => {
                    let rows = self.gather(table, &keys).await?;
                    self.pipeline.provide(table, rows);
                }
                Step::Done(results) => return Ok(results),
            }
        }
    }

    /// The rows of a reference table for these keys; waits for its database where that is away.
    async fn gather(&mut self, table: usize, keys: &[RecordBatch]) -> Result<Vec<RecordBatch>, EngineError> {
        let Self { tables, stop, .. } = self;
        persist("reference table", stop, async || tables.gather(table, keys).await).await
    }

    /// Puts parts of a batch before everything else.
    fn redo(&mut self, parts: Vec<Work>) {
        for part in parts.into_iter().rev() {
            self.backlog.push_front(part);
        }
    }

    /// Starts the commit of a batch. Nothing else is on its way.
    fn hand_over(&mut self, work: Work, facts: Facts, commit: Commit) {
        let Some(mut writer) = self.writer.take() else {
            // Invariant: the writer is away only while a commit is on its way.
            self.backlog.push_front(work);
            return;
        };
        let task = tokio::spawn(async move {
            let ended = writer.commit(&commit).await;
            (writer, ended)
        });
        self.in_flight = Some(InFlight { work, facts, task, result: None });
    }

    /// Waits for the commit that is on its way; whether its batch must be done again.
    async fn settle_and_redo(&mut self, report: &mut dyn FnMut(&Report)) -> Result<bool, EngineError> {
        let Settled::Redo(parts) = self.settle(report).await? else { return Ok(false) };
        self.redo(parts);
        Ok(true)
    }

    /// Waits for the commit that is on its way, if one is.
    async fn settle(&mut self, report: &mut dyn FnMut(&Report)) -> Result<Settled, EngineError> {
        if self.in_flight.is_none() {
            return Ok(Settled::Clear);
        }
        finished(self.in_flight.as_mut()).await;
        let Some(InFlight { work, facts, result: Some(result), .. }) = self.in_flight.take() else {
            return Ok(Settled::Clear);
        };
        let (writer, ended) = result.map_err(|error| EngineError::Writer(error.to_string()))?;
        self.writer = Some(writer);
        match ended? {
            Ended::Committed { elapsed } => {
                self.source.stored(&work.polled.advances);
                report(&self.describe(&work, facts, elapsed));
                self.batches += 1;
                Ok(Settled::Clear)
            }
            Ended::Refused(error) => Ok(Settled::Redo(narrow(work, Stage::Write, &error))),
            Ended::Fenced => {
                tracing::warn!("another instance took partitions over; asking the group again");
                self.backlog.clear();
                // Why: two that take partitions from each other must not do so in step.
                let pause = FENCED_PAUSE_MAX.mul_f64(0.2 + 0.8 * fastrand::f64());
                self.stop.sleep(pause).await;
                self.source.rejoin();
                Ok(Settled::Lost)
            }
        }
    }

    /// Claims partitions in the database and starts reading them where they were left.
    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<(), EngineError> {
        if partitions.is_empty() {
            return Ok(());
        }
        let bounds = self.bounds(partitions).await?;
        let Some(writer) = self.writer.as_mut() else { return Ok(()) };
        let stored = writer.stored(partitions).await?;
        let mut starts = Vec::with_capacity(partitions.len());
        let mut lost = Vec::new();
        for (partition, stored) in partitions.iter().zip(stored) {
            let bounds = bounds_of(partition, &bounds)?;
            let start = match (stored, self.options.starting_offsets) {
                (Some(stored), _) => {
                    lost.extend(lost_messages(bounds, stored));
                    stored
                }
                (None, StartingOffsets::Earliest) => bounds.low,
                // A partition that is new in a known topic holds messages nobody has seen.
                (None, StartingOffsets::Latest) if writer.knows_topic(&partition.topic).await? => bounds.low,
                (None, StartingOffsets::Latest) => bounds.high,
            };
            starts.push((partition.clone(), start));
        }
        if !lost.is_empty() && self.options.lost_data == LostData::Fail {
            let lost: Vec<String> =
                lost.iter().map(|lost| format!("{lost}\nhint: {}", lost.hint())).collect();
            return Err(EngineError::LostData(lost.join("\n")));
        }
        let mut claims = writer.claim(&starts).await?;
        for lost in &lost {
            tracing::warn!("{lost}; going on with offset {}", lost.first_kept);
            if !self.skip(lost, &mut claims).await? {
                self.source.rejoin();
                return Ok(());
            }
        }
        self.source.assign(&claims, &bounds);
        Ok(())
    }

    /// Stores that a partition goes on behind messages that are lost; false where another instance has it by now.
    async fn skip(&mut self, lost: &LostMessages, claims: &mut [Claim]) -> Result<bool, EngineError> {
        let claim = claims.iter_mut().find(|claim| claim.partition == lost.partition);
        let (Some(claim), Some(writer)) = (claim, self.writer.as_mut()) else { return Ok(true) };
        if claim.next_offset != lost.stored {
            // Another instance has gone on in between; what it stored is looked at when it is claimed the next time.
            return Ok(false);
        }
        let advance = Advance {
            partition: claim.partition.clone(),
            epoch: claim.epoch,
            from: lost.stored,
            to: lost.first_kept,
            message_time_ms: None,
        };
        let outputs = vec![Vec::new(); self.outputs.len()];
        let commit = Commit { advances: vec![advance], outputs, dead_letters: Vec::new() };
        claim.next_offset = lost.first_kept;
        Ok(matches!(writer.commit(&commit).await?, Ended::Committed { .. }))
    }

    async fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Bounds>, EngineError> {
        let Self { source, stop, .. } = self;
        persist("Kafka", stop, async || source.bounds(partitions).await).await
    }

    fn describe(&self, work: &Work, facts: Facts, commit: Duration) -> Report {
        let ends = self.source.ends();
        let partitions = work.polled.advances.iter().map(|advance| {
            let end = ends.iter().find(|end| end.partition == advance.partition).map_or(0, |end| end.end);
            PartitionProgress {
                partition: advance.partition.clone(),
                start_offset: advance.from,
                end_offset: advance.to,
                latest_offset: end.max(advance.to),
                message_time_ms: advance.message_time_ms,
            }
        });
        Report {
            batch_id: self.batches,
            started_at: work.started_at,
            messages: work.polled.messages.len(),
            durations: Durations {
                poll: work.poll,
                decode: facts.decode,
                sql: facts.sql,
                commit,
                total: work.taken_at.elapsed(),
            },
            interval: work.interval,
            partitions: partitions.collect(),
            outputs: self.outputs.iter().cloned().zip(facts.outputs).collect(),
            dead_letters: facts.dead_letters,
            views: facts.views,
        }
    }
}

impl Facts {
    fn of(commit: &Commit, views: Vec<ViewTiming>, decode: Duration, sql: Duration) -> Self {
        let rows = |batches: &Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).sum();
        Self {
            outputs: commit.outputs.iter().map(rows).collect(),
            dead_letters: commit.dead_letters.len(),
            views,
            decode,
            sql,
        }
    }
}

/// Finds the messages that a fault of data is about: halves, or a dead letter where one message is left.
fn narrow(work: Work, stage: Stage, error: &dyn DataFault) -> Vec<Work> {
    if work.polled.messages.len() > 1 {
        tracing::debug!("{} messages in two parts: {}", work.polled.messages.len(), error.reason());
        let (first, second) = work.polled.halves();
        let part = |polled| Work { polled, is_part: true, ..work.clone() };
        return vec![part(first), part(second)];
    }
    let reason = Reason { stage, place: error.place(), text: error.reason() };
    vec![Work { condemned: Some(reason), is_part: true, ..work }]
}

/// What a fault of data says about itself in a dead letter.
trait DataFault {
    /// Where it happened: a file, or `table.column`.
    fn place(&self) -> String;
    fn reason(&self) -> String;
}

impl DataFault for SqlError {
    fn place(&self) -> String {
        self.file().to_owned()
    }

    fn reason(&self) -> String {
        self.message().to_owned()
    }
}

impl DataFault for SinkError {
    fn place(&self) -> String {
        self.place()
    }

    fn reason(&self) -> String {
        self.reason()
    }
}

/// Returns when the commit that is on its way has ended; never, where none is.
async fn finished(in_flight: Option<&mut InFlight>) {
    match in_flight {
        Some(in_flight) if in_flight.result.is_none() => {
            in_flight.result = Some((&mut in_flight.task).await);
        }
        Some(_) => {}
        None => std::future::pending().await,
    }
}

fn bounds_of<'a>(partition: &TopicPartition, bounds: &'a [Bounds]) -> Result<&'a Bounds, EngineError> {
    bounds.iter().find(|bounds| bounds.partition == *partition).ok_or_else(|| {
        SourceError::Broken(format!("the broker says nothing about the offsets of {partition}")).into()
    })
}
