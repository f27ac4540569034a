//! `/api/dead-letters`: how many wait in the database, the most frequent reasons with an example each, and how to replay them.

use serde_json::{Value, json};

use super::Shared;
use crate::sink::{Selection, SinkError, StoredLetters};

/// Reasons that are shown.
const REASONS_MAX: usize = 10;
/// Characters of a reason that are shown.
const REASON_CHARACTERS_MAX: usize = 500;

pub(super) async fn summary(shared: &Shared) -> Result<Value, Value> {
    let read = read(shared).await;
    let (waiting, reasons) =
        read.map_err(|error| json!({ "error": format!("the database does not answer: {error}") }))?;
    shared.telemetry.dead_letters_waiting(waiting);
    Ok(json!({
        "waiting": waiting,
        "reasons": reasons,
        "replay": "realtime-processor dead-letters replay --all",
    }))
}

async fn read(shared: &Shared) -> Result<(i64, Vec<Value>), SinkError> {
    let Some(mut letters) = StoredLetters::look(&shared.config).await? else {
        return Ok((0, Vec::new()));
    };
    let waiting = Selection { is_replayed: Some(false), ..Selection::default() };
    let count = letters.count(&waiting).await?;
    let mut causes = letters.causes(&waiting).await?;
    causes.truncate(REASONS_MAX);
    let ids: Vec<i64> = causes.iter().map(|cause| cause.example).collect();
    let examples = letters.by_ids(&ids).await?;
    let reasons = causes.iter().map(|cause| {
        let example = examples.iter().find(|letter| letter.id == cause.example).map(|stored| &stored.letter);
        let reason = example
            .map(|letter| letter.reason.message.chars().take(REASON_CHARACTERS_MAX).collect::<String>());
        json!({
            "stage": cause.stage,
            "place": example.map_or(&cause.place, |letter| &letter.place),
            "code": cause.code,
            "count": cause.count,
            "first_at": utc(&cause.first),
            "last_at": utc(&cause.last),
            "reason": reason,
            "topic": example.map(|letter| letter.partition.topic.to_string()),
            "partition": example.map(|letter| letter.partition.partition),
            "offset": example.map(|letter| letter.offset),
        })
    });
    Ok((count, reasons.collect()))
}

/// A time as the database says it, as all answers have it.
pub(super) fn utc(text: &str) -> String {
    let (date, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    format!("{date}T{seconds}.{millis}Z")
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_have_one_form() {
        assert_eq!(utc("2026-11-27 12:03:10.123456"), "2026-11-27T12:03:10.123Z");
        assert_eq!(utc("2026-11-27 12:03:10"), "2026-11-27T12:03:10.000Z");
        assert_eq!(utc("2026-11-27 12:03:10.5"), "2026-11-27T12:03:10.500Z");
    }
}
