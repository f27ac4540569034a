//! What to do with a payload or a key, by the schema that it was written with: the frame names that, or a header does.
//!
//! A frame that names no known schema makes its message a dead letter: one such message, or a few bytes of garbage, must
//! not stop a job. With a registry, the caller asks for ids that are not known yet before it decodes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::check::{Bad, Checked};
use super::plan::ValueStep;
use super::side::Side;
use crate::avro::{
    CONFLUENT_HEADER_BYTES, CONFLUENT_MAGIC, SINGLE_OBJECT_HEADER_BYTES, SINGLE_OBJECT_MAGIC, Schema,
    SchemaError, SchemaId, fingerprint_of_front,
};
use crate::batch::Messages;
use crate::config::Framing;
use crate::diagnostic::Finding;

/// How many known ids a reason lists.
const SHOWN_IDS_MAX: usize = 20;
/// What precedes the id in a Confluent payload.
const CONFLUENT_MAGIC_BYTES: usize = 1;
/// Ids of which it is kept that a registry does not know them. They may be bytes of garbage, so there may be many.
const UNKNOWN_IDS_MAX: usize = 10_000;

/// What is known of a schema id.
#[derive(Clone, Debug)]
pub enum WriterSchema {
    /// The schema, as JSON.
    Text(Arc<str>),
    /// It exists, and cannot be used.
    Unusable(Finding),
    /// The registry did not know it when it was asked.
    Unknown { reason: String, asked_at: Instant },
}

/// What to do with payloads or keys, by the schema that their frame names.
#[derive(Clone, Debug)]
pub(super) enum Writers {
    Raw(ValueStep),
    SingleObject(HashMap<u64, Writer>),
    Confluent(HashMap<SchemaId, Writer>),
}

/// What to do with what one schema has written.
#[derive(Clone, Debug)]
pub(super) enum Writer {
    ValueStep(ValueStep),
    /// They are dead letters, for this reason.
    Unusable(Finding),
    /// They are dead letters until the registry is asked again.
    Unknown {
        reason: Finding,
        asked_at: Instant,
    },
}

impl Writers {
    /// What is known of the schemas that files have. `other`: the reader of the other part, for which files may be, too.
    ///
    /// # Errors
    /// As [`Writer::of_file`].
    pub fn of_files(
        side: Side,
        framing: &Framing,
        reader: &Schema,
        other: Option<&Schema>,
    ) -> Result<Self, SchemaError> {
        let own = || side.plan(reader, reader);
        let of_file = |file: &PathBuf| Writer::of_file(side, file, reader, other);
        Ok(match framing {
            Framing::Raw { writer_schema: None } => Self::Raw(own()?),
            Framing::Raw { writer_schema: Some(file) } => Self::Raw(side.plan(&Schema::read(file)?, reader)?),
            Framing::SingleObject { writer_schemas } => {
                let mut writers = HashMap::from([(reader.fingerprint(), Writer::ValueStep(own()?))]);
                for file in writer_schemas {
                    writers.insert(Schema::read(file)?.fingerprint(), of_file(file)?);
                }
                Self::SingleObject(writers)
            }
            Framing::Confluent { writer_schemas } => {
                let writer = |(id, file): (&u32, &PathBuf)| Ok((SchemaId::Number(*id), of_file(file)?));
                Self::Confluent(writer_schemas.iter().map(writer).collect::<Result<_, SchemaError>>()?)
            }
        })
    }

    /// The ids of messages that nothing is known of, each with the place of its first message.
    pub fn unknown(
        &self,
        side: Side,
        messages: &Messages,
        asked_before: Option<Instant>,
    ) -> Vec<(usize, SchemaId)> {
        let Self::Confluent(writers) = self else { return Vec::new() };
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        // Most messages name the same schema as the one before.
        let mut last = None;
        for (index, message) in messages.iter().enumerate() {
            let Some(bytes) = side.bytes_of(message) else { continue };
            let Ok((_, id)) = confluent_id(side, bytes, message.headers) else { continue };
            if last == Some(id) {
                continue;
            }
            last = Some(id);
            let is_known = match writers.get(&id) {
                None => false,
                Some(Writer::Unknown { asked_at, .. }) => {
                    asked_before.is_none_or(|before| *asked_at >= before)
                }
                Some(_) => true,
            };
            if !is_known && seen.insert(id) {
                found.push((index, id));
            }
        }
        found
    }

    /// The place of the first message of each partition that names one of these ids, and the id.
    pub fn first_of(
        &self,
        side: Side,
        messages: &Messages,
        ids: &HashSet<SchemaId>,
    ) -> Vec<(usize, SchemaId)> {
        let mut found: Vec<(usize, SchemaId)> = Vec::new();
        if !matches!(self, Self::Confluent(_)) {
            return found;
        }
        for (index, message) in messages.iter().enumerate() {
            let last = found.last().map(|(place, _)| messages.get(*place));
            if last.is_some_and(|last| last.partition == message.partition && last.topic == message.topic) {
                continue;
            }
            let Some(bytes) = side.bytes_of(message) else { continue };
            match confluent_id(side, bytes, message.headers) {
                Ok((_, id)) if ids.contains(&id) => found.push((index, id)),
                _ => {}
            }
        }
        found
    }

    pub fn learn(&mut self, id: SchemaId, writer: Writer) {
        let Self::Confluent(writers) = self else { return };
        if matches!(writer, Writer::Unknown { .. }) {
            let is_unknown = |writer: &&Writer| matches!(writer, Writer::Unknown { .. });
            if writers.values().filter(is_unknown).count() >= UNKNOWN_IDS_MAX {
                writers.retain(|_, writer| !matches!(writer, Writer::Unknown { .. }));
            }
        }
        writers.insert(id, writer);
    }

    /// The length of the header in front of the Avro bytes, and the plan for those.
    ///
    /// # Errors
    /// A payload or key that is empty, or whose frame names no known schema.
    pub fn find(
        &self,
        side: Side,
        bytes: &[u8],
        headers: &[(String, Option<Vec<u8>>)],
    ) -> Checked<(usize, &ValueStep)> {
        if bytes.is_empty() {
            return Err(Bad::new(0, format!("the {} is empty", side.word())));
        }
        match self {
            Self::Raw(step) => Ok((0, step)),
            Self::SingleObject(writers) => {
                let fingerprint = single_object_fingerprint(side, bytes)?;
                let place = SINGLE_OBJECT_MAGIC.len();
                let writer = writers.get(&fingerprint).ok_or_else(|| {
                    let reason = format!(
                        "the fingerprint {fingerprint:016x} is of no known schema; writer_schemas names those of \
                         older writers"
                    );
                    Bad::new(place, reason)
                })?;
                Ok((SINGLE_OBJECT_HEADER_BYTES, writer.step(place)?))
            }
            Self::Confluent(writers) => {
                let (header_bytes, id) = confluent_id(side, bytes, headers)?;
                let writer = writers.get(&id).ok_or_else(|| unknown_id(id, header_bytes, writers))?;
                Ok((header_bytes, writer.step(id_place(header_bytes))?))
            }
        }
    }
}

impl Writer {
    /// What to do with what was written with the schema in this file. `other`: the reader of the other part, which the file
    /// may be for.
    ///
    /// # Errors
    /// The file is no schema, or neither reader can read what it writes.
    pub fn of_file(
        side: Side,
        file: &Path,
        reader: &Schema,
        other: Option<&Schema>,
    ) -> Result<Self, SchemaError> {
        let writer = Schema::read(file)?;
        let is_for_other = |other: &Schema| side.other().plan(&writer, other).is_ok();
        match side.plan(&writer, reader) {
            Ok(step) => Ok(Self::ValueStep(step)),
            Err(error) if other.is_some_and(is_for_other) => Ok(Self::Unusable(error.found())),
            Err(error) => Err(error),
        }
    }

    /// The plan, or the reason, at this byte.
    fn step(&self, place: usize) -> Checked<&ValueStep> {
        match self {
            Self::ValueStep(step) => Ok(step),
            Self::Unusable(reason) | Self::Unknown { reason, .. } => Err(Bad::new(place, reason.clone())),
        }
    }
}

/// The byte that a reason about an id points at.
fn id_place(header_bytes: usize) -> usize {
    CONFLUENT_MAGIC_BYTES.min(header_bytes)
}

fn unknown_id(id: SchemaId, header_bytes: usize, writers: &HashMap<SchemaId, Writer>) -> Box<Bad> {
    let mut known: Vec<SchemaId> = writers.keys().copied().collect();
    known.sort_unstable();
    let mut shown: Vec<String> = known.iter().take(SHOWN_IDS_MAX).map(SchemaId::to_string).collect();
    if known.len() > SHOWN_IDS_MAX {
        shown.push("...".to_owned());
    }
    let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
    let advice = match id {
        SchemaId::Number(_) => format!("add `{id}: FILE` with the registry's schema {id}"),
        SchemaId::Guid(_) => "set schema_registry: only a registry knows GUIDs".to_owned(),
    };
    let reason = format!("schema id {id} is unknown; writer_schemas has {shown} ({advice})");
    Bad::new(id_place(header_bytes), reason)
}

fn single_object_fingerprint(side: Side, bytes: &[u8]) -> Checked<u64> {
    fingerprint_of_front(bytes).ok_or_else(|| {
        if bytes.starts_with(&SINGLE_OBJECT_MAGIC) {
            return truncated_header(side, bytes, SINGLE_OBJECT_HEADER_BYTES);
        }
        let found = hex(bytes, SINGLE_OBJECT_MAGIC.len());
        Bad::new(0, format!("a single-object {} starts with c3 01, found {found}", side.word()))
    })
}

/// The length of what precedes the Avro bytes, and the id that it holds, or a header of the message.
fn confluent_id(
    side: Side,
    bytes: &[u8],
    headers: &[(String, Option<Vec<u8>>)],
) -> Checked<(usize, SchemaId)> {
    let header = headers.iter().rev().find(|(name, _)| name == side.schema_header());
    if let Some((name, value)) = header {
        let id = value.as_deref().and_then(SchemaId::of_header);
        let id = id.ok_or_else(|| Bad::new(0, format!("the header {name} holds no schema id")))?;
        return Ok((0, id));
    }
    let id = SchemaId::of_front(bytes).ok_or_else(|| {
        if bytes.starts_with(&[CONFLUENT_MAGIC]) {
            return truncated_header(side, bytes, CONFLUENT_HEADER_BYTES);
        }
        let found = hex(bytes, CONFLUENT_MAGIC_BYTES);
        Bad::new(0, format!("a Confluent {} starts with 00, found {found}", side.word()))
    })?;
    Ok((CONFLUENT_HEADER_BYTES, id))
}

fn truncated_header(side: Side, bytes: &[u8], expected: usize) -> Box<Bad> {
    let reason = format!("the {} ends inside its header of {expected} bytes", side.word());
    Bad::new(bytes.len(), reason)
}

fn hex(bytes: &[u8], length: usize) -> String {
    let shown: Vec<String> = bytes.iter().take(length).map(|byte| format!("{byte:02x}")).collect();
    shown.join(" ")
}
