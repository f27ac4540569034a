//! A batch kept as a file, so that a colleague can look at the same rows: Arrow IPC (`.arrow`), or JSON lines
//! (`.jsonl`). CSV (`.csv`) is for other programs: it is not read again.
//!
//! What is read again equals what was kept, types, keys and headers too. JSON lines take the way of all messages: they
//! are encoded as Avro by the configured schema and decoded; a batch that would not come back the same is refused.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchReader};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef, TimestampMillisecondType};
use arrow::ipc::reader::FileReader;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::batch::{Batch, Origin, dead_letters_table, ranges_of};
use super::rows_file::{FileError, Kind, RowsFile, kind_of};
use crate::avro::{Encoder, KeyEncoder};
use crate::batch::{Headers, Message, MessagesBuilder};
use crate::config::{AvroConfig, KeyFormat};
use crate::database::json;
use crate::decode::{Decoder, KAFKA_COLUMNS, KEY_COLUMN};
use crate::diagnostic::Finding;

/// Keeps the rows of a batch.
///
/// # Errors
/// Another ending, a file that cannot be written, rows that JSON cannot carry exactly.
pub(super) fn save(batch: &RecordBatch, file: &Path, avro: &AvroConfig) -> Result<(), FileError> {
    let failed = |found: Finding| FileError::new(file, found);
    let text = match kind_of(file)? {
        Kind::Arrow | Kind::Csv => None,
        Kind::JsonLines => {
            let lost = || {
                Finding::new("JSON lines cannot carry these rows exactly")
                    .with_hint("keep them as Arrow: NAME.arrow")
            };
            let text = json_lines(batch, &avro.key).map_err(|_| failed(lost()))?;
            let again = parse_json_lines(&text, avro).map_err(|_| failed(lost()))?;
            if again.rows != *batch {
                return Err(failed(lost()));
            }
            Some(text)
        }
    };
    let mut written = RowsFile::create(file, &batch.schema())?;
    match text {
        Some(text) => written.write_text(&text)?,
        None => written.write(batch)?,
    }
    written.finish()
}

/// Reads a batch that was kept.
///
/// # Errors
/// An ending other than `.arrow` and `.jsonl`, a file that cannot be read, rows that are not of the configured schema.
pub(super) fn load(file: &Path, avro: &AvroConfig, schema: &SchemaRef) -> Result<Batch, FileError> {
    let failed = |error: String| FileError::new(file, error);
    let kind = kind_of(file)?;
    let opened = File::open(file).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let mut batch = match kind {
        Kind::Arrow => read_arrow(BufReader::new(opened), schema).map_err(failed)?,
        Kind::JsonLines => {
            let mut text = String::new();
            for line in BufReader::new(opened).lines() {
                text.push_str(&line.map_err(|error| failed(format!("cannot be read: {error}")))?);
                text.push('\n');
            }
            parse_json_lines(&text, avro).map_err(failed)?
        }
        Kind::Csv => {
            let found = Finding::new("CSV has no types, keys and headers, so it is no batch");
            return Err(FileError::new(file, found.with_hint("keep the batch as NAME.arrow or NAME.jsonl")));
        }
    };
    batch.origin = Origin::File(file.to_owned());
    Ok(batch)
}

fn read_arrow(file: BufReader<File>, schema: &SchemaRef) -> Result<Batch, String> {
    let reader = FileReader::try_new(file, None).map_err(|error| format!("is no Arrow file: {error}"))?;
    batch_of(reader, schema)
}

/// Decoded messages that come from elsewhere, as a batch with the columns of `schema`.
///
/// # Errors
/// Rows that cannot be read, or columns that are not those of the schema: what is wrong with them.
pub(super) fn batch_of(reader: impl RecordBatchReader, schema: &SchemaRef) -> Result<Batch, String> {
    let found = reader.schema();
    let batches: Result<Vec<RecordBatch>, _> = reader.collect();
    let batches = batches.map_err(|error| error.to_string())?;
    for field in found.fields() {
        match schema.field_with_name(field.name()) {
            Ok(known) if known.data_type() == field.data_type() => {}
            Ok(known) => {
                let key = if field.name() == KEY_COLUMN { "key_format" } else { "avro_schema" };
                return Err(format!(
                    "`{}` is {} in the file and {} by {key}",
                    field.name(),
                    field.data_type(),
                    known.data_type()
                ));
            }
            Err(_) => return Err(format!("has a column `{}` that avro_schema does not have", field.name())),
        }
    }
    let missing = schema.fields().iter().find(|field| found.field_with_name(field.name()).is_err());
    if let Some(field) = missing {
        return Err(format!("lacks the column `{}` of avro_schema", field.name()));
    }
    let places: Vec<usize> =
        schema.fields().iter().filter_map(|field| found.index_of(field.name()).ok()).collect();
    let mut taken = Vec::new();
    for batch in batches {
        let batch = batch.project(&places).map_err(|error| error.to_string())?;
        taken.push(
            RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()).map_err(|e| e.to_string())?,
        );
    }
    let rows = concat_batches(schema, &taken).map_err(|error| error.to_string())?;
    let mut builder = MessagesBuilder::default();
    for row in 0..rows.num_rows() {
        let place =
            MessagePlace::of(&rows, row).ok_or("has no kafka_topic, kafka_partition and kafka_offset")?;
        builder.push(place.message(None, &[]));
    }
    let dead_letters = dead_letters_table(&[]).map_err(|error| error.to_string())?;
    let ranges = ranges_of(&builder.finish());
    Ok(Batch { origin: Origin::Topic, ranges, rows, dead_letters })
}

/// Where a row's message stood.
struct MessagePlace {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
}

impl MessagePlace {
    fn of(rows: &RecordBatch, row: usize) -> Option<Self> {
        let column = |index: usize| rows.column_by_name(KAFKA_COLUMNS[index]);
        let times = column(3)?.as_primitive_opt::<TimestampMillisecondType>()?;
        Some(Self {
            topic: column(0)?.as_string_opt::<i32>()?.value(row).into(),
            partition: column(1)?.as_primitive_opt::<Int32Type>()?.value(row),
            offset: column(2)?.as_primitive_opt::<Int64Type>()?.value(row),
            timestamp_ms: times.is_valid(row).then(|| times.value(row)),
            // Why: a place needs no key.
            key: None,
        })
    }

    fn message<'a>(
        &'a self,
        payload: Option<&'a [u8]>,
        headers: &'a [(String, Option<Vec<u8>>)],
    ) -> Message<'a> {
        Message {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload,
            headers,
        }
    }
}

/// The rows as `consume` prints them, but that headers of one name twice are a list of pairs, and that decimals of many
/// digits are in quotes.
///
/// # Errors
/// A value that JSON does not have.
fn json_lines(batch: &RecordBatch, key_format: &KeyFormat) -> Result<String, json::JsonError> {
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        out.push('{');
        for (index, (field, column)) in batch.schema_ref().fields().iter().zip(batch.columns()).enumerate() {
            if index > 0 {
                out.push(',');
            }
            json::string(&mut out, field.name());
            out.push(':');
            let is_long = matches!(field.data_type(), DataType::Decimal128(..) | DataType::Decimal256(..));
            match column.as_map_opt() {
                Some(headers)
                    if field.name() == KAFKA_COLUMNS[5] && has_twins(headers.value(row).column(0)) =>
                {
                    headers_as_pairs(&mut out, &headers.value(row))?;
                }
                // Typed keys are written as fields are.
                _ if field.name() == KAFKA_COLUMNS[5]
                    || (field.name() == KEY_COLUMN && *key_format == KeyFormat::Bytes) =>
                {
                    json::write_bytes(&mut out, column, row)?;
                }
                _ if is_long && column.is_valid(row) => {
                    out.push('"');
                    json::write(&mut out, column, row)?;
                    out.push('"');
                }
                _ => json::write(&mut out, column, row)?,
            }
        }
        out.push_str("}\n");
    }
    Ok(out)
}

fn has_twins(names: &dyn Array) -> bool {
    let names = names.as_string::<i32>();
    (1..names.len()).any(|index| (0..index).any(|other| names.value(other) == names.value(index)))
}

fn headers_as_pairs(out: &mut String, headers: &arrow::array::StructArray) -> Result<(), json::JsonError> {
    out.push('[');
    for entry in 0..headers.len() {
        out.push_str(if entry > 0 { ",[" } else { "[" });
        json::write(out, headers.column(0), entry)?;
        out.push(',');
        json::write_bytes(out, headers.column(1), entry)?;
        out.push(']');
    }
    out.push(']');
    Ok(())
}

/// Encodes and decodes each line.
fn parse_json_lines(text: &str, avro: &AvroConfig) -> Result<Batch, String> {
    let own = avro.unframed();
    let encoder = Encoder::for_config(&own).map_err(|error| error.to_string())?;
    let keys = KeyEncoder::for_config(&own.key).map_err(|error| error.to_string())?;
    let mut decoder = Decoder::new(&own).map_err(|error| error.to_string())?;
    let key = |value: &Value| match own.key {
        KeyFormat::Bytes => bytes(value),
        _ => keys.encode(&value.into()).ok().flatten(),
    };
    let mut builder = MessagesBuilder::default();
    let mut payload = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at_line = |error: String| format!("line {}: {error}", index + 1);
        let mut record: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| at_line(format!("is no JSON object: {error}")))?;
        let (place, headers) = take_place(&mut record, index as i64, &key).map_err(at_line)?;
        payload.clear();
        encoder.encode(&Value::Object(record), &mut payload).map_err(|error| at_line(error.to_string()))?;
        builder.push(place.message(Some(&payload), &headers));
    }
    let messages = builder.finish();
    let ranges = ranges_of(&messages);
    let decoded = decoder.decode(&messages).map_err(|error| error.to_string())?;
    let dead_letters = dead_letters_table(&decoded.dead_letters).map_err(|error| error.to_string())?;
    Ok(Batch { origin: Origin::Topic, ranges, rows: decoded.batch, dead_letters })
}

/// Takes what `kafka_...` says out of a line; a line of messages that were never in Kafka has none of it. `key_of` reads
/// the key.
fn take_place(
    record: &mut Map<String, Value>,
    line: i64,
    key_of: &dyn Fn(&Value) -> Option<Vec<u8>>,
) -> Result<(MessagePlace, Headers), String> {
    let mut take = |index: usize| match record.remove(KAFKA_COLUMNS[index]) {
        None | Some(Value::Null) => None,
        Some(value) => Some(value),
    };
    let wrong = |index: usize, value: &Value| format!("{} is {value}", KAFKA_COLUMNS[index]);
    let topic = match take(0) {
        None => "file".into(),
        Some(Value::String(topic)) => topic.into(),
        Some(other) => return Err(wrong(0, &other)),
    };
    let partition = match take(1) {
        None => 0,
        Some(value) => {
            let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
            number.ok_or_else(|| wrong(1, &value))?
        }
    };
    let offset = match take(2) {
        None => line,
        Some(value) => value.as_i64().ok_or_else(|| wrong(2, &value))?,
    };
    let timestamp_ms = match take(3) {
        None => None,
        Some(value) => {
            let time = value.as_str().and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
            Some(time.ok_or_else(|| wrong(3, &value))?.timestamp_millis())
        }
    };
    let key = match take(4) {
        None => None,
        Some(value) => Some(key_of(&value).ok_or_else(|| wrong(4, &value))?),
    };
    let headers = match take(5) {
        None => Vec::new(),
        Some(value) => headers_of(&value).ok_or_else(|| wrong(5, &value))?,
    };
    Ok((MessagePlace { topic, partition, offset, timestamp_ms, key }, headers))
}

/// Bytes as text, or as `{"base64": "..."}`.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        value => BASE64.decode(value.get("base64")?.as_str()?).ok(),
    }
}

fn headers_of(value: &Value) -> Option<Headers> {
    let header = |name: &str, value: &Value| match value {
        Value::Null => Some((name.to_owned(), None)),
        value => Some((name.to_owned(), Some(bytes(value)?))),
    };
    match value {
        Value::Object(headers) => headers.iter().map(|(name, value)| header(name, value)).collect(),
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| match pair.as_array()?.as_slice() {
                [name, value] => header(name.as_str()?, value),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
