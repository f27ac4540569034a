//! What can be wrong with a reference table, and whose fault it is.

use std::fmt;

use crate::batch::Fault;

/// A fault of one reference table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TableError {
    pub(super) table: String,
    pub(super) fault: Fault,
    /// The file and the line in it, where the table comes from a file.
    pub(super) place: Option<String>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
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

    pub(super) fn other(table: &str, message: impl Into<String>) -> Self {
        let table = table.to_owned();
        Self { table, fault: Fault::Other, place: None, message: message.into(), hint: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "error: reference table `{}`: {}", self.table, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
