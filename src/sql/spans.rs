//! Arithmetic of spans of time that DataFusion does not plan: an interval times a whole number, and a day beside a difference
//! of timestamps.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::cast::as_interval_mdn_array;
use datafusion::common::{DFSchema, Result, exec_datafusion_err};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::moments;

/// What `interval * number` is called in plans.
pub(super) const TIMES: &str = "interval_times";

pub(super) fn install(state: &mut SessionState) -> Result<()> {
    state.register_expr_planner(Arc::new(Spans))
}

#[derive(Debug)]
struct Spans;

impl ExprPlanner for Spans {
    fn plan_binary_op(
        &self,
        operands: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_arithmetic =
            matches!(operands.op, BinaryOperator::Multiply | BinaryOperator::Plus | BinaryOperator::Minus);
        if !is_arithmetic {
            return Ok(PlannerResult::Original(operands));
        }
        let RawBinaryExpr { op, left, right } = operands;
        // An operand without a type is another's to refuse.
        let of = |side: &Expr| side.get_type(schema).unwrap_or(DataType::Null);
        let (left_is, right_is) = (of(&left), of(&right));
        let is_interval = |of: &DataType| matches!(of, DataType::Interval(_));
        let is_length = |of: &DataType| matches!(of, DataType::Duration(_));
        let (left, right) = match op {
            BinaryOperator::Multiply if is_interval(&left_is) && right_is.is_integer() => {
                return Ok(PlannerResult::Planned(times(left, right)));
            }
            BinaryOperator::Multiply if left_is.is_integer() && is_interval(&right_is) => {
                return Ok(PlannerResult::Planned(times(right, left)));
            }
            BinaryOperator::Plus | BinaryOperator::Minus
                if moments::is_day(&left_is) && is_length(&right_is) =>
            {
                (moments::of_any(left), right)
            }
            BinaryOperator::Plus if is_length(&left_is) && moments::is_day(&right_is) => {
                (left, moments::of_any(right))
            }
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

fn times(interval: Expr, number: Expr) -> Expr {
    ScalarUDF::from(Times::default()).call(vec![interval, number])
}

/// An interval times a whole number; each of its parts has to fit.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Times {
    signature: Signature,
}

impl Default for Times {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

const MONTHS_DAYS_NANOS: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

impl ScalarUDFImpl for Times {
    fn name(&self) -> &'static str {
        TIMES
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(MONTHS_DAYS_NANOS)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let are_scalars = call.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if are_scalars { 1 } else { call.number_rows };
        let intervals = cast(&call.args[0].to_array(rows)?, &MONTHS_DAYS_NANOS)?;
        let numbers = cast(&call.args[1].to_array(rows)?, &DataType::Int64)?;
        let pairs = as_interval_mdn_array(&intervals)?.iter().zip(numbers.as_primitive::<Int64Type>());
        let products = pairs.map(|pair| match pair {
            (Some(interval), Some(number)) => product(interval, number)
                .map(Some)
                .ok_or_else(|| exec_datafusion_err!("an interval times {number} is out of range")),
            _ => Ok(None),
        });
        let products: ArrayRef = Arc::new(products.collect::<Result<IntervalMonthDayNanoArray>>()?);
        debug_assert_eq!(products.len(), rows, "one interval for each row");
        Ok(match are_scalars {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&products, 0)?),
            false => ColumnarValue::Array(products),
        })
    }
}

fn product(interval: IntervalMonthDayNano, number: i64) -> Option<IntervalMonthDayNano> {
    let part = |part: i32| i32::try_from(i64::from(part).checked_mul(number)?).ok();
    let (months, days) = (part(interval.months)?, part(interval.days)?);
    Some(IntervalMonthDayNano::new(months, days, interval.nanoseconds.checked_mul(number)?))
}
