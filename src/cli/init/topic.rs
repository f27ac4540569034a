//! The first messages of a topic: how they are written, as far as their bytes show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use crate::avro::{SchemaId, VALUE_SCHEMA_HEADER, fingerprint_of_front};
use crate::batch::{Message, Messages};
use crate::config::Config;
use crate::diagnostic::{Finding, beginning};
use crate::source::{Browser, SourceError, first_ranges};

/// Messages that are looked at, and the bytes that they may take unless one takes more.
const MESSAGES_MAX: usize = 100;
const BYTES_MAX: usize = 4 << 20;
/// How much of a message is shown, in characters.
const SHOWN_CHARACTERS_MAX: usize = 40;
/// The first bytes of Avro's container files.
const CONTAINER_MAGIC: &[u8] = b"Obj\x01";

/// How messages are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// There are none.
    Nothing,
    /// They begin as Confluent's framing does, with these ids, or name them in a header.
    Confluent(BTreeSet<SchemaId>),
    /// With these fingerprints.
    SingleObject(BTreeSet<u64>),
    /// With no framing that is known. They may be raw Avro.
    Unframed,
}

/// What to do if messages do not say which schema they have.
pub(super) const NAME_A_SCHEMA: &str = "name their schema: --schema FILE, or --subject S with --registry URL";
/// Ids of schemas that an error names.
const IDS_SHOWN_MAX: usize = 10;

impl Form {
    /// Why a schema must be named for these messages.
    pub fn without_schema(&self, topic: &str, has_registry: bool) -> Finding {
        let (message, hint) = match self {
            Self::Nothing => (
                format!("the topic `{topic}` has no message yet, so nothing is known of its schema"),
                NAME_A_SCHEMA.to_owned(),
            ),
            Self::Confluent(ids) => {
                let ids: Vec<String> = ids.iter().map(SchemaId::to_string).take(IDS_SHOWN_MAX).collect();
                let ids = ids.join(", ");
                let message =
                    format!("the messages of `{topic}` seem to name schemas of a registry, by the ids {ids}");
                match has_registry {
                    false => (message, "say where the registry is: --registry http://HOST:8081".to_owned()),
                    true => (
                        format!("{message}, and the registry does not know them"),
                        format!("name the right registry; or if the messages are raw Avro, {NAME_A_SCHEMA}"),
                    ),
                }
            }
            Self::SingleObject(_) => (
                format!(
                    "the messages of `{topic}` name their schema by a fingerprint, which no registry knows"
                ),
                NAME_A_SCHEMA.to_owned(),
            ),
            Self::Unframed => (
                format!(
                    "the messages of `{topic}` are neither in Confluent's framing nor single objects; if they are raw Avro, \
                     they hold no schema"
                ),
                NAME_A_SCHEMA.to_owned(),
            ),
        };
        Finding::new(message).with_hint(hint)
    }
}

/// A schema that the messages do not name.
pub(super) fn other_fingerprint(topic: &str, fingerprints: &BTreeSet<u64>, found: u64) -> Finding {
    let named: Vec<String> = fingerprints.iter().map(|named| format!("{named:016x}")).collect();
    let message = format!(
        "the messages of `{topic}` name their schema by the fingerprint {}, and the schema has {found:016x}",
        named.join(" or ")
    );
    Finding::new(message)
        .with_hint("name the schema that they are written with; `writer_schemas` takes further ones")
}

/// What one message looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Confluent,
    SingleObject,
    Container,
    Json,
    Other,
}

/// The first messages of a topic. Blocks.
///
/// # Errors
/// The broker does not answer, or there is no such topic.
pub(super) fn first_messages(config: &Config, topic: &str) -> Result<Messages, SourceError> {
    let browser = Browser::new(&config.kafka, &config.job, config.memory_max)?;
    let bounds = browser.lookup().bounds(topic)?;
    let starts: Vec<_> = bounds.into_iter().map(|bounds| (bounds.clone(), bounds.low)).collect();
    let mut ranges = first_ranges(&starts, MESSAGES_MAX);
    browser.read(&mut ranges, BYTES_MAX, &AtomicBool::new(false))
}

/// How most of the messages are written.
///
/// # Errors
/// They are no messages that this program can read.
pub(super) fn form(topic: &str, messages: &Messages) -> Result<Form, Finding> {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for kind in messages.iter().filter_map(|message| kind(&message)) {
        *counts.entry(kind).or_default() += 1;
    }
    let Some((most, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else {
        return Ok(Form::Nothing);
    };
    match most {
        Kind::Confluent => {
            Ok(Form::Confluent(messages.iter().filter_map(|message| schema_id(&message)).collect()))
        }
        Kind::SingleObject => {
            let fingerprints = messages.iter().filter_map(|message| fingerprint_of_front(message.payload?));
            Ok(Form::SingleObject(fingerprints.collect()))
        }
        Kind::Other => Ok(Form::Unframed),
        Kind::Container => {
            let found = Finding::new(format!(
                "the messages of `{topic}` are Avro container files (they begin with `Obj`): each holds a schema and many records"
            ));
            Err(found.with_hint(
                "let the producer send single records: raw, as single objects, or in Confluent's framing",
            ))
        }
        Kind::Json => {
            let first = messages.iter().find(|message| kind(message) == Some(Kind::Json));
            let shown = first.and_then(|message| message.payload.map(shown)).unwrap_or_default();
            let found = Finding::new(format!(
                "the messages of `{topic}` are JSON, such as `{shown}`; a job reads Avro"
            ));
            Err(found.with_hint(
                "let the producer write Avro; `realtime-processor produce` sends a file of JSON as Avro",
            ))
        }
    }
}

/// What is known of the keys, if they have something in common.
pub(super) fn keys(messages: &Messages) -> Option<&'static str> {
    let keys: Option<Vec<&[u8]>> = (0..messages.len()).map(|index| messages.get(index).key).collect();
    let keys = keys.filter(|keys| !keys.is_empty())?;
    let is_text = |key: &&[u8]| {
        let text = std::str::from_utf8(key);
        text.is_ok_and(|text| !text.is_empty() && !text.chars().any(char::is_control))
    };
    let have_bytes = |count: usize| keys.iter().all(|key| key.len() == count);
    if keys.iter().all(is_text) {
        Some("text")
    } else if have_bytes(4) {
        Some("4 bytes each, perhaps an int")
    } else if have_bytes(8) {
        Some("8 bytes each, perhaps a long")
    } else {
        None
    }
}

/// What a message looks like; `None` if it is a tombstone or has no bytes.
fn kind(message: &Message<'_>) -> Option<Kind> {
    let payload = message.payload.filter(|payload| !payload.is_empty())?;
    Some(if schema_id(message).is_some() {
        Kind::Confluent
    } else if fingerprint_of_front(payload).is_some() {
        Kind::SingleObject
    } else if payload.starts_with(CONTAINER_MAGIC) {
        Kind::Container
    } else if is_json(payload) {
        Kind::Json
    } else {
        Kind::Other
    })
}

/// The id that a message names in a header or in the bytes before its record.
fn schema_id(message: &Message<'_>) -> Option<SchemaId> {
    let header = message.headers.iter().find(|(name, _)| name == VALUE_SCHEMA_HEADER);
    if let Some(id) = header.and_then(|(_, value)| SchemaId::of_header(value.as_deref()?)) {
        return Some(id);
    }
    SchemaId::of_front(message.payload?)
}

/// Numbers and words are JSON too, and may as well be bytes of Avro.
fn is_json(payload: &[u8]) -> bool {
    let value: Result<serde_json::Value, _> = serde_json::from_slice(payload);
    value.is_ok_and(|value| value.is_object() || value.is_array())
}

/// The beginning of a text.
fn shown(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    beginning(text, SHOWN_CHARACTERS_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::MessagesBuilder;

    fn messages(payloads: &[Option<&[u8]>], key: Option<&[u8]>) -> Messages {
        let (mut builder, topic) = (MessagesBuilder::default(), Arc::from("t"));
        for (offset, payload) in (0..).zip(payloads) {
            builder.push(Message { key, payload: *payload, ..Message::tombstone(&topic, 0, offset) });
        }
        builder.finish()
    }

    fn form_of(payloads: &[Option<&[u8]>]) -> Result<Form, String> {
        form("t", &messages(payloads, None)).map_err(|found| found.message)
    }

    #[test]
    fn what_most_messages_look_like_is_told() {
        assert_eq!(form_of(&[]), Ok(Form::Nothing));
        assert_eq!(form_of(&[None, Some(b"")]), Ok(Form::Nothing));
        let confluent: [Option<&[u8]>; 3] =
            [Some(b"\0\0\0\0\x07\x02a"), Some(b"\0\0\0\0\x08\x02b"), Some(b"\x02c")];
        let ids = [SchemaId::Number(7), SchemaId::Number(8)].into();
        assert_eq!(form_of(&confluent), Ok(Form::Confluent(ids)));
        let single: [Option<&[u8]>; 2] = [Some(b"\xc3\x01\x01\0\0\0\0\0\0\0\x02a"), None];
        assert_eq!(form_of(&single), Ok(Form::SingleObject([1].into())));
        let unframed: [Option<&[u8]>; 3] = [Some(b"\x02a"), Some(b"17"), Some(b"\0\0")];
        assert_eq!(form_of(&unframed), Ok(Form::Unframed));
        let container = form_of(&[Some(b"Obj\x01\x04")]).expect_err("no message");
        assert!(container.contains("container files"), "{container}");
        let json = form_of(&[Some(b"{\"customer\":\n 1}")]).expect_err("no Avro");
        assert!(json.contains("are JSON, such as `{\"customer\":  1}`"), "{json}");
    }

    #[test]
    fn keys_are_what_all_of_them_are() {
        let keys_of = |key: Option<&[u8]>| keys(&messages(&[None, None], key));
        assert_eq!(keys_of(None), None);
        assert_eq!(keys_of(Some(b"7")), Some("text"));
        assert_eq!(keys_of(Some(b"\0\0\0\x07")), Some("4 bytes each, perhaps an int"));
        assert_eq!(keys_of(Some(b"\0\0\0\0\0\0\0\x07")), Some("8 bytes each, perhaps a long"));
        assert_eq!(keys_of(Some(b"\x01\x02")), None);
    }
}
