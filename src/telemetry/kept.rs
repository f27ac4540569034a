//! The rows of the last batches, for people who look at them. Rows are shared with the job and never copied while they are
//! few; of a large batch the last rows of each relation are copied, so that the job's memory is free at once.
//!
//! Whole batches are kept only while somebody asks for them, so that a job nobody looks at does not pay for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arrow::array::RecordBatch;

use crate::batch::{BatchRows, RelationRows, owned};
use crate::memory;

/// Rows of each relation that are kept of a large batch.
pub const SAMPLE_ROWS: usize = 100;
/// A batch whose relations take no more than this is kept whole.
const WHOLE_BYTES_MAX: usize = 4 << 20;
/// Messages that are kept for somebody who asks.
const MESSAGES_MAX: usize = 100_000;
/// Batches are kept for this long after somebody has asked for them.
const WANTED: Duration = Duration::from_secs(60);

/// The messages of one batch, decoded.
#[derive(Clone, Debug)]
pub struct KeptBatch {
    /// Counted from 1 in this process.
    pub number: u64,
    pub rows: RecordBatch,
}

/// See the module.
#[derive(Debug)]
pub struct Kept {
    bytes_max: usize,
    /// The number of the last batch.
    number: u64,
    ended_at: Option<SystemTime>,
    relations: Vec<RelationRows>,
    /// The oldest first.
    batches: VecDeque<KeptBatch>,
    wanted_until: Option<Instant>,
}

impl Kept {
    pub(super) fn new(memory_max: usize) -> Self {
        let (relations, batches) = Default::default();
        let bytes_max = memory::kept(memory_max);
        Self { bytes_max, number: 0, ended_at: None, relations, batches, wanted_until: None }
    }

    /// What is worth keeping of a batch: all of a small one, of a large one the last rows of each relation, and its messages if
    /// somebody asks for them.
    pub(super) fn sample(&self, rows: BatchRows) -> BatchRows {
        let BatchRows { batch, relations } = &rows;
        let all = relations.iter().flat_map(|relation| &relation.rows).chain([batch]);
        if all.map(RecordBatch::get_array_memory_size).sum::<usize>() <= WHOLE_BYTES_MAX {
            return rows;
        }
        let cut = relations.iter().map(|RelationRows { name, rows, masks, .. }| {
            let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
            RelationRows {
                name: Arc::clone(name),
                rows: last(rows),
                masks: Arc::clone(masks),
                is_cut: count > SAMPLE_ROWS,
            }
        });
        let batch = match self.is_wanted(Instant::now()) {
            true => batch.clone(),
            false => last(std::slice::from_ref(batch)).pop().unwrap_or_else(|| batch.slice(0, 0)),
        };
        BatchRows { batch, relations: cut.collect() }
    }

    /// Keeps a batch that was committed, in place of the one before.
    pub(super) fn keep(&mut self, rows: &BatchRows) {
        self.number += 1;
        self.ended_at = Some(SystemTime::now());
        self.relations.clone_from(&rows.relations);
        let is_wanted = self.is_wanted(Instant::now());
        if !is_wanted {
            self.batches.clear();
        }
        // Why: a batch of some rows may hold memory for thousands.
        let count = rows.batch.num_rows();
        let copied = (is_wanted && count <= SAMPLE_ROWS).then(|| owned(&rows.batch, 0..count).ok()).flatten();
        let batch = copied.unwrap_or_else(|| rows.batch.clone());
        self.batches.push_back(KeptBatch { number: self.number, rows: batch });
        while self.batches.len() > 1 && self.is_too_much() {
            self.batches.pop_front();
        }
    }

    fn is_too_much(&self) -> bool {
        let rows: usize = self.batches.iter().map(|batch| batch.rows.num_rows()).sum();
        rows > MESSAGES_MAX || self.batch_bytes() > self.bytes_max
    }

    fn batch_bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.get_array_memory_size()).sum()
    }

    /// What all of it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let rows = self.relations.iter().flat_map(|relation| &relation.rows);
        rows.map(RecordBatch::get_array_memory_size).sum::<usize>() + self.batch_bytes()
    }

    fn is_wanted(&self, now: Instant) -> bool {
        self.wanted_until.is_some_and(|until| now < until)
    }

    /// Somebody asks for whole batches: they are kept for a while from now on. Returns whether they were before.
    pub fn want(&mut self) -> bool {
        let now = Instant::now();
        let was_wanted = self.is_wanted(now);
        self.wanted_until = Some(now + WANTED);
        was_wanted
    }

    /// The number of the last batch; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When the last batch ended; `None` before the first.
    pub fn ended_at(&self) -> Option<SystemTime> {
        self.ended_at
    }

    /// The last batches, the oldest first.
    pub fn batches(&self) -> impl Iterator<Item = &KeptBatch> {
        self.batches.iter()
    }

    /// The rows of all relations in the last batch.
    pub fn relations(&self) -> &[RelationRows] {
        &self.relations
    }
}

/// The last rows, in memory of their own.
fn last(rows: &[RecordBatch]) -> Vec<RecordBatch> {
    let (mut left, mut kept) = (SAMPLE_ROWS, Vec::new());
    for batch in rows.iter().rev() {
        let count = batch.num_rows().min(left);
        // Why: places within the batch are always found.
        kept.extend(owned(batch, batch.num_rows() - count..batch.num_rows()));
        left -= count;
        if left == 0 {
            break;
        }
    }
    kept.reverse();
    kept
}
