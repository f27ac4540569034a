//! One dead letter as text: as a line of JSON, and its message decoded, where it can be by now.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::sight::Sight;
use crate::batch::{Message, MessagesBuilder};
use crate::decode::{Decoder, KAFKA_COLUMNS};
use crate::mask::{SHOWN, masked};
use crate::sink::StoredLetter;

/// A message's record as JSON, or why it has none.
pub(super) type Decoded = Result<String, String>;

/// Decodes the messages of dead letters, each as if it were alone.
pub(super) fn decode(decoder: &mut Decoder, letters: &[&StoredLetter], sight: &Sight) -> Vec<Decoded> {
    let mut builder = MessagesBuilder::default();
    let topic: Arc<str> = "".into();
    let mut decoded: Vec<Decoded> = vec![Err("the message has no payload".to_owned()); letters.len()];
    for (place, letter) in letters.iter().enumerate() {
        if letter.letter.payload.is_some() {
            // Why other offsets: they lead from what is decoded back to the letter.
            let message =
                Message { offset: place as i64, topic: &topic, partition: 0, ..letter.letter.message() };
            builder.push(message);
        }
    }
    let messages = builder.finish();
    let mut batch = match decoder.decode(&messages) {
        Ok(batch) => batch,
        Err(error) if letters.len() <= 1 => return vec![Err(error.to_string()); letters.len()],
        Err(_) => return letters.iter().flat_map(|letter| decode(decoder, &[letter], sight)).collect(),
    };
    let mut places: Vec<usize> = messages.iter().map(|message| message.offset as usize).collect();
    for dead in &mut batch.dead_letters {
        if sight.hides_values {
            dead.hide_values();
        }
        let place = dead.offset as usize;
        decoded[place] = Err(format!("{}: {}", dead.place, dead.reason));
        places.retain(|kept| *kept != place);
    }
    let fields: Vec<usize> = (0..batch.batch.num_columns() - KAFKA_COLUMNS.len()).collect();
    let shown = if sight.hides_values { masked(&batch.batch, &sight.masks) } else { Ok(batch.batch) };
    let Ok(records) = shown.and_then(|rows| rows.project(&fields)) else { return decoded };
    for (row, place) in places.into_iter().enumerate() {
        let mut line = String::new();
        crate::database::json::write_row(&mut line, &records, row);
        decoded[place] = Ok(line.trim_end().to_owned());
    }
    decoded
}

/// `2026-01-02T03:04:05.678Z`.
pub(super) fn time_text(millis: i64) -> Option<String> {
    DateTime::from_timestamp_millis(millis).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// What a list says of a dead letter.
pub(super) fn summary(stored: &StoredLetter) -> Value {
    let letter = &stored.letter;
    json!({
        "id": stored.id,
        "job": stored.owner,
        "kafka_topic": &*letter.partition.topic,
        "kafka_partition": letter.partition.partition,
        "kafka_offset": letter.offset,
        "kafka_timestamp": letter.timestamp_ms.and_then(time_text),
        "stage": letter.stage.name(),
        "place": letter.place,
        "reason": letter.reason.to_string(),
        "payload_bytes": letter.payload.as_ref().map(Vec::len),
        "created_at": stored.created_at,
        "replayed_at": stored.replayed_at,
    })
}

/// Everything that is known of a dead letter, on one line.
pub(super) fn whole(stored: &StoredLetter, decoded: &Decoded, sight: &Sight) -> String {
    let base64 = |bytes: &Vec<u8>| if sight.hides_bytes { SHOWN.to_owned() } else { BASE64.encode(bytes) };
    let letter = &stored.letter;
    let headers = letter.headers.iter().map(|(key, value)| match value {
        None => json!({"key": key, "value": null}),
        Some(_) if sight.hides_bytes => json!({"key": key, "value": SHOWN}),
        Some(value) => match std::str::from_utf8(value) {
            Ok(text) => json!({"key": key, "value": text}),
            Err(_) => json!({"key": key, "base64": base64(value)}),
        },
    });
    let mut all = summary(stored);
    all["kafka_key"] = json!(letter.key.as_ref().map(base64));
    all["kafka_headers"] = headers.collect();
    all["payload"] = json!(letter.payload.as_ref().map(base64));
    all["undecodable"] = json!(decoded.as_ref().err());
    // Why not through a JSON value: numbers keep all their digits.
    let mut line = all.to_string();
    line.truncate(line.len() - 1);
    let message = decoded.as_ref().map_or("null", String::as_str);
    format!("{line},\"message\":{message}}}\n")
}
