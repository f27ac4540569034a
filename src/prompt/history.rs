//! State as of before the batch. The database has state as of now: a job that has processed the messages of the batch has
//! counted them in it, and views that read it here would count them twice. Where the topic still has every message before
//! the batch, state is computed from those, as the job has computed it; otherwise a person is told what is counted twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;

use super::batch::{Batch, Origin};
use super::load::{Loaded, Loading, Start, history};
use super::moment::{Moment, StateOf};
use super::refusal::Refusal;
use super::session::Session;
use super::views::{StateStore, Views};
use crate::batch::{Decoded, Limits, Messages, TopicPartition};
use crate::config::{Config, StartingOffsets};
use crate::sink::{SinkError, StoredLetters, StoredOffsets};
use crate::source::Range;
use crate::tables::ReferenceTables;

/// Messages before the batch that are computed without being asked to: a second or two.
const AUTO_MESSAGES_MAX: i64 = 200_000;
/// Messages before the batch that `--state before` computes.
const MESSAGES_MAX: i64 = 5_000_000;
/// Messages that are computed at once.
const CHUNK_ROWS: usize = 50_000;
/// Messages that views may fail on. A job makes dead letters of them, and so they change no state.
const FAILED_MAX: usize = 1000;

/// How the messages of a batch stand to what the job has processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Overlap {
    /// Messages of the batch that the job has processed.
    processed: i64,
    /// Messages before the batch that it has not processed.
    ahead: i64,
}

impl Overlap {
    /// `first`: where the job begins in a partition that it has not read, if that is known.
    fn of(ranges: &[Range], stored: &BTreeMap<TopicPartition, i64>, first: Option<i64>) -> Self {
        let mut overlap = Self::default();
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            let Some(next) = stored.get(&range.partition).or(first.as_ref()) else { continue };
            overlap.processed += (range.to.min(*next) - range.from).max(0);
            overlap.ahead += (range.from - *next).max(0);
        }
        overlap
    }

    fn is_none(self) -> bool {
        self == Self::default()
    }

    fn note(self, messages: i64) -> String {
        let Self { processed, ahead } = self;
        if processed > 0 {
            return format!(
                "state is as stored now, and the job has processed {processed} of the {messages} messages of this \
                 batch: views that read state see what came later, and sums count these messages twice"
            );
        }
        format!("state is as stored now, and lacks {ahead} messages that come before this batch")
    }
}

impl Session {
    /// The state that the views over a batch start from.
    ///
    /// # Errors
    /// State before the batch was asked for and cannot be computed; the broker's.
    pub(super) async fn moment_of(&mut self, batch: &Batch) -> Result<Moment, Refusal> {
        if !self.views.has_states() {
            return Ok(Moment::default());
        }
        // Why: where the database is away, the views that read state say so.
        let stored = stored_offsets(self).await.unwrap_or_default();
        let is_of_topic = matches!(batch.origin, Origin::Topic | Origin::Job(_));
        let begins_at_first = self.config.kafka.starting_offsets == StartingOffsets::Earliest;
        let overlap = match batch.origin {
            // They are in no state, and a replay begins with what is stored.
            Origin::DeadLetters => Overlap::default(),
            _ => Overlap::of(&batch.ranges, &stored, (is_of_topic && begins_at_first).then_some(0)),
        };
        let of = self.options.state;
        let is_computed = match of {
            StateOf::Before => true,
            // Before the first messages there is none, and no broker is asked.
            StateOf::Auto => (is_of_topic || is_first(&batch.ranges)) && !overlap.is_none(),
            StateOf::Stored => false,
        };
        let messages = batch.ranges.iter().map(|range| range.to - range.from).sum();
        let note = (!overlap.is_none()).then(|| overlap.note(messages));
        if !is_computed {
            let asked = (of == StateOf::Auto).then_some("; `--state before` computes it from the topic");
            let note = note.map(|note| format!("{note}{}", asked.unwrap_or_default()));
            return Ok(Moment::default().with_note(note));
        }
        let messages_max = if of == StateOf::Before { MESSAGES_MAX } else { AUTO_MESSAGES_MAX };
        match Box::pin(self.state_before(&batch.ranges, messages_max)).await {
            Ok(moment) => Ok(moment),
            Err(reason) if of == StateOf::Before => {
                Err(Refusal::error(format!("the state before this batch cannot be computed: {reason}")))
            }
            Err(reason) => {
                let note = note.map(|note| format!("{note}; the state before it cannot be had: {reason}"));
                Ok(Moment::default().with_note(note))
            }
        }
    }

    /// Computes state from all messages before these ranges but the job's dead letters, by the views as they were at the
    /// start; why not, where that is not possible.
    async fn state_before(&mut self, batch: &[Range], messages_max: i64) -> Result<Moment, String> {
        if self.config.kafka.starting_offsets == StartingOffsets::Latest {
            return Err("the job began at the latest offsets, and where those were is not known".into());
        }
        let mut left = Vec::new();
        if !is_first(batch) {
            self.progress.step("reading the messages before the batch");
            left = history(&self.config, batch, messages_max).await?;
        }
        let messages: i64 = left.iter().map(|range| range.to - range.from).sum();
        let waiting = waiting_letters(&self.config, &left).await.map_err(|error| error.to_string())?;
        let mut views = self.views_of(self.started.clone(), StateStore::Memory).await;
        let limits = Limits { rows_max: CHUNK_ROWS.min(self.decoder.rows_max()), ..self.limits };
        let mut failed = 0;
        while left.iter().any(|range| !range.is_empty()) {
            let mut loading = Loading::start(&self.config, Start::Between(left.clone()), limits);
            let Loaded { messages, ranges, .. } =
                loading.messages().await.map_err(|error| error.to_string())?;
            if ranges.iter().all(Range::is_empty) {
                return Err("the broker sends no more messages".into());
            }
            for (left, read) in left.iter_mut().zip(&ranges) {
                left.from = read.to;
            }
            let decoded = self.decode(&messages).await?;
            let batch = without(&waiting, &messages, &decoded).map_err(|error| error.to_string())?;
            let failed_max = FAILED_MAX - failed;
            failed += advance(&mut views, &self.config, batch, &mut self.references, failed_max).await?;
            self.progress.add_rows(messages.len());
        }
        let rows = views.state_rows()?;
        let left_out = match waiting.values().map(BTreeSet::len).sum() {
            0_usize => String::new(),
            letters => format!(", without {letters} that wait among the dead letters"),
        };
        let note = format!("state is as of before this batch, computed from {messages} messages{left_out}");
        Ok(Moment::of_rows(rows).with_note(Some(note)))
    }
}

/// Whether no message comes before a batch.
fn is_first(batch: &[Range]) -> bool {
    batch.iter().all(|range| range.from == 0)
}

/// Computes a batch on the state that is there and keeps its result. Messages that views fail on are left out, as
/// the job does; returns how many those are.
async fn advance(
    views: &mut Views,
    config: &Config,
    batch: RecordBatch,
    references: &mut ReferenceTables,
    failed_max: usize,
) -> Result<usize, String> {
    let (mut open, mut failed) = (vec![batch], 0);
    while let Some(batch) = open.pop() {
        if batch.num_rows() == 0 {
            continue;
        }
        let Err(fault) = views.advance(config, &batch, references).await else { continue };
        if batch.num_rows() > 1 {
            let half = batch.num_rows() / 2;
            open.push(batch.slice(half, batch.num_rows() - half));
            open.push(batch.slice(0, half));
            continue;
        }
        failed += 1;
        if failed > failed_max {
            return Err(format!("the views fail on more than {FAILED_MAX} messages: {fault}"));
        }
    }
    Ok(failed)
}

/// The messages in these ranges that wait among the dead letters of the job: it has withdrawn what they did to state.
async fn waiting_letters(
    config: &Config,
    ranges: &[Range],
) -> Result<BTreeMap<TopicPartition, BTreeSet<i64>>, SinkError> {
    let mut waiting = BTreeMap::new();
    if let Some(mut letters) = StoredLetters::look(config).await? {
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            let offsets = letters.waiting_before(&range.partition, range.to).await?;
            waiting.insert(range.partition.clone(), offsets);
        }
    }
    Ok(waiting)
}

/// The rows of a batch but those of messages that wait.
fn without(
    waiting: &BTreeMap<TopicPartition, BTreeSet<i64>>,
    messages: &Messages,
    decoded: &Decoded,
) -> Result<RecordBatch, ArrowError> {
    let is_kept = |place: &u32| {
        let message = messages.get(*place as usize);
        let partition = TopicPartition { topic: Arc::clone(message.topic), partition: message.partition };
        waiting.get(&partition).is_none_or(|offsets| !offsets.contains(&message.offset))
    };
    if waiting.values().all(BTreeSet::is_empty) {
        return Ok(decoded.batch.clone());
    }
    let kept: BooleanArray = decoded.places.iter().map(is_kept).map(Some).collect();
    filter_record_batch(&decoded.batch, &kept)
}

async fn stored_offsets(session: &Session) -> Option<BTreeMap<TopicPartition, i64>> {
    let stored = StoredOffsets::look(&session.config.database, &session.config.job).await.ok()?;
    let rows = stored?.all().await.ok()?;
    Some(rows.into_iter().map(|row| (row.partition, row.next_offset)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_twice_and_what_is_missing() {
        let range =
            |partition, from, to| Range { partition: crate::source::partition("t", partition), from, to };
        let stored = |offsets: &[(i32, i64)]| {
            offsets.iter().map(|(number, next)| (crate::source::partition("t", *number), *next)).collect()
        };
        let ranges = [range(0, 10, 20), range(1, 5, 5), range(2, 0, 4)];
        let of = |offsets: &[(i32, i64)]| {
            let Overlap { processed, ahead } = Overlap::of(&ranges, &stored(offsets), None);
            (processed, ahead)
        };
        assert_eq!(of(&[(0, 10), (1, 9), (2, 0)]), (0, 0), "the job goes on just here");
        assert_eq!(of(&[(0, 15), (1, 9), (2, 100)]), (9, 0));
        assert_eq!(of(&[(0, 7), (2, 0)]), (0, 3));
        assert_eq!(of(&[]), (0, 0), "nobody knows where the job will begin");
        let Overlap { processed, ahead } = Overlap::of(&ranges, &stored(&[(0, 15)]), Some(0));
        assert_eq!(
            (processed, ahead),
            (5, 0),
            "of a partition without messages in the batch nothing is missing"
        );
        let Overlap { processed, ahead } = Overlap::of(&ranges, &stored(&[]), Some(0));
        assert_eq!((processed, ahead), (0, 10), "the job never ran, and begins at the first message");
    }
}
