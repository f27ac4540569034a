//! Roundings of decimals: their type is the one that was planned, has room for the result, and they may be constants.
//!
//! DataFusion reads the type of `round(x, places)` off `places` where that is a literal. When it casts the literal, or folds
//! `1 + 1` into one, the type becomes another, and what was planned with the first fails.

use std::sync::Arc;

use arrow::array::{AsArray as _, Float64Array, Int64Array};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Float64Type, Int64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::wrapped::{Around, Extent, wrap};

/// Functions that panic over constants where a batch has no rows.
const OF_CONSTANTS: [&str; 6] = ["ceil", "floor", "gcd", "lcm", "log", "power"];

/// Functions that may return a number with a digit more than its type has: `ceil(9.5)` is 10.
const GROWING: [&str; 2] = ["ceil", "floor"];

pub(super) fn install(state: &mut SessionState) -> Result<()> {
    GROWING.iter().try_for_each(|name| wrap(state, name, WithADigitMore))?;
    wrap(state, "round", OfLargeDoubles)?;
    OF_CONSTANTS.iter().try_for_each(|name| wrap(state, name, AsOneRow))
}

#[derive(Debug)]
struct WithADigitMore;

impl Around for WithADigitMore {
    fn returns(&self, of: DataType) -> DataType {
        match of {
            DataType::Decimal128(digits, scale) => {
                DataType::Decimal128(DECIMAL128_MAX_PRECISION.min(digits + 1), scale)
            }
            other => other,
        }
    }

    fn call(&self, function: &dyn ScalarUDFImpl, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(value) = call.args.first_mut().filter(|value| value.data_type().is_decimal()) {
            *value = value.cast_to(call.return_field.data_type(), None)?;
        }
        function.invoke_with_args(call)
    }
}

/// A double that is too large for its digits to be counted has none after the point. DataFusion makes it an infinity, or NaN.
#[derive(Debug)]
struct OfLargeDoubles;

impl Around for OfLargeDoubles {
    const MAY_SIMPLIFY: bool = true;

    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if call.return_field.data_type() != &DataType::Float64 {
            return function.invoke_with_args(call);
        }
        let extent = Extent::of(&call.args, call.number_rows);
        let (values, places) = (call.args[0].clone(), call.args.get(1).cloned());
        let rounded = function.invoke_with_args(call)?.to_array(extent.rows)?;
        let rounded = rounded.as_primitive::<Float64Type>();
        if rounded.values().iter().all(|value| value.is_finite()) {
            return extent.answer(Arc::new(rounded.clone()));
        }
        let values = values.cast_to(&DataType::Float64, None)?.to_array(extent.rows)?;
        let places = match places {
            Some(places) => places.cast_to(&DataType::Int64, None)?.to_array(extent.rows)?,
            None => Arc::new(Int64Array::from_value(0, extent.rows)),
        };
        let (values, places) = (values.as_primitive::<Float64Type>(), places.as_primitive::<Int64Type>());
        let right = rounded.iter().enumerate().map(|(row, rounded)| match rounded {
            Some(rounded) if !rounded.is_finite() && values.value(row).is_finite() => {
                Some(if places.value(row) < 0 { 0.0 } else { values.value(row) })
            }
            other => other,
        });
        extent.answer(Arc::new(right.collect::<Float64Array>()))
    }
}

/// A call over constants is a call over one row.
#[derive(Debug)]
struct AsOneRow;

impl Around for AsOneRow {
    const MAY_SIMPLIFY: bool = true;

    fn call(&self, function: &dyn ScalarUDFImpl, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if !call.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_))) {
            return function.invoke_with_args(call);
        }
        call.number_rows = 1;
        match function.invoke_with_args(call)? {
            ColumnarValue::Array(result) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
            }
            scalar => Ok(scalar),
        }
    }
}

/// The places of a `round` as the type that it takes, so that a literal stays one.
pub(super) fn with_places(places: &mut Expr) -> bool {
    let Expr::Literal(value, _) = places else { return false };
    if value.data_type() == DataType::Int32 || !(value.data_type().is_integer() || value.is_null()) {
        return false;
    }
    // What does not fit is refused by `round` itself.
    let Ok(value) = value.cast_to(&DataType::Int32) else { return false };
    *places = Expr::Literal(value, None);
    true
}

/// A `round` of a decimal to places that are no literal, with the type that it has now.
pub(super) fn settled(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = &expression else {
        return Ok(Transformed::no(expression));
    };
    let is_read_off = matches!(args.get(1), None | Some(Expr::Literal(..)));
    if func.name() != "round" || is_read_off {
        return Ok(Transformed::no(expression));
    }
    let result = expression.get_type(schema)?;
    if !result.is_decimal() {
        return Ok(Transformed::no(expression));
    }
    let signature = Signature::any(args.len(), Volatility::Immutable);
    let settled = Rounding { round: Arc::clone(func), result, signature };
    Ok(Transformed::yes(ScalarUDF::from(settled).call(args.clone())))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    round: Arc<ScalarUDF>,
    result: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &'static str {
        "round_to"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.round.invoke_with_args(call)
    }
}
