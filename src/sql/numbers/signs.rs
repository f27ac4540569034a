//! Doubles have one zero and one NaN. SQL knows no others, while hashing, sorting and Arrow's comparisons tell a negative zero
//! from zero, and take a NaN with a sign, which is what a processor makes of infinity - infinity, for the smallest number. So
//! no zero and no NaN in a session has a sign.

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
    "cleared_sign",
    "struct",
    "unnest",
];

/// The expression, with the sign of a zero or NaN cleared where it can make one. Operators are left to [`super::arithmetic`].
pub(super) fn cleared(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let makes = match &expression {
        Expr::Literal(value, _) if has_floats(&value.data_type()) => {
            let cleared = clear_value(value)?;
            return Ok(match cleared == *value {
                true => Transformed::no(expression),
                false => Transformed::yes(Expr::Literal(cleared, None)),
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
    let function = Arc::new(ScalarUDF::from(ClearedSign::default()));
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expression]))))
}

/// The value, with the signs of zeros and NaNs cleared.
pub(in crate::sql) fn clear_value(value: &ScalarValue) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&clear(&value.to_array()?), 0)
}

/// The rows, with the signs of zeros and NaNs cleared.
pub(in crate::sql) fn clear_rows(rows: RecordBatch) -> RecordBatch {
    if !rows.schema_ref().fields().iter().any(|field| has_floats(field.data_type())) {
        return rows;
    }
    let columns = rows.columns().iter().map(clear).collect();
    // The types and the lengths are those of the rows, so there is no error to expect.
    RecordBatch::try_new(rows.schema(), columns).unwrap_or(rows)
}

macro_rules! signless {
    ($values:expr, $type:ty) => {{
        type Native = <$type as ArrowPrimitiveType>::Native;
        let zero = Native::default();
        // A negative zero and zero are zero.
        let signless = |value: Native| if value.is_nan() { Native::NAN } else { value + zero };
        changed::<$type>($values, signless, |left, right| left.to_bits() != right.to_bits())
    }};
}

/// The values, with the signs of zeros and NaNs cleared, also inside of lists and structs.
pub(in crate::sql) fn clear(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float16 => signless!(values, Float16Type),
        DataType::Float32 => signless!(values, Float32Type),
        DataType::Float64 => signless!(values, Float64Type),
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

/// Why no end at the first that differs: a loop without a way out takes several values at once.
fn changed<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    signless: impl Fn(T::Native) -> T::Native,
    differ: impl Fn(T::Native, T::Native) -> bool,
) -> ArrayRef {
    let floats = values.as_primitive::<T>();
    if !floats.values().iter().fold(false, |found, value| found | differ(*value, signless(*value))) {
        return Arc::clone(values);
    }
    let cleared: PrimitiveArray<T> = floats.unary(signless);
    Arc::new(cleared)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ClearedSign {
    signature: Signature,
}

impl Default for ClearedSign {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ClearedSign {
    fn name(&self) -> &'static str {
        "cleared_sign"
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
            ColumnarValue::Scalar(value) => ColumnarValue::Scalar(clear_value(value)?),
        })
    }
}
