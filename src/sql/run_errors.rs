//! What is told when a view or a query fails while it runs: the kind of fault, the expression and its place where they are known,
//! and what to write so that one value does not stop a row.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::error::{SqlError, SqlErrorKind};
use super::locate;
use super::sql_types::in_sql;

/// What failed.
pub(super) struct Failed<'a> {
    /// `view` or `query`.
    pub(super) what: &'static str,
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    /// What to do where memory does not suffice.
    pub(super) memory_hint: &'static str,
}

impl Failed<'_> {
    pub(super) fn told(&self, error: &DataFusionError) -> SqlError {
        let root = error.find_root();
        let kind = kind(root);
        let said = said(root);
        if kind == SqlErrorKind::MemoryExhausted {
            let message =
                format!("the {} needs more memory than it may have: {}", self.what, first_line(&said));
            return SqlError::of_kind(kind, self.file, message).with_hint(self.memory_hint);
        }
        let (message, hint) = match said.split_once("\nhint: ") {
            Some((message, hint)) => (message, Some(hint.to_owned())),
            None => (first_line(&said), hint(&said).map(str::to_owned)),
        };
        SqlError::of_kind(kind, self.file, in_sql(&locate::lower_first(message)))
            .at(locate::row_error(self.file, self.text, error))
            .with_hint_if_some(hint)
    }
}

/// Tells faults of rows from faults of the SQL, by an allow-list: what is not on it stops the job.
pub(super) fn kind(root: &DataFusionError) -> SqlErrorKind {
    match root {
        DataFusionError::ResourcesExhausted(_) => SqlErrorKind::MemoryExhausted,
        DataFusionError::Execution(_) => SqlErrorKind::Row,
        DataFusionError::ExecutionJoin(join) if join.is_panic() => SqlErrorKind::Row,
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            // Texts of more than 2 GiB in one column, which a smaller batch does not have.
            ArrowError::OffsetOverflowError(_) | ArrowError::MemoryError(_) => SqlErrorKind::MemoryExhausted,
            ArrowError::CastError(_)
            | ArrowError::ParseError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::JsonError(_)
            | ArrowError::InvalidArgumentError(_) => SqlErrorKind::Row,
            _ => SqlErrorKind::Wrong,
        },
        _ => SqlErrorKind::Wrong,
    }
}

/// What an error says, without the kind that Arrow puts before it.
pub(super) fn said(root: &DataFusionError) -> String {
    match root {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::CastError(said)
            | ArrowError::ParseError(said)
            | ArrowError::ComputeError(said)
            | ArrowError::InvalidArgumentError(said) => said.clone(),
            other => other.to_string(),
        },
        other => other.message().into_owned(),
    }
}

pub(super) fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// What to write so that a value of this kind is NULL and not an error.
fn hint(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["divide by zero"]) {
        return Some("`x / nullif(y, 0)` is NULL where y is 0");
    }
    if says(&["using format"]) {
        return Some("`to_timestamp(x, format, another format)` tries several formats");
    }
    says(&["cannot cast", "can't cast", "error parsing timestamp", "unable to cast"])
        .then_some("`TRY_CAST(x AS type)` is NULL where x is no such value")
}
