//! Rows as written -> Arrow: those of reference tables and of state before. What a column's type cannot hold exactly is
//! a fault.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;

use super::messages::{BYTES_EXPECTED, bytes_of};
use super::number;
use super::suite::{Row, named_columns};
use crate::database::json;
use crate::moment::moment;
use crate::yaml::{Fault, Node, Value, boolean, is_number};

/// The rows in these columns. A column of which a row says nothing is NULL there.
///
/// # Errors
/// Columns that are not there, and values that the columns cannot hold.
pub(super) fn batch(table: &str, rows: &[Row], schema: &SchemaRef) -> Result<RecordBatch, Vec<Fault>> {
    let mut faults = Vec::new();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        if schema.index_of(&cell.column).is_err() {
            let message = format!("no column `{}` in `{table}`", cell.column);
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            faults.push(Fault::new(cell.spot, message).or_one_of(&cell.column, names.into_iter()));
        }
    }
    let mut columns = Vec::new();
    for field in schema.fields() {
        let values: Vec<Option<&Node>> = rows
            .iter()
            .map(|row| row.cells.iter().find(|cell| cell.column == *field.name()).map(|cell| &cell.value))
            .collect();
        match column(table, field, &values) {
            Ok(column) => columns.push(column),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| vec![Fault::new(rows.first().map(|row| row.spot), format!("{table}: {error}"))])
}

/// The columns that rows seem to have, where nothing else says it: those of a table in the database.
pub(super) fn columns<'r>(rows: impl Iterator<Item = &'r Row> + Clone) -> SchemaRef {
    let fields = named_columns(rows.clone()).into_iter().map(|name| {
        let cells = rows.clone().flat_map(|row| &row.cells).filter(|cell| cell.column == name);
        let values: Vec<&Node> = cells.map(|cell| &cell.value).filter(|node| !node.is_null()).collect();
        Field::new(name, seeming(&values), true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The narrowest type that all values seem to have.
fn seeming(values: &[&Node]) -> DataType {
    let all = |is: &dyn Fn(&str, bool) -> bool| {
        !values.is_empty()
            && values.iter().all(|node| match &node.value {
                Value::Scalar { text, is_plain, .. } => is(text, *is_plain),
                _ => false,
            })
    };
    let has_zone = |text: &str| text.ends_with('Z') || text[10..].contains(['+', '-']);
    if all(&|text, is_plain| is_plain && is_number(text) && text.parse::<i64>().is_ok()) {
        DataType::Int64
    } else if all(&|text, is_plain| is_plain && is_number(text)) {
        DataType::Float64
    } else if all(&|text, is_plain| is_plain && boolean(text).is_some()) {
        DataType::Boolean
    } else if all(&|text, _| text.len() == 10 && moment(text).is_some()) {
        DataType::Date32
    } else if all(&|text, _| text.len() > 10 && moment(text).is_some()) {
        let is_utc = all(&|text, _| has_zone(text));
        DataType::Timestamp(TimeUnit::Microsecond, is_utc.then(|| "+00:00".into()))
    } else {
        DataType::Utf8
    }
}

fn column(table: &str, field: &Arc<Field>, values: &[Option<&Node>]) -> Result<ArrayRef, Fault> {
    let kind = field.data_type();
    if values.iter().all(Option::is_none) {
        return Ok(new_null_array(kind, values.len()));
    }
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(values.len());
    for value in values {
        let Some(node) = value.filter(|node| !node.is_null()) else {
            arrays.push(new_null_array(kind, 1));
            continue;
        };
        let wrong = |expected: &str| {
            let message = format!("{table}.{}: found {}, expected {expected}", field.name(), node.found());
            Fault::new(node.spot, message)
        };
        let expected = expected(kind);
        let text = json_of(node, kind).ok_or_else(|| wrong(&expected))?;
        arrays.push(read(&text, kind).filter(|array| is_exact(node, array)).ok_or_else(|| wrong(&expected))?);
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    arrow::compute::concat(&arrays)
        .map_err(|error| Fault::new(None, format!("{table}.{}: {error}", field.name())))
}

/// One value, read as JSON.
fn read(text: &str, kind: &DataType) -> Option<ArrayRef> {
    let schema = Arc::new(Schema::new(vec![Field::new("value", kind.clone(), true)]));
    let line = format!("{{\"value\":{text}}}");
    let mut reader = ReaderBuilder::new(schema).build(line.as_bytes()).ok()?;
    let batch = reader.next()?.ok()?;
    (batch.num_rows() == 1 && batch.column(0).is_valid(0)).then(|| Arc::clone(batch.column(0)))
}

/// Whether a number is what was written: readers cut digits.
fn is_exact(node: &Node, array: &ArrayRef) -> bool {
    let kind = array.data_type();
    let is_counted = kind.is_integer()
        || matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..))
        || matches!(kind, DataType::Decimal32(..) | DataType::Decimal64(..));
    if !is_counted {
        return true;
    }
    let mut text = String::new();
    json::write(&mut text, array, 0).is_ok()
        && node.text().is_some_and(|written| number::are_equal(written, &text))
}

/// A value as the JSON that a column of this type is read from.
fn json_of(node: &Node, kind: &DataType) -> Option<String> {
    use DataType as A;
    let mut text = String::new();
    match (&node.value, kind) {
        (Value::Null, _) => text.push_str("null"),
        (_, A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_)) => {
            // Arrow reads binary as hexadecimal digits.
            let digits: String = bytes_of(node)?.iter().map(|byte| format!("{byte:02x}")).collect();
            json::string(&mut text, &digits);
        }
        (Value::Scalar { text: written, .. }, A::Boolean) => {
            text.push_str(if boolean(written)? { "true" } else { "false" });
        }
        (Value::Scalar { text: written, .. }, A::Timestamp(_, zone)) => {
            let moment = moment(written)?;
            let written = match zone {
                Some(_) => moment.to_rfc3339(),
                None => moment.naive_utc().format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
            };
            json::string(&mut text, &written);
        }
        (Value::Scalar { text: written, .. }, kind) => match kind.is_numeric() {
            true if is_number(written) => {
                // JSON knows neither a plus nor zeros in front.
                text.push_str(&number::plain(written)?);
            }
            true if !kind.is_floating() => return None,
            _ => json::string(&mut text, written),
        },
        (Value::List(items), A::List(item) | A::LargeList(item) | A::FixedSizeList(item, _)) => {
            let items: Option<Vec<String>> =
                items.iter().map(|node| json_of(node, item.data_type())).collect();
            text = format!("[{}]", items?.join(","));
        }
        (Value::Map(entries), A::Struct(fields)) => {
            let entries: Option<Vec<String>> = entries
                .iter()
                .map(|(key, value)| member(key, value, fields.find(key.text()?)?.1.data_type()))
                .collect();
            text = format!("{{{}}}", entries?.join(","));
        }
        (Value::Map(entries), A::Map(entry, _)) => {
            let A::Struct(fields) = entry.data_type() else { return None };
            let kind = fields.get(1)?.data_type();
            let entries: Option<Vec<String>> =
                entries.iter().map(|(key, value)| member(key, value, kind)).collect();
            text = format!("{{{}}}", entries?.join(","));
        }
        _ => return None,
    }
    Some(text)
}

fn member(key: &Node, value: &Node, kind: &DataType) -> Option<String> {
    let mut text = String::new();
    json::string(&mut text, key.text()?);
    Some(format!("{text}:{}", json_of(value, kind)?))
}

/// What a person calls the values of a type.
fn expected(kind: &DataType) -> String {
    use DataType as A;
    match kind {
        A::Boolean => "true or false".into(),
        A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_) => BYTES_EXPECTED.into(),
        A::Utf8 | A::LargeUtf8 | A::Utf8View => "a text".into(),
        A::Date32 | A::Date64 => "a date, such as 2024-01-31".into(),
        A::Timestamp(_, Some(_)) => "a moment, such as 2024-01-31T10:00:00Z".into(),
        A::Timestamp(_, None) => "a date and time, such as 2024-01-31 10:00:00".into(),
        A::Decimal32(precision, scale)
        | A::Decimal64(precision, scale)
        | A::Decimal128(precision, scale)
        | A::Decimal256(precision, scale) => format!("a number that fits DECIMAL({precision},{scale})"),
        kind if kind.is_integer() => format!("a whole number ({kind})"),
        kind if kind.is_floating() => "a number".into(),
        kind => format!("a value of type {kind}"),
    }
}
