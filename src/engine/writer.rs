//! Bringing one commit to an end: committed, refused for good, or lost to another instance. Faults of the
//! server are waited out here, without forgetting that a COMMIT whose answer was lost may have happened.

use std::time::{Duration, Instant};

use super::error::EngineError;
use super::retry::{Retry, persist};
use super::stop::{Patience, Stop};
use crate::batch::{Claim, Commit, Fault, TopicPartition};
use crate::sink::{Outcome, Sink, SinkError};

/// How a commit ended.
#[derive(Debug)]
pub(super) enum Ended {
    Committed {
        elapsed: Duration,
    },
    /// The database refuses something in it: messages are to blame.
    Refused(SinkError),
    /// Another instance owns a partition of it now.
    Fenced,
}

/// The sink, and the patience it is used with.
pub(super) struct Writer {
    sink: Sink,
    stop: Stop,
}

impl Writer {
    pub fn new(sink: Sink, stop: Stop) -> Self {
        Self { sink, stop }
    }

    /// Commits once, however often that has to be tried.
    ///
    /// # Errors
    /// A fault that is neither data, nor infrastructure, nor the fence; or the end of patience.
    pub async fn commit(&mut self, commit: &Commit) -> Result<Ended, EngineError> {
        let started = Instant::now();
        let mut retry = Retry::default();
        loop {
            let error = match self.sink.commit(commit).await {
                Ok(_) => {
                    retry.succeeded("database");
                    return Ok(Ended::Committed { elapsed: started.elapsed() });
                }
                Err(error) => error,
            };
            match error.fault() {
                Fault::Data => return Ok(Ended::Refused(error)),
                Fault::Fenced => return Ok(Ended::Fenced),
                Fault::Other => return Err(error.into()),
                Fault::Infrastructure => {
                    self.pause(&mut retry, &error).await?;
                    if matches!(error, SinkError::UnknownOutcome(_)) {
                        match self.outcome(commit, &mut retry).await? {
                            Outcome::NotCommitted => {}
                            Outcome::Committed => {
                                retry.succeeded("database");
                                return Ok(Ended::Committed { elapsed: started.elapsed() });
                            }
                            Outcome::Fenced => return Ok(Ended::Fenced),
                        }
                    }
                }
            }
        }
    }

    /// What became of a commit whose answer was lost.
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
        match retry.pause("database", error, &mut self.stop).await {
            Patience::Left => Ok(()),
            Patience::Over => Err(EngineError::GaveUp(error.to_string())),
        }
    }

    /// The stored offset of each partition, where there is one.
    pub async fn stored(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, EngineError> {
        let Self { sink, stop } = self;
        persist("database", stop, async || sink.stored(partitions).await).await
    }

    /// Whether anything of this topic is stored for the job.
    pub async fn knows_topic(&mut self, topic: &str) -> Result<bool, EngineError> {
        let Self { sink, stop } = self;
        persist("database", stop, async || sink.knows_topic(topic).await).await
    }

    /// Takes the partitions over: the instance that had them can write for them no more. Claiming again after
    /// a lost answer raises the epoch once more, which harms nobody.
    pub async fn claim(&mut self, starts: &[(TopicPartition, i64)]) -> Result<Vec<Claim>, EngineError> {
        let Self { sink, stop } = self;
        persist("database", stop, async || sink.claim(starts).await).await
    }
}
