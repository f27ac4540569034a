//! The columns of `batch` that come from the message itself: where it stood, when, its key and its headers.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, MapArray, StringBuilder, StructArray,
    TimestampMillisecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use arrow::error::ArrowError;

use super::shape::UTC;
use crate::batch::Messages;

/// The column of the message's key.
pub(crate) const KEY: &str = "kafka_key";
/// The names of the columns, in order.
pub(crate) const NAMES: [&str; 6] =
    ["kafka_topic", "kafka_partition", "kafka_offset", "kafka_timestamp", KEY, "kafka_headers"];

/// The place of [`KEY`] among them.
pub(super) const KEY_PLACE: usize = 4;

/// The columns' fields, in order; keys are bytes.
pub(crate) fn fields() -> Vec<FieldRef> {
    let types = [
        (DataType::Utf8, false),
        (DataType::Int32, false),
        (DataType::Int64, false),
        (DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())), true),
        (DataType::Binary, true),
        (DataType::Map(entries(), false), false),
    ];
    NAMES
        .iter()
        .zip(types)
        .map(|(name, (data_type, nullable))| Arc::new(Field::new(*name, data_type, nullable)) as FieldRef)
        .collect()
}

fn entry_fields() -> Fields {
    Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Binary, true)])
}

fn entries() -> FieldRef {
    Arc::new(Field::new("entries", DataType::Struct(entry_fields()), false))
}

/// The columns for the messages at `rows`; keys are bytes.
///
/// # Errors
/// The topics, keys or headers of a batch together are beyond the 2 GiB a column addresses.
pub(crate) fn columns(messages: &Messages, rows: &[u32]) -> Result<Vec<ArrayRef>, ArrowError> {
    let each = || rows.iter().map(|row| messages.get(*row as usize));
    let (mut topic_bytes, mut key_bytes, mut header_bytes, mut headers_count) = (0, 0, 0, 0);
    for message in each() {
        topic_bytes += message.topic.len();
        key_bytes += message.key.map_or(0, <[u8]>::len);
        headers_count += message.headers.len();
        for (name, value) in message.headers {
            header_bytes += name.len() + value.as_ref().map_or(0, Vec::len);
        }
    }
    let most = topic_bytes.max(key_bytes).max(header_bytes).max(headers_count);
    if i32::try_from(most).is_err() {
        return Err(ArrowError::OffsetOverflowError(most));
    }
    let mut topics = StringBuilder::with_capacity(rows.len(), topic_bytes);
    let mut keys = BinaryBuilder::with_capacity(rows.len(), key_bytes);
    let mut names = StringBuilder::with_capacity(headers_count, header_bytes);
    let mut values = BinaryBuilder::with_capacity(headers_count, header_bytes);
    let mut partitions = Int32Builder::with_capacity(rows.len());
    let mut offsets = Int64Builder::with_capacity(rows.len());
    let mut times = TimestampMillisecondBuilder::with_capacity(rows.len());
    let mut lengths = Vec::with_capacity(rows.len());
    for message in each() {
        topics.append_value(message.topic);
        partitions.append_value(message.partition);
        offsets.append_value(message.offset);
        times.append_option(message.timestamp_ms);
        keys.append_option(message.key);
        lengths.push(message.headers.len());
        for (name, value) in message.headers {
            names.append_value(name);
            values.append_option(value.as_deref());
        }
    }
    let headers = StructArray::try_new(
        entry_fields(),
        vec![Arc::new(names.finish()), Arc::new(values.finish())],
        None,
    )?;
    let lengths = OffsetBuffer::from_lengths(lengths);
    Ok(vec![
        Arc::new(topics.finish()),
        Arc::new(partitions.finish()),
        Arc::new(offsets.finish()),
        Arc::new(times.finish().with_timezone(UTC)),
        Arc::new(keys.finish()),
        Arc::new(MapArray::try_new(entries(), lengths, headers, None, false)?),
    ])
}
