//! `percentile_cont` of doubles. DataFusion cuts the fraction to millionths, and subtracts it from 1 for values in descending order.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::physical_expr::expressions::Literal;

/// The values so far.
#[derive(Debug)]
pub(super) struct Percentile {
    values: Vec<f64>,
    /// From 0 to 1.
    fraction: f64,
    is_descending: bool,
    is_distinct: bool,
}

impl Percentile {
    /// `None` if the values are no doubles, or the fraction is no constant from 0 to 1, which DataFusion refuses.
    pub(super) fn of(call: &AccumulatorArgs) -> Option<Self> {
        if call.expr_fields.first()?.data_type() != &DataType::Float64 {
            return None;
        }
        let fraction = call.exprs.get(1)?.downcast_ref::<Literal>()?.value();
        let ScalarValue::Float64(Some(fraction)) = fraction.cast_to(&DataType::Float64).ok()? else {
            return None;
        };
        let is_descending = call.order_bys.first().is_some_and(|key| key.options.descending);
        let of = Self { values: Vec::new(), fraction, is_descending, is_distinct: call.is_distinct };
        (0.0..=1.0).contains(&fraction).then_some(of)
    }
}

impl Accumulator for Percentile {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(values[0].as_primitive::<Float64Type>().iter().flatten());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten() {
            if let Some(place) = self.values.iter().position(|own| own.total_cmp(&value).is_eq()) {
                self.values.swap_remove(place);
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place among the values, which are in memory"
    )]
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        if self.is_distinct {
            sorted.dedup();
        }
        if self.is_descending {
            sorted.reverse();
        }
        let Some(last) = sorted.len().checked_sub(1) else { return Ok(ScalarValue::Float64(None)) };
        let place = self.fraction * last as f64;
        let (before, after) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        let share = place.fract();
        // Why not always: infinity - infinity is no number.
        let value = if share == 0.0 || before == after { before } else { before + (after - before) * share };
        Ok(ScalarValue::Float64(Some(value)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = Arc::new(Float64Array::from(self.values.clone()));
        Ok(vec![SingleRowListArrayBuilder::new(values).build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[values])?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }
}
