//! The row of a batch that SQL fails on, found by halving.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

/// How long a search takes, at most.
pub const SEARCH_MAX: Duration = Duration::from_secs(2);

/// The row over which alone something fails, if there is one and it is found soon. `fails_over` tells of some rows; it is
/// known to fail over all of them.
pub async fn failing_row(
    rows: &RecordBatch,
    mut fails_over: impl AsyncFnMut(RecordBatch) -> bool,
) -> Option<RecordBatch> {
    let started = Instant::now();
    // It fails over the first `failing` rows, and does not over the first `right` ones.
    let (mut right, mut failing) = (0, rows.num_rows());
    while failing.saturating_sub(right) > 1 {
        if started.elapsed() > SEARCH_MAX {
            return None;
        }
        let middle = right + (failing - right) / 2;
        match fails_over(rows.slice(0, middle)).await {
            true => failing = middle,
            false => right = middle,
        }
    }
    let row = (right < rows.num_rows()).then(|| rows.slice(right, 1))?;
    fails_over(row.clone()).await.then_some(row)
}
