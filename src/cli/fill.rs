//! `fill`: outputs and state tables from the messages of the past, beside the job.

use std::path::Path;
use std::time::{Duration, Instant};

use super::confirm::confirm;
use super::failure::Failure;
use super::job::PlannedFill;
use super::results::Results;
use super::{job, signals, terminal};
use crate::batch::TopicPartition;
use crate::config::Config;
use crate::diagnostic::Finding;
use crate::engine::{FillReport, Preview, nothing_to_fill};
use crate::sink::StoredOffsets;
use crate::source::StartAt;

/// Fill outputs and state tables from earlier messages.
///
/// A new output or state table has only the rows of new messages. This command computes the named tables, and nothing else, from
/// the messages of the topic up to the job's offset. The job may run meanwhile: it leaves the named tables out and writes
/// everything else. At the end the job continues with them at exactly the offset where the fill ends. If a fill is
/// interrupted, run the command again, and it continues.
///
/// A state table and what is computed from it must be filled together: name both. The fill uses the current
/// rows of reference tables.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor fill account_state --preview",
    "realtime-processor fill account_state classified_movements reactions",
    "realtime-processor fill reactions --from 2026-03-01",
    "realtime-processor fill reactions --clear --yes",
]))]
pub(super) struct Arguments {
    /// Outputs, by their views, and state tables.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Where the fill begins in each partition: `beginning`, `end`, an offset, or a time: the first message at or after it (a
    /// date, or RFC 3339).
    #[arg(long, value_name = "WHERE", default_value = "beginning")]
    from: StartAt,
    /// Show how many messages and rows there would be, and write nothing.
    #[arg(long)]
    preview: bool,
    /// Delete all rows of the tables first, to fill them again, for example after a change of the SQL.
    #[arg(long, conflicts_with = "preview")]
    clear: bool,
    /// Do not ask before rows are deleted.
    #[arg(long)]
    yes: bool,
}

/// The least time between two lines that say how far it is.
const SAY_INTERVAL: Duration = Duration::from_secs(5);

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let (_asked, stop) = signals::stop_on_signals()?;
    let fill = job::plan_fill(&config, &arguments.names).await?;
    if arguments.preview {
        return preview(&config, fill, arguments.from).await;
    }
    if arguments.clear && !arguments.yes {
        terminal::say(&format!("all rows of {} would be deleted", fill.tables().join(", ")));
        confirm()?;
    }
    let filler = fill.open(&config, arguments.from, arguments.clear, stop).await?;
    let mut said_at = Instant::now();
    let mut progress = |report: &FillReport| {
        if said_at.elapsed() >= SAY_INTERVAL {
            said_at = Instant::now();
            tracing::info!("filled {} offsets, {} behind the job", report.filled, report.behind);
        }
    };
    conclude(&arguments.names, &filler.run(&mut progress).await?)
}

fn conclude(names: &[String], report: &FillReport) -> Result<(), Failure> {
    let FillReport { filled, dead_letters, left_to_replay, is_stopped, .. } = report;
    if *left_to_replay > 0 {
        tracing::info!("{left_to_replay} messages are dead letters of the job: a replay processes them");
    }
    if *dead_letters > 0 {
        tracing::warn!("{dead_letters} messages are in dead_letters under the name of the fill");
    }
    if *is_stopped {
        let found = Finding::new("stopped before it was done");
        return Err(Failure::failed(found.with_hint("run the same command again to continue")));
    }
    let names = names.join(", ");
    let line =
        format!("{names}: filled from {filled} offsets, {dead_letters} dead letters; the job continues\n");
    Results::to_stdout().write(&line).map(drop)
}

async fn preview(config: &Config, fill: PlannedFill, from: StartAt) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("the database: {error}"));
    let mut ends: Vec<(TopicPartition, i64)> = Vec::new();
    if let Some(mut offsets) = StoredOffsets::look(&config.database, &config.job).await.map_err(failed)? {
        let stored = offsets.all().await.map_err(failed)?;
        ends.extend(stored.into_iter().map(|row| (row.partition, row.next_offset)));
    }
    ends.retain(|(partition, _)| config.kafka.topics.iter().any(|topic| **topic == *partition.topic));
    if ends.is_empty() {
        return Err(Failure::failed(nothing_to_fill(&config.job)));
    }
    let preview = fill.preview(config, from, &ends).await?;
    Results::to_stdout().write(&lines_of(&preview)).map(drop)
}

fn lines_of(preview: &Preview) -> String {
    let Preview { ranges, sampled, dead_letters, rows } = preview;
    let mut lines = String::new();
    let all: i64 = ranges.iter().map(|range| range.to - range.from).sum();
    for range in ranges {
        let (partition, from, to) = (&range.partition, range.from, range.to);
        lines += &format!("{partition}: {from} to {to}: up to {} messages\n", to - from);
    }
    lines += &format!("up to {all} messages in all; of the first {sampled}:\n");
    for (name, count) in rows {
        lines += &format!("  {name}: {count} rows\n");
    }
    if *dead_letters > 0 {
        lines += &format!("  {dead_letters} cannot be processed\n");
    }
    lines
}
