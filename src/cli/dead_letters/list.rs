//! `dead-letters list`: one line each.

use std::io::{self, IsTerminal as _};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::letter::summary;
use super::{Shown, database_failed, seconds};
use crate::batch::Limits;
use crate::cli::failure::Failure;
use crate::cli::results::{Results, Written};
use crate::config::Config;
use crate::print::{self, Printer, Screen, numbers, texts};
use crate::sink::{LetterOrder, StoredLetter};

/// List the dead letters, the newest first.
///
/// Each line has the id, the message, the time when it was written, the stage (decode, sql or write), the place and the
/// reason. On a terminal, the lines are a table that is cut to fit. Elsewhere, fields are separated by tabs and not cut.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters list --limit 20",
    "realtime-processor dead-letters list --stage sql --format json | jq .reason",
    "realtime-processor dead-letters list --replayed --order oldest",
]))]
pub(super) struct Arguments {
    #[command(flatten)]
    shown: Shown,
    #[arg(long, value_enum, default_value = "newest")]
    order: Order,
    /// How many, at most.
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// A table for people, fields separated by tabs, or one JSON object per line.
    ///
    /// Without it: `table` on a terminal, `text` elsewhere.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    Newest,
    Oldest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Text,
    Json,
}

/// Dead letters read at once; their payloads are read along.
const PAGE: Limits = Limits { rows_max: 200, bytes_max: 16 << 20 };

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let Some(mut letters) = super::open(config).await? else { return Ok(()) };
    let selection = arguments.shown.selection(&mut letters).await?;
    let order = match arguments.order {
        Order::Newest => LetterOrder::Newest,
        Order::Oldest => LetterOrder::Oldest,
    };
    let by_default = if io::stdout().is_terminal() { Format::Table } else { Format::Text };
    let format = arguments.format.unwrap_or(by_default);
    let mut results = Results::to_stdout();
    let mut printer: Option<Printer> = None;
    let (mut shown, mut after) = (0, None);
    while shown < arguments.limit {
        let left = usize::try_from(arguments.limit - shown).unwrap_or(usize::MAX);
        let limits = Limits { rows_max: PAGE.rows_max.min(left), ..PAGE };
        let page = letters.page(&selection, order, after, limits).await.map_err(database_failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        let mut text = Vec::new();
        match format {
            Format::Table => {
                let rows = rows_of(&page)?;
                let start = || {
                    let look = Screen::of_stdout(false).look();
                    Printer::new(rows.schema(), print::Format::Table, look).without_count()
                };
                printer.get_or_insert_with(start).write(&mut text, &rows).map_err(failed)?;
            }
            Format::Text => text.extend(page.iter().flat_map(|letter| text_line(letter).into_bytes())),
            Format::Json => {
                page.iter().for_each(|letter| text.extend(format!("{}\n", summary(letter)).bytes()))
            }
        }
        if results.write(&String::from_utf8_lossy(&text))? == Written::NobodyReads {
            return Ok(());
        }
        shown += page.len() as u64;
    }
    if let Some(printer) = printer {
        let mut rest = Vec::new();
        printer.finish(&mut rest).map_err(failed)?;
        results.write(&String::from_utf8_lossy(&rest))?;
    }
    let all = letters.count(&selection).await.map_err(database_failed)?;
    let what = if arguments.shown.replayed { "replayed" } else { "waiting" };
    match u64::try_from(all).unwrap_or_default() {
        0 => tracing::info!("there are no {what} dead letters of this kind"),
        all if all > shown => {
            tracing::info!("{shown} of {all} {what} dead letters shown; --limit shows more")
        }
        _ => {}
    }
    Ok(())
}

fn failed(error: io::Error) -> Failure {
    Failure::failed(error.to_string())
}

/// Dead letters as rows of a table: times to the second, and only the first line of a text.
fn rows_of(page: &[StoredLetter]) -> Result<RecordBatch, ArrowError> {
    let column = |text: &dyn Fn(&StoredLetter) -> String| texts(page.iter().map(|stored| Some(text(stored))));
    let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    RecordBatch::try_from_iter([
        ("id", numbers(page.iter().map(|stored| Some(stored.id)))),
        ("message", column(&message)),
        ("written at (UTC)", column(&|stored| seconds(&stored.created_at).to_owned())),
        ("stage", column(&|stored| stored.letter.stage.name().to_owned())),
        ("place", column(&|stored| first_line(&stored.letter.place))),
        ("reason", column(&|stored| first_line(&stored.letter.reason.message))),
    ])
}

fn message(stored: &StoredLetter) -> String {
    format!("{}@{}", stored.letter.partition, stored.letter.offset)
}

fn text_line(stored: &StoredLetter) -> String {
    let letter = &stored.letter;
    let (id, message) = (stored.id.to_string(), message(stored));
    let reason = letter.reason.to_string();
    let fields = [&id, &message, &stored.created_at, letter.stage.name(), &letter.place, &reason];
    format!("{}\n", fields.map(escaped).join("\t"))
}

/// Without what separates fields and lines.
fn escaped(field: &str) -> String {
    field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{DeadLetter, LetterKind, Stage, TopicPartition};
    use crate::print::Look;

    #[test]
    fn a_line_is_a_line_whatever_the_reason_is() {
        let letter = DeadLetter {
            partition: TopicPartition { topic: "movements".into(), partition: 3 },
            offset: 1_204,
            timestamp_ms: None,
            key: None,
            headers: Vec::new(),
            payload: Some(vec![0; 27]),
            stage: Stage::Sql,
            place: "sql/shares.sql".into(),
            reason: format!("divided by zero\nhint:\t{}", "x".repeat(100)).into(),
            kind: LetterKind::Other,
        };
        let created_at = "2026-03-01 06:00:00.123000".into();
        let stored = StoredLetter { id: 17, owner: "bank".into(), letter, created_at, replayed_at: None };
        let rows = rows_of(std::slice::from_ref(&stored)).expect("rows");
        let mut table = Vec::new();
        let mut printer = Printer::new(rows.schema(), print::Format::Table, Look::default()).without_count();
        printer.write(&mut table, &rows).and_then(|()| printer.finish(&mut table)).expect("it is printed");
        insta::assert_snapshot!(String::from_utf8_lossy(&table), @r"
         id | message           | written at (UTC)    | stage | place          | reason
        ----+-------------------+---------------------+-------+----------------+-----------------
         17 | movements[3]@1204 | 2026-03-01 06:00:00 | sql   | sql/shares.sql | divided by zero
        ");
        let text = text_line(&stored);
        assert!(text.starts_with("17\tmovements[3]@1204\t2026-03-01 06:00:00.123000\tsql\tsql/shares.sql\tdivided by zero\\nhint:\\tx"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&summary(&stored).to_string()).expect("JSON");
        assert_eq!((json["id"].as_i64(), json["payload_bytes"].as_i64()), (Some(17), Some(27)));
    }
}
