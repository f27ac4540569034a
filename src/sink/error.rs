//! What can go wrong in the sink, and whose fault it is.

use std::fmt;

use arrow::error::ArrowError;

use crate::batch::{Extent, Fault, TopicPartition};
use crate::database::DatabaseError;
use crate::diagnostic::{Finding, render};

/// A table that is not as the output or state table needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFault {
    pub table: String,
    /// The column of the view or of the table that is to blame.
    pub column: Option<String>,
    pub found: Finding,
}

impl TableFault {
    pub(super) fn new(table: &str, found: impl Into<Finding>) -> Self {
        Self { table: table.to_owned(), column: None, found: found.into() }
    }

    /// As [`TableFault::new`], of one column.
    pub(super) fn of_column(table: &str, column: &str, found: impl Into<Finding>) -> Self {
        Self { column: Some(column.to_owned()), ..Self::new(table, found) }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { found: self.found.with_hint(hint), ..self }
    }

    /// Where it is: `table.column` or `table`.
    pub fn subject(&self) -> String {
        match &self.column {
            Some(column) => format!("{}.{column}", self.table),
            None => self.table.clone(),
        }
    }
}

impl fmt::Display for TableFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject(), self.found)
    }
}

/// A failure of the sink. The transaction it happened in was rolled back, but for [`SinkError::UnknownOutcome`].
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The tables are not as the outputs need them: all faults that were found. Configuration, exit 78.
    #[error("{}", render(.0))]
    Check(Vec<TableFault>),
    /// A value that a column cannot hold, found before any statement was sent.
    #[error("{place}: {reason}")]
    Data {
        /// `table.column`.
        place: String,
        reason: Finding,
    },
    /// The database refused a statement on this table.
    #[error("{table}: {error}")]
    Refused { table: String, error: DatabaseError },
    /// The database, or the way to it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another instance owns the partition.
    #[error(
        "{partition} is no longer at offset {expected} in epoch {epoch}: another instance of the job owns it"
    )]
    Fenced { partition: TopicPartition, expected: i64, epoch: i64 },
    /// The batch was computed from messages that none of its offset moves covers. The program is wrong, not the data.
    #[error("{}", uncovered(.0))]
    Uncovered(Extent),
    /// Another instance has written rows of a state table since they were read.
    #[error("{table}: another instance has written rows of it since they were read")]
    Conflict { table: String },
    /// COMMIT failed, or its answer was lost: [`super::Sink::outcome`] finds out what is stored.
    #[error("{UNKNOWN_OUTCOME}: {0}")]
    UnknownOutcome(DatabaseError),
    /// A new row of a state table was refused as a duplicate, and the database does not say of which table. Never leaves
    /// the sink: the table is asked whether it has the row.
    #[error("{table}: {error}")]
    DuplicateInDoubt { table: String, error: DatabaseError },
    /// LOAD DATA did not take every row as it is. Never leaves the sink: the batch is written by INSERT instead.
    #[error("{0}")]
    LoadInDoubt(String),
    /// The batch before is not committed. Never leaves the sink: rows that were sent ahead are rolled back.
    #[error("the batch before is not committed")]
    GivenUp,
    /// The views gave rows that cannot be written, whatever the data: two rows for one key, another schema.
    #[error("{0}")]
    Sql(Finding),
}

/// Rows that Arrow cannot put together: the program is wrong, not the data.
impl From<ArrowError> for SinkError {
    fn from(error: ArrowError) -> Self {
        Self::Sql(error.to_string().into())
    }
}

const UNKNOWN_OUTCOME: &str = "the outcome of COMMIT is not known";

fn uncovered(Extent { partition, first, last }: &Extent) -> Finding {
    let message = format!(
        "{partition}: the batch holds the offsets {first} to {last}, and moves no position over them, so nothing of it is written"
    );
    Finding::new(message).with_hint(
        "this is a fault of the program, please report it; a restarted job continues from the stored offsets",
    )
}

impl SinkError {
    /// Whose fault it is. [`SinkError::UnknownOutcome`] is infrastructure, to be asked about before a retry.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Check(_)
            | Self::Sql(_)
            | Self::LoadInDoubt(_)
            | Self::DuplicateInDoubt { .. }
            | Self::GivenUp
            | Self::Uncovered(_) => Fault::Other,
            Self::Data { .. } => Fault::Data,
            Self::Refused { error, .. } | Self::Database(error) => error.fault(),
            Self::Fenced { .. } => Fault::Fenced,
            Self::Conflict { .. } => Fault::Conflict,
            Self::UnknownOutcome(_) => Fault::Infrastructure,
        }
    }

    /// True if the transaction may be to blame as a whole, so that a smaller one passes.
    pub fn is_of_size(&self) -> bool {
        self.database().is_some_and(DatabaseError::is_of_size)
    }

    /// True if there was no connection, so the error says nothing about what was to be written.
    pub fn is_unreachable(&self) -> bool {
        self.database().is_some_and(DatabaseError::is_unreachable)
    }

    /// True if the connection must not be used again.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Self::UnknownOutcome(_)) || self.database().is_some_and(DatabaseError::ends_connection)
    }

    /// What the database, or the way to it, said.
    fn database(&self) -> Option<&DatabaseError> {
        match self {
            Self::Refused { error, .. } | Self::Database(error) | Self::UnknownOutcome(error) => Some(error),
            _ => None,
        }
    }

    /// The database's error code.
    pub fn code(&self) -> Option<i64> {
        self.database().and_then(DatabaseError::code)
    }

    /// Where it happened, for a dead letter: `table.column` or `table`.
    pub fn place(&self) -> String {
        match self {
            Self::Data { place, .. } => place.clone(),
            Self::Refused { table, error } => match error.column(table) {
                Some(column) => format!("{table}.{column}"),
                None => table.clone(),
            },
            _ => String::new(),
        }
    }

    /// Why, for a dead letter: without the place.
    pub fn reason(&self) -> Finding {
        match self {
            Self::Data { reason, .. } => reason.clone(),
            Self::Refused { error, .. } => error.found().clone(),
            other => other.found(),
        }
    }

    /// What went wrong and where, and what to do about it.
    pub fn found(&self) -> Finding {
        match self {
            Self::Data { place, reason } => reason.clone().within(place),
            Self::Refused { table, error } | Self::DuplicateInDoubt { table, error } => {
                error.found().clone().within(table)
            }
            Self::Database(error) => error.found().clone(),
            Self::UnknownOutcome(error) => error.found().clone().within(UNKNOWN_OUTCOME),
            Self::Sql(found) => found.clone(),
            Self::Uncovered(extent) => uncovered(extent),
            Self::Check(faults) => {
                Finding::joined(faults.iter().map(|fault| fault.found.clone().within(fault.subject())))
            }
            Self::Fenced { .. } | Self::Conflict { .. } | Self::LoadInDoubt(_) | Self::GivenUp => {
                Finding::new(self.to_string())
            }
        }
    }
}
