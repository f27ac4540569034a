//! Casts of doubles to narrower numbers. Arrow's make an infinity of a double that is too large for a REAL, and
//! calculate the digits of a DECIMAL as a double, which has 15 of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Decimal128Array, Decimal256Array, Float32Array, Float64Array};
use arrow::datatypes::{DataType, Float64Type, i256};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;

use super::super::sql_types::in_sql;
use super::exact::quotient;

/// Up to here, a double has all digits of an integer.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether it is a cast that this does in Arrow's place.
pub(in crate::sql) fn is_ours(from: &DataType, to: &DataType) -> bool {
    *from == DataType::Float64
        && matches!(to, DataType::Float32 | DataType::Decimal128(..) | DataType::Decimal256(..))
}

/// The cast; an error if a value does not fit.
pub(in crate::sql) fn cast(value: &ColumnarValue, to: &DataType) -> Result<ColumnarValue> {
    narrowed(value, to, |value| {
        let message =
            in_sql(&format!("cannot cast {} to {to}: it does not fit", ryu::Buffer::new().format(value)));
        Err(DataFusionError::Execution(message))
    })
}

/// The cast; NULL if a value does not fit.
pub(in crate::sql) fn try_cast(value: &ColumnarValue, to: &DataType) -> Result<ColumnarValue> {
    narrowed(value, to, |_| Ok(()))
}

fn narrowed(
    value: &ColumnarValue,
    to: &DataType,
    misfit: impl Fn(f64) -> Result<()>,
) -> Result<ColumnarValue> {
    if !is_ours(&value.data_type(), to) {
        return value.cast_to(to, None);
    }
    Ok(match value {
        ColumnarValue::Array(values) => ColumnarValue::Array(array(values, to, misfit)?),
        ColumnarValue::Scalar(value) => {
            let narrowed = array(&value.to_array()?, to, misfit)?;
            ColumnarValue::Scalar(ScalarValue::try_from_array(&narrowed, 0)?)
        }
    })
}

fn array(values: &ArrayRef, to: &DataType, misfit: impl Fn(f64) -> Result<()>) -> Result<ArrayRef> {
    let doubles: &Float64Array = values.as_primitive::<Float64Type>();
    macro_rules! each {
        ($array:ty, $one:expr) => {{
            let one = $one;
            let narrowed = doubles.iter().map(|value| {
                let Some(value) = value else { return Ok(None) };
                let narrowed = one(value);
                if narrowed.is_none() {
                    misfit(value)?;
                }
                Ok(narrowed)
            });
            narrowed.collect::<Result<$array>>()?
        }};
    }
    Ok(match to {
        DataType::Decimal128(digits, scale) => {
            let one = |value| decimal(value, *digits, *scale).and_then(i256::to_i128);
            Arc::new(each!(Decimal128Array, one).with_precision_and_scale(*digits, *scale)?)
        }
        DataType::Decimal256(digits, scale) => {
            let one = |value| decimal(value, *digits, *scale);
            Arc::new(each!(Decimal256Array, one).with_precision_and_scale(*digits, *scale)?)
        }
        _ => Arc::new(each!(Float32Array, real)),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is too large is no REAL; digits are lost, as a REAL has fewer"
)]
fn real(value: f64) -> Option<f32> {
    let narrowed = value as f32;
    (narrowed.is_finite() || !value.is_finite()).then_some(narrowed)
}

/// The digits of the decimal that is nearest to a double; `None` if they are too many.
fn decimal(value: f64, digits: u8, scale: i8) -> Option<i256> {
    let scaled = value * 10_f64.powi(i32::from(scale));
    let unscaled = match scaled.abs() < EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
        true => i256::from_i128(scaled.round() as i128),
        false => shortest(value, i32::from(scale))?,
    };
    let limit = i256::from_i128(10).checked_pow(u32::from(digits))?;
    (unscaled < limit && unscaled > limit.checked_neg()?).then_some(unscaled)
}

/// The digits of a double as it is written, of all decimals that read as this double the shortest.
fn shortest(value: f64, scale: i32) -> Option<i256> {
    if !value.is_finite() {
        return None;
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    let (number, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()? + scale;
    let unscaled = i256::from_i128(unscaled);
    let power = i256::from_i128(10).checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 { unscaled.checked_mul(power) } else { quotient(unscaled, power) }
}
