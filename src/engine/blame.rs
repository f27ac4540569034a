//! From rows that are refused to the messages they come from, without trying parts of the batch.
//!
//! A view may make any rows of any messages, so this is a guess that is checked: if an output has one row for each
//! message, the row of a message should be at its place. The suspects alone are computed, and must give just these rows.
//! Then they become dead letters, and the others are written in one batch. Otherwise the batch is cut in halves, as for
//! any fault of data.

use std::collections::BTreeMap;

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};

use super::Engine;
use super::error::EngineError;
use super::work::{Reason, Work};
use crate::batch::{DeadLetter, Decoded, MessagesBuilder, Polled};
use crate::sink::{RefusedRow, SinkError};
use crate::source::Source;

impl<S: Source> Engine<S> {
    /// The messages that these rows come from, by their places, and why they are refused; `None` if that is not certain.
    pub(super) async fn blame(
        &mut self,
        work: &Work,
        refused: Vec<RefusedRow>,
    ) -> Option<BTreeMap<usize, Reason>> {
        let refused = certain(refused)?;
        let places = self.computed_places(work)?;
        let mut condemned = BTreeMap::new();
        let mut outputs = Vec::new();
        for RefusedRow { output, row, error, .. } in refused {
            outputs.push(output?);
            condemned.entry(*places.get(row)?).or_insert_with(|| Reason::refused(&error));
        }
        outputs.sort_unstable();
        outputs.dedup();
        let all = self.outputs_of(work).await?;
        let suspects = self.outputs_of(&only(work, condemned.keys().copied())).await?;
        let rows: Vec<u32> = condemned
            .keys()
            .map(|place| places.binary_search(place).ok())
            .map(|row| Some(row? as u32))
            .collect::<Option<_>>()?;
        let rows = UInt32Array::from(rows);
        let is_proved = outputs.into_iter().all(|output| {
            let (Some(all), Some(alone)) = (whole(&all[output]), whole(&suspects[output])) else {
                return false;
            };
            all.num_rows() == places.len() && take_record_batch(&all, &rows).is_ok_and(|taken| taken == alone)
        });
        is_proved.then_some(condemned)
    }

    /// The places of the messages that views are computed over.
    fn computed_places(&mut self, work: &Work) -> Option<Vec<usize>> {
        let decoded = self.stages.decoder.decode(&work.polled.messages).ok()?;
        Some(work.without_condemned(decoded).ok()?.places.into_iter().map(|place| place as usize).collect())
    }

    /// What the outputs are, computed on the committed state. Nothing is left staged.
    async fn outputs_of(&mut self, work: &Work) -> Option<Vec<Vec<RecordBatch>>> {
        let computed = self.stages.compute(work, None).await;
        self.stages.states.forget_staged();
        computed.ok().map(|(commit, _)| commit.outputs)
    }
}

/// The rows whose refusal does not hang on what becomes of other messages: all rows of one output, or those that are
/// refused for what they are.
fn certain(refused: Vec<RefusedRow>) -> Option<Vec<RefusedRow>> {
    let first = refused.first()?.output;
    let refused: Vec<RefusedRow> = match refused.iter().all(|row| row.output == first) {
        true => refused,
        false => refused.into_iter().filter(|row| row.is_alone).collect(),
    };
    let is_data = |row: &RefusedRow| matches!(row.error, SinkError::Refused { .. } | SinkError::Data { .. });
    (!refused.is_empty() && refused.iter().all(is_data)).then_some(refused)
}

/// The batch of some of the messages alone.
fn only(work: &Work, places: impl Iterator<Item = usize>) -> Work {
    let mut builder = MessagesBuilder::default();
    places.for_each(|place| builder.push(work.polled.messages.get(place)));
    let polled = Polled { messages: builder.finish(), advances: work.polled.advances.clone() };
    Work { polled, condemned: BTreeMap::new(), is_again: true, ..work.clone() }
}

fn whole(batches: &[RecordBatch]) -> Option<RecordBatch> {
    concat_batches(&batches.first()?.schema(), batches).ok()
}

impl Work {
    /// The dead letters of the messages that cannot be processed.
    pub fn condemned_letters(&self) -> Vec<DeadLetter> {
        let letter = |(place, reason): (&usize, &Reason)| {
            let Reason { stage, place: at, found, kind, .. } = reason.clone();
            DeadLetter { kind, ..DeadLetter::new(self.polled.messages.get(*place), stage, at, found) }
        };
        self.condemned.iter().map(letter).collect()
    }

    /// What was decoded, with dead letters in place of the messages that cannot be processed.
    ///
    /// # Errors
    /// None for what was decoded of these messages.
    pub fn without_condemned(&self, decoded: Decoded) -> Result<Decoded, EngineError> {
        if self.condemned.is_empty() {
            return Ok(decoded);
        }
        let Decoded { batch, mut places, mut dead_letters } = decoded;
        let is_kept = |place: &u32| !self.condemned.contains_key(&(*place as usize));
        let keep: Vec<bool> = places.iter().map(is_kept).collect();
        places.retain(is_kept);
        let kept = filter_record_batch(&batch, &BooleanArray::from(keep));
        let batch =
            kept.map_err(|error| SinkError::Sql(format!("dead letters cannot be left out: {error}").into()))?;
        dead_letters.extend(self.condemned_letters());
        dead_letters.sort_by(|a, b| (&a.partition, a.offset).cmp(&(&b.partition, b.offset)));
        Ok(Decoded { batch, places, dead_letters })
    }
}
