//! `offsets show`: what is stored, beside what Kafka has.

use serde_json::json;

use super::stored;
use crate::cli::failure::Failure;
use crate::cli::results::{Format, Results};
use crate::config::Config;
use crate::print::{Screen, numbers, table, texts};
use crate::sink::StoredOffset;
use crate::source::{Bounds, TopicLookup};

/// Show the stored offset of each partition, and Kafka's offsets.
///
/// One line per partition: the offset of the next message to read, the first and last offset in Kafka, how many
/// messages are left, the epoch (how often the partition was claimed), the time of the last message, and when that was
/// stored. If no broker answers, Kafka's offsets are NULL.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A table for people, or one JSON object per line.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let stored = stored(config).await?;
    let mut topics: Vec<String> = stored.iter().map(|row| row.partition.topic.to_string()).collect();
    topics.dedup();
    let kafka = config.kafka.clone();
    let bounds = tokio::task::spawn_blocking(move || {
        let lookup = TopicLookup::new(&kafka)?;
        topics.iter().map(|topic| lookup.bounds(topic)).collect::<Result<Vec<_>, _>>()
    });
    let bounds = match bounds.await.map_err(|error| Failure::failed(error.to_string()))? {
        Ok(bounds) => bounds.concat(),
        Err(error) => {
            tracing::warn!("{error}");
            Vec::new()
        }
    };
    let of = |row: &StoredOffset| bounds.iter().find(|bounds| bounds.partition == row.partition);
    let text = match arguments.format {
        Format::Json => stored.iter().map(|row| json_of(row, of(row))).collect(),
        Format::Table => table_of(&stored, of)?,
    };
    Results::to_stdout().write(&text).map(drop)
}

/// Messages that are left (gaps in the offsets count).
fn lag(row: &StoredOffset, bounds: &Bounds) -> i64 {
    (bounds.high - row.next_offset).max(0)
}

fn json_of(row: &StoredOffset, bounds: Option<&Bounds>) -> String {
    let line = json!({
        "kafka_topic": &*row.partition.topic,
        "kafka_partition": row.partition.partition,
        "next_offset": row.next_offset,
        "first_offset": bounds.map(|bounds| bounds.low),
        "end_offset": bounds.map(|bounds| bounds.high),
        "lag": bounds.map(|bounds| lag(row, bounds)),
        "epoch": row.epoch,
        "message_time": row.message_time,
        "updated_at": row.updated_at,
    });
    format!("{line}\n")
}

fn table_of<'b>(
    stored: &[StoredOffset],
    of: impl Fn(&StoredOffset) -> Option<&'b Bounds>,
) -> Result<String, Failure> {
    if stored.is_empty() {
        return Ok(String::new());
    }
    let number = |number: &dyn Fn(&StoredOffset) -> Option<i64>| numbers(stored.iter().map(number));
    let columns = [
        ("partition", texts(stored.iter().map(|row| Some(row.partition.to_string())))),
        ("next", number(&|row| Some(row.next_offset))),
        ("first", number(&|row| of(row).map(|bounds| bounds.low))),
        ("end", number(&|row| of(row).map(|bounds| bounds.high))),
        ("lag", number(&|row| of(row).map(|bounds| lag(row, bounds)))),
        ("epoch", number(&|row| Some(row.epoch))),
        ("message time", texts(stored.iter().map(|row| row.message_time.as_deref()))),
        ("stored at", texts(stored.iter().map(|row| Some(row.updated_at.as_str())))),
    ];
    Ok(table(columns, Screen::of_stdout(false).look())?)
}
