//! Why a job ended before it was done.

use crate::batch::Fault;
use crate::decode::DecodeError;
use crate::diagnostic::{Finding, render};
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::sql::SqlError;
use crate::tables::TableError;

impl EngineError {
    /// The end of patience with a server, of which this was found last.
    pub(super) fn gave_up(found: impl Into<Finding>) -> Self {
        Self::GaveUp(found.into().with_further_hint(
            "the job was stopped while the server was unreachable; nothing was lost, and the next start resumes here",
        ))
    }

    /// Whether partitions or the server that they were claimed on are lost: everything computed is dropped, and the
    /// group is asked again.
    pub(super) fn is_fenced(&self) -> bool {
        let fault = match self {
            Self::Sink(error) => error.fault(),
            Self::Tables(error) => error.fault(),
            _ => return false,
        };
        fault == Fault::Fenced
    }
}

/// A fault that no retry and no dead letter answers. Everything committed before it stays.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Tables(#[from] TableError),
    #[error(transparent)]
    Sql(#[from] SqlError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Kafka does not have the messages that follow what is stored.
    #[error("{}", render(.0))]
    LostData(Vec<Finding>),
    /// Most of the last messages became dead letters.
    #[error("{0}")]
    TooManyDeadLetters(Finding),
    /// The schemas of messages cannot be had.
    #[error("{0}")]
    Schemas(Finding),
    /// A fill cannot go on.
    #[error("{0}")]
    Fill(Finding),
    /// The job was asked to stop while a server was away, and waited long enough.
    #[error("{0}")]
    GaveUp(Finding),
    /// The task that writes ended without an answer.
    #[error("the writer stopped: {0}")]
    Writer(String),
    /// The thread of a lane ended without an answer.
    #[error("a lane stopped: {0}")]
    Lane(String),
}
