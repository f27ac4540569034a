//! What the prompt could not do, and why: faults of the project as they are printed everywhere, or one finding.

use crate::database::DatabaseError;
use crate::diagnostic::{Finding, render};
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::sql::SqlError;
use crate::tables::TableError;

/// What could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Faults as they are printed, each with its place.
    #[error("{0}")]
    Faults(String),
    #[error("error: {0}")]
    Found(Finding),
}

impl Refusal {
    pub(super) fn found(found: impl Into<Finding>) -> Self {
        Self::Found(found.into())
    }

    /// An error that has no hint.
    pub(super) fn error(error: impl ToString) -> Self {
        Self::found(error.to_string())
    }
}

impl From<Vec<SqlError>> for Refusal {
    fn from(errors: Vec<SqlError>) -> Self {
        Self::Faults(render(&errors))
    }
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Self {
        Self::Faults(error.to_string())
    }
}

impl From<TableError> for Refusal {
    fn from(error: TableError) -> Self {
        Self::Faults(error.to_string())
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        Self::Found(error.found().clone())
    }
}

impl From<SinkError> for Refusal {
    fn from(error: SinkError) -> Self {
        Self::Found(error.found())
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        Self::Found(error.found().clone())
    }
}
