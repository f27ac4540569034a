//! The rows of the last batch: a few of one relation as JSON, or the messages as an Arrow IPC stream.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Schema, UInt8Type, UInt16Type,
    UInt32Type,
};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};

use super::Shared;
use super::json::time;
use crate::diagnostic::beginning;
use crate::mask::{emptied, masked};
use crate::nearest::did_you_mean;
use crate::print::cell;
use crate::telemetry::SAMPLE_ROWS;

/// Characters of one value that are shown.
const VALUE_CHARACTERS_MAX: usize = 2_000;
/// How long a caller that asks for the first time waits for a batch that is kept whole.
const WHOLE_WAIT_MAX: Duration = Duration::from_secs(2);
const WAIT_STEP: Duration = Duration::from_millis(25);

/// `/api/rows`: the last rows that a relation had in the last batch.
pub(super) fn last_rows(shared: &Shared, name: &str) -> Result<Value, Value> {
    let standing = shared.job.standing();
    let Some(relation) = standing.relations.iter().find(|relation| &*relation.name == name) else {
        let names = standing.relations.iter().map(|relation| &*relation.name);
        let hint = did_you_mean(name, names);
        return Err(json!({ "error": format!("no view or table `{name}`"), "hint": hint }));
    };
    let (schema, masks) = (Arc::clone(&relation.schema), relation.masks.clone());
    drop(standing);
    let kept = shared.job.kept();
    let batch = kept.batches().last().map(|batch| (vec![batch.rows.clone()], false));
    let found = kept.relations().iter().find(|kept| &*kept.name == name);
    // Why those of the rows: the rows may be of the SQL before.
    let masks = found.map_or(masks, |kept| kept.masks.to_vec());
    let found =
        found.map(|kept| (kept.rows.clone(), kept.is_cut)).or(batch.filter(|_| name == crate::sql::BATCH));
    let ended_at = kept.ended_at().map(time);
    drop(kept);
    let (rows, is_cut) = found.unwrap_or_default();
    let failed = |error: ArrowError| json!({ "error": error.to_string() });
    let rows = rows.iter().map(|rows| masked(rows, &masks)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut answer = table(&schema, &rows, SAMPLE_ROWS, Keep::Last).map_err(failed)?;
    if is_cut {
        answer["truncated"] = true.into();
    }
    answer["batch_ended_at"] = ended_at.into();
    Ok(answer)
}

/// Which rows of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    First,
    Last,
}

/// Columns and rows as JSON, at most `rows_max` rows.
pub(super) fn table(
    schema: &Schema,
    rows: &[RecordBatch],
    rows_max: usize,
    keep: Keep,
) -> Result<Value, ArrowError> {
    let columns = schema.fields().iter();
    let columns: Vec<Value> =
        columns.map(|field| json!({ "name": field.name(), "type": field.data_type().to_string() })).collect();
    let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
    let mut skipped = if keep == Keep::Last { count.saturating_sub(rows_max) } else { 0 };
    let mut shown = Vec::new();
    for batch in rows {
        let first = skipped.min(batch.num_rows());
        skipped -= first;
        let length = (batch.num_rows() - first).min(rows_max - shown.len());
        let values = batch.columns().iter().map(|column| values(column, first, length));
        let values: Vec<Vec<Value>> = values.collect::<Result<_, _>>()?;
        shown
            .extend((0..length).map(|row| Value::from_iter(values.iter().map(|column| column[row].clone()))));
    }
    Ok(json!({ "columns": columns, "rows": shown, "truncated": count > rows_max }))
}

/// Values of a column: numbers that JSON carries exactly as numbers, all others as text.
fn values(column: &ArrayRef, first: usize, length: usize) -> Result<Vec<Value>, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let value = |row: usize| -> Result<Value, ArrowError> {
        if cell::is_null(column, row) {
            return Ok(Value::Null);
        }
        Ok(match column.data_type() {
            DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
            DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
            DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
            DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
            DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
            DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
            // Why: what is no number in JSON becomes null, so it is text.
            DataType::Float32 if column.as_primitive::<Float32Type>().value(row).is_finite() => {
                column.as_primitive::<Float32Type>().value(row).into()
            }
            DataType::Float64 if column.as_primitive::<Float64Type>().value(row).is_finite() => {
                column.as_primitive::<Float64Type>().value(row).into()
            }
            DataType::Binary => bytes_text(column.as_binary::<i32>().value(row)).into(),
            _ => beginning(formatter.value(row).try_to_string()?, VALUE_CHARACTERS_MAX).into(),
        })
    };
    (first..first + length).map(value).collect()
}

/// Bytes that are text as text, such as most keys of messages.
fn bytes_text(bytes: &[u8]) -> String {
    match crate::database::json::printable(bytes) {
        Some(text) => beginning(text.to_owned(), VALUE_CHARACTERS_MAX),
        None => {
            let mut text = String::new();
            crate::database::json::base64(&mut text, bytes);
            beginning(text, VALUE_CHARACTERS_MAX)
        }
    }
}

/// `/api/batch`: the messages of the last batches behind number `after`, as many as are kept, and the number of the last one.
/// The first caller waits a moment, since whole batches are kept only while somebody asks. Sensitive values are left out.
pub(super) async fn batch(shared: &Shared, after: u64) -> Result<(u64, Vec<u8>), String> {
    let (was_wanted, number) = {
        let mut kept = shared.job.kept();
        (kept.want(), kept.number())
    };
    let mut waited = Duration::ZERO;
    while !was_wanted && shared.job.kept().number() == number && waited < WHOLE_WAIT_MAX {
        tokio::time::sleep(WAIT_STEP).await;
        waited += WAIT_STEP;
    }
    let (number, rows) = {
        let kept = shared.job.kept();
        let rows = kept.batches().filter(|batch| batch.number > after).map(|batch| batch.rows.clone());
        (kept.number(), rows.collect::<Vec<_>>())
    };
    let (planned, masks) = {
        let standing = shared.job.standing();
        let batch = standing.relations.iter().find(|relation| &*relation.name == crate::sql::BATCH);
        let batch = batch.ok_or("the SQL is not planned yet")?;
        (Arc::clone(&batch.schema), batch.masks.clone())
    };
    let schema = rows.first().map_or(planned, RecordBatch::schema);
    let written = || -> Result<Vec<u8>, ArrowError> {
        let rows = emptied(&concat_batches(&schema, &rows)?, &masks)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
        writer.write(&rows)?;
        writer.finish()?;
        writer.into_inner()
    };
    Ok((number, written().map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use arrow::array::NullArray;

    use super::*;

    #[test]
    fn a_null_without_a_type_is_null() {
        let nulls: ArrayRef = Arc::new(NullArray::new(2));
        let rows = RecordBatch::try_from_iter([("a", nulls)]).expect("one column");
        let shown = table(&rows.schema(), std::slice::from_ref(&rows), 10, Keep::First).expect("it is shown");
        assert_eq!(shown["rows"], json!([[null], [null]]));
    }
}
