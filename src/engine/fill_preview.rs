//! What a fill will be, before it is begun: the offsets it reads, and the rows that the first of their messages give.
//! Nothing is written, and state begins empty, in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::EngineError;
use super::filler::{blocking, first_offsets};
use super::plan::Plan;
use super::schemas::Schemas;
use super::stages::Stages;
use super::stop::Stop;
use super::work::Work;
use crate::batch::{Polled, TopicPartition};
use crate::decode::Decoder;
use crate::source::{Bounds, Browser, Range, StartAt, first_ranges};

/// Messages that are computed for a preview, at most.
const SAMPLE_MESSAGES_MAX: usize = 10_000;
/// The payloads of these messages, at most.
const SAMPLE_BYTES_MAX: usize = 8 << 20;

/// What a fill will read, and what its first messages give.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// The offsets of each partition. Some may hold no message.
    pub ranges: Vec<Range>,
    /// Messages that were computed, and those of them that cannot be processed.
    pub sampled: usize,
    pub dead_letters: usize,
    /// The rows that they give, by name; of a state table, its keys.
    pub rows: Vec<(String, usize)>,
}

/// Computes the first messages of a fill of `names` that begins at `from` and ends at the stored offsets `ends`.
///
/// # Errors
/// Kafka's; or a fault of the first messages that a fill would narrow down.
pub async fn preview(
    plan: Plan,
    decoder: Decoder,
    schemas: Option<Schemas>,
    browser: Browser,
    names: &BTreeSet<String>,
    from: StartAt,
    ends: &[(TopicPartition, i64)],
) -> Result<Preview, EngineError> {
    let Plan { tables, states, mut pipeline, .. } = plan;
    pipeline.leave_out(&(&pipeline.written() - names));
    let browser = Arc::new(browser);
    let mut topics: Vec<String> = ends.iter().map(|(partition, _)| partition.topic.to_string()).collect();
    topics.dedup();
    let found = first_offsets(&browser, &topics, from).await?;
    let stretch = |(partition, end): &(TopicPartition, i64)| {
        let (_, first) = found.iter().find(|(bounds, _)| bounds.partition == *partition)?;
        let first = (*first).min(*end);
        Some((Bounds { partition: partition.clone(), low: first, high: *end }, first))
    };
    let stretches: Vec<(Bounds, i64)> = ends.iter().filter_map(stretch).collect();
    let ranges = stretches.iter().map(|(bounds, from)| Range {
        partition: bounds.partition.clone(),
        from: *from,
        to: bounds.high,
    });
    let ranges = ranges.collect();
    let mut sample = first_ranges(&stretches, SAMPLE_MESSAGES_MAX);
    let read = move || browser.read(&mut sample, SAMPLE_BYTES_MAX, &AtomicBool::new(false));
    let messages = blocking(read).await?;
    let sampled = messages.len();
    let work = Work::of(Polled { messages, advances: Vec::new() });
    let (_, stop) = Stop::new();
    let mut stages = Stages::new(decoder, tables, states.emptied(), pipeline, stop);
    stages.schemas = schemas;
    let (commit, facts) = stages.compute(&work, None).await?;
    let outputs = stages.pipeline.outputs().iter().zip(&facts.outputs);
    let outputs = outputs.map(|((view, _), rows)| (view.clone(), *rows));
    let states = stages.pipeline.states().iter().zip(&commit.states);
    let states = states.map(|(state, change)| (state.name.clone(), change.rows.num_rows()));
    let rows = outputs.chain(states).filter(|(name, _)| names.contains(name)).collect();
    Ok(Preview { ranges, sampled, dead_letters: facts.dead_letters.values().sum(), rows })
}
