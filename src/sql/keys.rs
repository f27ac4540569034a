//! Where the keys of a keyed table come from: columns of the batch, of views or of other tables, checked once
//! to be comparable with the table's key, and gathered for every batch.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};

use super::TableSpec;
use super::error::SqlError;
use super::names;
use super::slot::Slot;
use crate::diagnostic::{Code, Place};

/// Where a message stood, which the keys of some state tables come with.
const PARTITION: [&str; 2] = ["kafka_topic", "kafka_partition"];

/// One alternative of a table's `matches`, resolved: one column for each column of the key, all of one relation; with
/// the messages' partition behind them where the table follows it.
#[derive(Debug)]
pub(super) struct KeySource {
    relation: Slot,
    columns: Vec<usize>,
}

/// Finds the columns that the key of a table with these columns is compared with.
///
/// # Errors
/// Every fault of the table's `key` and `matches`: unknown columns, types that cannot be equal, a key whose
/// columns come from different relations.
pub(super) fn resolve(
    table: &TableSpec,
    schema: &SchemaRef,
    slots: &BTreeMap<String, Slot>,
) -> Result<Vec<KeySource>, Vec<SqlError>> {
    let place = table.place.clone();
    let mut errors = Vec::new();
    let key_types = key_types(table, schema, &place, &mut errors);
    let mut sources = Vec::new();
    for alternative in &table.matches {
        if alternative.len() != table.key.len() {
            let message = format!(
                "the key of `{}` has {} columns, but {} match it",
                table.name,
                table.key.len(),
                alternative.len()
            );
            errors.push(SqlError::wrong(Code::Key, place.clone(), message));
            continue;
        }
        let Some(relation) = alternative.first().and_then(|first| slots.get(&first.relation)) else {
            continue;
        };
        if alternative.iter().any(|part| part.relation != alternative[0].relation) {
            let message = format!("the parts of the key of `{}` come from different relations", table.name);
            let error = SqlError::wrong(Code::Key, place.clone(), message);
            errors.push(error.with_hint("bring them together in a view, and match `view.column`"));
            continue;
        }
        let mut columns = Vec::new();
        for (part, (key, key_type)) in alternative.iter().zip(table.key.iter().zip(&key_types)) {
            let schema = relation.schema();
            let Ok(index) = schema.index_of(&part.column) else {
                let message = format!(
                    "`{}` matches `{}.{}`, but `{}` has no such column",
                    table.name, part.relation, part.column, part.relation
                );
                let known = schema.fields().iter().map(|field| field.name().as_str());
                let error = SqlError::wrong(Code::Key, place.clone(), message);
                errors.push(error.with_hint_if_some(names::hint(&part.column, known)));
                continue;
            };
            let found = schema.field(index).data_type();
            if let Some(key_type) = key_type
                && !can_be_equal(key_type, found)
            {
                let message = format!(
                    "`{}.{key}` is {key_type} and `{}.{}` is {found}: they cannot be compared as keys",
                    table.name, part.relation, part.column
                );
                let hint =
                    format!("CAST one to the other's type in a view, and match `view.{}`", part.column);
                errors.push(SqlError::wrong(Code::Key, place.clone(), message).with_hint(hint));
            }
            columns.push(index);
        }
        if table.state.as_ref().is_some_and(|state| state.follows_partition) {
            match PARTITION.map(|column| relation.schema().index_of(column)) {
                [Ok(topic), Ok(partition)] => columns.extend([topic, partition]),
                _ => {
                    let message = format!(
                        "`{}` follows the partitions of the messages, but `{}` has no `{}` and `{}`",
                        table.name, alternative[0].relation, PARTITION[0], PARTITION[1]
                    );
                    let error = SqlError::wrong(Code::Key, place.clone(), message);
                    errors.push(error.with_hint("take these columns of `batch` over into the view"));
                }
            }
        }
        sources.push(KeySource { relation: relation.clone(), columns });
    }
    if errors.is_empty() { Ok(sources) } else { Err(errors) }
}

/// The keys of the current batch: for each source and each part of its rows, the key's columns.
pub(super) fn collect(sources: &[KeySource]) -> Result<Vec<RecordBatch>, SqlError> {
    let mut keys = Vec::new();
    for source in sources {
        for rows in source.relation.rows() {
            let projected = rows.project(&source.columns);
            keys.push(projected.map_err(|error| SqlError::internal(error.to_string()))?);
        }
    }
    Ok(keys)
}

fn key_types(
    table: &TableSpec,
    schema: &SchemaRef,
    place: &Place,
    errors: &mut Vec<SqlError>,
) -> Vec<Option<DataType>> {
    let mut types = Vec::new();
    for column in &table.key {
        let found = schema.field_with_name(column).ok().map(|field| field.data_type().clone());
        if found.is_none() {
            let message = format!("the key of `{}` has no column `{column}`", table.name);
            let known = schema.fields().iter().map(|field| field.name().as_str());
            let error = SqlError::wrong(Code::Key, place.clone(), message);
            errors.push(error.with_hint_if_some(names::hint(column, known)));
        }
        types.push(found);
    }
    types
}

/// Whether values of two types can be equal, so that a lookup finds what a join would.
fn can_be_equal(key: &DataType, other: &DataType) -> bool {
    let family = |data_type: &DataType| match data_type {
        integer if integer.is_integer() => Some(0),
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Some(0),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(1),
        DataType::Dictionary(_, values) if values.is_string() => Some(1),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Some(2)
        }
        DataType::Boolean => Some(3),
        DataType::Date32 | DataType::Date64 => Some(4),
        DataType::Timestamp(..) => Some(5),
        // Floats are no keys: what looks equal often is not.
        _ => None,
    };
    family(key).is_some() && family(key) == family(other)
}
