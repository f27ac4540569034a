//! Aggregates over frames that slide, without taking a value out again. To take one out of a sum of doubles leaves what the
//! sum has lost to rounding, and a NaN or an infinity cannot be taken out at all; nor can a text out of `string_agg`.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use std::collections::VecDeque;
use std::sync::Arc;

use super::has_floats;

/// A frame as a queue in two parts. `back` has the values that came last, in one accumulator. `front` has what the values
/// before them come to from each of them on, so the first can leave by dropping the last of these. When `front` is empty, the
/// values of `back` move there. Each value moves once, so a frame costs by the rows that come and go, not by its length.
pub(super) struct Sliding {
    make: Factory,
    front: Vec<Vec<ArrayRef>>,
    back: Box<dyn Accumulator>,
    /// Whether its state ends an accumulator, which DataFusion allows. Why not assumed of all: to begin another one with the
    /// state of a variance rounds.
    ends_with_state: bool,
    /// The arguments of the values in `back`, row by row.
    waiting: VecDeque<Vec<ArrayRef>>,
}

impl Sliding {
    pub(super) fn try_new(function: &AggregateUDF, call: &AccumulatorArgs) -> Result<Self> {
        let make = Factory::new(function, call);
        let back = make.accumulator()?;
        let ends_with_state = !call.expr_fields.iter().any(|field| has_floats(field.data_type()));
        Ok(Self { make, front: Vec::new(), back, ends_with_state, waiting: VecDeque::new() })
    }

    /// What the values in `back` come to.
    fn back_state(&mut self) -> Result<Vec<ArrayRef>> {
        let state = arrays(&self.back.state()?)?;
        if self.ends_with_state {
            self.back = self.make.accumulator()?;
            self.back.merge_batch(&state)?;
        }
        Ok(state)
    }

    fn turn(&mut self) -> Result<()> {
        for row in self.waiting.drain(..).rev() {
            let mut from_here = self.make.accumulator()?;
            from_here.update_batch(&row)?;
            if let Some(later) = self.front.last() {
                from_here.merge_batch(later)?;
            }
            self.front.push(arrays(&from_here.state()?)?);
        }
        self.back = self.make.accumulator()?;
        Ok(())
    }

    fn merged(&mut self) -> Result<Box<dyn Accumulator>> {
        let mut all = self.make.accumulator()?;
        if let Some(front) = self.front.last() {
            all.merge_batch(front)?;
        }
        all.merge_batch(&self.back_state()?)?;
        Ok(all)
    }
}

/// A state as arrays of one value each.
pub(super) fn arrays(state: &[ScalarValue]) -> Result<Vec<ArrayRef>> {
    state.iter().map(ScalarValue::to_array).collect()
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |values| values.len());
        let row = |row: usize| values.iter().map(|values| values.slice(row, 1)).collect();
        self.waiting.extend((0..rows).map(row));
        self.back.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        // Rows leave in the order in which they came.
        for _ in 0..values.first().map_or(0, |values| values.len()) {
            if self.front.is_empty() {
                self.turn()?;
            }
            self.front.pop();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // Why not `back` itself if it is all there is: to evaluate may end an accumulator.
        self.merged()?.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.merged()?.state()
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        datafusion::common::internal_err!("frames are not merged")
    }

    fn size(&self) -> usize {
        let rows = self.waiting.len() + self.front.len();
        size_of_val(self) + self.back.size() + rows * BYTES_OF_ROW
    }
}

/// What a row of a frame takes, about: slices of arrays, or a state of some scalars.
const BYTES_OF_ROW: usize = 256;

impl fmt::Debug for Sliding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sliding").field("back", &self.back).finish_non_exhaustive()
    }
}

/// Makes accumulators of one call.
struct Factory {
    function: AggregateUDF,
    return_field: FieldRef,
    schema: Schema,
    ignore_nulls: bool,
    order_bys: Vec<PhysicalSortExpr>,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
}

impl Factory {
    fn new(function: &AggregateUDF, call: &AccumulatorArgs) -> Self {
        Self {
            function: function.clone(),
            return_field: Arc::clone(&call.return_field),
            schema: call.schema.clone(),
            ignore_nulls: call.ignore_nulls,
            order_bys: call.order_bys.to_vec(),
            is_reversed: call.is_reversed,
            name: call.name.to_owned(),
            is_distinct: call.is_distinct,
            exprs: call.exprs.to_vec(),
            expr_fields: call.expr_fields.to_vec(),
        }
    }

    fn accumulator(&self) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        })
    }
}
