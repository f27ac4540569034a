//! The current batch: where its messages come from, which offsets they are, and what could not be decoded.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

use crate::batch::{DeadLetter, Messages, MessagesBuilder};
use crate::decode::{kafka_columns, kafka_fields};
use crate::source::Range;

/// The messages of the batch that cannot be decoded.
pub(super) const DEAD_LETTERS: &str = "dead_letters";

/// Decoded messages, which everything is asked about.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub origin: Origin,
    /// What each partition has of the messages, in topic, partition order.
    pub ranges: Vec<Range>,
    pub rows: RecordBatch,
    /// As `dead_letters` shows them.
    pub dead_letters: RecordBatch,
}

/// Where a batch comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Topic,
    File(PathBuf),
    DeadLetters,
    /// Of the running job at this address.
    Job(String),
}

/// The offsets that rows have, by partition: what the batch of a file covers.
pub(super) fn ranges_of(messages: &Messages) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for message in messages.iter() {
        match ranges.last_mut() {
            Some(last)
                if last.partition.partition == message.partition
                    && last.partition.topic == *message.topic =>
            {
                last.to = message.offset + 1;
            }
            _ => {
                let partition = crate::source::partition(message.topic, message.partition);
                ranges.push(Range { partition, from: message.offset, to: message.offset + 1 });
            }
        }
    }
    ranges
}

/// The columns of `dead_letters`.
pub(super) fn dead_letters_schema() -> SchemaRef {
    let mut fields: Vec<Field> = kafka_fields().iter().map(|field| Field::clone(field)).collect();
    fields.push(Field::new("payload", DataType::Binary, true));
    for name in ["stage", "place", "reason"] {
        fields.push(Field::new(name, DataType::Utf8, false));
    }
    Arc::new(Schema::new(fields))
}

/// Messages beside the reasons that they cannot be processed, in topic, partition, offset order.
///
/// # Errors
/// The keys, headers or payloads are beyond the 2 GiB that a column addresses.
pub(super) fn dead_letters_table(letters: &[DeadLetter]) -> Result<RecordBatch, ArrowError> {
    let mut sorted: Vec<&DeadLetter> = letters.iter().collect();
    sorted.sort_by(|a, b| (&a.partition, a.offset).cmp(&(&b.partition, b.offset)));
    let messages = messages_of(&sorted);
    let rows: Vec<u32> = (0..sorted.len() as u32).collect();
    let mut columns = kafka_columns(&messages, &rows)?;
    let payloads: BinaryArray = sorted.iter().map(|letter| letter.payload.as_deref()).collect();
    columns.push(Arc::new(payloads));
    let texts = |text: &dyn Fn(&DeadLetter) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(sorted.iter().map(|letter| text(letter))))
    };
    columns.push(texts(&|letter| letter.stage.name().to_owned()));
    columns.push(texts(&|letter| letter.place.clone()));
    columns.push(texts(&|letter| letter.reason.to_string()));
    RecordBatch::try_new(dead_letters_schema(), columns)
}

/// The messages that became dead letters.
pub(super) fn messages_of(letters: &[&DeadLetter]) -> Messages {
    let mut builder = MessagesBuilder::default();
    letters.iter().for_each(|letter| builder.push(letter.message()));
    builder.finish()
}

/// Which message a row of the batch is.
pub(super) fn message_of(row: &RecordBatch) -> Option<String> {
    let value = |column: &str| array_value_to_string(row.column_by_name(column)?, 0).ok();
    let (topic, partition, offset) =
        (value("kafka_topic")?, value("kafka_partition")?, value("kafka_offset")?);
    Some(format!("{topic}, partition {partition}, offset {offset}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;
    use crate::batch::{LetterKind, Stage, TopicPartition};

    #[test]
    fn payloads_stand_beside_their_reasons() {
        let letter = |partition, offset, reason: &str| DeadLetter {
            partition: TopicPartition { topic: "t".into(), partition },
            offset,
            timestamp_ms: Some(5),
            key: Some(vec![0xff]),
            headers: vec![("trace".into(), None)],
            payload: Some(reason.as_bytes().to_vec()),
            stage: Stage::Decode,
            place: "byte 3".into(),
            reason: reason.into(),
            kind: LetterKind::Other,
        };
        let letters = [letter(1, 7, "b"), letter(0, 9, "a"), letter(1, 3, "c")];
        let table = dead_letters_table(&letters).unwrap();
        let text = |row| table["reason"].as_string::<i32>().value(row);
        assert_eq!((text(0), text(1), text(2)), ("a", "c", "b"));
        assert_eq!(table["payload"].as_binary::<i32>().value(1), b"c");
        let sorted: Vec<&DeadLetter> = letters.iter().collect();
        let ranges = ranges_of(&messages_of(&sorted));
        assert_eq!(ranges.iter().map(|range| (range.from, range.to)).collect::<Vec<_>>(), [(9, 10), (3, 8)]);
    }
}
