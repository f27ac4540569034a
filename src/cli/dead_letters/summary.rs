//! `dead-letters summary`: the dead letters by their cause.

use serde_json::json;

use super::{Shown, counted, database_failed};
use crate::cli::failure::Failure;
use crate::cli::results::{Format, Results};
use crate::config::Config;
use crate::sink::Cause;

/// Count the dead letters by cause: stage, place, and the database's error code.
///
/// The most frequent cause comes first, with the times of its first and last dead letter and the newest one as an example.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters summary",
    "realtime-processor dead-letters summary --since 1h --format json",
]))]
pub(super) struct Arguments {
    #[command(flatten)]
    shown: Shown,
    /// A table for people, or one JSON object a line.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Characters of an example in a table.
const REASON_CHARACTERS_MAX: usize = 100;

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let Some(mut letters) = super::open(config).await? else { return Ok(()) };
    let selection = arguments.shown.selection(&mut letters).await?;
    let causes = letters.causes(&selection).await.map_err(database_failed)?;
    let ids: Vec<i64> = causes.iter().map(|cause| cause.example).collect();
    let examples = letters.by_ids(&ids).await.map_err(database_failed)?;
    let reason = |cause: &Cause| {
        let example = examples.iter().find(|stored| stored.id == cause.example);
        example.map_or("", |stored| stored.letter.reason.message.as_str())
    };
    let lines = causes.iter().map(|cause| match arguments.format {
        Format::Json => json_line(cause, reason(cause)),
        Format::Table => table_lines(cause, reason(cause)),
    });
    Results::to_stdout().write(&lines.collect::<String>())?;
    let all: i64 = causes.iter().map(|cause| cause.count).sum();
    tracing::info!(
        "{} of {}",
        counted(all.unsigned_abs(), "dead letter"),
        counted(causes.len() as u64, "cause")
    );
    Ok(())
}

fn json_line(cause: &Cause, reason: &str) -> String {
    let Cause { stage, place, code, count, first, last, example } = cause;
    let line = json!({
        "stage": stage, "place": place, "code": code, "count": count, "first": first, "last": last,
        "example": example, "reason": reason,
    });
    format!("{line}\n")
}

fn table_lines(cause: &Cause, reason: &str) -> String {
    let Cause { stage, place, code, count, first, last, example } = cause;
    let code = code.map_or_else(String::new, |code| format!(" ({code})"));
    let seconds = |time: &str| time.get(..19).unwrap_or(time).to_owned();
    let reason: String =
        reason.lines().next().unwrap_or_default().chars().take(REASON_CHARACTERS_MAX).collect();
    let (first, last) = (seconds(first), seconds(last));
    format!(
        "{count:>8}  {stage:<6} {place}{code}, {first} to {last}\n          for example {example}: {reason}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_two_lines_or_one_object() {
        let cause = Cause {
            stage: "write".into(),
            place: "orders.colour".into(),
            code: Some(1265),
            count: 17,
            first: "2026-03-01 06:00:00.123000".into(),
            last: "2026-03-01 07:00:00.5".into(),
            example: 9,
        };
        assert_eq!(
            table_lines(&cause, "Data truncated\nhint: x"),
            "      17  write  orders.colour (1265), 2026-03-01 06:00:00 to 2026-03-01 07:00:00\n          for example 9: Data truncated\n"
        );
        let line: serde_json::Value = serde_json::from_str(&json_line(&cause, "x")).expect("JSON");
        assert_eq!((line["count"].as_i64(), line["code"].as_i64()), (Some(17), Some(1265)));
    }
}
