//! The messages of a test, encoded as `produce` encodes them, so that they come to the views by the job's own way.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::suite::{Cell, Row, Test};
use crate::avro::json;
use crate::avro::{Encoder, KeyEncoder};
use crate::batch::{Headers, Message, Messages, MessagesBuilder};
use crate::diagnostic::beginning;
use crate::moment::moment;
use crate::yaml::{Fault, Node, Value};

/// What a message may say of itself besides its fields.
const META: [&str; 7] = [
    "kafka_topic",
    "kafka_partition",
    "kafka_offset",
    "kafka_timestamp",
    "kafka_key",
    "kafka_headers",
    "kafka_payload",
];

/// The messages of a test, in topic, partition, offset order.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub messages: Messages,
    /// For each message its line in the file and its text.
    pub written: Vec<WrittenMessage>,
}

#[derive(Clone, Debug)]
pub(super) struct WrittenMessage {
    pub line: usize,
    pub text: String,
}

/// What a message says of itself.
struct Parts {
    topic: Arc<str>,
    partition: i32,
    offset: Option<i64>,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    headers: Headers,
    payload: Option<Vec<u8>>,
}

/// How messages of one job are written.
pub(super) struct Recorder<'a> {
    pub encoder: &'a Encoder,
    pub keys: &'a KeyEncoder,
    pub topics: &'a [Arc<str>],
}

impl Recorder<'_> {
    /// Encodes the messages of a test; `text` is that of its file.
    ///
    /// # Errors
    /// Every message that does not fit the schema, and offsets that do not ascend within their partition.
    pub fn record(&self, test: &Test, text: &str) -> Result<Recording, Vec<Fault>> {
        let mut faults = self.check_defaults(test);
        let mut next: BTreeMap<(Arc<str>, i32), i64> = BTreeMap::new();
        let mut builder = MessagesBuilder::default();
        let mut written = Vec::new();
        for row in &test.messages {
            let parts = match self.parts(row, test) {
                Ok(parts) => parts,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            let next = next.entry((Arc::clone(&parts.topic), parts.partition)).or_default();
            let offset = parts.offset.unwrap_or(*next);
            if offset < *next {
                let message = format!("kafka_offset: found {offset}, expected {next} or more");
                let hint = "messages of one partition are in the order of their offsets";
                let said = row.cells.iter().find(|cell| cell.column == "kafka_offset");
                let spot = said.map_or(row.spot, |cell| cell.value.spot);
                faults.push(Fault::new(spot, message).hint(hint));
            }
            *next = offset.saturating_add(1);
            builder.push(Message {
                topic: &parts.topic,
                partition: parts.partition,
                offset,
                timestamp_ms: Some(parts.timestamp_ms),
                key: parts.key.as_deref(),
                payload: parts.payload.as_deref(),
                headers: &parts.headers,
            });
            let shown = shown(&text[row.spot.range()]);
            let place = (Arc::clone(&parts.topic), parts.partition, offset);
            written.push((place, WrittenMessage { line: row.spot.line, text: shown }));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        written.sort_by(|(a, _), (b, _)| a.cmp(b));
        let written = written.into_iter().map(|(_, message)| message).collect();
        Ok(Recording { messages: builder.finish(), written })
    }

    fn check_defaults(&self, test: &Test) -> Vec<Fault> {
        let allowed = || self.encoder.field_names().chain(META.into_iter().take(META.len() - 1));
        let is_unknown = |cell: &&Cell| allowed().all(|name| name != cell.column);
        let unknown = test.message_defaults.iter().filter(is_unknown);
        unknown
            .map(|cell| {
                let message = format!("message_defaults: the schema has no field `{}`", cell.column);
                let names: Vec<&str> = allowed().collect();
                Fault::new(cell.spot, message).or_one_of(&cell.column, names.into_iter())
            })
            .collect()
    }

    fn parts(&self, row: &Row, test: &Test) -> Result<Parts, Fault> {
        let says = |name: &str| row.cells.iter().find(|cell| cell.column == name);
        let default = |name: &str| test.message_defaults.iter().find(|cell| cell.column == name);
        let meta = |name: &str| says(name).or_else(|| default(name)).filter(|cell| !cell.value.is_null());
        let topic = match meta("kafka_topic") {
            None => Arc::clone(&self.topics[0]),
            Some(cell) => self.topic(cell)?,
        };
        let number = |name: &str, max: i64| match meta(name) {
            None => Ok(None),
            Some(cell) => {
                let number = cell.value.text().and_then(|text| text.parse::<i64>().ok());
                let number = number.filter(|number| (0..=max).contains(number));
                let expected = format!("a whole number from 0 to {max}");
                number.map(Some).ok_or_else(|| wrong(cell, &expected))
            }
        };
        let partition = number("kafka_partition", i32::MAX.into())?.unwrap_or(0);
        let timestamp_ms = match meta("kafka_timestamp") {
            None => test.now.timestamp_millis(),
            Some(cell) => timestamp(cell)?,
        };
        let key = meta("kafka_key").map_or(Ok(None), |cell| self.key(cell))?;
        let headers = meta("kafka_headers").map_or(Ok(Headers::new()), headers)?;
        let payload = match says("kafka_payload") {
            Some(cell) => self.raw_payload(row, cell)?,
            None => Some(self.payload(row, test)?),
        };
        let offset = number("kafka_offset", i64::MAX - 1)?;
        let partition = partition as i32;
        Ok(Parts { topic, partition, offset, timestamp_ms, key, headers, payload })
    }

    fn topic(&self, cell: &Cell) -> Result<Arc<str>, Fault> {
        let named = cell.value.text().unwrap_or_default();
        self.topics.iter().find(|topic| ***topic == *named).cloned().ok_or_else(|| {
            let message = format!("kafka_topic: found {}, which the job does not read", cell.value.found());
            Fault::new(cell.value.spot, message).or_one_of(named, self.topics.iter().map(|topic| &**topic))
        })
    }

    /// A key as `key_format` says, or its bytes.
    fn key(&self, cell: &Cell) -> Result<Option<Vec<u8>>, Fault> {
        let is_text = matches!(self.keys, KeyEncoder::Text);
        match bytes_of(&cell.value) {
            Some(bytes) if is_text || cell.value.text().is_none() => Ok(Some(bytes)),
            None if is_text => Err(wrong(cell, BYTES_EXPECTED)),
            _ => self.keys.encode(&exact(&cell.value)).map_err(|error| {
                let fault = Fault::new(cell.value.spot, format!("kafka_key: {}", error.told().message));
                match error.hint {
                    Some(hint) => fault.hint(hint),
                    None => fault,
                }
            }),
        }
    }

    /// Bytes as they are; nothing is a tombstone.
    fn raw_payload(&self, row: &Row, cell: &Cell) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(field) = row.cells.iter().find(|cell| !META.contains(&cell.column.as_str())) {
            let message = format!("`{}` beside kafka_payload, which is the whole message", field.column);
            return Err(Fault::new(field.spot, message));
        }
        if cell.value.is_null() { Ok(None) } else { bytes(cell).map(Some) }
    }

    fn payload(&self, row: &Row, test: &Test) -> Result<Vec<u8>, Fault> {
        let is_field = |cell: &&Cell| !META.contains(&cell.column.as_str());
        let own = row.cells.iter().filter(is_field);
        // Others have been said.
        let is_known = |cell: &&Cell| self.encoder.field_names().any(|name| name == cell.column);
        let is_default = |cell: &&Cell| row.cells.iter().all(|own| own.column != cell.column);
        let defaults = test.message_defaults.iter().filter(is_known).filter(is_default);
        let fields = own.chain(defaults).map(|cell| (cell.column.clone(), exact(&cell.value)));
        let fields = json::Value::Object(fields.collect());
        let mut payload = Vec::new();
        self.encoder.encode_exact(&fields, &mut payload).map_err(|error| {
            let field = error.path.split(['.', '[']).next().unwrap_or_default();
            let cell = row.cells.iter().chain(&test.message_defaults).find(|cell| cell.column == field);
            let spot = cell.map_or(row.spot, |cell| cell.value.spot);
            let place = if error.path.is_empty() { String::new() } else { format!("`{}`: ", error.path) };
            let message = format!("message: {place}found {}, expected {}", error.found, error.expected);
            let hint = match (error.hint, cell) {
                (Some(hint), _) => hint,
                (None, None) => "what is the same in all messages can stand under `message_defaults`".into(),
                (None, Some(_)) => return Fault::new(spot, message),
            };
            Fault::new(spot, message).hint(hint)
        })?;
        Ok(payload)
    }
}

/// A message as it is written, in one line.
fn shown(text: &str) -> String {
    beginning(text.split_whitespace().collect::<Vec<_>>().join(" "), SHOWN_CHARACTERS_MAX)
}

/// How much of a message a failure repeats.
const SHOWN_CHARACTERS_MAX: usize = 120;

/// Some of the messages, by their places.
pub(super) fn select(messages: &Messages, places: &[usize]) -> Messages {
    let mut builder = MessagesBuilder::default();
    places.iter().for_each(|place| builder.push(messages.get(*place)));
    builder.finish()
}

/// A value as JSON. Numbers keep their digits.
fn exact(node: &Node) -> json::Value {
    match &node.value {
        Value::List(items) => json::Value::Array(items.iter().map(exact).collect()),
        Value::Map(entries) => {
            let name = |key: &Node| key.text().unwrap_or_default().to_owned();
            let entries = entries.iter().map(|(key, value)| (name(key), exact(value)));
            json::Value::Object(entries.collect())
        }
        Value::Scalar { text, .. } if node.to_json().is_number() => {
            json::Value::Number(json::Number::written(text))
        }
        Value::Scalar { .. } | Value::Null => json::Value::from(&node.to_json()),
    }
}

fn wrong(cell: &Cell, expected: &str) -> Fault {
    let message = format!("{}: found {}, expected {expected}", cell.column, cell.value.found());
    Fault::new(cell.value.spot, message)
}

fn timestamp(cell: &Cell) -> Result<i64, Fault> {
    let text = cell.value.text().unwrap_or_default();
    let milliseconds = text.parse().ok().or_else(|| moment(text).map(|moment| moment.timestamp_millis()));
    milliseconds
        .ok_or_else(|| wrong(cell, "a moment, such as 2024-01-01T00:00:00Z, or milliseconds since 1970"))
}

fn bytes(cell: &Cell) -> Result<Vec<u8>, Fault> {
    bytes_of(&cell.value).ok_or_else(|| wrong(cell, BYTES_EXPECTED))
}

pub(super) const BYTES_EXPECTED: &str = "a text, `{ base64: ... }` or `{ hex: ... }`";

/// The bytes that a value means: those of a text, or what `base64` or `hex` say.
pub(super) fn bytes_of(node: &Node) -> Option<Vec<u8>> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text.clone().into_bytes()),
        Value::Map(entries) => match entries.as_slice() {
            [(form, coded)] => match (form.text()?, coded.text()?) {
                ("base64", coded) => BASE64.decode(coded).ok(),
                ("hex", coded) => hex(coded),
                _ => None,
            },
            _ => None,
        },
        Value::Null | Value::List(_) => None,
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn headers(cell: &Cell) -> Result<Headers, Fault> {
    let Value::Map(entries) = &cell.value.value else {
        return Err(wrong(cell, "a mapping from names to texts"));
    };
    let header = |(name, value): &(Node, Node)| {
        let name = name.text().ok_or_else(|| wrong(cell, "a mapping from names to texts"))?;
        if value.is_null() {
            return Ok((name.to_owned(), None));
        }
        let value = bytes_of(value).ok_or_else(|| {
            let message = format!("kafka_headers.{name}: found {}, expected {BYTES_EXPECTED}", value.found());
            Fault::new(value.spot, message)
        })?;
        Ok((name.to_owned(), Some(value)))
    };
    entries.iter().map(header).collect()
}
