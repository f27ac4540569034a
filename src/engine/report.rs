//! What a trigger tells of itself once it is committed: for the progress line, for tools, for the metrics.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Engine;
use super::work::{Facts, Work};
use crate::batch::{TopicPartition, ViewTiming};
use crate::source::Source;

/// One committed batch.
#[derive(Clone, Debug)]
pub struct Report {
    /// Counted from 0 in this process.
    pub batch_id: u64,
    /// When the trigger began.
    pub started_at: SystemTime,
    /// Messages taken.
    pub messages: usize,
    pub durations: Durations,
    /// Time from the start of the trigger before to the start of this one.
    pub interval: Duration,
    pub partitions: Vec<PartitionProgress>,
    /// Each output's view and the rows written for it.
    pub outputs: Vec<(Arc<str>, usize)>,
    pub dead_letters: usize,
    /// Rows of state views that were left out, as they had no key.
    pub null_keys: usize,
    /// How often it was computed again because another instance had written its state.
    pub conflicts: u64,
    pub views: Vec<ViewTiming>,
}

/// Where the time of one trigger went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durations {
    /// Waiting for messages.
    pub poll: Duration,
    pub decode: Duration,
    /// Views and the look-ups they needed.
    pub sql: Duration,
    /// From the first statement to the answer to COMMIT, retries included.
    pub commit: Duration,
    /// Since the batch before: tries that failed, and looking for the messages to blame.
    pub failed: Duration,
    /// From taking the messages to the answer to COMMIT.
    pub total: Duration,
}

/// How one batch moved one partition.
#[derive(Clone, Debug)]
pub struct PartitionProgress {
    pub partition: TopicPartition,
    pub start_offset: i64,
    /// The offset of the message to read next.
    pub end_offset: i64,
    /// The partition's end as it was seen last.
    pub latest_offset: i64,
    /// The time of the last message, milliseconds since the epoch.
    pub message_time_ms: Option<i64>,
}

impl PartitionProgress {
    /// Messages behind the partition's end (gaps in the offsets count).
    pub fn lag_messages(&self) -> i64 {
        (self.latest_offset - self.end_offset).max(0)
    }

    /// How old the last message was when it was committed at `now`, in seconds; 0 where nothing is left.
    pub fn lag_seconds(&self, now: SystemTime) -> f64 {
        if self.lag_messages() == 0 {
            return 0.0;
        }
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time_ms = self.message_time_ms.unwrap_or_default().max(0).unsigned_abs();
        now.saturating_sub(Duration::from_millis(time_ms)).as_secs_f64()
    }
}

impl Report {
    /// The lag of the partition that is furthest behind, in messages and seconds.
    pub fn lag(&self, now: SystemTime) -> (i64, f64) {
        let messages = self.partitions.iter().map(PartitionProgress::lag_messages).sum();
        let seconds = self.partitions.iter().map(|partition| partition.lag_seconds(now)).fold(0.0, f64::max);
        (messages, seconds)
    }
}

impl<S: Source> Engine<S> {
    /// What the batch that was just committed came to.
    pub(super) fn describe(&mut self, work: &Work, facts: Facts, commit: Duration) -> Report {
        let ends = self.source.ends();
        let partitions = work.polled.advances.iter().map(|advance| {
            let end = ends.iter().find(|end| end.partition == advance.partition).map_or(0, |end| end.end);
            PartitionProgress {
                partition: advance.partition.clone(),
                start_offset: advance.from,
                end_offset: advance.to,
                latest_offset: end.max(advance.to),
                message_time_ms: advance.message_time_ms,
            }
        });
        Report {
            batch_id: self.batches,
            started_at: work.started_at,
            messages: work.polled.messages.len(),
            durations: Durations {
                poll: work.poll,
                decode: facts.decode,
                sql: facts.sql,
                commit,
                failed: std::mem::take(&mut self.spent_in_vain),
                total: work.taken_at.elapsed(),
            },
            interval: work.interval,
            partitions: partitions.collect(),
            outputs: self.outputs.iter().cloned().zip(facts.outputs).collect(),
            dead_letters: facts.dead_letters.values().sum(),
            null_keys: facts.null_keys.iter().sum(),
            conflicts: self.conflicts,
            views: facts.views,
        }
    }
}
