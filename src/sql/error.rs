//! What can be wrong with the views: a [`Diagnostic`], and what kind of fault it is, which decides what the engine does.

use std::fmt;

use crate::batch::Fault;
use crate::diagnostic::{Code, Diagnostic, Finding, Place};
use crate::mask::of_sql;

/// A fault of a view: found when it is read or planned, or met while it runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SqlError(Box<Details>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    kind: SqlErrorKind,
    diagnostic: Diagnostic,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlErrorKind {
    /// The SQL, or what it reads, is wrong: nothing can run until somebody edits a file.
    Wrong,
    /// The SQL failed on a row: a division by zero, a text that is no number, an overflow.
    Row,
    /// The batch needs more memory than the pool has; a smaller one may fit.
    MemoryExhausted,
}

/// What a rule of ours refuses while DataFusion plans. An error of DataFusion carries it.
#[derive(Debug, thiserror::Error)]
#[error("{}", found.message)]
pub(super) struct Refused {
    pub code: Code,
    pub found: Finding,
}

/// A fault, and the view or table that has it; no name if it is of none.
pub(super) type Blame = (String, SqlError);

impl SqlError {
    pub fn kind(&self) -> SqlErrorKind {
        self.0.kind
    }

    /// What the engine does about it. Memory that does not suffice counts as a fault of the data: the batch is
    /// cut in halves, and a message that alone needs too much becomes a dead letter.
    pub fn fault(&self) -> Fault {
        match self.0.kind {
            SqlErrorKind::Wrong => Fault::Other,
            SqlErrorKind::Row | SqlErrorKind::MemoryExhausted => Fault::Data,
        }
    }

    pub fn file(&self) -> &str {
        &self.0.diagnostic.place.file
    }

    /// For a dead letter's `place`: the file at fault, and the line and column where they are known: `sql/trades.sql:1:31`.
    pub fn place_of_row(&self) -> String {
        let Place { file, span } = &self.0.diagnostic.place;
        span.as_ref().map_or_else(|| file.clone(), |span| format!("{file}:{}:{}", span.line, span.column))
    }

    pub fn place(&self) -> &Place {
        &self.0.diagnostic.place
    }

    pub fn code(&self) -> Code {
        self.0.diagnostic.code
    }

    /// What was found and what was expected, without place and hint.
    pub fn message(&self) -> &str {
        &self.0.diagnostic.message
    }

    /// What was found, and what to do about it, without the place.
    pub fn found(&self) -> Finding {
        Finding::new(self.message()).with_hint_if_some(self.0.diagnostic.hint.clone())
    }

    /// The same, met while it ran, without what may quote a value.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        if self.kind() != SqlErrorKind::MemoryExhausted {
            let Finding { message, hint } = of_sql(&self.found());
            self.0.diagnostic.message = message;
            self.0.diagnostic.hint = hint;
        }
        self
    }

    pub fn hint(&self) -> Option<&str> {
        self.0.diagnostic.hint.as_deref()
    }

    pub(super) fn wrong(code: Code, place: Place, found: impl Into<Finding>) -> Self {
        Self::new(SqlErrorKind::Wrong, code, place, found)
    }

    /// Nothing that a person has written is to blame.
    pub(crate) fn internal(found: impl Into<Finding>) -> Self {
        Self::wrong(Code::Sql, Place::default(), found)
    }

    pub(super) fn of_kind(kind: SqlErrorKind, file: &str, found: impl Into<Finding>) -> Self {
        Self::new(kind, Code::Sql, Place::of_file(file), found)
    }

    fn new(kind: SqlErrorKind, code: Code, place: Place, found: impl Into<Finding>) -> Self {
        Self(Box::new(Details { kind, diagnostic: Diagnostic::error(code, place, found) }))
    }

    /// With its place, where that is known.
    pub(super) fn at(mut self, place: Option<Place>) -> Self {
        if let Some(place) = place {
            self.0.diagnostic.place = place;
        }
        self
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.diagnostic.hint = Some(hint.into());
        self
    }

    pub(super) fn with_hint_if_some(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.0.diagnostic.hint = hint;
        }
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.diagnostic.fmt(f)
    }
}

impl From<SqlError> for Diagnostic {
    fn from(error: SqlError) -> Self {
        error.0.diagnostic
    }
}
