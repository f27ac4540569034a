//! `dead-letters list`: one line each.

use std::io::{self, IsTerminal as _};

use super::letter::summary;
use super::{Shown, database_failed};
use crate::cli::failure::Failure;
use crate::cli::results::{Results, Written};
use crate::config::Config;
use crate::sink::{LetterOrder, PageLimits, StoredLetter};

/// List the dead letters, the newest first.
///
/// One line each: its id, the message, when it was written, the stage (decode, sql or write), the place there, and the
/// reason. On a terminal this is a table with what fits; elsewhere fields are separated by tabs and whole.
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
    /// A table for people, fields separated by tabs, or one JSON object a line.
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
const PAGE: PageLimits = PageLimits { rows_max: 200, bytes_max: 16 << 20 };
/// Characters of a reason in a table.
const REASON_CHARACTERS_MAX: usize = 80;

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
    let (mut shown, mut after) = (0, None);
    while shown < arguments.limit {
        let left = usize::try_from(arguments.limit - shown).unwrap_or(usize::MAX);
        let limits = PageLimits { rows_max: PAGE.rows_max.min(left), ..PAGE };
        let page = letters.page(&selection, order, after, limits).await.map_err(database_failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        let mut text = if shown == 0 && format == Format::Table { head() } else { String::new() };
        text.extend(page.iter().map(|letter| line(letter, format)));
        if results.write(&text)? == Written::NobodyReads {
            return Ok(());
        }
        shown += page.len() as u64;
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

fn head() -> String {
    row(["id", "message", "written at (UTC)", "stage", "place", "reason"])
}

fn row([id, message, written, stage, place, reason]: [&str; 6]) -> String {
    format!("{id:>8}  {message:<32} {written:<19}  {stage:<6} {place:<28} {reason}\n")
}

fn line(stored: &StoredLetter, format: Format) -> String {
    let letter = &stored.letter;
    let message = format!("{}@{}", letter.partition, letter.offset);
    match format {
        Format::Json => format!("{}\n", summary(stored)),
        Format::Table => {
            let written = stored.created_at.get(..19).unwrap_or(&stored.created_at);
            let reason = letter.reason.message.lines().next().unwrap_or_default();
            let reason = match reason.char_indices().nth(REASON_CHARACTERS_MAX) {
                Some((end, _)) => format!("{}...", &reason[..end]),
                None => reason.to_owned(),
            };
            let place = letter.place.lines().next().unwrap_or_default();
            row([&stored.id.to_string(), &message, written, letter.stage.name(), place, &reason])
        }
        Format::Text => {
            let fields = [
                &stored.id.to_string(),
                &message,
                &stored.created_at,
                letter.stage.name(),
                &letter.place,
                &letter.reason.to_string(),
            ];
            format!("{}\n", fields.map(escaped).join("\t"))
        }
    }
}

/// Without what separates fields and lines.
fn escaped(field: &str) -> String {
    field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{DeadLetter, LetterKind, Stage, TopicPartition};

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
        let table = line(&stored, Format::Table);
        assert_eq!(
            format!("{}{table}", head()),
            "      id  message                          written at (UTC)     stage  place                        reason\n\
             \x20     17  movements[3]@1204                2026-03-01 06:00:00  sql    sql/shares.sql               divided by zero\n"
        );
        let text = line(&stored, Format::Text);
        assert!(text.starts_with("17\tmovements[3]@1204\t2026-03-01 06:00:00.123000\tsql\tsql/shares.sql\tdivided by zero\\nhint:\\tx"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&line(&stored, Format::Json)).expect("JSON");
        assert_eq!((json["id"].as_i64(), json["payload_bytes"].as_i64()), (Some(17), Some(27)));
    }
}
