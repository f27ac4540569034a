//! `dead-letters show`: everything about one.

use super::database_failed;
use super::letter::{Decoded, decode, time_text, whole};
use super::sight::Sight;
use crate::batch::Stage;
use crate::cli::failure::Failure;
use crate::cli::results::Results;
use crate::cli::terminal::TextFormat;
use crate::config::Config;
use crate::decode::{Decoder, KEY_COLUMN};
use crate::engine::Schemas;
use crate::sink::StoredLetter;

/// Show everything about one dead letter.
///
/// The message is decoded with the current schemas. If it cannot be decoded, the reason and the bytes are shown. If the
/// configuration names `sensitive` fields, their values are `***`, and bytes are shown only with `--payload`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters show 17",
    "realtime-processor dead-letters show 17 --format json | jq -r .payload | base64 -d > message.avro",
]))]
pub(super) struct Arguments {
    id: i64,
    /// Lines for people, or one JSON object, as `export` writes it.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
    /// Also show the key, the headers and the payload if fields are `sensitive`: their bytes contain all values.
    #[arg(long)]
    payload: bool,
}

/// Bytes of a payload, a key or a header that are shown to people.
const SHOWN_BYTES_MAX: usize = 1024;
const BYTES_A_LINE: usize = 16;
/// In place of bytes that are left out.
const HIDDEN: &str = "*** (--payload shows it)";

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let found = match super::open(config).await? {
        Some(mut letters) => letters.by_ids(&[arguments.id]).await.map_err(database_failed)?.pop(),
        None => None,
    };
    let stored = found.ok_or_else(|| {
        Failure::failed(format!("the job `{}` has no dead letter {}", config.job, arguments.id))
    })?;
    let decoder = Decoder::new(&config.avro);
    let sight = Sight::of(config, decoder.as_ref().ok(), arguments.payload)?;
    let decoded = match decoder {
        Ok(mut decoder) => {
            if let Some(schemas) = Schemas::for_reading(config).await {
                schemas.teach_known(&mut decoder);
            }
            decode(&mut decoder, &[&stored], &sight).pop().unwrap_or_else(|| Err(String::new()))
        }
        Err(error) => Err(error.to_string()),
    };
    let text = match arguments.format {
        TextFormat::Json => whole(&stored, &decoded, &sight),
        TextFormat::Text => describe(&stored, &decoded, &sight),
    };
    Results::to_stdout().write(&text).map(drop)
}

/// All of a dead letter, for people.
fn describe(stored: &StoredLetter, decoded: &Decoded, sight: &Sight) -> String {
    let letter = &stored.letter;
    let mut lines = vec![format!("dead letter {}", stored.id)];
    let mut say = |name: &str, value: &str| {
        let value = value.replace('\n', "\n              ");
        lines.push(format!("  {name:<11} {value}"));
    };
    say("message", &format!("{} at offset {}", letter.partition, letter.offset));
    if stored.is_of_fill() {
        say("of", &format!("the fill {}: the other tables have the message", stored.owner));
    }
    let time = letter.timestamp_ms.and_then(time_text);
    say("timestamp", time.as_deref().unwrap_or("none"));
    say("stage", letter.stage.name());
    say("place", &letter.place);
    say("reason", &letter.reason.to_string());
    say("written at", &stored.created_at);
    say("replayed at", stored.replayed_at.as_deref().unwrap_or("never"));
    let text = |bytes: &[u8]| if sight.hides_bytes { HIDDEN.to_owned() } else { bytes_text(bytes) };
    say("key", &letter.key.as_deref().map_or_else(|| "none".to_owned(), text));
    for (key, value) in &letter.headers {
        let value = value.as_deref().map_or_else(|| "no value".to_owned(), text);
        say("header", &format!("{key}: {value}"));
    }
    let payload = letter.payload.as_deref();
    say("payload", &payload.map_or_else(|| "none".to_owned(), |bytes| format!("{} bytes", bytes.len())));
    match decoded {
        Ok(record) => say("decoded", record),
        Err(reason) => {
            say("undecodable", reason);
            lines.extend(payload.filter(|_| !sight.hides_bytes).map(hex_dump).unwrap_or_default());
        }
    }
    lines.push(format!("hint: {}", hint(stored, decoded)));
    lines.join("\n") + "\n"
}

/// What to do about it.
fn hint(stored: &StoredLetter, decoded: &Decoded) -> String {
    if stored.replayed_at.is_some() {
        return "it was replayed: its rows are in the outputs; `dead-letters purge` deletes such".to_owned();
    }
    let place = &stored.letter.place;
    let first = match (stored.letter.stage, decoded) {
        (Stage::Decode, Err(_)) if place == KEY_COLUMN => "correct the sender, or change key_format; ".into(),
        (Stage::Decode, Err(_)) => {
            "correct the sender, or name the schema that the message was written with (avro_writer_schema, writer_schemas); "
                .into()
        }
        (Stage::Decode, Ok(_)) => "it can be decoded now; ".to_owned(),
        (Stage::Sql, _) if place.is_empty() => "correct the view; ".to_owned(),
        (Stage::Sql, _) => format!("correct {place}; "),
        (Stage::Write, _) => format!("correct what is written to {place}, or the table; "),
    };
    format!("{first}then run `dead-letters replay {}`", stored.id)
}

/// Text where it is some, hexadecimal digits elsewhere.
fn bytes_text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let more = if shown.len() < bytes.len() { format!("... ({} bytes)", bytes.len()) } else { String::new() };
    match std::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(char::is_control) => format!("\"{text}\"{more}"),
        _ => format!("{}{more}", hex(shown)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

/// Bytes as lines of hexadecimal digits and text, each with the place of its first byte.
fn hex_dump(bytes: &[u8]) -> Vec<String> {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let mut lines: Vec<String> = shown
        .chunks(BYTES_A_LINE)
        .enumerate()
        .map(|(number, chunk)| {
            let printable = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' };
            let text: String = chunk.iter().map(printable).collect();
            format!("    {:>6}  {:<47}  {text}", number * BYTES_A_LINE, hex(chunk))
        })
        .collect();
    if shown.len() < bytes.len() {
        let more = bytes.len() - shown.len();
        lines.push(format!("    ... {more} more; --format json has all of them, as base64"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{DeadLetter, LetterKind, TopicPartition};

    fn stored(stage: Stage, place: &str, reason: &str) -> StoredLetter {
        let letter = DeadLetter {
            partition: TopicPartition { topic: "movements".into(), partition: 3 },
            offset: 1_204,
            timestamp_ms: Some(1_700_000_000_123),
            key: Some(b"42".to_vec()),
            headers: vec![("trace".into(), Some(vec![0xff, 0])), ("flag".into(), None)],
            payload: Some(b"\x02\x04agency\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec()),
            stage,
            place: place.into(),
            reason: reason.into(),
            kind: LetterKind::Other,
        };
        let created_at = "2026-03-01 06:00:00.123000".into();
        StoredLetter { id: 17, owner: "bank".into(), letter, created_at, replayed_at: None }
    }

    #[test]
    fn a_person_sees_the_message_and_what_to_do() {
        let letter = stored(Stage::Sql, "sql/shares.sql", "divided by zero");
        insta::assert_snapshot!(describe(&letter, &Ok(r#"{"customer":1}"#.into()), &Sight::default()), @r#"
        dead letter 17
          message     movements[3] at offset 1204
          timestamp   2023-11-14T22:13:20.123Z
          stage       sql
          place       sql/shares.sql
          reason      divided by zero
          written at  2026-03-01 06:00:00.123000
          replayed at never
          key         "42"
          header      trace: ff 00
          header      flag: no value
          payload     17 bytes
          decoded     {"customer":1}
        hint: correct sql/shares.sql; then run `dead-letters replay 17`
        "#);
    }

    #[test]
    fn a_key_that_is_not_what_the_project_says_has_advice_of_its_own() {
        let reason = "kafka_key: found 2 bytes, expected 8 (key_format: long)";
        let text =
            describe(&stored(Stage::Decode, "kafka_key", reason), &Err(reason.into()), &Sight::default());
        let expected = "hint: correct the sender, or change key_format; then run `dead-letters replay 17`\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn bytes_that_cannot_be_decoded_are_shown() {
        let letter = stored(Stage::Decode, "byte 3", "field `agency`: 1 byte is left over");
        let undecodable = Err("byte 3: field `agency`: 1 byte is left over".into());
        let text = describe(&letter, &undecodable, &Sight::default());
        let (_, shown) = text.split_once("payload").expect("a payload");
        insta::assert_snapshot!(shown, @r"
             17 bytes
          undecodable byte 3: field `agency`: 1 byte is left over
                 0  02 04 61 67 65 6e 63 79 00 00 00 00 00 00 00 00  ..agency........
                16  00                                               .
        hint: correct the sender, or name the schema that the message was written with (avro_writer_schema, writer_schemas); then run `dead-letters replay 17`
        ");
    }
}
