//! What can be wrong with the rows of a state table, and what to do about it.

use arrow::error::ArrowError;

use super::{StateTableSpec, TableError};
use crate::batch::Fault;
use crate::database::DatabaseError;

pub(super) fn not_given(spec: &StateTableSpec, key: &str) -> TableError {
    let message = format!(
        "view `{}` computes a row for the key {key}, which does not occur among the keys of the batch",
        spec.view
    );
    TableError::state(&spec.name, message)
        .with_hint("a state view has one row for each key that `matches` finds in the batch, and no others")
}

pub(super) fn twins_given(spec: &StateTableSpec, key: &str) -> TableError {
    TableError::state(&spec.name, format!("two rows with the key {key}, but a key has one row"))
}

pub(super) fn twins(spec: &StateTableSpec, key: &str) -> TableError {
    let message = format!("view `{}` computes two rows for the key {key}, a key has one row", spec.view);
    TableError::state(&spec.name, message).with_hint("GROUP BY the key, or keep one row with row_number()")
}

pub(super) fn moved(
    spec: &StateTableSpec,
    key: &str,
    known: Option<(&str, i32)>,
    found: Option<(&str, i32)>,
) -> TableError {
    let text = |partition: Option<(&str, i32)>| {
        partition.map_or_else(|| "?".to_owned(), |(topic, number)| format!("{topic}[{number}]"))
    };
    let message = format!(
        "the key {key} comes by {}, its messages came by {} before, and `follows_partition` is true",
        text(found),
        text(known)
    );
    TableError::state(&spec.name, message).with_hint(
        "say `follows_partition: false`, which allows a key in several partitions; or key the messages by it",
    )
}

pub(super) fn arrow_error(spec: &StateTableSpec, error: &ArrowError) -> TableError {
    TableError::state(&spec.name, error.to_string())
}

pub(super) fn database_error(spec: &StateTableSpec, error: &DatabaseError) -> TableError {
    let fault = match error.fault() {
        // The keys of this batch are too much for one statement.
        Fault::Data if error.is_of_size() => Fault::Data,
        // A row that is read is nobody's message.
        Fault::Data => Fault::Other,
        fault => fault,
    };
    TableError { fault, ..TableError::state(&spec.name, error.found().clone()) }
}
