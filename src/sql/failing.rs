//! The rows of a batch that SQL fails on, found by halving.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

/// How long a search takes, at most.
pub const SEARCH_MAX: Duration = Duration::from_secs(2);

/// The rows over each of which alone something fails, in their order, and how; and whether these are all of them, at most `max`,
/// found in time. `failure` tells how some rows fail, if they do. All of them together are known to fail.
pub async fn failing_rows<F>(
    rows: &RecordBatch,
    max: usize,
    until: Instant,
    mut failure: impl AsyncFnMut(RecordBatch) -> Option<F>,
) -> (Vec<(usize, F)>, bool) {
    let halves = |from: usize, count: usize| [(from + count / 2, count - count / 2), (from, count / 2)];
    let (mut open, mut found) = (Vec::from(halves(0, rows.num_rows())), Vec::new());
    while let Some((from, count)) = open.pop() {
        if found.len() > max || Instant::now() > until {
            return (found, false);
        }
        match failure(rows.slice(from, count)).await {
            Some(failure) if count == 1 => found.push((from, failure)),
            Some(_) if count > 1 => open.extend(halves(from, count)),
            _ => {}
        }
    }
    let are_all = found.len() <= max;
    (found, are_all)
}
