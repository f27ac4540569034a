//! The messages of a batch that views refuse. The others are computed without them, as a job does, and `dead_letters` lists
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::error::ArrowError;

use super::batch::message_of;
use crate::batch::Stage;
use crate::diagnostic::Finding;

/// Messages that may be left out of a small batch, but not more than half of it.
const ALWAYS_MAX: usize = 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// By their rows in the batch.
    refused: BTreeMap<usize, Refused>,
}

/// Why a message is refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub view: String,
    /// As a dead letter has it.
    pub place: String,
    pub found: Finding,
}

impl LeftOut {
    /// How many more messages of a batch may be left out. A job with more dead letters stops; so here, the view is at fault, and
    /// its error is shown in place of its rows.
    pub fn room(&self, messages: usize, ratio_max: f64) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let share = (messages as f64 * ratio_max) as usize;
        share.max(ALWAYS_MAX.min(messages / 2)).saturating_sub(self.refused.len())
    }

    /// Leaves more messages out; rows count in [`Self::others`].
    pub fn add(&mut self, batch: &RecordBatch, refused: Vec<(usize, Refused)>) {
        let others: Vec<usize> =
            (0..batch.num_rows()).filter(|row| !self.refused.contains_key(row)).collect();
        self.refused.extend(refused.into_iter().map(|(row, refused)| (others[row], refused)));
    }

    /// Leaves out none of those that a view refuses.
    pub fn take_back(&mut self, view: &str) {
        self.refused.retain(|_, refused| refused.view != view);
    }

    /// The messages that are not left out.
    ///
    /// # Errors
    /// Arrow cannot filter the rows.
    pub fn others(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.refused.is_empty() {
            return Ok(batch.clone());
        }
        let is_other: Vec<bool> = (0..batch.num_rows()).map(|row| !self.refused.contains_key(&row)).collect();
        filter_record_batch(batch, &BooleanArray::from(is_other))
    }

    /// `known` and those that are left out, as `dead_letters` shows them. The payloads of the latter were not kept.
    ///
    /// # Errors
    /// Arrow cannot make the rows.
    pub fn letters(&self, batch: &RecordBatch, known: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let letter = |row: usize| message_of(&known.slice(row, 1));
        let listed: BTreeSet<String> = (0..known.num_rows()).filter_map(letter).collect();
        let is_new = |row: usize| message_of(&batch.slice(row, 1)).is_some_and(|of| !listed.contains(&of));
        let new: Vec<(&usize, &Refused)> = self.refused.iter().filter(|(row, _)| is_new(**row)).collect();
        if new.is_empty() {
            return Ok(known.clone());
        }
        let rows = UInt64Array::from_iter_values(new.iter().map(|(row, _)| **row as u64));
        let messages = take_record_batch(batch, &rows)?;
        let texts = |text: &dyn Fn(&Refused) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(new.iter().map(|(_, refused)| text(refused))))
        };
        let columns = known.schema_ref().fields().iter().map(|field| match field.name().as_str() {
            "stage" => texts(&|_| Stage::Sql.name().to_owned()),
            "place" => texts(&|refused| refused.place.clone()),
            "reason" => texts(&|refused| refused.found.to_string()),
            name => match messages.column_by_name(name) {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), new.len()),
            },
        });
        let letters = RecordBatch::try_new(known.schema(), columns.collect())?;
        concat_batches(known.schema_ref(), [known, &letters])
    }

    /// What is to be said of them, a line for each view; `when`: of which version of the views.
    pub fn notes(&self, when: &str) -> Vec<String> {
        let views: BTreeSet<&str> = self.refused.values().map(|refused| refused.view.as_str()).collect();
        let count = |view: &str| self.refused.values().filter(|refused| refused.view == view).count();
        let note = |view: &str| match count(view) {
            1 => format!("`{view}`{when} refuses 1 message, so no view has it; `dead_letters` says why"),
            count => format!(
                "`{view}`{when} refuses {count} messages, so no view has them; `dead_letters` says why"
            ),
        };
        views.into_iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn rows_are_counted_among_those_that_are_left() {
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
        let batch = RecordBatch::try_from_iter([("n", rows)]).unwrap();
        let mut left_out = LeftOut::default();
        let refused = |row, view: &str| {
            (row, Refused { view: view.into(), place: String::new(), found: Finding::new("x") })
        };
        assert_eq!((left_out.room(6, 0.1), left_out.room(50, 0.1), left_out.room(100, 0.5)), (3, 10, 50));
        // Of 0 1 2 3 4 5, then of 0 1 3 4 5.
        left_out.add(&batch, vec![refused(2, "a")]);
        left_out.add(&batch, vec![refused(0, "b"), refused(2, "a")]);
        assert_eq!(left_out.room(100, 0.5), 47);
        let others = |left_out: &LeftOut| {
            left_out.others(&batch).unwrap()["n"]
                .as_any()
                .downcast_ref::<Int64Array>()
                .unwrap()
                .values()
                .to_vec()
        };
        assert_eq!(others(&left_out), [1, 4, 5]);
        let notes = left_out.notes("");
        assert!(notes[0].starts_with("`a` refuses 2 messages"), "{notes:?}");
        assert!(notes[1].starts_with("`b` refuses 1 message,"), "{notes:?}");
        left_out.take_back("a");
        assert_eq!(others(&left_out), [1, 2, 3, 4, 5]);
    }
}
