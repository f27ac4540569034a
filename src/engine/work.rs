//! What travels through the loop: messages that wait for their commit, and what is known of them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;
use tokio::time::Instant;

use super::error::EngineError;
use super::reasons::Reasons;
use crate::batch::{BatchRows, Commit, Fault, LetterKind, Polled, Stage, Tally, ViewTiming};
use crate::diagnostic::Finding;
use crate::sink::SinkError;
use crate::sql::SqlErrorKind;

/// Messages that wait for their commit.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub polled: Polled,
    /// Messages that cannot be processed, by their places, and why: they become dead letters.
    pub condemned: BTreeMap<usize, Reason>,
    /// Whether it, or what it is a part of, was computed before: it sees the reference tables that were seen then.
    pub is_again: bool,
    /// How often in a row another instance wrote the state it was computed from.
    pub conflicts: u32,
    /// The message time that the job has reached, where the messages are from before it.
    pub reached_ms: Option<i64>,
    pub taken_at: Instant,
    pub started_at: SystemTime,
    pub poll: Duration,
    pub interval: Duration,
}

/// Why messages cannot be processed.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    pub stage: Stage,
    /// A file, a table, or `table.column`.
    pub place: String,
    pub found: Finding,
    pub kind: LetterKind,
    /// Whether the batch may be to blame as a whole, so that a smaller one passes.
    pub is_of_size: bool,
}

/// What is known of a batch before it is committed.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub outputs: Vec<usize>,
    /// How many dead letters there are of each stage that has some.
    pub dead_letters: BTreeMap<&'static str, usize>,
    /// Why.
    pub reasons: Reasons,
    /// As they are committed with the batch.
    pub tallies: Vec<Tally>,
    /// For each state table the rows of its view that had no key.
    pub null_keys: Vec<usize>,
    pub views: Vec<ViewTiming>,
    /// What SQL saw and computed, if somebody may look at it.
    pub rows: Option<BatchRows>,
    pub decode: Duration,
    /// Views and the look-ups they needed.
    pub sql: Duration,
    /// The part of it that look-ups took.
    pub lookup: Duration,
    /// When its commit began.
    pub handed_over_at: Option<Instant>,
}

impl Work {
    /// Messages that were not waited for, to be computed for the first time.
    pub fn of(polled: Polled) -> Self {
        Self {
            polled,
            condemned: BTreeMap::new(),
            is_again: false,
            conflicts: 0,
            reached_ms: None,
            taken_at: Instant::now(),
            started_at: SystemTime::now(),
            poll: Duration::ZERO,
            interval: Duration::ZERO,
        }
    }

    /// The time of the newest of the messages at these places, milliseconds since the epoch.
    pub fn message_time_ms(&self, places: &[u32]) -> Option<i64> {
        let times = places.iter().filter_map(|place| self.polled.messages.timestamp_ms(*place as usize));
        times.max().max(self.reached_ms)
    }

    /// The same work, to be done again.
    pub fn again(self) -> Self {
        Self { is_again: true, ..self }
    }

    /// Finds the messages that a fault of data is about: halves, or a dead letter if one message is left.
    pub fn narrow(self, reason: Reason) -> Vec<Self> {
        if self.polled.messages.len() > 1 {
            tracing::debug!("{} messages in two parts, for {}", self.polled.messages.len(), reason.place);
            return self.halves();
        }
        self.condemn(BTreeMap::from([(0, reason)]))
    }

    /// The same work, in which more messages become dead letters.
    pub fn condemn(mut self, condemned: BTreeMap<usize, Reason>) -> Vec<Self> {
        self.condemned.extend(condemned);
        vec![Self { is_again: true, conflicts: 0, ..self }]
    }

    /// The same work in two parts, to be done again one after the other; whole if it is one message, or none.
    pub fn halves(self) -> Vec<Self> {
        let work = Self { is_again: true, conflicts: 0, ..self };
        if work.polled.messages.len() < 2 {
            return vec![work];
        }
        let (first, second) = work.polled.halves();
        let mut of_first = work.condemned.clone();
        let of_second = of_first.split_off(&first.messages.len());
        let of_second =
            of_second.into_iter().map(|(at, reason)| (at - first.messages.len(), reason)).collect();
        let part = |polled, condemned| Self { polled, condemned, ..work.clone() };
        vec![part(first, of_first), part(second, of_second)]
    }
}

impl Reason {
    pub fn new(stage: Stage, place: String, found: Finding) -> Self {
        Self { stage, place, found, kind: LetterKind::Other, is_of_size: false }
    }

    /// The fault of data that an error is; `None` where it is none.
    pub fn of(error: &EngineError) -> Option<Self> {
        match error {
            EngineError::Sql(error) if error.fault() == Fault::Data => {
                let is_of_size = error.kind() == SqlErrorKind::MemoryExhausted;
                Some(Self { is_of_size, ..Self::new(Stage::Sql, error.place_of_row(), error.found()) })
            }
            // A table says so only where the keys of one batch are too many.
            EngineError::Tables(error) if error.fault() == Fault::Data => {
                let (place, found) = (error.table().to_owned(), Finding::new(&error.found().message));
                Some(Self { is_of_size: true, ..Self::new(Stage::Sql, place, found) })
            }
            // One message alone is never too large for the decoder: it is a dead letter of its own.
            EngineError::Decode(error) if error.fault() == Fault::Data => {
                let found = Finding::new(error.to_string());
                Some(Self { is_of_size: true, ..Self::new(Stage::Decode, String::new(), found) })
            }
            EngineError::Sink(error) if error.fault() == Fault::Data => Some(Self::refused(error)),
            _ => None,
        }
    }

    /// What the sink cannot write.
    pub fn refused(error: &SinkError) -> Self {
        let kind = error.code().map_or(LetterKind::Other, LetterKind::Refused);
        let reason = Self::new(Stage::Write, error.place(), error.reason());
        Self { kind, is_of_size: error.is_of_size(), ..reason }
    }
}

impl Facts {
    pub fn of(commit: &Commit) -> Self {
        let rows = |batches: &Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).sum();
        let mut dead_letters = BTreeMap::new();
        for letter in &commit.dead_letters {
            *dead_letters.entry(letter.stage.name()).or_default() += 1;
        }
        Self {
            outputs: commit.outputs.iter().map(rows).collect(),
            dead_letters,
            reasons: Reasons::of(&commit.dead_letters),
            tallies: commit.tallies.clone(),
            ..Self::default()
        }
    }
}
