//! What to do with a payload, by the schema that it was written with: the frame names that, or a header does.
//!
//! A frame that names no known schema makes its message a dead letter: one such message, or a few bytes of garbage, must
//! not stop a job. With a registry, the caller asks for ids that are not known yet before it decodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::check::{Bad, Checked};
use super::plan::ValueStep;
use crate::avro::{
    CONFLUENT_HEADER_BYTES, CONFLUENT_MAGIC, SINGLE_OBJECT_HEADER_BYTES, SINGLE_OBJECT_MAGIC, SchemaId,
    VALUE_SCHEMA_HEADER,
};
use crate::batch::Messages;
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

/// What to do with payloads, by the schema that their frame names.
#[derive(Clone, Debug)]
pub(super) enum Writers {
    Raw(ValueStep),
    SingleObject(HashMap<u64, ValueStep>),
    Confluent(HashMap<SchemaId, Writer>),
}

/// What to do with the payloads of one id.
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
    /// Those of files, by the ids that the configuration gives them.
    pub fn of_files(steps: Vec<(u32, ValueStep)>) -> Self {
        Self::Confluent(
            steps.into_iter().map(|(id, step)| (SchemaId::Number(id), Writer::ValueStep(step))).collect(),
        )
    }

    /// The ids of messages that nothing is known of, each with the place of its first message.
    pub fn unknown(&self, messages: &Messages, asked_before: Option<Instant>) -> Vec<(usize, SchemaId)> {
        let Self::Confluent(writers) = self else { return Vec::new() };
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        // Most messages name the same schema as the one before.
        let mut last = None;
        for (index, message) in messages.iter().enumerate() {
            let Some(payload) = message.payload else { continue };
            let Ok((_, id)) = confluent_id(payload, message.headers) else { continue };
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
    pub fn first_of(&self, messages: &Messages, ids: &HashSet<SchemaId>) -> Vec<(usize, SchemaId)> {
        let mut found: Vec<(usize, SchemaId)> = Vec::new();
        if !matches!(self, Self::Confluent(_)) {
            return found;
        }
        for (index, message) in messages.iter().enumerate() {
            let last = found.last().map(|(place, _)| messages.get(*place));
            if last.is_some_and(|last| last.partition == message.partition && last.topic == message.topic) {
                continue;
            }
            let Some(payload) = message.payload else { continue };
            match confluent_id(payload, message.headers) {
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

    /// The length of the payload's header, and the plan for what follows it.
    ///
    /// # Errors
    /// A payload that is empty, or whose frame names no known schema.
    pub fn find(
        &self,
        payload: &[u8],
        headers: &[(String, Option<Vec<u8>>)],
    ) -> Checked<(usize, &ValueStep)> {
        if payload.is_empty() {
            return Err(Bad::new(0, "the payload is empty"));
        }
        match self {
            Self::Raw(step) => Ok((0, step)),
            Self::SingleObject(steps) => {
                let fingerprint = single_object_fingerprint(payload)?;
                let step = steps.get(&fingerprint).ok_or_else(|| {
                    let reason = format!(
                        "the fingerprint {fingerprint:016x} is of no known schema; writer_schemas names those of \
                         older writers"
                    );
                    Bad::new(SINGLE_OBJECT_MAGIC.len(), reason)
                })?;
                Ok((SINGLE_OBJECT_HEADER_BYTES, step))
            }
            Self::Confluent(writers) => {
                let (header_bytes, id) = confluent_id(payload, headers)?;
                match writers.get(&id) {
                    Some(Writer::ValueStep(step)) => Ok((header_bytes, step)),
                    Some(Writer::Unusable(reason) | Writer::Unknown { reason, .. }) => {
                        Err(Bad::new(id_place(header_bytes), reason.clone()))
                    }
                    None => Err(unknown_id(id, header_bytes, writers)),
                }
            }
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

fn single_object_fingerprint(payload: &[u8]) -> Checked<u64> {
    let Some(rest) = payload.strip_prefix(&SINGLE_OBJECT_MAGIC) else {
        return Err(Bad::new(
            0,
            format!("a single-object payload starts with c3 01, found {}", hex(payload, 2)),
        ));
    };
    match rest.first_chunk() {
        Some(fingerprint) => Ok(u64::from_le_bytes(*fingerprint)),
        None => Err(truncated_header(payload, SINGLE_OBJECT_HEADER_BYTES)),
    }
}

/// The length of what precedes the Avro bytes, and the id that it holds, or a header of the message.
fn confluent_id(payload: &[u8], headers: &[(String, Option<Vec<u8>>)]) -> Checked<(usize, SchemaId)> {
    let header = headers.iter().rev().find(|(name, _)| name == VALUE_SCHEMA_HEADER);
    if let Some((name, value)) = header {
        let id = value.as_deref().and_then(SchemaId::of_header);
        let id = id.ok_or_else(|| Bad::new(0, format!("the header {name} holds no schema id")))?;
        return Ok((0, id));
    }
    let Some(rest) = payload.strip_prefix(&[CONFLUENT_MAGIC]) else {
        return Err(Bad::new(0, format!("a Confluent payload starts with 00, found {}", hex(payload, 1))));
    };
    match rest.first_chunk() {
        Some(id) => Ok((CONFLUENT_HEADER_BYTES, SchemaId::Number(u32::from_be_bytes(*id)))),
        None => Err(truncated_header(payload, CONFLUENT_HEADER_BYTES)),
    }
}

fn truncated_header(payload: &[u8], expected: usize) -> Box<Bad> {
    let reason = format!("the payload ends inside its header of {expected} bytes");
    Bad::new(payload.len(), reason)
}

fn hex(bytes: &[u8], length: usize) -> String {
    let shown: Vec<String> = bytes.iter().take(length).map(|byte| format!("{byte:02x}")).collect();
    shown.join(" ")
}
