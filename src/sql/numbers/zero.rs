//! Negative zero is zero. SQL knows one zero, while hashing, sorting and Arrow's comparisons know two: so no
//! double in a session keeps the sign of a zero.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray as _, PrimitiveArray, RecordBatch, make_array,
};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable as _, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TryCast, Volatility,
};

use super::has_floats;

/// Functions that give one of their arguments, or a part of one, as it is.
const CHOOSE: [&str; 14] = [
    "array_element",
    "coalesce",
    "get_field",
    "greatest",
    "least",
    "make_array",
    "map",
    "named_struct",
    "nullif",
    "nvl",
    "nvl2",
    "positive_zero",
    "struct",
    "unnest",
];

/// The expression, with the sign of a zero cleared where it can make one. Operators are left to [`super::arithmetic`].
pub(super) fn cleared(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let makes = match &expression {
        Expr::Literal(value, _) => {
            return Ok(match positive(value) {
                Some(zero) => Transformed::yes(Expr::Literal(zero, None)),
                None => Transformed::no(expression),
            });
        }
        // What a number becomes has its sign, and only a double that is too small for a shorter one becomes zero.
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
            let from = expr.get_type(schema)?;
            !from.is_numeric() || from == DataType::Float64 && expression.get_type(schema)? != from
        }
        Expr::ScalarFunction(call) => !CHOOSE.contains(&call.name()) && !call.name().starts_with("checked_"),
        _ => false,
    };
    if !makes || !has_floats(&expression.get_type(schema)?) {
        return Ok(Transformed::no(expression));
    }
    let function = Arc::new(ScalarUDF::from(PositiveZero::default()));
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expression]))))
}

/// Zero, for a negative one.
fn positive(value: &ScalarValue) -> Option<ScalarValue> {
    match value {
        ScalarValue::Float32(Some(value)) if *value == 0.0 && value.is_sign_negative() => {
            Some(ScalarValue::Float32(Some(0.0)))
        }
        ScalarValue::Float64(Some(value)) if *value == 0.0 && value.is_sign_negative() => {
            Some(ScalarValue::Float64(Some(0.0)))
        }
        _ => None,
    }
}

/// The rows, with the signs of zeros cleared.
pub(in crate::sql) fn clear_rows(rows: RecordBatch) -> RecordBatch {
    if !rows.schema_ref().fields().iter().any(|field| has_floats(field.data_type())) {
        return rows;
    }
    let columns = rows.columns().iter().map(clear).collect();
    // The types and the lengths are those of the rows, so there is no error to expect.
    RecordBatch::try_new(rows.schema(), columns).unwrap_or(rows)
}

/// The values, with the signs of zeros cleared, also inside of lists and structs.
pub(in crate::sql) fn clear(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float16 => floats::<Float16Type>(values, |value| value.to_bits() == 0x8000),
        DataType::Float32 => floats::<Float32Type>(values, |value| value.to_bits() == 1 << 31),
        DataType::Float64 => floats::<Float64Type>(values, |value| value.to_bits() == 1 << 63),
        other if has_floats(other) => {
            let data = values.to_data();
            let children: Vec<_> = data.child_data().iter().map(|child| make_array(child.clone())).collect();
            let cleared: Vec<_> = children.iter().map(clear).collect();
            if children.iter().zip(&cleared).all(|(before, after)| Arc::ptr_eq(before, after)) {
                return Arc::clone(values);
            }
            let children = cleared.iter().map(Array::to_data).collect();
            data.into_builder().child_data(children).build().map_or_else(|_| Arc::clone(values), make_array)
        }
        _ => Arc::clone(values),
    }
}

fn floats<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    is_negative_zero: impl Fn(T::Native) -> bool,
) -> ArrayRef {
    let floats = values.as_primitive::<T>();
    // Why no end at the first: a loop without a way out takes several values at once.
    if !floats.values().iter().fold(false, |found, value| found | is_negative_zero(*value)) {
        return Arc::clone(values);
    }
    let cleared: PrimitiveArray<T> =
        floats.unary(|value| if is_negative_zero(value) { T::Native::default() } else { value });
    Arc::new(cleared)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PositiveZero {
    signature: Signature,
}

impl Default for PositiveZero {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PositiveZero {
    fn name(&self) -> &'static str {
        "positive_zero"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match &call.args[0] {
            ColumnarValue::Array(values) => ColumnarValue::Array(clear(values)),
            ColumnarValue::Scalar(value) => {
                let cleared = clear(&value.to_array()?);
                ColumnarValue::Scalar(ScalarValue::try_from_array(&cleared, 0)?)
            }
        })
    }
}
