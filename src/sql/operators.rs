//! Operators that DataFusion does not plan: an interval times a whole number, and a day beside a difference of timestamps.
//! What no operator is for is refused with its place.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::cast::as_interval_mdn_array;
use datafusion::common::{DFSchema, Result, Span, exec_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::sql_types::in_sql;
use super::wrapped::Extent;
use super::{forms, moments, rewrite};
use crate::diagnostic::Code;

/// What `interval * number` is called in plans.
pub(super) const TIMES: &str = "interval_times";

pub(super) fn install(state: &mut SessionState) -> Result<()> {
    state.register_expr_planner(Arc::new(Operators))
}

#[derive(Debug)]
struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        operands: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(operator) = operator(&operands.op) else { return Ok(PlannerResult::Original(operands)) };
        let (Ok(left_is), Ok(right_is)) = (operands.left.get_type(schema), operands.right.get_type(schema))
        else {
            return Ok(PlannerResult::Original(operands));
        };
        // Of which type a value out of JSON is, is settled later.
        if [&left_is, &right_is].iter().any(|of| matches!(of, DataType::Union(..))) {
            return Ok(PlannerResult::Original(operands));
        }
        let RawBinaryExpr { op, left, right } = operands;
        let is_interval = |of: &DataType| matches!(of, DataType::Interval(_));
        let is_length = |of: &DataType| matches!(of, DataType::Duration(_));
        let is_sum = matches!(operator, Operator::Plus | Operator::Minus);
        let (left, right) = match operator {
            Operator::Multiply if is_interval(&left_is) && right_is.is_integer() => {
                return Ok(PlannerResult::Planned(times(left, right)));
            }
            Operator::Multiply if left_is.is_integer() && is_interval(&right_is) => {
                return Ok(PlannerResult::Planned(times(right, left)));
            }
            _ if is_sum && moments::is_day(&left_is) && is_length(&right_is) => {
                (moments::of_any(left), right)
            }
            Operator::Plus if is_length(&left_is) && moments::is_day(&right_is) => {
                (left, moments::of_any(right))
            }
            // Why here: the type of the operator is settled now.
            _ if is_of_two_clocks(&left_is, &right_is) => (moments::as_time(left), moments::as_time(right)),
            _ if BinaryTypeCoercer::new(&left_is, &operator, &right_is).get_result_type().is_err() => {
                return Err(no_operator(&left, &left_is, operator, &right, &right_is));
            }
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

/// Whether both sides are times of day, of two units.
fn is_of_two_clocks(left: &DataType, right: &DataType) -> bool {
    left != right && moments::is_time(left) && moments::is_time(right)
}

/// The operators that take values of some types only.
fn operator(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        BinaryOperator::StringConcat => Operator::StringConcat,
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        _ => return None,
    })
}

fn no_operator(
    left: &Expr,
    left_is: &DataType,
    operator: Operator,
    right: &Expr,
    right_is: &DataType,
) -> DataFusionError {
    let message = in_sql(&format!("no operator `{left_is} {operator} {right_is}`"));
    let types = [left_is, right_is];
    let beside_number =
        types.iter().any(|of| moments::is_moment(of)) && types.iter().any(|of| of.is_numeric());
    let is_moved =
        types.iter().any(|of| moments::is_moment(of)) && matches!(operator, Operator::Plus | Operator::Minus);
    let hint = match (left_is.is_string(), operator, right_is.is_string()) {
        _ if is_moved && !types.iter().all(|of| moments::is_moment(of)) => {
            "add an interval: `x + INTERVAL '1 day'`, `x + n * INTERVAL '1 hour'`"
        }
        (true, Operator::Plus, true) => "texts are joined with `||`: `a || b`",
        (true, _, _) | (_, _, true) if operator.is_numerical_operators() => {
            "read the text as a number: `CAST(x AS DOUBLE)`; join texts with `||`"
        }
        _ if beside_number && !operator.is_numerical_operators() => moments::BESIDE_NUMBER_HINT,
        _ => "CAST one of them to a type that goes with the other",
    };
    let spans = [left, right].into_iter().filter_map(|side| rewrite::place(side).first());
    forms::refused_as(Code::Type, message, hint, Span::union_iter(spans))
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
        let extent = Extent::of(&call.args, call.number_rows);
        let intervals = cast(&call.args[0].to_array(extent.rows)?, &MONTHS_DAYS_NANOS)?;
        let numbers = cast(&call.args[1].to_array(extent.rows)?, &DataType::Int64)?;
        let pairs = as_interval_mdn_array(&intervals)?.iter().zip(numbers.as_primitive::<Int64Type>());
        let products = pairs.map(|pair| match pair {
            (Some(interval), Some(number)) => product(interval, number)
                .map(Some)
                .ok_or_else(|| exec_datafusion_err!("an interval times {number} is out of range")),
            _ => Ok(None),
        });
        let products: ArrayRef = Arc::new(products.collect::<Result<IntervalMonthDayNanoArray>>()?);
        debug_assert_eq!(products.len(), extent.rows, "one interval for each row");
        extent.answer(products)
    }
}

fn product(interval: IntervalMonthDayNano, number: i64) -> Option<IntervalMonthDayNano> {
    let part = |part: i32| i32::try_from(i64::from(part).checked_mul(number)?).ok();
    let (months, days) = (part(interval.months)?, part(interval.days)?);
    Some(IntervalMonthDayNano::new(months, days, interval.nanoseconds.checked_mul(number)?))
}
