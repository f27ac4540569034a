//! What SQL sees and computes in one batch: the rows of views and tables, and what they cost.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;

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
