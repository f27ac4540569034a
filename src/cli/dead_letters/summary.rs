//! `dead-letters summary`: the dead letters by their cause.

use arrow::error::ArrowError;
use serde_json::json;

use super::{Shown, counted, database_failed, seconds};
use crate::cli::failure::Failure;
use crate::cli::results::{Format, Results};
use crate::config::Config;
use crate::print::{Look, Screen, numbers, table, texts};
use crate::sink::Cause;

/// Count the dead letters by cause.
///
/// A cause is a stage, a place and the error code of the database. The place is the field that cannot be decoded, the place
/// in the SQL, or the table and its column. The reasons of one cause may differ in more than their values: `list --place`
/// shows all of them. The most frequent cause comes first, with the times of its first and last dead letter and the newest
/// one as an example.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters summary",
    "realtime-processor dead-letters summary --since 1h --format json",
]))]
pub(super) struct Arguments {
    #[command(flatten)]
    shown: Shown,
    /// A table for people, or one JSON object per line.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

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
    let text = match arguments.format {
        Format::Json => causes.iter().map(|cause| json_line(cause, reason(cause))).collect(),
        Format::Table if causes.is_empty() => String::new(),
        Format::Table => table_of(&causes, reason, Screen::of_stdout(false).look())?,
    };
    Results::to_stdout().write(&text)?;
    let all: i64 = causes.iter().map(|cause| cause.count).sum();
    tracing::info!("{} of {}", counted(all.unsigned_abs(), "dead letter"), counted(causes.len(), "cause"));
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

fn table_of<'c>(
    causes: &'c [Cause],
    reason: impl Fn(&Cause) -> &'c str,
    look: Look,
) -> Result<String, ArrowError> {
    let columns = [
        ("count", numbers(causes.iter().map(|cause| Some(cause.count)))),
        ("stage", texts(causes.iter().map(|cause| Some(cause.stage.as_str())))),
        ("place", texts(causes.iter().map(|cause| Some(cause.place.as_str())))),
        ("code", numbers(causes.iter().map(|cause| cause.code))),
        ("first", texts(causes.iter().map(|cause| Some(seconds(&cause.first))))),
        ("last", texts(causes.iter().map(|cause| Some(seconds(&cause.last))))),
        ("example", numbers(causes.iter().map(|cause| Some(cause.example)))),
        ("its reason", texts(causes.iter().map(|cause| reason(cause).lines().next()))),
    ];
    table(columns, look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_row_or_one_object() {
        let cause = Cause {
            stage: "write".into(),
            place: "orders.colour".into(),
            code: Some(1265),
            count: 17,
            first: "2026-03-01 06:00:00.123000".into(),
            last: "2026-03-01 07:00:00.5".into(),
            example: 9,
        };
        let causes = [cause];
        let table = table_of(&causes, |_| "Data truncated\nhint: x", Look::default()).expect("a table");
        insta::assert_snapshot!(table, @r"
         count | stage | place         | code | first               | last                | example | its reason
        -------+-------+---------------+------+---------------------+---------------------+---------+----------------
            17 | write | orders.colour | 1265 | 2026-03-01 06:00:00 | 2026-03-01 07:00:00 |       9 | Data truncated
        ");
        let [cause] = causes;
        let line: serde_json::Value = serde_json::from_str(&json_line(&cause, "x")).expect("JSON");
        assert_eq!((line["count"].as_i64(), line["code"].as_i64()), (Some(17), Some(1265)));
    }
}
