//! What can be wrong with a reference or state table, and whose fault it is.

use std::fmt;

use crate::batch::Fault;
use crate::diagnostic::Finding;

/// A fault of one table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TableError {
    pub(super) table: String,
    pub(super) kind: TableKind,
    pub(super) fault: Fault,
    /// The file and the line in it, where the table comes from a file.
    pub(super) place: Option<String>,
    pub(super) found: Finding,
}

/// What kind of table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    Reference,
    State,
}

impl TableError {
    /// Infrastructure where the database is away; data where one batch's keys need more memory than there is
    /// (a smaller batch may fit); else other.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// What was found, without the table's name.
    pub fn found(&self) -> &Finding {
        &self.found
    }

    /// The table's kind and name: "reference table `accounts`".
    pub fn subject(&self) -> String {
        let kind = match self.kind {
            TableKind::Reference => "reference table",
            TableKind::State => "state table",
        };
        format!("{kind} `{}`", self.table)
    }

    /// The file and the line in it, where the table comes from a file.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    pub(super) fn other(table: &str, found: impl Into<Finding>) -> Self {
        let (table, kind) = (table.to_owned(), TableKind::Reference);
        Self { table, kind, fault: Fault::Other, place: None, found: found.into() }
    }

    /// As [`TableError::other`], of a state table.
    pub(crate) fn state(table: &str, found: impl Into<Finding>) -> Self {
        Self { kind: TableKind::State, ..Self::other(table, found) }
    }

    /// The keys of one batch need this many bytes, more than there is room for; those of a part may fit.
    pub(super) fn too_much(table: &str, bytes: usize) -> Self {
        let message =
            format!("the keys of one batch need {bytes} bytes, more than `memory_max` leaves for them");
        Self { fault: Fault::Data, ..Self::other(table, message) }
            .with_hint("a smaller `batch_rows_max` needs less")
    }

    /// As [`TableError::too_much`], of a state table.
    pub(super) fn too_much_state(table: &str, bytes: usize) -> Self {
        Self { kind: TableKind::State, ..Self::too_much(table, bytes) }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { found: self.found.with_hint(hint), ..self }
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "error: {}: {}", self.subject(), self.found)
    }
}
