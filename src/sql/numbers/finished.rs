//! Accumulators of DataFusion's, with something done to the values that come out of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::signs;
use super::sliding::arrays;
use super::statistics::Statistic;

/// Of one group.
#[derive(Debug)]
pub(super) struct Finished {
    of_datafusion: Box<dyn Accumulator>,
    finish: Finish,
}

#[derive(Debug)]
enum Finish {
    Value(fn(ScalarValue) -> Result<ScalarValue>),
    /// The value is computed from the state, and not asked for.
    State(Statistic),
}

impl Finished {
    pub(super) fn boxed(
        of_datafusion: Box<dyn Accumulator>,
        finish: fn(ScalarValue) -> Result<ScalarValue>,
    ) -> Box<dyn Accumulator> {
        Box::new(Self { of_datafusion, finish: Finish::Value(finish) })
    }

    pub(super) fn of_state(
        of_datafusion: Box<dyn Accumulator>,
        statistic: Statistic,
    ) -> Box<dyn Accumulator> {
        Box::new(Self { of_datafusion, finish: Finish::State(statistic) })
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
        match self.finish {
            Finish::Value(finish) => finish(self.of_datafusion.evaluate()?),
            Finish::State(statistic) => {
                let state = arrays(&self.of_datafusion.state()?)?;
                ScalarValue::try_from_array(&statistic.of_states(&state)?, 0)
            }
        }
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
    /// What becomes of values that go in, and of states that go in or out.
    enter: Map,
    finish: Map,
    /// The values are computed from the states, and not asked for.
    of_states: Option<Statistic>,
}

impl FinishedGroups {
    /// Zeros and NaNs come out without signs.
    pub(super) fn signless(of_datafusion: Box<dyn GroupsAccumulator>) -> Box<dyn GroupsAccumulator> {
        Box::new(Self { of_datafusion, enter: Arc::clone, finish: signs::clear, of_states: None })
    }

    pub(super) fn of_states(
        of_datafusion: Box<dyn GroupsAccumulator>,
        statistic: Statistic,
    ) -> Box<dyn GroupsAccumulator> {
        Box::new(Self { of_datafusion, enter: Arc::clone, finish: signs::clear, of_states: Some(statistic) })
    }

    /// Values go in as others, and come out as themselves. `as_other` is its own opposite.
    pub(super) fn of_others(
        of_datafusion: Box<dyn GroupsAccumulator>,
        as_other: Map,
    ) -> Box<dyn GroupsAccumulator> {
        Box::new(Self { of_datafusion, enter: as_other, finish: as_other, of_states: None })
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
        match self.of_states {
            Some(statistic) => statistic.of_states(&self.of_datafusion.state(emit)?),
            None => Ok((self.finish)(&self.of_datafusion.evaluate(emit)?)),
        }
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
