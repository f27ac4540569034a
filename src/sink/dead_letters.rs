//! Dead letters as rows of their table, with everything that a replay needs.
//!
//! `kafka_headers` is a JSON array in the headers' order: `{"key": "trace", "value": "text"}`, `{"key": "id",
//! "base64": "/wA="}` where the value is not UTF-8, `{"key": "flag", "value": null}` where it has none.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;

use super::SinkError;
use super::columns::{message_time, now};
use super::ddl::DEAD_LETTERS_TABLE;
use super::statement::{Shape, chunks};
use crate::batch::{DeadLetter, Fault, Headers};
use crate::database::{DatabaseError, Dialect, StatementLimits, Value, json};
use crate::diagnostic::Finding;

/// Characters kept of a reason; a server's message can hold the whole row.
const REASON_CHARACTERS_MAX: usize = 10_000;
const PLACE_CHARACTERS_MAX: usize = 1_000;
/// Placeholders of a row.
const WIDTH: usize = 11;

/// Dead letters of a batch, ready to be sent.
pub(super) struct Letters<'a> {
    rows: Vec<[Value<'a>; WIDTH]>,
    sizes: Vec<usize>,
    shape: Shape,
}

impl<'a> Letters<'a> {
    /// # Errors
    /// A message that is larger than the server takes.
    pub fn new(
        job: &'a str,
        letters: &'a [DeadLetter],
        dialect: Dialect,
        limits: &StatementLimits,
    ) -> Result<Self, SinkError> {
        let rows: Vec<_> = letters.iter().map(|letter| row(job, letter)).collect();
        let sizes: Vec<usize> = rows.iter().map(|row| row.iter().map(Value::size).sum()).collect();
        if let Some(index) = sizes.iter().position(|size| *size > limits.row_bytes_max) {
            let letter = &letters[index];
            // Why no fault of the data: there is no place left where the message could be kept.
            let message = format!(
                "the dead letter of {} at offset {} has {} bytes, the server takes at most {}; its reason is: {}",
                letter.partition, letter.offset, sizes[index], limits.row_bytes_max, letter.reason.message
            );
            return Err(SinkError::Sql(Finding::new(message).with_hint("raise max_allowed_packet")));
        }
        Ok(Self { rows, sizes, shape: shape(dialect) })
    }

    pub fn chunks(&self, limits: &StatementLimits) -> Vec<Range<usize>> {
        chunks(&self.sizes, WIDTH, limits)
    }

    pub fn sql(&self, rows: usize) -> String {
        self.shape.sql(rows)
    }

    pub fn parameters(&self, chunk: &Range<usize>) -> Vec<Value<'a>> {
        self.rows[chunk.clone()].iter().flatten().cloned().collect()
    }
}

/// A statement of each kind, for the server to check the user's rights.
pub(super) fn probes(dialect: Dialect) -> Vec<String> {
    vec![shape(dialect).sql(1)]
}

fn shape(dialect: Dialect) -> Shape {
    let head = format!(
        "INSERT INTO {DEAD_LETTERS_TABLE} (job, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, \
         kafka_key, kafka_headers, payload, stage, place, reason, created_at) VALUES "
    );
    Shape::with_constant(head, WIDTH, now(dialect))
}

fn row<'a>(job: &'a str, letter: &'a DeadLetter) -> [Value<'a>; WIDTH] {
    let time = message_time(letter.timestamp_ms);
    let [stage, place, reason] = verdict(letter);
    let bytes = |bytes: &'a Option<Vec<u8>>| bytes.as_deref().map_or(Value::Null, Value::bytes);
    [
        Value::text(job),
        Value::text(&*letter.partition.topic),
        Value::Int(i64::from(letter.partition.partition)),
        Value::Int(letter.offset),
        time,
        bytes(&letter.key),
        Value::text(headers_json(&letter.headers)),
        bytes(&letter.payload),
        stage,
        place,
        reason,
    ]
}

/// What it means that the database refused a statement about dead letters. One that is refused cannot become a dead letter:
/// halving the batch would never end.
pub(super) fn letter_refused(error: DatabaseError) -> SinkError {
    match error.fault() {
        Fault::Data => SinkError::Sql(error.found().clone().within(DEAD_LETTERS_TABLE)),
        _ => SinkError::Refused { table: DEAD_LETTERS_TABLE.into(), error },
    }
}

/// Stage, place and reason as they are stored.
pub(super) fn verdict(letter: &DeadLetter) -> [Value<'_>; 3] {
    let mut reason = first_characters(&letter.reason.to_string(), REASON_CHARACTERS_MAX).to_string();
    if let (Value::Null, Some(millis)) = (message_time(letter.timestamp_ms), letter.timestamp_ms) {
        reason.push_str(&format!(" (the message's timestamp, {millis} ms, is beyond the year 9999)"));
    }
    [
        Value::text(letter.stage.name()),
        Value::text(first_characters(&letter.place, PLACE_CHARACTERS_MAX)),
        Value::text(reason),
    ]
}

fn first_characters(text: &str, characters_max: usize) -> &str {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

fn headers_json(headers: &Headers) -> String {
    let mut out = String::from("[");
    for (index, (key, value)) in headers.iter().enumerate() {
        out.push_str(if index > 0 { ",{\"key\":" } else { "{\"key\":" });
        json::string(&mut out, key);
        match value.as_deref().map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => out.push_str(",\"value\":null"),
            Some((_, Ok(text))) => {
                out.push_str(",\"value\":");
                json::string(&mut out, text);
            }
            Some((bytes, Err(_))) => {
                out.push_str(",\"base64\":");
                json::base64(&mut out, bytes);
            }
        }
        out.push('}');
    }
    out.push(']');
    out
}

/// Reads what [`headers_json`] writes; `None` where it is something else.
pub(super) fn parse_headers(json: &str) -> Option<Headers> {
    let headers: Vec<serde_json::Map<String, Json>> = serde_json::from_str(json).ok()?;
    headers.iter().map(header).collect()
}

fn header(header: &serde_json::Map<String, Json>) -> Option<(String, Option<Vec<u8>>)> {
    let value = match (header.get("value"), header.get("base64")) {
        (Some(Json::Null), None) => None,
        (Some(Json::String(text)), None) => Some(text.clone().into_bytes()),
        (None, Some(Json::String(text))) => Some(BASE64.decode(text).ok()?),
        _ => return None,
    };
    Some((header.get("key")?.as_str()?.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_kept_in_order_and_exactly() {
        let headers: Headers = vec![
            ("a\"".into(), Some(b"text".to_vec())),
            ("a\"".into(), Some(vec![0xff, 0])),
            ("none".into(), None),
        ];
        let json =
            r#"[{"key":"a\"","value":"text"},{"key":"a\"","base64":"/wA="},{"key":"none","value":null}]"#;
        assert_eq!(headers_json(&headers), json);
        assert_eq!(parse_headers(json), Some(headers));
        assert_eq!(parse_headers(r#"[{"key":"a","value":1}]"#), None);
        assert_eq!(headers_json(&Vec::new()), "[]");
    }
}
