//! Bringing one commit to an end: committed, refused for good, or lost to another instance. Faults of the
//! server are waited out here, without forgetting that a COMMIT whose answer was lost may have happened.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::error::EngineError;
use super::retry::{Retry, SAME_ANSWERS_MAX, persist};
use super::stop::{Patience, Stop};
use super::turn::{Baton, Turn};
use super::work::Reason;
use crate::batch::{Advance, Claim, Commit, Fault, SqlVersion, Tally, TopicPartition};
use crate::sink::{Committed, Outcome, Prepared, RefusedRow, Sink, SinkError, Tables};
use crate::telemetry::Server;

/// How a commit ended.
#[derive(Debug)]
pub(super) enum Ended {
    Committed {
        /// From its start to the answer to COMMIT.
        elapsed: Duration,
        /// Whether its rows were sent ahead: the server took those of the batch before as well.
        is_ahead: bool,
        /// Rows of state that were deleted for their age.
        expired: usize,
    },
    /// The database refuses something in it: messages are to blame. The rows that it refuses, if they were found.
    Refused(Reason, Vec<RefusedRow>),
    /// Another instance owns a partition of it now.
    Fenced,
    /// Another instance has written rows of this state table since they were read.
    Conflict(String),
    /// The server failed while the batch was computed in its transaction: nothing is written.
    Interrupted,
    /// The server gave the same answer to each try: smaller batches may pass. Nothing is written.
    InVain,
    /// Its rows were sent ahead in vain: nothing is written.
    GivenUp,
}

/// The sink, and the patience it is used with.
pub(super) struct Writer {
    sink: Sink,
    stop: Stop,
    /// Of batches that are computed in their transaction, over all tries.
    locked: Retry,
}

impl Writer {
    pub fn new(sink: Sink, stop: Stop) -> Self {
        Self { sink, stop, locked: Retry::default() }
    }

    /// A writer beside this one, whose connection is opened when it is first used.
    pub fn another(&self) -> Self {
        Self::new(self.sink.another(), self.stop.clone())
    }

    /// Writes the rows of another SQL from now on; no commit is in flight. Returns what prepares them.
    /// `to_fill`: what is not written before it is filled.
    pub fn change(&mut self, tables: Tables, sql: SqlVersion, to_fill: BTreeSet<String>) -> Tables {
        self.sink.change(tables, sql, to_fill);
        self.sink.tables().clone()
    }

    /// What is not written now, as of the last claim.
    pub fn waiting(&self) -> &BTreeSet<String> {
        self.sink.waiting()
    }

    /// Another instance may have written, with the partitions that this one claims, what is known to be stored.
    pub fn forget(&mut self) {
        self.sink.forget();
    }

    /// Commits once, however often that has to be tried, and tells the commit behind how it went.
    ///
    /// # Errors
    /// A fault that is neither data, nor infrastructure, nor the work of another instance; or the end of patience.
    pub async fn deliver(&mut self, prepared: &Prepared, baton: &mut Baton) -> Result<Ended, EngineError> {
        let started = Instant::now();
        let mut retry = Retry::default();
        loop {
            let tried = self.sink.commit(prepared).await;
            if tried.is_err() {
                baton.withdraw();
            }
            if let Some(ended) = self.ended(tried, prepared, started, &mut retry).await? {
                if let Ended::Committed { .. } = ended {
                    baton.pass();
                    retry.succeeded("database", &self.stop);
                }
                return Ok(ended);
            }
            if is_in_vain(&mut retry, prepared) {
                return Ok(Ended::InVain);
            }
        }
    }

    /// Sends the rows at once and commits when it is this batch's turn. It is tried once: where that fails for want of a
    /// server or of the turn, the batch has to be done again, behind the one before.
    ///
    /// # Errors
    /// As [`Writer::deliver`]; it is one only if the batch before is committed.
    pub async fn deliver_ahead(
        &mut self,
        prepared: &Prepared,
        turn: Turn,
        baton: &mut Baton,
    ) -> Result<Ended, EngineError> {
        let started = Instant::now();
        let tried = match self.sink.commit_ahead(prepared, turn.comes()).await {
            Ok(None) => return Ok(Ended::GivenUp),
            Ok(Some(sent)) => Ok(sent),
            Err(error) => {
                baton.withdraw();
                let is_unknown = matches!(error, SinkError::UnknownOutcome(_));
                if error.fault() == Fault::Infrastructure && !is_unknown {
                    tracing::debug!("rows that were sent ahead are rolled back: {error}");
                    return Ok(Ended::GivenUp);
                }
                Err(error)
            }
        };
        let ended = self.ended(tried, prepared, started, &mut Retry::default()).await?;
        let mut ended = ended.unwrap_or(Ended::GivenUp);
        if let Ended::Committed { is_ahead, .. } = &mut ended {
            *is_ahead = true;
            baton.pass();
        }
        Ok(ended)
    }

    /// Begins the transaction of a batch that is computed in it; how the batch has ended where that failed.
    ///
    /// # Errors
    /// As [`Writer::deliver`].
    pub async fn open(&mut self, advances: &[Advance]) -> Result<Option<Ended>, EngineError> {
        match self.sink.open(advances).await {
            Ok(()) => Ok(None),
            Err(error) => self.failed(error).await.map(Some),
        }
    }

    /// The sink, for reading in the transaction that is open.
    pub fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    /// Writes the batch of the transaction that is open, and commits.
    ///
    /// # Errors
    /// As [`Writer::deliver`].
    pub async fn finish(&mut self, prepared: &Prepared, started: Instant) -> Result<Ended, EngineError> {
        let tried = self.sink.finish(prepared).await;
        let mut retry = std::mem::take(&mut self.locked);
        let ended = self.ended(tried, prepared, started, &mut retry).await?;
        match &ended {
            Some(Ended::Committed { .. }) => retry.succeeded("database", &self.stop),
            _ => self.locked = retry,
        }
        Ok(match ended {
            Some(ended) => ended,
            None if is_in_vain(&mut self.locked, prepared) => Ended::InVain,
            None => Ended::Interrupted,
        })
    }

    /// Ends the transaction that is open: computing the batch failed.
    ///
    /// # Errors
    /// As [`Writer::deliver`].
    pub async fn abandon(&mut self, error: EngineError) -> Result<Ended, EngineError> {
        self.roll_back().await;
        match error {
            EngineError::Sink(error) => self.failed(error).await,
            error => {
                let reason = Reason::of(&error).ok_or(error)?;
                Ok(Ended::Refused(reason, Vec::new()))
            }
        }
    }

    /// Ends the transaction that is open.
    pub async fn roll_back(&mut self) {
        self.sink.abandon().await;
    }

    /// What one try came to; `None`: nothing was written, and another try is worth it.
    async fn ended(
        &mut self,
        tried: Result<Committed, SinkError>,
        prepared: &Prepared,
        started: Instant,
        retry: &mut Retry,
    ) -> Result<Option<Ended>, EngineError> {
        let committed = |expired| Ended::Committed { elapsed: started.elapsed(), is_ahead: false, expired };
        let error = match tried {
            Ok(sent) => return Ok(Some(committed(sent.expired))),
            Err(error) => error,
        };
        if error.fault() != Fault::Infrastructure {
            let is_searched = error.fault() == Fault::Data && !error.is_of_size() && prepared.is_searchable();
            return Ok(Some(match self.failed(error).await? {
                Ended::Refused(reason, _) if is_searched => {
                    let refused = self.sink.find_refused(prepared).await;
                    // The row has the values that the database did not take.
                    let reason = refused.first().map_or(reason, |row| Reason::refused(&row.error));
                    Ended::Refused(reason, refused)
                }
                ended => ended,
            }));
        }
        self.pause(retry, &error).await?;
        if !matches!(error, SinkError::UnknownOutcome(_)) {
            return Ok(None);
        }
        Ok(match self.outcome(&prepared.commit, retry).await? {
            Outcome::NotCommitted => None,
            Outcome::Committed => Some(committed(0)),
            Outcome::Fenced => {
                taken_over(&error);
                Some(Ended::Fenced)
            }
        })
    }

    /// What an error means for a batch; waits a little where the server is to blame.
    async fn failed(&mut self, error: SinkError) -> Result<Ended, EngineError> {
        match error {
            SinkError::Conflict { table } => Ok(Ended::Conflict(table)),
            error => match error.fault() {
                Fault::Data => Ok(Ended::Refused(Reason::refused(&error), Vec::new())),
                Fault::Fenced => {
                    match &error {
                        SinkError::Fenced { .. } => taken_over(&error),
                        error => tracing::warn!("{error}"),
                    }
                    Ok(Ended::Fenced)
                }
                Fault::Infrastructure => {
                    let mut retry = std::mem::take(&mut self.locked);
                    let paused = self.pause(&mut retry, &error).await;
                    self.locked = retry;
                    paused.map(|()| Ended::Interrupted)
                }
                Fault::Conflict | Fault::Other => Err(error.into()),
            },
        }
    }

    /// The result of a commit whose answer was lost.
    async fn outcome(&mut self, commit: &Commit, retry: &mut Retry) -> Result<Outcome, EngineError> {
        loop {
            match self.sink.outcome(&commit.advances).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) if error.fault() == Fault::Infrastructure => {
                    self.pause(retry, &error).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn pause(&mut self, retry: &mut Retry, error: &SinkError) -> Result<(), EngineError> {
        let found = error.found();
        if !error.is_unreachable() {
            retry.answered(&found);
        }
        match retry.pause("database", &found, &mut self.stop).await {
            Patience::Left => Ok(()),
            Patience::Over => Err(EngineError::gave_up(found)),
        }
    }

    /// What is stored of all partitions of the job, if the database answers now.
    ///
    /// # Errors
    /// A fault that is not infrastructure.
    pub async fn look(&mut self) -> Result<Option<Vec<Claim>>, EngineError> {
        match self.sink.progress().await {
            Ok(stored) => {
                self.stop.telemetry().works_again(Server::Database);
                Ok(Some(stored))
            }
            Err(error) if error.fault() == Fault::Infrastructure => {
                self.stop.telemetry().waits(Server::Database, &error.to_string());
                tracing::debug!("the database does not say what is stored for now: {error}");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is stored of all partitions of the job.
    ///
    /// # Errors
    /// A fault that is not infrastructure; or the end of patience.
    pub async fn progress(&mut self) -> Result<Vec<Claim>, EngineError> {
        let Self { sink, stop, .. } = self;
        persist("database", stop, async || sink.progress().await).await
    }

    /// The database's clock, in milliseconds since the epoch.
    ///
    /// # Errors
    /// A fault that is not infrastructure; or the end of patience.
    pub async fn clock_ms(&mut self) -> Result<i64, EngineError> {
        let Self { sink, stop, .. } = self;
        persist("database", stop, async || sink.clock_ms().await).await
    }

    /// Stores how many messages became dead letters, and moves nothing.
    ///
    /// # Errors
    /// A fault that is not infrastructure; or the end of patience.
    pub async fn store_tallies(
        &mut self,
        advances: &[Advance],
        tallies: &[Tally],
    ) -> Result<(), EngineError> {
        let Self { sink, stop, .. } = self;
        persist("database", stop, async || sink.store_tallies(advances, tallies).await).await
    }

    /// The stored offset of each partition, where there is one.
    pub async fn stored(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, EngineError> {
        let Self { sink, stop, .. } = self;
        persist("database", stop, async || sink.stored(partitions).await).await
    }

    /// Whether anything of this topic is stored for the job.
    pub async fn knows_topic(&mut self, topic: &str) -> Result<bool, EngineError> {
        let Self { sink, stop, .. } = self;
        persist("database", stop, async || sink.knows_topic(topic).await).await
    }

    /// Takes the partitions over: the instance that had them can write for them no more. Claiming again after
    /// a lost answer raises the epoch once more, which harms nobody.
    pub async fn claim(&mut self, starts: &[(TopicPartition, i64)]) -> Result<Vec<Claim>, EngineError> {
        let Self { sink, stop, .. } = self;
        persist("database", stop, async || sink.claim(starts).await).await
    }
}

fn taken_over(error: &SinkError) {
    tracing::warn!("another instance took partitions over: {error}");
}

/// Whether the server keeps giving the same answer to a batch that could be smaller. It is reported once.
fn is_in_vain(retry: &mut Retry, prepared: &Prepared) -> bool {
    if !retry.is_in_vain() {
        return false;
    }
    retry.begin_again();
    let advances: Vec<String> = prepared.commit.advances.iter().map(ToString::to_string).collect();
    let (batch, then) =
        (advances.join(", "), if prepared.is_divisible() { "smaller batches" } else { "again" });
    tracing::warn!("{batch}: the database gave the same answer {SAME_ANSWERS_MAX} times; trying {then}");
    prepared.is_divisible()
}
