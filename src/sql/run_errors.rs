//! What is told when a view or a query fails while it runs: the kind of fault, the expression and its place where they are known,
//! and what to write so that one value does not stop a row.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};

use super::error::{SqlError, SqlErrorKind};
use super::sql_types::in_sql;
use super::{locate, upstream};
use crate::diagnostic::Finding;

/// What failed.
pub(super) struct Failed<'a> {
    /// `view` or `query`.
    pub(super) what: &'static str,
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    /// What the session may hold, in bytes.
    pub(super) memory_max: usize,
    /// What to do where that does not suffice.
    pub(super) memory_hint: &'static str,
}

impl Failed<'_> {
    pub(super) fn told(&self, error: &DataFusionError) -> SqlError {
        let root = error.find_root();
        let kind = kind(root);
        if kind == SqlErrorKind::MemoryExhausted {
            let (what, may_have) = (self.what, upstream::size(self.memory_max));
            let why = upstream::memory(&upstream::first_line(&upstream::said(root)));
            let message = format!("the {what} needs more memory than the {may_have} that it may have: {why}");
            return SqlError::of_kind(kind, self.file, message).with_hint(self.memory_hint);
        }
        let found = found(root);
        let place = locate::row_error(self.file, self.text, error, &found.message);
        SqlError::of_kind(kind, self.file, found).at(place)
    }
}

/// What may be held in a pool, in bytes.
pub(super) fn memory_max(pool: &dyn MemoryPool) -> usize {
    match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => bytes,
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    }
}

/// Why a view or query that was planned fails: of some row, or because a smaller batch is needed. A view that fails on every row
/// makes a dead letter of each message, and too many of them stop the job.
pub(super) fn kind(root: &DataFusionError) -> SqlErrorKind {
    match root {
        DataFusionError::ResourcesExhausted(_) => SqlErrorKind::MemoryExhausted,
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            // Texts of more than 2 GiB in one column, which a smaller batch does not have.
            ArrowError::OffsetOverflowError(_) | ArrowError::MemoryError(_) => SqlErrorKind::MemoryExhausted,
            _ => SqlErrorKind::Row,
        },
        _ => SqlErrorKind::Row,
    }
}

/// What was found, and what to do about it: in our own words, or the first line of what the engine says.
pub(super) fn found(root: &DataFusionError) -> Finding {
    own(root).cloned().unwrap_or_else(|| {
        let said = upstream::said(root);
        let message = in_sql(&upstream::lower_first(&upstream::first_line(&said)));
        Finding::new(message).with_hint_if_some(upstream::row_hint(&said).map(str::to_owned))
    })
}

/// What a table of ours or `raise_error` has found.
pub(super) fn own(root: &DataFusionError) -> Option<&Finding> {
    match root {
        DataFusionError::External(error) => error.downcast_ref(),
        _ => None,
    }
}
