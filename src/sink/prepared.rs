//! A batch as it is going to be written: each value checked against its column and prepared, so that what the
//! database would refuse, round or cut is known before the first statement. This needs no connection, so it is done
//! while the batch before is being committed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use tokio::sync::Notify;

use super::output::{Output, Rows};
use super::{RefusedRow, SinkError, Tables, load};
use crate::batch::Commit;

/// A batch whose rows fit the tables they go to.
pub struct Prepared {
    /// Notified once enough rows have been sent to keep the server busy.
    pub sent: Arc<Notify>,
    /// Its rows are in `rows`: from here on they are not looked at any more.
    pub commit: Commit,
    /// In the order in which they are written.
    pub(super) rows: Vec<Rows>,
    /// The outputs, as they are configured.
    pub(super) places: Vec<Arc<Output>>,
}

impl Tables {
    /// Checks and prepares the rows of a batch.
    ///
    /// # Errors
    /// Data that does not fit ([`SinkError::Data`]), or rows that no batch can have ([`SinkError::Sql`]).
    pub fn prepare(&self, commit: Commit) -> Result<Prepared, SinkError> {
        let count = |computed: usize, configured: usize, what: &str| match computed {
            0 => Ok(()),
            computed if computed == configured => Ok(()),
            computed => {
                let message = format!("{computed} {what} were computed, {configured} are configured");
                Err(SinkError::Sql(message.into()))
            }
        };
        count(commit.outputs.len(), self.outputs.len(), "outputs")?;
        count(commit.states.len(), self.states.len(), "state tables")?;
        let (mut cleared, mut written, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for place in &self.order {
            let rows = match place.checked_sub(self.outputs.len()) {
                None => commit.outputs.get(*place).map(|rows| self.outputs[*place].rows(rows)),
                Some(place) => commit.states.get(place).map(|change| self.states[place].state_rows(change)),
            };
            for rows in rows.transpose()?.into_iter().flatten() {
                match () {
                    () if rows.is_clearing() => cleared.push(rows),
                    () if rows.is_removal() => removed.push(rows),
                    () => written.push(rows),
                }
            }
        }
        // Invariant: a row is inserted after its parents and deleted before them. Why deletions come last: a row that is
        // deleted may have children that name another parent from now on.
        written.extend(removed.into_iter().rev());
        // Rows that are replaced go before what replaces them.
        let mut written: Vec<Rows> = cleared.into_iter().rev().chain(written).collect();
        if self.loads.load(Ordering::Relaxed) {
            for rows in &mut written {
                load::encode_ahead(rows)?;
            }
        }
        Ok(Prepared { sent: Arc::default(), commit, rows: written, places: self.outputs.clone() })
    }
}

impl Tables {
    /// The rows of outputs that are appended to with a value that its column cannot hold.
    pub fn misfits(&self, outputs: &[Vec<RecordBatch>]) -> Vec<RefusedRow> {
        let pairs = self.outputs.iter().zip(outputs).enumerate();
        let of_one = |(place, (output, rows)): (usize, (&Arc<Output>, &Vec<RecordBatch>))| {
            let misfits = output.misfits(rows).into_iter();
            misfits.map(move |(row, error)| RefusedRow { output: Some(place), row, error, is_alone: true })
        };
        pairs.flat_map(of_one).collect()
    }
}

impl Prepared {
    /// Whether it could be written in smaller parts: it holds more than one message.
    pub fn is_divisible(&self) -> bool {
        let extents = &self.commit.extents;
        extents.len() > 1 || extents.iter().any(|extent| extent.first < extent.last)
    }

    /// Whether a row that is refused can be found among others: there are several of messages, or of one message.
    pub fn is_searchable(&self) -> bool {
        self.is_divisible() || self.rows.iter().any(|rows| rows.len() > 1)
    }

    /// Whether it takes the server a while to take the rows, as it asks for them.
    pub fn is_loaded(&self) -> bool {
        self.rows.iter().any(|rows| !rows.text_ahead.is_empty())
    }

    /// Whether it is rows that are loaded, state at most, and offsets: what may be sent ahead of the batch before.
    pub fn is_plain(&self) -> bool {
        let Commit { dead_letters, tallies, .. } = &self.commit;
        self.is_loaded() && dead_letters.is_empty() && tallies.is_empty() && !self.writes_alone()
    }

    /// Whether anything is written by statements that do not travel with others, behind the rows.
    pub(super) fn writes_alone(&self) -> bool {
        let Commit { expire_before_ms, replayed, .. } = &self.commit;
        expire_before_ms.iter().any(Option::is_some)
            || !replayed.ids.is_empty()
            || !replayed.failed.is_empty()
    }

    /// Whether rows of state must be compared with what the batch was computed from.
    pub(super) fn reads_state(&self) -> bool {
        self.commit.states.iter().any(|change| change.read.as_ref().is_some_and(|read| read.num_rows() > 0))
    }
}
