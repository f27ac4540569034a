//! A fill: outputs and state tables computed from the topic up to the job's offsets, beside the job, which leaves them
//! out until then and continues with them from there.
//!
//! Invariant: a batch is one transaction, computed in it and fenced by the position of the fill, so a fill that is killed
//! continues where it was. The last one also locks the job's offsets: nothing lies between the two.
//!
//! Messages that wait among the job's dead letters are left to a replay, which brings them into all outputs. A message that
//! only the fill cannot process is a dead letter of the fill.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::batch_size::BatchSize;
use super::breaker::Breaker;
use super::error::EngineError;
use super::expiry::AHEAD_MS_MAX;
use super::reasons::Reasons;
use super::retry::{KAFKA, Retry, persist};
use super::schemas::Schemas;
use super::stages::Stages;
use super::stop::{Patience, Stop};
use super::targets::to_fill;
use super::work::{Reason, Work};
use crate::batch::{Advance, Claim, Fault, Limits, Messages, Polled, Stage, TopicPartition};
use crate::config::{Config, DeadLettersConfig};
use crate::decode::Decoder;
use crate::diagnostic::{Code, Diagnostic, Finding};
use crate::fault_point;
use crate::sink::{Begun, FillId, Sink, SinkError, Standing};
use crate::source::{Bounds, Browser, Range, SourceError, StartAt, first_ranges};
use crate::sql::Pipeline;
use crate::tables::{ReferenceTables, StateTables};

/// How long a fill that waits for the job sleeps between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What a fill is made of: a job that reads stretches of a topic.
pub struct FillParts {
    pub decoder: Decoder,
    pub tables: ReferenceTables,
    /// Those of the pipeline, as in [`super::JobParts`].
    pub states: StateTables,
    pub pipeline: Pipeline,
    pub sink: Sink,
    pub browser: Browser,
}

/// What drives a fill besides its parts.
#[derive(Clone, Debug)]
pub struct FillOptions {
    pub topics: Vec<String>,
    /// Where the fill begins.
    pub from: StartAt,
    /// The tables of the names.
    pub tables: Vec<String>,
    /// Whether their rows are deleted first.
    pub clears: bool,
    /// Of one batch.
    pub limits: Limits,
    /// Offsets that the last transaction moves over, at most: the job waits meanwhile.
    pub hand_over_max: i64,
    pub dead_letters: DeadLettersConfig,
}

/// How far a fill is.
#[derive(Clone, Debug, Default)]
pub struct FillReport {
    /// Offsets that this process has moved over.
    pub filled: i64,
    /// Offsets up to those of the job.
    pub behind: i64,
    /// Messages that the fill could not process.
    pub dead_letters: usize,
    /// Messages that wait among the dead letters of the job.
    pub left_to_replay: usize,
    /// It was asked to stop before it was done.
    pub is_stopped: bool,
}

/// A fill of names that belong together.
pub struct Filler {
    id: FillId,
    stages: Stages,
    sink: Sink,
    browser: Arc<Browser>,
    options: FillOptions,
    /// How far it is.
    positions: Vec<Claim>,
    has_begun: bool,
    breaker: Breaker,
    batch_size: BatchSize,
    retry: Retry,
    stop: Stop,
    is_waiting_said: bool,
    report: FillReport,
}

impl Filler {
    pub fn new(id: FillId, parts: FillParts, options: FillOptions, stop: Stop) -> Self {
        let FillParts { decoder, tables, states, mut pipeline, sink, browser } = parts;
        let others = &pipeline.written() - &id.names;
        pipeline.leave_out(&others);
        Self {
            id,
            stages: Stages::new(decoder, tables, states, pipeline, stop.clone()),
            sink,
            browser: Arc::new(browser),
            positions: Vec::new(),
            has_begun: false,
            breaker: Breaker::new(options.dead_letters),
            options,
            batch_size: BatchSize::default(),
            retry: Retry::default(),
            stop,
            is_waiting_said: false,
            report: FillReport::default(),
        }
    }

    /// Decodes messages by the schemas of a registry.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Option<Schemas>) -> Self {
        self.stages.schemas = schemas;
        self
    }

    /// Fills up to the job's offsets, and hands over. `report` sees how far it is after each batch.
    ///
    /// # Errors
    /// A fault that is neither data nor infrastructure; called again, the fill continues where it was.
    pub async fn run(self, report: &mut dyn FnMut(&FillReport)) -> Result<FillReport, EngineError> {
        let hides = self.stages.pipeline.masks().is_on();
        self.fill(report).await.map_err(|error| error.shown_by(hides))
    }

    async fn fill(mut self, report: &mut dyn FnMut(&FillReport)) -> Result<FillReport, EngineError> {
        loop {
            let error = match self.go_on(report).await {
                Ok(()) => return Ok(self.report),
                Err(EngineError::Sink(error)) => error,
                Err(error) => return Err(error),
            };
            match error.fault() {
                _ if matches!(error, SinkError::Fenced { .. }) => {
                    let message = "another `fill` of these names has taken over; this one ends";
                    return Err(EngineError::Fill(message.into()));
                }
                // Why all of it again: a COMMIT whose answer was lost shows in what is stored.
                Fault::Infrastructure | Fault::Conflict | Fault::Fenced => {
                    if self.retry.pause("database", &error.found(), &mut self.stop).await == Patience::Over {
                        return Err(EngineError::gave_up(error.found()));
                    }
                }
                Fault::Data | Fault::Other => return Err(error.into()),
            }
        }
    }

    /// Begins, or begins again after a fault, and goes on to the end.
    async fn go_on(&mut self, report: &mut dyn FnMut(&FillReport)) -> Result<(), EngineError> {
        if self.has_begun && self.sink.is_filled(&self.id).await? {
            return Ok(());
        }
        self.stages.states.forget();
        if self.standings().await?.is_empty() {
            return Err(EngineError::Fill(nothing_to_fill(&self.id.job)));
        }
        let FillOptions { tables, clears, .. } = &self.options;
        let begun = self.sink.begin_fill(&self.id, tables, *clears).await?;
        if begun == Begun::Again && !self.has_begun {
            tracing::info!("continuing a fill that was begun before");
        }
        fault_point::reach("fill begun", "").await;
        self.claim().await?;
        self.has_begun = true;
        // Why: what is there from now on is the fill's own.
        self.options.clears = false;
        while !self.stop.is_asked() {
            if self.round(report).await? {
                return Ok(());
            }
        }
        self.report.is_stopped = true;
        Ok(())
    }

    /// One batch, the last one, or a wait for the job; true where the names are handed over.
    async fn round(&mut self, report: &mut dyn FnMut(&FillReport)) -> Result<bool, EngineError> {
        let now_ms = self.sink.clock_ms().await?;
        self.stages.message_time_max_ms = Some(now_ms + AHEAD_MS_MAX);
        let standings = self.standings().await?;
        if standings.iter().any(|standing| self.position(&standing.partition).is_none()) {
            self.claim().await?;
        }
        let behind = self.behind(&standings);
        let unaware = self.unaware(&standings);
        // What is not read at once cannot be handed over.
        let at_once = self.options.hand_over_max.min(self.rows_max() as i64);
        if behind > at_once || (behind > 0 && unaware.is_some()) {
            let work = self.read(&standings).await?;
            self.bring_to_its_end(work).await?;
            self.report.behind = self.behind(&standings);
            report(&self.report);
            return Ok(false);
        }
        if let Some(unaware) = unaware {
            if !std::mem::replace(&mut self.is_waiting_said, true) {
                let found = Finding::new(format!(
                    "filled up to the stored offsets; waiting for the job, which does not know yet of what is filled: {unaware}"
                ));
                tracing::info!(
                    "{}",
                    found
                        .with_hint("start the job with this configuration, or let it read it again (SIGHUP)")
                );
            }
            self.stop.sleep(LOOK_INTERVAL).await;
            return Ok(false);
        }
        let is_done = self.hand_over().await?;
        self.report.behind = if is_done { 0 } else { self.behind(&standings) };
        report(&self.report);
        Ok(is_done)
    }

    /// How many messages a batch has, at most.
    fn rows_max(&self) -> usize {
        self.options.limits.rows_max.min(self.batch_size.rows_max())
    }

    /// The last transaction: the job waits while the rest is computed. False if that is too much by now.
    async fn hand_over(&mut self) -> Result<bool, EngineError> {
        let standings = self.sink.open_hand_over(&self.id).await?;
        let standings = self.of_topics(standings);
        // Offsets of the job that were reset lie before those of the fill.
        let is_ahead = |standing: &Standing| {
            self.position(&standing.partition).is_none_or(|claim| claim.next_offset > standing.next_offset)
        };
        let is_early = self.unaware(&standings).is_some()
            || self.behind(&standings) > self.options.hand_over_max
            || standings.iter().any(is_ahead);
        if is_early {
            self.sink.abandon().await;
            self.stop.sleep(LOOK_INTERVAL).await;
            return Ok(false);
        }
        let work = match self.read(&standings).await {
            Ok(work) => work,
            Err(error) => {
                self.sink.abandon().await;
                return Err(error);
            }
        };
        let moved: i64 = work.polled.advances.iter().map(|advance| advance.to - advance.from).sum();
        if moved < self.behind(&standings) {
            self.sink.abandon().await;
            self.bring_to_its_end(work).await?;
            return Ok(false);
        }
        self.sink.fence(&work.polled.advances).await?;
        fault_point::reach("fill fenced", "").await;
        match self.write(&work, true).await {
            Ok(()) => Ok(true),
            Err(error) => {
                self.drop_batch().await;
                match Reason::of(&error) {
                    // The messages to blame are found in transactions of their own.
                    Some(_) => self.bring_to_its_end(work).await.map(|()| false),
                    None => Err(error),
                }
            }
        }
    }

    /// Brings a batch to its end, in parts where it has to be cut.
    async fn bring_to_its_end(&mut self, work: Work) -> Result<(), EngineError> {
        let mut backlog = VecDeque::from([work]);
        while let Some(work) = backlog.pop_front() {
            if self.stop.is_asked() || work.polled.advances.is_empty() {
                return Ok(());
            }
            let Err(error) = self.attempt(&work).await else { continue };
            self.drop_batch().await;
            let Some(reason) = Reason::of(&error) else { return Err(error) };
            let rows = work.polled.messages.len();
            if reason.is_of_size && rows > 1 {
                self.batch_size.failed(rows);
            }
            work.narrow(reason).into_iter().rev().for_each(|part| backlog.push_front(part));
        }
        Ok(())
    }

    /// One transaction.
    async fn attempt(&mut self, work: &Work) -> Result<(), EngineError> {
        self.stages.learn(&work.polled.messages).await?;
        self.sink.open(&work.polled.advances).await?;
        self.write(work, false).await
    }

    /// Computes a batch in the transaction that is open, and writes it.
    async fn write(&mut self, work: &Work, is_last: bool) -> Result<(), EngineError> {
        let Self { stages, sink, breaker, .. } = self;
        let waiting = sink.waiting_letters(&self.id.job, &work.polled.advances).await?;
        let work = &leaving_out(work, &waiting);
        let (mut commit, _) = stages.compute(work, Some(&mut *sink)).await?;
        let is_of_fill = |partition: &TopicPartition, offset| !waiting.contains(&(partition.clone(), offset));
        commit.dead_letters.retain(|letter| is_of_fill(&letter.partition, letter.offset));
        stages.decoder.tell_another_schema(work.polled.messages.len(), &mut commit.dead_letters);
        commit.tallies = breaker.weigh(&work.polled, &commit.dead_letters);
        breaker.judge(&work.polled, &commit)?;
        let (tallies, reasons) = (commit.tallies.clone(), Reasons::of(&commit.dead_letters));
        let dead_letters = commit.dead_letters.len();
        let prepared = sink.tables().prepare(commit)?;
        if is_last {
            sink.hand_over(&self.id).await?;
        }
        fault_point::reach("fill computed", "").await;
        sink.finish(&prepared).await?;
        stages.states.committed();
        breaker.committed(&work.polled, &tallies, reasons);
        std::mem::take(&mut self.retry).succeeded("database", &self.stop);
        self.batch_size.passed();
        self.report.dead_letters += dead_letters;
        self.report.left_to_replay += waiting.len();
        for advance in &work.polled.advances {
            self.report.filled += advance.to - advance.from;
            let position = self.positions.iter_mut().find(|claim| claim.partition == advance.partition);
            position.into_iter().for_each(|claim| claim.next_offset = advance.to);
        }
        Ok(())
    }

    /// Leaves nothing of a batch that failed.
    async fn drop_batch(&mut self) {
        self.sink.abandon().await;
        self.stages.states.forget();
    }

    /// Reads on, at most up to the job's offsets.
    async fn read(&mut self, standings: &[Standing]) -> Result<Work, EngineError> {
        let stretch = |standing: &Standing| {
            let Standing { partition, next_offset: high, .. } = standing;
            let from = self.position(partition)?.next_offset;
            Some((Bounds { partition: partition.clone(), low: from, high: (*high).max(from) }, from))
        };
        let stretches: Vec<(Bounds, i64)> = standings.iter().filter_map(stretch).collect();
        let ranges = first_ranges(&stretches, self.rows_max());
        let (browser, bytes_max) = (&self.browser, self.options.limits.bytes_max);
        let read = async || {
            let (browser, mut ranges) = (Arc::clone(browser), ranges.clone());
            blocking(move || {
                let messages = browser.read(&mut ranges, bytes_max, &AtomicBool::new(false))?;
                Ok((ranges, messages))
            })
            .await
        };
        let (ranges, messages) = persist(KAFKA, &mut self.stop, read).await?;
        Ok(self.work(&ranges, messages))
    }

    fn work(&self, ranges: &[Range], messages: Messages) -> Work {
        let mut times = BTreeMap::new();
        for message in messages.iter() {
            times.insert((Arc::clone(message.topic), message.partition), message.timestamp_ms);
        }
        let advance = |range: &Range| {
            let partition = range.partition.clone();
            let time = times.get(&(Arc::clone(&partition.topic), partition.partition));
            let (epoch, message_time_ms) = (self.position(&partition)?.epoch, time.copied().flatten());
            Some(Advance { partition, epoch, from: range.from, to: range.to, message_time_ms })
        };
        let advances = ranges.iter().filter(|range| !range.is_empty()).filter_map(advance).collect();
        Work::of(Polled { messages, advances })
    }

    /// Claims the positions of the fill; where there are none yet, they are at its beginning.
    async fn claim(&mut self) -> Result<(), EngineError> {
        let standings = self.standings().await?;
        let Self { browser, options: FillOptions { topics, from, .. }, stop, .. } = self;
        let found = persist(KAFKA, stop, async || first_offsets(browser, topics, *from).await).await?;
        let start = |standing: &Standing| {
            let Standing { partition, next_offset, .. } = standing;
            let first = found.iter().find(|(bounds, _)| bounds.partition == *partition);
            (partition.clone(), first.map_or(*next_offset, |(_, first)| (*first).min(*next_offset)))
        };
        let starts: Vec<_> = standings.iter().map(start).collect();
        self.positions = self.sink.claim_fill(&self.id, &starts).await?;
        self.breaker.claimed(&self.positions);
        Ok(())
    }

    async fn standings(&mut self) -> Result<Vec<Standing>, EngineError> {
        let standings = self.sink.standings(&self.id.job).await?;
        Ok(self.of_topics(standings))
    }

    /// A job that was given other topics keeps its offsets of the old ones.
    fn of_topics(&self, mut standings: Vec<Standing>) -> Vec<Standing> {
        let topics = &self.options.topics;
        standings.retain(|standing| topics.iter().any(|topic| **topic == *standing.partition.topic));
        standings
    }

    fn position(&self, partition: &TopicPartition) -> Option<&Claim> {
        self.positions.iter().find(|claim| claim.partition == *partition)
    }

    /// Offsets from here to those of the job.
    fn behind(&self, standings: &[Standing]) -> i64 {
        let of_one = |standing: &Standing| {
            let at = self.position(&standing.partition).map_or(0, |claim| claim.next_offset);
            (standing.next_offset - at).max(0)
        };
        standings.iter().map(of_one).sum()
    }

    /// A partition whose owner does not leave the names out.
    fn unaware(&self, standings: &[Standing]) -> Option<TopicPartition> {
        let unaware = standings.iter().find(|standing| !self.id.names.is_subset(&standing.waiting));
        unaware.map(|standing| standing.partition.clone())
    }
}

/// The same work, without the messages that wait among the dead letters of the job.
fn leaving_out(work: &Work, waiting: &BTreeSet<(TopicPartition, i64)>) -> Work {
    let mut work = work.clone();
    if waiting.is_empty() {
        return work;
    }
    for (place, message) in work.polled.messages.iter().enumerate() {
        let partition = TopicPartition { topic: Arc::clone(message.topic), partition: message.partition };
        if waiting.contains(&(partition, message.offset)) {
            let found = Finding::new("it waits among the dead letters");
            work.condemned.insert(place, Reason::new(Stage::Decode, String::new(), found));
        }
    }
    work
}

/// Where each partition of the topics begins and ends, and the offset that a fill begins at.
///
/// # Errors
/// As [`crate::source::TopicLookup::bounds`].
pub(super) async fn first_offsets(
    browser: &Arc<Browser>,
    topics: &[String],
    from: StartAt,
) -> Result<Vec<(Bounds, i64)>, SourceError> {
    let (browser, topics) = (Arc::clone(browser), topics.to_vec());
    blocking(move || {
        let mut found = Vec::new();
        for topic in &topics {
            let bounds = browser.lookup().bounds(topic)?;
            let firsts = from.offsets(browser.lookup(), &bounds)?;
            let first = |(bounds, first): (Bounds, i64)| {
                let first = first.clamp(bounds.low, bounds.high);
                (bounds, first)
            };
            found.extend(bounds.into_iter().zip(firsts).map(first));
        }
        Ok(found)
    })
    .await
}

/// Asks the client of Kafka, which blocks, on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let asked = tokio::task::spawn_blocking(ask).await;
    asked.unwrap_or_else(|error| Err(SourceError::Broken(error.to_string().into())))
}

/// A job that has not started yet.
pub fn nothing_to_fill(job: &str) -> Finding {
    Finding::new(format!("the job `{job}` has stored no offset, so there is nothing to fill"))
        .with_hint("start the job first")
}

/// Why these names cannot be filled without others, if they cannot: what is computed from a state table is filled with it.
pub fn fill_together(pipeline: &Pipeline, names: &BTreeSet<String>) -> Option<Finding> {
    let split = pipeline.split_by(names);
    let (written, state) = split.first()?;
    let mut all: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    all.extend(split.iter().flat_map(|(written, state)| [written.as_str(), state.as_str()]));
    let all: Vec<&str> = all.into_iter().collect();
    let message =
        format!("`{written}` is computed from the state `{state}`: only together they see the rows of then");
    Some(Finding::new(message).with_hint(format!("`fill {}`", all.join(" "))))
}

/// What is computed from a state table that waits for its fill and does not wait itself, or waits and is computed from
/// one that does not.
///
/// # Errors
/// The database does not say what is filled.
pub async fn split_fills(pipeline: &Pipeline, config: &Config) -> Result<Vec<Diagnostic>, SinkError> {
    let waiting = Sink::look_waiting(&config.database, &config.job, &to_fill(config)).await?;
    let diagnostic = |(written, state): (String, String)| {
        let (message, hint) = match waiting.contains(&state) {
            true => (
                format!("`{written}` is computed from the state `{state}`, which is not filled yet"),
                format!(
                    "write `fill: true` for `{written}` too, or let it read `{state}` when that is filled"
                ),
            ),
            false => (
                format!(
                    "`{written}` waits for its fill, and the state `{state}` that it is computed from does not"
                ),
                format!("a fill of both sees the rows of then: write `fill: true` for `{state}` too"),
            ),
        };
        let is_state = config.state_tables.iter().any(|table| table.name == written);
        let place = config.file.place(&[if is_state { "state_tables" } else { "outputs" }, &written]);
        Diagnostic::error(Code::State, place, message).with_hint(hint)
    };
    Ok(pipeline.split_by(&waiting).into_iter().map(diagnostic).collect())
}
