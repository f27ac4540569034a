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

    /// The same, where values of messages must not be shown if `hides_values`: without what may quote one.
    #[must_use]
    pub(super) fn shown_by(self, hides_values: bool) -> Self {
        let what = match &self {
            _ if !hides_values => return self,
            Self::Tables(error) if error.fault() == Fault::Other => error.subject(),
            Self::Sink(error) if matches!(error.fault(), Fault::Other | Fault::Data) => {
                let code = error.code().map(|code| format!(" (the database's error {code})"));
                let place = error.place();
                let table = if place.is_empty() { String::new() } else { format!(" to `{place}`") };
                format!("a write{table}{}", code.unwrap_or_default())
            }
            Self::Sql(error) => error.place_of_row(),
            Self::Decode(_) => "a batch".to_owned(),
            _ => return self,
        };
        let message = format!("{what} failed; the reason may quote a `sensitive` field, so it is not shown");
        let hint = "to see the reason, run it without `sensitive` if nobody else sees the output";
        Self::Hidden(Finding::new(message).with_hint(hint))
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
    /// The reason is not shown.
    #[error("{0}")]
    Hidden(Finding),
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
