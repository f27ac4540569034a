//! Dead letters sent through the present SQL and state again, in the order of their offsets: what then has an answer
//! leaves, what fails again stays with the new reason.
//!
//! Invariant: a batch is one transaction, with the marks of its dead letters in it. It is computed in that transaction,
//! with the dead letters and the keys of its state locked, so a job that runs meanwhile, or another replay, loses
//! nothing: tables with versions conflict, and for those that follow the partitions the job is fenced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::batch_size::BatchSize;
use super::error::EngineError;
use super::expiry::AHEAD_MS_MAX;
use super::reasons::Reasons;
use super::retry::{Retry, persist};
use super::schemas::Schemas;
use super::stages::Stages;
use super::stop::{Patience, Stop};
use super::work::{Reason, Work};
use crate::batch::{
    DeadLetter, FailedAgain, Fault, Limits, Messages, MessagesBuilder, Polled, Replayed, Stage,
    TopicPartition,
};
use crate::decode::Decoder;
use crate::sink::{
    Age, LetterCursor, LetterOrder, OpenedReplay, Prepared, Replaced, Selection, Sink, SinkError,
    StoredLetter, StoredLetters, Waiting,
};
use crate::sql::Pipeline;
use crate::tables::{ReferenceTables, StateTables};

/// What a replay is made of: a job without its source.
pub struct ReplayParts {
    pub decoder: Decoder,
    pub tables: ReferenceTables,
    /// Those of the pipeline, as in [`super::JobParts`].
    pub states: StateTables,
    pub pipeline: Pipeline,
    pub sink: Sink,
    pub letters: StoredLetters,
}

/// A replay of dead letters.
pub struct Replay {
    stages: Stages,
    sink: Sink,
    letters: StoredLetters,
    limits: Limits,
    batch_size: BatchSize,
    stop: Stop,
    reached_ms: Option<i64>,
    mode: Mode,
    reasons: Reasons,
    report: ReplayReport,
}

/// What becomes of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// They are computed, and nothing is written.
    Preview,
    /// They are brought in.
    Write,
    /// They are brought in, but for those with a row that would replace a newer one.
    SkipNewer,
}

/// The result of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Done,
    /// Nothing was written, as rows would replace newer ones.
    Newer,
}

/// The result so far.
#[derive(Clone, Debug, Default)]
pub struct ReplayReport {
    pub replayed: usize,
    pub failed: usize,
    /// Another replay was quicker, or they were deleted.
    pub gone: usize,
    /// They still wait, as they would replace newer rows.
    pub skipped: usize,
    /// Of a preview: the rows that would be replaced, for each table and age.
    pub replaced: Vec<Replaced>,
    /// The most frequent reasons of those that failed, a line each.
    pub reasons: Vec<String>,
    /// It was asked to stop before all were tried.
    pub is_stopped: bool,
}

/// The messages of a batch, and the dead letter that each comes from.
struct Page {
    messages: Messages,
    /// By offset: they are of one partition.
    named: BTreeMap<i64, Named>,
    /// The job, or the fill of it, that could not process them.
    owner: String,
    end: LetterCursor,
}

/// A dead letter as it was before.
struct Named {
    id: i64,
    stage: Stage,
    place: String,
    reason: String,
}

impl Replay {
    /// `limits`: what one batch may hold.
    pub fn new(parts: ReplayParts, limits: Limits, stop: Stop) -> Self {
        let ReplayParts { decoder, tables, states, pipeline, sink, letters } = parts;
        Self {
            stages: Stages::new(decoder, tables, states, pipeline, stop.clone()),
            sink,
            letters,
            limits,
            batch_size: BatchSize::default(),
            stop,
            reached_ms: None,
            mode: Mode::Write,
            reasons: Reasons::default(),
            report: ReplayReport::default(),
        }
    }

    /// Decodes messages by the schemas of a registry.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Option<Schemas>) -> Self {
        self.stages.schemas = schemas;
        self
    }

    /// Leaves out messages with a row that would replace one of which the table says that it is newer.
    #[must_use]
    pub fn skipping_newer(self) -> Self {
        Self { mode: Mode::SkipNewer, ..self }
    }

    /// Computes the dead letters that wait, of these, and counts the rows that their replay would replace though newer
    /// messages may have written them. Nothing is written. State is as it is now for all of them.
    ///
    /// # Errors
    /// As [`Replay::run`].
    pub async fn preview(&mut self, wanted: &Selection) -> Result<Vec<Replaced>, EngineError> {
        let mode = std::mem::replace(&mut self.mode, Mode::Preview);
        let previewed = self.go_through(wanted, &mut |_| {}).await;
        self.mode = mode;
        self.batch_size = BatchSize::default();
        let report = std::mem::take(&mut self.report);
        let hides = self.stages.pipeline.masks().is_on();
        previewed.map(|()| report.replaced).map_err(|error| error.shown_by(hides))
    }

    /// Replays the dead letters that wait, of these that are there by now. `report` sees how far it is after each batch.
    ///
    /// # Errors
    /// A fault that is neither data nor infrastructure; what was replayed before stays so.
    pub async fn run(
        mut self,
        wanted: &Selection,
        report: &mut dyn FnMut(&ReplayReport),
    ) -> Result<ReplayReport, EngineError> {
        let hides = self.stages.pipeline.masks().is_on();
        let ended = self.go_through(wanted, report).await;
        ended.map_err(|error| error.shown_by(hides))?;
        self.report.reasons = self.reasons.told();
        Ok(self.report)
    }

    async fn go_through(
        &mut self,
        wanted: &Selection,
        report: &mut dyn FnMut(&ReplayReport),
    ) -> Result<(), EngineError> {
        let Self { stages, sink, letters, stop, reached_ms, .. } = self;
        let progress = persist("database", stop, async || sink.progress().await).await?;
        *reached_ms = progress.iter().filter_map(|claim| claim.message_time_ms).max();
        let now_ms = persist("database", stop, async || sink.clock_ms().await).await?;
        stages.message_time_max_ms = Some(now_ms + AHEAD_MS_MAX);
        let all = Selection { is_replayed: Some(false), ..wanted.clone() };
        // Those that come in meanwhile are left to the next replay: this one ends.
        let id_max = persist("database", stop, async || letters.last_id(&all).await).await?;
        let all = Selection { id_max, ..all };
        let sources = persist("database", stop, async || letters.sources(&all).await).await?;
        for (owner, partition) in sources {
            let selection = Selection { owner: Some(owner), partition: Some(partition), ..all.clone() };
            self.partition(&selection, report).await?;
        }
        Ok(())
    }

    async fn partition(
        &mut self,
        selection: &Selection,
        report: &mut dyn FnMut(&ReplayReport),
    ) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            let Self { letters, stop, limits, .. } = self;
            let read = async || letters.page(selection, LetterOrder::Offset, after, *limits).await;
            let page = persist("database", stop, read).await?;
            let Some(page) = Page::of(page) else { return Ok(()) };
            if self.stop.is_asked() {
                self.report.is_stopped = true;
                return Ok(());
            }
            after = Some(page.end);
            self.page(&page).await?;
            report(&self.report);
        }
    }

    /// Brings a batch to its end, in parts where it has to be cut.
    async fn page(&mut self, page: &Page) -> Result<(), EngineError> {
        self.stages.learn(&page.messages).await?;
        let mut backlog = VecDeque::from([self.work(page)]);
        let mut retry = Retry::default();
        // The current part may be committed already: the answer was lost.
        let mut is_in_doubt = false;
        while let Some(work) = backlog.pop_front() {
            let error = match self.attempt(&work, page, is_in_doubt).await {
                Ok(attempt) => {
                    is_in_doubt = false;
                    std::mem::take(&mut retry).succeeded("database", &self.stop);
                    match attempt {
                        Attempt::Done => {}
                        Attempt::Newer if work.polled.messages.len() > 1 => {
                            work.halves().into_iter().rev().for_each(|part| backlog.push_front(part));
                        }
                        Attempt::Newer => self.report.skipped += 1,
                    }
                    continue;
                }
                Err(error) => error,
            };
            for part in self.parts(work, error, &mut retry, &mut is_in_doubt).await?.into_iter().rev() {
                backlog.push_front(part);
            }
        }
        Ok(())
    }

    /// What is to be done again after an error, in which parts.
    async fn parts(
        &mut self,
        work: Work,
        error: EngineError,
        retry: &mut Retry,
        is_in_doubt: &mut bool,
    ) -> Result<Vec<Work>, EngineError> {
        if let Some(reason) = Reason::of(&error) {
            let rows = work.polled.messages.len();
            if reason.is_of_size && rows > 1 {
                self.limits.rows_max = self.batch_size.failed(rows);
            }
            return Ok(work.narrow(reason));
        }
        let EngineError::Sink(error) = error else { return Err(error) };
        match error.fault() {
            Fault::Conflict | Fault::Infrastructure => {
                *is_in_doubt |= matches!(error, SinkError::UnknownOutcome(_));
                if retry.pause("database", &error.found(), &mut self.stop).await == Patience::Over {
                    return Err(EngineError::gave_up(error.found()));
                }
            }
            Fault::Data | Fault::Fenced | Fault::Other => return Err(error.into()),
        }
        Ok(vec![work.again()])
    }

    /// One transaction: locks what still waits, computes it, writes it and marks it.
    async fn attempt(&mut self, work: &Work, page: &Page, is_in_doubt: bool) -> Result<Attempt, EngineError> {
        // Nothing was locked between two transactions.
        self.stages.states.forget();
        let writes_state =
            self.mode != Mode::Preview && work.condemned.is_empty() && self.stages.states.follow_partitions();
        let fenced = if writes_state { page.partition() } else { None };
        let ids = page.ids(&work.polled.messages);
        let OpenedReplay { waiting, only } =
            self.sink.open_replay(&page.owner, &ids, fenced.as_slice()).await?;
        let pipeline = &mut self.stages.pipeline;
        match only {
            None => pipeline.leave_out(self.sink.waiting()),
            Some(names) => {
                let others = &pipeline.written() - &names;
                pipeline.leave_out(&others);
            }
        }
        let gone = ids.len() - waiting.len();
        if waiting.is_empty() {
            self.sink.abandon().await;
            self.left(gone, is_in_doubt);
            return Ok(Attempt::Done);
        }
        let work = page.waiting_part(work, &waiting);
        let (prepared, failed) = match self.prepared(&work, page, &waiting).await {
            Ok(prepared) => prepared,
            Err(error) => {
                self.sink.abandon().await;
                return Err(error);
            }
        };
        if self.mode != Mode::Write {
            let newest_ms = work.polled.messages.iter().filter_map(|message| message.timestamp_ms).max();
            let replaced = self.sink.replaced(&prepared.commit, newest_ms).await?;
            let is_newer = replaced.iter().any(|rows| rows.age == Age::Newer);
            if self.mode == Mode::Preview {
                self.sink.abandon().await;
                self.report.add_replaced(replaced);
                return Ok(Attempt::Done);
            }
            if is_newer {
                self.sink.abandon().await;
                return Ok(Attempt::Newer);
            }
        }
        self.sink.finish(&prepared).await?;
        self.left(gone, is_in_doubt);
        self.report.failed += failed.len();
        self.report.replayed += work.polled.messages.len() - failed.len();
        self.reasons.count(&failed);
        if let Some(rows_max) = self.batch_size.passed() {
            self.limits.rows_max = rows_max;
        }
        Ok(Attempt::Done)
    }

    /// The batch of the transaction that is open, ready to be written, and the messages that failed again.
    async fn prepared(
        &mut self,
        work: &Work,
        page: &Page,
        waiting: &Waiting,
    ) -> Result<(Prepared, Vec<DeadLetter>), EngineError> {
        let (mut commit, _) = self.stages.compute(work, Some(&mut self.sink)).await?;
        let failed = std::mem::take(&mut commit.dead_letters);
        commit.replayed = page.marks(&work.polled.messages, &failed, waiting);
        // Why: no position moves. The dead letters, locked in this transaction, hold the place of the messages.
        commit.extents.clear();
        Ok((self.sink.tables().prepare(commit)?, failed))
    }

    /// Dead letters do not wait any more: after a COMMIT without an answer, because it happened.
    fn left(&mut self, gone: usize, is_in_doubt: bool) {
        if is_in_doubt {
            self.report.replayed += gone;
        } else {
            self.report.gone += gone;
        }
    }

    fn work(&self, page: &Page) -> Work {
        let newest = page.messages.iter().filter_map(|message| message.timestamp_ms).max();
        let polled = Polled { messages: page.messages.clone(), advances: Vec::new() };
        // Why: rows of state are written now, as a `ttl` sees it, however old the message is.
        Work { reached_ms: newest.max(self.reached_ms), ..Work::of(polled) }
    }
}

impl ReplayReport {
    fn add_replaced(&mut self, replaced: Vec<Replaced>) {
        for found in replaced {
            let is_same = |known: &&mut Replaced| (&known.table, known.age) == (&found.table, found.age);
            match self.replaced.iter_mut().find(is_same) {
                Some(known) => known.rows += found.rows,
                None => self.replaced.push(found),
            }
        }
    }
}

impl Page {
    /// The messages of these dead letters, which are in the order of their offsets. It ends before a message that
    /// has the offset of another one: the topic was deleted and created again in between. `None` if there are none.
    fn of(stored: Vec<StoredLetter>) -> Option<Self> {
        let mut builder = MessagesBuilder::default();
        let mut named = BTreeMap::new();
        let mut end = None;
        let owner = stored.first()?.owner.clone();
        let mut before: Option<StoredLetter> = None;
        for stored in stored {
            if let Some(before) =
                before.as_ref().filter(|before| before.letter.offset == stored.letter.offset)
            {
                if !is_same_message(&before.letter, &stored.letter) {
                    break;
                }
                end = Some(stored.cursor());
                continue;
            }
            end = Some(stored.cursor());
            builder.push(stored.letter.message());
            named.insert(stored.letter.offset, Named::of(&stored));
            before = Some(stored);
        }
        Some(Self { messages: builder.finish(), named, owner, end: end? })
    }

    fn partition(&self) -> Option<TopicPartition> {
        let first = self.messages.iter().next()?;
        Some(TopicPartition { topic: first.topic.clone(), partition: first.partition })
    }

    fn ids(&self, messages: &Messages) -> Vec<i64> {
        let named = messages.iter().filter_map(|message| self.named.get(&message.offset));
        named.map(|named| named.id).collect()
    }

    /// The part of a work whose dead letters still wait.
    fn waiting_part(&self, work: &Work, waiting: &Waiting) -> Work {
        let waits =
            |offset: i64| self.named.get(&offset).is_some_and(|named| waiting.contains_key(&named.id));
        if work.polled.messages.iter().all(|message| waits(message.offset)) {
            return work.clone();
        }
        let mut builder = MessagesBuilder::default();
        work.polled.messages.iter().filter(|message| waits(message.offset)).for_each(|m| builder.push(m));
        Work { polled: Polled { messages: builder.finish(), advances: Vec::new() }, ..work.clone() }
    }

    /// What becomes of the dead letters of these messages.
    fn marks(&self, messages: &Messages, failed: &[DeadLetter], waiting: &Waiting) -> Replayed {
        let all_of = |offset: i64| {
            let named = self.named.get(&offset)?;
            Some((named, waiting.get(&named.id)?))
        };
        let has_failed: BTreeSet<i64> = failed.iter().map(|letter| letter.offset).collect();
        let done = messages.iter().filter(|message| !has_failed.contains(&message.offset));
        let ids = done.filter_map(|message| all_of(message.offset)).flat_map(|(_, ids)| ids.iter().copied());
        let failed = failed.iter().filter_map(|letter| {
            let (named, ids) = all_of(letter.offset)?;
            let is_known = (named.stage, &named.place) == (letter.stage, &letter.place)
                && named.reason == letter.reason.to_string();
            (!is_known).then(|| FailedAgain { ids: ids.clone(), letter: letter.clone() })
        });
        Replayed { owner: self.owner.clone(), ids: ids.collect(), failed: failed.collect() }
    }
}

impl Named {
    fn of(stored: &StoredLetter) -> Self {
        let DeadLetter { stage, place, reason, .. } = &stored.letter;
        Self { id: stored.id, stage: *stage, place: place.clone(), reason: reason.to_string() }
    }
}

fn is_same_message(a: &DeadLetter, b: &DeadLetter) -> bool {
    (a.timestamp_ms, &a.key, &a.payload) == (b.timestamp_ms, &b.key, &b.payload)
}
