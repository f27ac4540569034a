//! What SQL sees and computes in one batch: the rows of views and tables, and what they cost.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;

use crate::mask::Mask;

/// What the views made of one batch.
#[derive(Clone, Debug, Default)]
pub struct ViewResults {
    /// The rows of each output, in the order the outputs are configured in.
    pub outputs: Vec<Vec<RecordBatch>>,
    /// The new rows of each state table, in the order the state tables are configured in.
    pub states: Vec<Vec<RecordBatch>>,
    /// For each computed view, in the order of computing: name, rows, time.
    pub views: Vec<ViewTiming>,
    /// The rows of all tables and views, if somebody may look at them.
    pub relations: Vec<RelationRows>,
}

/// The rows that a table or a view has in one batch.
#[derive(Clone, Debug)]
pub struct RelationRows {
    pub name: Arc<str>,
    pub rows: Vec<RecordBatch>,
    /// What of its columns must not be shown.
    pub masks: Arc<[Mask]>,
    /// Whether these are the last rows only.
    pub is_cut: bool,
}

/// Everything that SQL sees and computes in one batch, for people who look at it.
#[derive(Clone, Debug)]
pub struct BatchRows {
    /// The decoded messages.
    pub batch: RecordBatch,
    pub relations: Vec<RelationRows>,
}

/// What one view cost in one batch.
#[derive(Clone, Debug)]
pub struct ViewTiming {
    pub view: Arc<str>,
    pub rows: usize,
    pub elapsed: Duration,
}

/// The rows at these places, in memory of their own. A slice would hold the memory of the whole.
///
/// # Errors
/// Arrow cannot copy a column.
pub fn owned(rows: &RecordBatch, places: Range<usize>) -> Result<RecordBatch, ArrowError> {
    take_record_batch(rows, &UInt64Array::from_iter_values(places.map(|place| place as u64)))
}
