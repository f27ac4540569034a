//! Payloads and keys -> Arrow: framing, validation against the writer's schema, decoding into the reader's.
//!
//! A payload passes three places. `check` walks it by the schema it was written with; nothing that it lets through
//! can harm the rows next to it. `plan` and `rewrite` turn it into the reader's form, once for each writer and once
//! for each message; where the writer's schema is the reader's, its bytes go on untouched. `columns` lets arrow-avro
//! build the arrays. `part` is this way as a whole; keys in Avro go it, too. What does not pass is a dead letter with the
//! byte, the field and the reason; the other messages of its batch go on.

mod another_schema;
mod check;
mod columns;
mod writers;
mod kafka;
mod key;
mod part;
mod plan;
mod rewrite;
mod side;
mod shape;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use arrow::error::ArrowError;

use crate::avro::{Schema, SchemaError, SchemaId};
use crate::batch::{DeadLetter, Decoded, Fault, LetterKind, Message, Messages, Nulls, Stage};
use crate::config::{AvroConfig, Framing, KeyFormat, Tombstones};
use crate::diagnostic::Finding;
use check::Bad;
use key::Keys;
use part::AvroPart;
use side::Side;
use writers::{Writer, Writers};

pub use another_schema::ANOTHER_SCHEMA_HINT;
pub(crate) use kafka::{
    KEY as KEY_COLUMN, NAMES as KAFKA_COLUMNS, columns as kafka_columns, fields as kafka_fields,
};
pub use writers::WriterSchema;

/// The bytes and the items of one batch must be below what a column addresses with 32 bits.
const BATCH_BYTES_MAX: usize = i32::MAX as usize;
/// Turns the messages of a trigger into the batch that SQL sees.
#[derive(Debug)]
pub struct Decoder {
    payloads: AvroPart,
    keys: Keys,
    tombstones: Tombstones,
    schema: SchemaRef,
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
    /// Its key is what is wrong with it.
    DeadKey(Box<Finding>),
}

impl Decoder {
    /// Reads the schema files, resolves each writer's schema against the reader's and checks that every field has a
    /// column.
    ///
    /// # Errors
    /// All that is wrong with the schemas themselves; `decode` finds no such fault any more.
    pub fn new(config: &AvroConfig) -> Result<Self, SchemaError> {
        let reader = Schema::read(&config.schema)?;
        let key_reader = config.key.schema().map(Schema::read).transpose()?;
        let writers = Writers::of_files(Side::Payload, &config.framing, &reader, key_reader.as_ref())?;
        let decoder = Self::with_writers(&reader, writers, config.tombstones)?;
        let keys = match (&config.key, key_reader) {
            (KeyFormat::Avro { framing, .. }, Some(key_reader)) => {
                let writers = Writers::of_files(Side::Key, framing, &key_reader, Some(&reader))?;
                Keys::Avro(Box::new(AvroPart::new(Side::Key, &key_reader, writers)?))
            }
            (KeyFormat::Bytes | KeyFormat::Avro { .. }, _) => Keys::Bytes,
            (KeyFormat::Text, _) => Keys::Text,
            (KeyFormat::Int, _) => Keys::Int,
            (KeyFormat::Long, _) => Keys::Long,
        };
        Ok(decoder.with_keys(keys))
    }

    /// The ids that messages name and that nothing is known of: each with the place of the first message that names it.
    /// `asked_before`: what the registry did not know at an earlier time counts as not known.
    pub fn unknown_ids(&self, messages: &Messages, asked_before: Option<Instant>) -> Vec<(usize, SchemaId)> {
        let mut found = self.payloads.unknown(messages, asked_before);
        if let Some(keys) = self.keys.avro() {
            found.extend(keys.unknown(messages, asked_before));
            found.sort_by_key(|(place, _)| *place);
            let mut seen = HashSet::new();
            found.retain(|(_, id)| seen.insert(*id));
        }
        found
    }

    /// The place of the first message of each partition that names one of these ids, and the id.
    pub fn first_of(&self, messages: &Messages, ids: &HashSet<SchemaId>) -> Vec<(usize, SchemaId)> {
        let mut found = self.payloads.first_of(messages, ids);
        if let Some(keys) = self.keys.avro() {
            found.extend(keys.first_of(messages, ids));
            found.sort_by_key(|(place, _)| *place);
            found.dedup_by(|(later, _), (first, _)| {
                let (later, first) = (messages.get(*later), messages.get(*first));
                later.partition == first.partition && later.topic == first.topic
            });
        }
        found
    }

    /// Decodes messages of this id from here on by what a registry says.
    pub fn learn(&mut self, id: SchemaId, schema: &WriterSchema) {
        self.payloads.learn(id, schema);
        if let Some(keys) = self.keys.avro_mut() {
            keys.learn(id, schema);
        }
    }

    /// What of the schemas is ignored, as the specification asks.
    pub fn ignored(config: &AvroConfig) -> Vec<SchemaError> {
        let mut ignored: Vec<SchemaError> = Vec::new();
        for schema in config.schema_files().into_iter().filter_map(|file| Schema::read(file).ok()) {
            ignored.extend(
                schema.ignored().iter().filter(|found| !ignored.contains(found)).cloned().collect::<Vec<_>>(),
            );
        }
        ignored
    }

    /// All that is wrong with the schemas, of which [`Decoder::new`] says the first.
    pub fn faults(config: &AvroConfig) -> Vec<SchemaError> {
        let reader = Schema::read(&config.schema);
        let key_reader = config.key.schema().map(Schema::read);
        // Why not of raw messages: the one writer's schema is that of payloads.
        let is_of_both = !matches!(config.framing, Framing::Raw { .. });
        let other = key_reader.as_ref().and_then(|read| read.as_ref().ok()).filter(|_| is_of_both);
        let of_file = |file: &Path| match &reader {
            Ok(reader) => Writer::of_file(Side::Payload, file, reader, other).err(),
            Err(_) => Schema::read(file).err(),
        };
        let mut faults: Vec<SchemaError> = Self::new(config).err().into_iter().collect();
        let key_fault = key_reader.as_ref().and_then(|read| read.as_ref().err().cloned());
        for found in
            key_fault.into_iter().chain(config.framing.writer_files().into_iter().filter_map(of_file))
        {
            if !faults.contains(&found) {
                faults.push(found);
            }
        }
        faults
    }

    /// One whose keys are bytes.
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
        let payloads = AvroPart::new(Side::Payload, reader, writers)?;
        let schema = Arc::new(ArrowSchema::empty());
        let decoder = Self { payloads, keys: Keys::Bytes, tombstones, schema, bytes_max: BATCH_BYTES_MAX };
        Ok(decoder.with_keys(Keys::Bytes))
    }

    fn with_keys(self, keys: Keys) -> Self {
        let mut fields = self.payloads.fields().to_vec();
        let mut of_kafka = kafka::fields();
        of_kafka[kafka::KEY_PLACE] = keys.field();
        fields.extend(of_kafka);
        Self { keys, schema: Arc::new(ArrowSchema::new(fields)), ..self }
    }

    /// Whether messages that were written with this schema can be read.
    ///
    /// # Errors
    /// The field that cannot be resolved, and why.
    pub fn can_read(&self, writer: &Schema) -> Result<(), SchemaError> {
        self.payloads.can_read(writer)
    }

    /// The same for keys; those that are not Avro have no schema.
    ///
    /// # Errors
    /// As [`Decoder::can_read`].
    pub fn can_read_keys(&self, writer: &Schema) -> Result<(), SchemaError> {
        self.keys.avro().map_or(Ok(()), |keys| keys.can_read(writer))
    }

    /// The same decoder, whose batches take at most `bytes_max` bytes as columns.
    #[must_use]
    pub fn bounded(self, bytes_max: usize) -> Self {
        Self { bytes_max: bytes_max.min(BATCH_BYTES_MAX), ..self }
    }

    /// The symbols of a column of `batch` that is an enum.
    pub fn symbols(&self, column: &str) -> Option<&[String]> {
        let of_key = || self.keys.avro().and_then(|keys| keys.symbols(column));
        self.payloads.symbols(column).or_else(of_key)
    }

    /// What is known of NULL in each column of `batch`.
    pub fn nulls(&self) -> Vec<Nulls> {
        let mut nulls: Vec<Nulls> = self.payloads.nulls().collect();
        let of_kafka = self.schema.fields().iter().skip(nulls.len());
        nulls.extend(of_kafka.map(|field| Nulls::never_if(!field.is_nullable())));
        nulls
    }

    /// How many messages a batch can hold, even if they are empty.
    pub fn rows_max(&self) -> usize {
        let of_key = self.keys.avro().map_or(0, AvroPart::row_width);
        (self.bytes_max / self.payloads.row_width().saturating_add(of_key).max(1)).max(1)
    }

    /// Another decoder of the same messages, for another lane.
    ///
    /// # Errors
    /// [`DecodeError::Internal`] where arrow-avro refuses a schema that it took before.
    pub fn another(&self) -> Result<Self, DecodeError> {
        Ok(Self {
            payloads: self.payloads.another().map_err(DecodeError::Internal)?,
            keys: self.keys.another().map_err(DecodeError::Internal)?,
            tombstones: self.tombstones,
            schema: Arc::clone(&self.schema),
            bytes_max: self.bytes_max,
        })
    }

    /// The schema of `batch`: the record's fields by their names as written, then `kafka_topic`,
    /// `kafka_partition`, `kafka_offset`, `kafka_timestamp` (milliseconds, UTC), `kafka_key` (of the type that
    /// `key_format` says) and `kafka_headers`.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// One row for each message that can be decoded, in the order given, and a dead letter for each that cannot.
    ///
    /// # Errors
    /// Only what stops the job; see [`DecodeError`].
    pub fn decode(&mut self, messages: &Messages) -> Result<Decoded, DecodeError> {
        let decoded = match self.decode_together(messages) {
            Err(DecodeError::Internal(_)) => {
                self.reset()?;
                self.decode_one_by_one(messages)
            }
            decoded => decoded,
        };
        if decoded.is_err() {
            self.reset()?;
        }
        decoded
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
                verdict => dead_letters.extend(verdict.letter(message)),
            }
            if size > self.bytes_max {
                return Err(DecodeError::BatchTooLarge {
                    messages: messages.len(),
                    bytes_max: self.bytes_max,
                });
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
            let verdict = match self.read(message, &mut 0).and_then(|verdict| self.without_row(verdict)) {
                Err(DecodeError::Internal(error)) => {
                    self.reset()?;
                    Verdict::Dead(Bad::new(0, error.to_string()))
                }
                other => other?,
            };
            match verdict {
                Verdict::Row => rows.push(index as u32),
                verdict => dead_letters.extend(verdict.letter(message)),
            }
        }
        for &row in &rows {
            self.read(messages.get(row as usize), &mut 0)?;
        }
        self.finish(messages, rows, dead_letters)
    }

    /// Builds the columns of the one row there may be, and drops them.
    fn without_row(&mut self, verdict: Verdict) -> Result<Verdict, DecodeError> {
        self.payloads.finish().map_err(DecodeError::Internal)?;
        self.keys.finish().map_err(DecodeError::Internal)?;
        Ok(verdict)
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
        let mut columns = self.payloads.finish().map_err(failed)?;
        let keys = self.keys.finish().map_err(failed)?;
        let mut of_kafka = kafka::columns(messages, &places).map_err(failed)?;
        of_kafka[kafka::KEY_PLACE] = self.keys.column(&of_kafka[kafka::KEY_PLACE], keys).map_err(failed)?;
        columns.extend(of_kafka);
        let batch = RecordBatch::try_new(self.schema(), columns).map_err(failed)?;
        Ok(Decoded { batch, places, dead_letters })
    }

    /// Drops the rows collected so far.
    fn reset(&mut self) -> Result<(), DecodeError> {
        self.payloads.reset().map_err(DecodeError::Internal)?;
        self.keys.reset().map_err(DecodeError::Internal)
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
        let row = match self.payloads.check(payload, message.headers) {
            Ok(row) => row,
            Err(bad) => return Ok(Verdict::Dead(bad)),
        };
        let key = match self.keys.check(message) {
            Ok(key) => key,
            Err(found) => return Ok(Verdict::DeadKey(found)),
        };
        let taken = row.taken.saturating_add(key.map_or(0, |key| key.taken));
        if taken > self.bytes_max {
            let reason =
                format!("the message takes {taken} bytes as columns, at most {} fit", self.bytes_max);
            return Ok(Verdict::Dead(Bad::new(0, reason)));
        }
        *size = size.saturating_add(taken);
        if *size > self.bytes_max {
            return Ok(Verdict::Row);
        }
        self.payloads.push(payload, row).map_err(DecodeError::Internal)?;
        self.keys.push(message.key, key).map_err(DecodeError::Internal)?;
        Ok(Verdict::Row)
    }
}

impl Verdict {
    /// The dead letter that it makes of `message`.
    fn letter(self, message: Message<'_>) -> Option<DeadLetter> {
        match self {
            Self::Row | Self::Skipped => None,
            Self::Dead(bad) => Some(dead_letter(message, &bad)),
            Self::DeadKey(found) => {
                Some(DeadLetter::new(message, Stage::Decode, kafka::KEY.to_owned(), *found))
            }
        }
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
