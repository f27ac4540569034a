//! The state of a job: what it has of Kafka, what it waits for, what its last batch was, and what it holds. Values that change
//! are here; counters are in `counts`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::counts::Stage;
use super::relation::Relation;
use super::sentence::State;
use super::tell::Held;
use crate::batch::{SqlVersion, TopicPartition};

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    Kafka,
    Database,
}

impl Server {
    pub const ALL: [Self; 2] = [Self::Kafka, Self::Database];

    /// Its name in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Database => "database",
        }
    }
}

/// One wait for a server.
#[derive(Clone, Debug)]
pub struct Wait {
    pub since: SystemTime,
    /// The first line of the last error.
    pub error: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Starting,
    Running,
    Failed,
}

/// A partition that this instance has.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// The offset that is stored in the database; `None` until the partition is claimed.
    pub committed: Option<i64>,
    /// The high watermark, when it was seen last.
    pub end: Option<i64>,
    /// The time of the last message that was committed, milliseconds since the epoch.
    pub message_time_ms: Option<i64>,
    /// When nothing was left to read, the last time.
    pub caught_up_at: Option<SystemTime>,
    /// When the high watermark was seen.
    pub observed_at: Option<SystemTime>,
}

impl Partition {
    /// Messages between the stored offset and the end (gaps in the offsets count).
    pub fn lag_messages(&self) -> i64 {
        match (self.end, self.committed) {
            (Some(end), Some(committed)) => (end - committed).max(0),
            _ => 0,
        }
    }

    /// For how long the first message that is not committed has waited, at most: since the last message that is, or since
    /// nothing was left to read. 0 if nothing is left; `None` if nothing is known.
    pub fn lag_seconds(&self, now: SystemTime) -> Option<f64> {
        self.end?;
        if self.lag_messages() == 0 {
            return Some(0.0);
        }
        let message = self
            .message_time_ms
            .map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms.max(0).unsigned_abs()));
        let since = message.max(self.caught_up_at)?;
        Some(now.duration_since(since).unwrap_or_default().as_secs_f64())
    }

    /// Notes that nothing is left to read, if so.
    pub(super) fn look(&mut self, now: SystemTime) {
        if self.end.is_some() && self.committed.is_some() && self.lag_messages() == 0 {
            self.caught_up_at = Some(now);
        }
    }
}

/// The last batch that was committed.
#[derive(Clone, Debug)]
pub struct BatchFacts {
    pub messages: usize,
    pub rows: usize,
    pub dead_letters: usize,
    pub ended_at: SystemTime,
    pub total: Duration,
    pub stages: Vec<(Stage, Duration)>,
}

/// What a view gave, in the last batch and in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct ViewTotals {
    pub rows: usize,
    pub elapsed: Duration,
    pub rows_total: u64,
    pub elapsed_total: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Standing {
    pub phase: Phase,
    /// Whether the group has said what this instance gets.
    pub has_joined: bool,
    pub partitions: BTreeMap<TopicPartition, Partition>,
    pub waits: BTreeMap<Server, Wait>,
    pub last_commit_at: Option<SystemTime>,
    /// When a message was committed last.
    pub last_message_at: Option<SystemTime>,
    pub batch: Option<BatchFacts>,
    pub views: BTreeMap<Arc<str>, ViewTotals>,
    /// What each lane holds in memory.
    pub(super) held: BTreeMap<usize, Held>,
    /// Bytes that librdkafka has fetched and the job has not taken.
    pub fetched_bytes: u64,
    pub relations: Vec<Relation>,
    pub sql: Option<SqlVersion>,
    pub sql_used_at: Option<SystemTime>,
    /// The SQL that this process used before.
    pub sql_before: Option<SqlVersion>,
    /// Dead letters in the database that are not replayed, as of the last look.
    pub dead_letters_waiting: Option<i64>,
    /// The state that was reported last, and since when.
    pub(super) state: Option<(State, SystemTime)>,
}

impl Standing {
    /// Messages and seconds that this instance is behind: all messages, and the seconds of the last partition.
    pub fn lag(&self, now: SystemTime) -> (i64, f64) {
        let messages = self.partitions.values().map(Partition::lag_messages).sum();
        let seconds = self.partitions.values().filter_map(|partition| partition.lag_seconds(now));
        (messages, seconds.fold(0.0, f64::max))
    }

    /// Notes in which state the job is; since when is kept.
    pub(super) fn is_in(&mut self, state: State, now: SystemTime) {
        if self.state.is_none_or(|(before, _)| before != state) {
            self.state = Some((state, now));
        }
    }

    /// Since when the job is in its state.
    pub fn since(&self) -> Option<SystemTime> {
        self.state.map(|(_, since)| since)
    }
}
