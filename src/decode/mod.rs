//! Payload -> Arrow: framing, validation against the writer's schema, decoding into the reader's.
//!
//! A payload passes three places. `check` walks it by the schema it was written with; nothing that it lets through
//! can harm the rows next to it. `plan` and `rewrite` turn it into the reader's form, once for each writer and once
//! for each message; where the writer's schema is the reader's, its bytes go on untouched. `columns` lets arrow-avro
//! build the arrays. What does not pass is a dead letter with the byte, the field and the reason; the other
//! messages of its batch go on.

mod another_schema;
mod check;
mod columns;
mod writers;
mod kafka;
mod plan;
mod rewrite;
mod shape;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use arrow::error::ArrowError;

use crate::avro::{Schema, SchemaError, SchemaId};
use crate::batch::{DeadLetter, Decoded, Fault, LetterKind, Message, Messages, Stage};
use crate::config::{AvroConfig, Framing, Tombstones};
use crate::diagnostic::Finding;
use check::{Bad, Cursor};
use columns::Columns;
use plan::ValueStep;
use rewrite::Rewriter;
use shape::{ColumnShape, Shape};
use writers::{Writer, Writers};

pub use another_schema::ANOTHER_SCHEMA_HINT;
pub(crate) use kafka::{NAMES as KAFKA_COLUMNS, columns as kafka_columns, fields as kafka_fields};
pub use writers::WriterSchema;

/// The bytes and the items of one batch must be below what a column addresses with 32 bits.
const BATCH_BYTES_MAX: usize = i32::MAX as usize;
/// Turns the messages of a trigger into the batch that SQL sees.
#[derive(Debug)]
pub struct Decoder {
    writers: Writers,
    reader: Arc<Schema>,
    tombstones: Tombstones,
    columns: Columns,
    schema: SchemaRef,
    rewriter: Rewriter,
    /// The current message, rewritten.
    rewritten: Vec<u8>,
    /// What a row takes in columns, besides the bytes of texts and the items of arrays.
    row_width: usize,
    /// What a batch may take in columns.
    bytes_max: usize,
}

/// What stops the job. Messages that cannot be decoded are dead letters in [`Decoded`].
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("{messages} messages take more than {bytes_max} bytes as columns")]
    BatchTooLarge { messages: usize, bytes_max: usize },
    #[error("the decoder failed on messages it had accepted: {0}")]
    Internal(ArrowError),
}

impl DecodeError {
    /// Fewer messages fit; anything else stops the job, since the same messages fail again.
    pub fn fault(&self) -> Fault {
        match self {
            Self::BatchTooLarge { .. } => Fault::Data,
            Self::Internal(_) => Fault::Other,
        }
    }
}

/// What becomes of one message.
enum Verdict {
    Row,
    Skipped,
    Dead(Box<Bad>),
}

impl Decoder {
    /// Reads the schema files, resolves each writer's schema against the reader's and checks that every field has a
    /// column.
    ///
    /// # Errors
    /// All that is wrong with the schemas themselves; `decode` finds no such fault any more.
    pub fn new(config: &AvroConfig) -> Result<Self, SchemaError> {
        let reader = Schema::read(&config.schema)?;
        let plan_for = |file: &Path| Schema::read(file).and_then(|writer| plan::plan(&writer, &reader));
        let writers = match &config.framing {
            Framing::Raw { writer_schema: None } => Writers::Raw(plan::plan(&reader, &reader)?),
            Framing::Raw { writer_schema: Some(file) } => Writers::Raw(plan_for(file)?),
            Framing::SingleObject { writer_schemas } => {
                let mut steps = HashMap::from([(reader.fingerprint(), plan::plan(&reader, &reader)?)]);
                for file in writer_schemas {
                    let writer = Schema::read(file)?;
                    steps.insert(writer.fingerprint(), plan::plan(&writer, &reader)?);
                }
                Writers::SingleObject(steps)
            }
            Framing::Confluent { writer_schemas } => {
                let step = |(id, file): (&u32, &PathBuf)| Ok((*id, plan_for(file)?));
                let steps = writer_schemas.iter().map(step).collect::<Result<Vec<_>, SchemaError>>()?;
                Writers::of_files(steps)
            }
        };
        Self::with_writers(&reader, writers, config.tombstones)
    }

    /// The ids that messages name and that nothing is known of: each with the place of the first message that names it.
    /// `asked_before`: what the registry did not know at an earlier time counts as not known.
    pub fn unknown_ids(&self, messages: &Messages, asked_before: Option<Instant>) -> Vec<(usize, SchemaId)> {
        self.writers.unknown(messages, asked_before)
    }

    /// The place of the first message of each partition that names one of these ids, and the id.
    pub fn first_of(&self, messages: &Messages, ids: &HashSet<SchemaId>) -> Vec<(usize, SchemaId)> {
        self.writers.first_of(messages, ids)
    }

    /// Decodes messages of this id from here on by what a registry says.
    pub fn learn(&mut self, id: SchemaId, schema: &WriterSchema) {
        let writer = match schema {
            WriterSchema::Text(text) => {
                let planned = Schema::parse(text, &format!("schema {id} of the registry"));
                match planned.and_then(|writer| plan::plan(&writer, &self.reader)) {
                    Ok(step) => Writer::ValueStep(step),
                    Err(error) => Writer::Unusable(error.found()),
                }
            }
            WriterSchema::Unusable(reason) => Writer::Unusable(reason.clone()),
            WriterSchema::Unknown { reason, asked_at } => {
                let reason = Finding::new(format!("the registry does not know schema id {id}: {reason}"));
                Writer::Unknown { reason, asked_at: *asked_at }
            }
        };
        self.writers.learn(id, writer);
    }

    /// What of the schemas is ignored, as the specification asks.
    pub fn ignored(config: &AvroConfig) -> Vec<SchemaError> {
        let writers = Self::writer_files(config);
        let files = std::iter::once(config.schema.as_path()).chain(writers);
        let mut ignored: Vec<SchemaError> = Vec::new();
        for schema in files.filter_map(|file| Schema::read(file).ok()) {
            ignored.extend(
                schema.ignored().iter().filter(|found| !ignored.contains(found)).cloned().collect::<Vec<_>>(),
            );
        }
        ignored
    }

    /// The files of the schemas that messages were written with, besides the reader's.
    fn writer_files(config: &AvroConfig) -> Vec<&Path> {
        match &config.framing {
            Framing::Raw { writer_schema } => writer_schema.iter().map(PathBuf::as_path).collect(),
            Framing::SingleObject { writer_schemas } => writer_schemas.iter().map(PathBuf::as_path).collect(),
            Framing::Confluent { writer_schemas } => writer_schemas.values().map(PathBuf::as_path).collect(),
        }
    }

    /// All that is wrong with the schemas, of which [`Decoder::new`] says the first.
    pub fn faults(config: &AvroConfig) -> Vec<SchemaError> {
        let writers = Self::writer_files(config);
        let reader = Schema::read(&config.schema);
        let mut faults: Vec<SchemaError> = Self::new(config).err().into_iter().collect();
        for writer in writers {
            let found = match (Schema::read(writer), &reader) {
                (Ok(writer), Ok(reader)) => plan::plan(&writer, reader).err(),
                (Ok(_), Err(_)) => None,
                (Err(error), _) => Some(error),
            };
            faults.extend(found.filter(|error| !faults.contains(error)));
        }
        faults
    }

    fn with_writers(reader: &Schema, writers: Writers, tombstones: Tombstones) -> Result<Self, SchemaError> {
        let record = reader.root_record()?;
        for field in &record.fields {
            if kafka::NAMES.contains(&field.name.as_str()) {
                let message = "batch has a column of this name already, which comes from the Kafka message";
                return Err(SchemaError::new(reader.file(), &field.name, message).hint(format!(
                    "call the field `message_{}` in avro_schema, with \"aliases\": [\"{}\"]; where messages \
                     are written with this very schema, name it as the writer's",
                    field.name.trim_start_matches("kafka_"),
                    field.name
                )));
            }
        }
        if reader.bytes_min(reader.root()) == 0 {
            let message = "no field takes a byte, so a message cannot be told from an empty payload";
            return Err(SchemaError::new(reader.file(), "", message));
        }
        let Shape::Struct(fields) = ColumnShape::of(reader, reader.root(), "")?.shape else {
            unreachable!("a record's shape is a struct")
        };
        let columns = Columns::new(fields).map_err(|error| {
            SchemaError::new(reader.file(), "", format!("arrow-avro cannot read it: {error}"))
        })?;
        let mut fields = columns.fields().to_vec();
        fields.extend(kafka::fields());
        let schema = Arc::new(ArrowSchema::new(fields));
        Ok(Self {
            writers,
            reader: Arc::new(reader.clone()),
            tombstones,
            columns,
            schema,
            rewriter: Rewriter::default(),
            rewritten: Vec::new(),
            row_width: plan::column_width(reader, reader.root()),
            bytes_max: BATCH_BYTES_MAX,
        })
    }

    /// Whether messages that were written with this schema can be read.
    ///
    /// # Errors
    /// The field that cannot be resolved, and why.
    pub fn can_read(&self, writer: &Schema) -> Result<(), SchemaError> {
        plan::plan(writer, &self.reader).map(drop)
    }

    /// The same decoder, whose batches take at most `bytes_max` bytes as columns.
    #[must_use]
    pub fn bounded(self, bytes_max: usize) -> Self {
        Self { bytes_max: bytes_max.min(BATCH_BYTES_MAX), ..self }
    }

    /// The symbols of a column of `batch` that is an enum.
    pub fn symbols(&self, column: &str) -> Option<&[String]> {
        self.columns.symbols(column)
    }

    /// How many messages a batch can hold, even if they are empty.
    pub fn rows_max(&self) -> usize {
        (self.bytes_max / self.row_width.max(1)).max(1)
    }

    /// Another decoder of the same messages, for another lane.
    ///
    /// # Errors
    /// [`DecodeError::Internal`] where arrow-avro refuses a schema that it took before.
    pub fn another(&self) -> Result<Self, DecodeError> {
        Ok(Self {
            writers: self.writers.clone(),
            reader: Arc::clone(&self.reader),
            tombstones: self.tombstones,
            columns: self.columns.another().map_err(DecodeError::Internal)?,
            schema: Arc::clone(&self.schema),
            rewriter: Rewriter::default(),
            rewritten: Vec::new(),
            row_width: self.row_width,
            bytes_max: self.bytes_max,
        })
    }

    /// The schema of `batch`: the record's fields by their names as written, then `kafka_topic`,
    /// `kafka_partition`, `kafka_offset`, `kafka_timestamp` (milliseconds, UTC), `kafka_key` and `kafka_headers`.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// One row for each message that can be decoded, in the order given, and a dead letter for each that cannot.
    ///
    /// # Errors
    /// Only what stops the job; see [`DecodeError`].
    pub fn decode(&mut self, messages: &Messages) -> Result<Decoded, DecodeError> {
        match self.decode_together(messages) {
            Err(DecodeError::Internal(_)) => self.decode_one_by_one(messages),
            decoded => decoded,
        }
    }

    fn decode_together(&mut self, messages: &Messages) -> Result<Decoded, DecodeError> {
        let mut dead_letters = Vec::new();
        let mut rows = Vec::with_capacity(messages.len());
        let mut size = 0;
        for (index, message) in messages.iter().enumerate() {
            if let Some(letter) = damaged(messages, index) {
                dead_letters.push(letter);
                continue;
            }
            match self.read(message, &mut size)? {
                Verdict::Row => rows.push(index as u32),
                Verdict::Skipped => {}
                Verdict::Dead(bad) => dead_letters.push(dead_letter(message, &bad)),
            }
            if size > self.bytes_max {
                let (messages, bytes_max) = (messages.len(), self.bytes_max);
                return self.abandon(DecodeError::BatchTooLarge { messages, bytes_max });
            }
        }
        self.finish(messages, rows, dead_letters)
    }

    /// Why: the validator lets nothing through that arrow-avro refuses. Should it ever, the messages that are to
    /// blame are found by decoding each alone, and the rest of the batch is not lost.
    fn decode_one_by_one(&mut self, messages: &Messages) -> Result<Decoded, DecodeError> {
        let mut dead_letters = Vec::new();
        let mut rows = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            if let Some(letter) = damaged(messages, index) {
                dead_letters.push(letter);
                continue;
            }
            let verdict = match self.read(message, &mut 0) {
                Ok(Verdict::Row) => match self.columns.finish() {
                    Ok(_) => Verdict::Row,
                    Err(error) => Verdict::Dead(Bad::new(0, error.to_string())),
                },
                Err(DecodeError::Internal(error)) => Verdict::Dead(Bad::new(0, error.to_string())),
                other => other?,
            };
            match verdict {
                Verdict::Row => rows.push(index as u32),
                Verdict::Skipped => {}
                Verdict::Dead(bad) => dead_letters.push(dead_letter(message, &bad)),
            }
        }
        for &row in &rows {
            self.read(messages.get(row as usize), &mut 0)?;
        }
        self.finish(messages, rows, dead_letters)
    }

    fn finish(
        &mut self,
        messages: &Messages,
        places: Vec<u32>,
        dead_letters: Vec<DeadLetter>,
    ) -> Result<Decoded, DecodeError> {
        let failed = |error| match error {
            ArrowError::OffsetOverflowError(_) => {
                DecodeError::BatchTooLarge { messages: messages.len(), bytes_max: BATCH_BYTES_MAX }
            }
            other => DecodeError::Internal(other),
        };
        let mut columns = self.columns.finish().map_err(failed)?;
        columns.extend(kafka::columns(messages, &places).map_err(failed)?);
        let batch = RecordBatch::try_new(self.schema(), columns).map_err(failed)?;
        Ok(Decoded { batch, places, dead_letters })
    }

    /// Drops the rows collected so far.
    fn abandon<T>(&mut self, error: DecodeError) -> Result<T, DecodeError> {
        self.columns.reset().map_err(DecodeError::Internal)?;
        Err(error)
    }

    /// Checks one message and adds its row; `size` grows by what it takes in columns.
    fn read(&mut self, message: Message<'_>, size: &mut usize) -> Result<Verdict, DecodeError> {
        let Some(payload) = message.payload else {
            return Ok(match self.tombstones {
                Tombstones::Skip => Verdict::Skipped,
                Tombstones::DeadLetter => {
                    Verdict::Dead(Bad::new(0, "a tombstone: the message has no payload"))
                }
            });
        };
        let (header_bytes, step) = match self.writers.find(payload, message.headers) {
            Ok(found) => found,
            Err(bad) => return Ok(Verdict::Dead(bad)),
        };
        let mut cursor = Cursor::new(payload, header_bytes);
        let row = match step {
            ValueStep::Copy(op) => op.check(&mut cursor).map(|()| &payload[header_bytes..]),
            step => {
                self.rewritten.clear();
                let rewritten = self.rewriter.rewrite(step, &mut cursor, &mut self.rewritten);
                rewritten.map(|()| self.rewritten.as_slice())
            }
        };
        let row = match row.and_then(|row| cursor.finish().map(|()| row)) {
            Ok(row) => row,
            Err(bad) => return Ok(Verdict::Dead(bad)),
        };
        let taken = row.len().saturating_add(self.row_width).saturating_add(cursor.item_width());
        if taken > self.bytes_max {
            let reason =
                format!("the message takes {taken} bytes as columns, at most {} fit", self.bytes_max);
            return Ok(Verdict::Dead(Bad::new(0, reason)));
        }
        *size = size.saturating_add(taken);
        if *size > self.bytes_max {
            return Ok(Verdict::Row);
        }
        self.columns.push(row).map_err(DecodeError::Internal)?;
        Ok(Verdict::Row)
    }
}

/// The dead letter of a message that was not received as a whole.
fn damaged(messages: &Messages, index: usize) -> Option<DeadLetter> {
    let reason = messages.damage(index)?.to_owned();
    Some(DeadLetter::new(messages.get(index), Stage::Decode, "kafka_headers".to_owned(), reason))
}

fn dead_letter(message: Message<'_>, bad: &Bad) -> DeadLetter {
    let kind = if bad.is_end { LetterKind::OtherEnd(bad.path.clone()) } else { LetterKind::Other };
    let place = format!("{}{}", DeadLetter::BYTE, bad.byte);
    DeadLetter { kind, ..DeadLetter::new(message, Stage::Decode, place, bad.found()) }
}
