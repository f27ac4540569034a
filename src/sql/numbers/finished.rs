//! Accumulators of DataFusion's, with something done to the values that come out of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::signs;

/// Of one group.
#[derive(Debug)]
pub(super) struct Finished {
    of_datafusion: Box<dyn Accumulator>,
    finish: fn(ScalarValue) -> Result<ScalarValue>,
}

impl Finished {
    pub(super) fn boxed(
        of_datafusion: Box<dyn Accumulator>,
        finish: fn(ScalarValue) -> Result<ScalarValue>,
    ) -> Box<dyn Accumulator> {
        Box::new(Self { of_datafusion, finish })
    }
}

impl Accumulator for Finished {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.of_datafusion.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.of_datafusion.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.of_datafusion.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        (self.finish)(self.of_datafusion.evaluate()?)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.of_datafusion.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.of_datafusion.merge_batch(states)
    }

    fn size(&self) -> usize {
        self.of_datafusion.size()
    }
}

type Map = fn(&ArrayRef) -> ArrayRef;

/// Of many groups.
pub(super) struct FinishedGroups {
    of_datafusion: Box<dyn GroupsAccumulator>,
    /// What becomes of values on their way in, and of states on both ways.
    enter: Map,
    finish: Map,
}

impl FinishedGroups {
    /// Zeros and NaNs come out without signs.
    pub(super) fn signless(of_datafusion: Box<dyn GroupsAccumulator>) -> Box<dyn GroupsAccumulator> {
        Box::new(Self { of_datafusion, enter: Arc::clone, finish: signs::clear })
    }

    /// Values go in as others, and come out as themselves. `as_other` is its own opposite.
    pub(super) fn of_others(
        of_datafusion: Box<dyn GroupsAccumulator>,
        as_other: Map,
    ) -> Box<dyn GroupsAccumulator> {
        Box::new(Self { of_datafusion, enter: as_other, finish: as_other })
    }

    fn entered(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        columns.iter().map(self.enter).collect()
    }
}

impl GroupsAccumulator for FinishedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        groups_in_all: usize,
    ) -> Result<()> {
        let values = self.entered(values);
        self.of_datafusion.update_batch(&values, groups, filter, groups_in_all)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok((self.finish)(&self.of_datafusion.evaluate(emit)?))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let states = self.of_datafusion.state(emit)?;
        Ok(self.entered(&states))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], groups_in_all: usize) -> Result<()> {
        let states = self.entered(states);
        self.of_datafusion.merge_batch(&states, groups, groups_in_all)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        Ok(self.entered(&self.of_datafusion.convert_to_state(&self.entered(values), filter)?))
    }

    fn size(&self) -> usize {
        self.of_datafusion.size()
    }
}
