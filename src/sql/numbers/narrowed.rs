//! Casts to types with fewer values. Arrow's make an infinity of a double that is too large for a REAL, calculate the digits of
//! a DECIMAL as a double, which has 15 of them, cut off the end of a moment, where databases round, and take the time of a zone
//! for that of UTC when the zone is left out. They round a decimal twice when it becomes a double, take a text of digits for a
//! time in microseconds, cut off parts of intervals, and do not know some texts ([`readable`](mod@super::readable)).

use std::fmt::Display;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int64Array,
    IntervalMonthDayNanoArray,
};
use arrow::compute::{CastOptions, cast as arrow_cast, cast_with_options, nullif};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, Int64Type, TimeUnit, i256};
use datafusion::common::{Result, exec_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;

use super::super::intervals;
use super::super::moments::{TIME_OF_DAY, is_time, of_values};
use super::super::sql_types::in_sql;
use super::super::zones;
use super::exact::quotient;
use super::readable::{self, readable};

/// Up to here, a double has all digits of an integer.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
const EXACT_UNITS: i128 = 1 << 53;
/// Up to here, a double is a power of ten.
const EXACT_POWER_MAX: i32 = 22;

/// Whether it is a cast that this does in Arrow's place.
pub(in crate::sql) fn is_ours(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Float64, DataType::Float32 | DataType::Decimal128(..) | DataType::Decimal256(..)) => true,
        (DataType::Timestamp(_, Some(zone)), DataType::Timestamp(_, None))
            if zones::of(Some(zone)).ok().flatten().is_some() =>
        {
            true
        }
        (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(zone)))
            if zones::of(Some(zone)).ok().flatten().is_some() =>
        {
            true
        }
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from > to,
        (from, to) if readable::is_ours(from, to) => true,
        (from, DataType::Float32 | DataType::Float64) => from.is_decimal(),
        (from, DataType::Interval(_)) => from.is_string(),
        (from, to) => from.is_string() && is_time(to),
    }
}

/// The cast; an error if a value does not fit.
pub(in crate::sql) fn cast(value: &ColumnarValue, to: &DataType) -> Result<ColumnarValue> {
    if let Some(cast) = by_arrow(value, to, None)? {
        return Ok(cast);
    }
    let misfit: Misfit<'_> = &|value, reason| {
        let message = format!("cannot cast {value} to {}: {reason}", in_sql(&to.to_string()));
        Err(DataFusionError::Execution(message))
    };
    of_values(value, &|values| array(values, to, misfit))
}

/// The cast; NULL if a value does not fit.
pub(in crate::sql) fn try_cast(value: &ColumnarValue, to: &DataType) -> Result<ColumnarValue> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    if let Some(cast) = by_arrow(value, to, Some(&options))? {
        return Ok(cast);
    }
    of_values(value, &|values| array(values, to, &|_, _| Ok(())))
}

/// The casts that Arrow's do, once it can read the texts.
fn by_arrow(
    value: &ColumnarValue,
    to: &DataType,
    options: Option<&CastOptions<'static>>,
) -> Result<Option<ColumnarValue>> {
    let from = value.data_type();
    match is_ours(&from, to) {
        true if readable::is_ours(&from, to) => {
            let texts = readable(value, to)?;
            let cast = texts.cast_to(to, options);
            Ok(Some(if to.is_decimal() {
                cast.or_else(|error| no_decimal(&texts, to, error))?
            } else {
                cast?
            }))
        }
        true => Ok(None),
        false => value.cast_to(to, options).map(Some),
    }
}

/// Says which text is no number of a type. Why: Arrow names another type.
fn no_decimal(texts: &ColumnarValue, to: &DataType, error: DataFusionError) -> Result<ColumnarValue> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let read = texts.cast_to(to, Some(&options))?.to_array(1)?;
    let texts = arrow_cast(&texts.to_array(1)?, &DataType::Utf8)?;
    let mut pairs = texts.as_string::<i32>().iter().zip(0..);
    match pairs.find_map(|(text, row)| text.filter(|_| read.is_null(row))) {
        Some(text) => {
            let to = in_sql(&to.to_string());
            exec_err!("cannot cast '{text}' to {to}: it is no number, or has more digits before the point")
        }
        None => Err(error),
    }
}

/// What is done about a value that does not fit, for a reason.
type Misfit<'a> = &'a dyn Fn(&dyn Display, &str) -> Result<()>;

fn array(values: &ArrayRef, to: &DataType, misfit: Misfit<'_>) -> Result<ArrayRef> {
    match (values.data_type(), to) {
        (from, _) if from.is_decimal() => return doubles(values, to),
        (from, DataType::Interval(_)) if from.is_string() => return intervals(values, to, misfit),
        (from, _) if from.is_string() => return times(values, to, misfit),
        _ => {}
    }
    if let DataType::Timestamp(step, zone) = to {
        let from = zone_of(values.data_type()).map(AsRef::as_ref);
        let values = match (zones::of(from)?, zones::of(zone.as_deref())?) {
            (Some(from), _) if zone.is_none() => zones::local(values, from)?,
            (_, Some(to)) if from.is_none() => zones::moments(values, to)?,
            _ => Arc::clone(values),
        };
        return rounded(&values, *step, to);
    }
    let doubles: &Float64Array = values.as_primitive::<Float64Type>();
    macro_rules! each {
        ($array:ty, $one:expr) => {{
            let one = $one;
            let narrowed = doubles.iter().map(|value| {
                let Some(value) = value else { return Ok(None) };
                let narrowed = one(value);
                if narrowed.is_none() {
                    misfit(&ryu::Buffer::new().format(value), "it does not fit")?;
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

/// Decimals as the doubles that are nearest to them.
fn doubles(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let scale = i32::from(super::scale(values.data_type()));
    let read = |units: &dyn Display| format!("{units}e{}", -scale).parse().unwrap_or(f64::NAN);
    let doubles: Float64Array = match values.data_type() {
        DataType::Decimal256(..) => values.as_primitive::<Decimal256Type>().unary(|units| read(&units)),
        DataType::Decimal128(..) => {
            let is_exact = (0..=EXACT_POWER_MAX).contains(&scale);
            let power = 10_f64.powi(scale);
            values.as_primitive::<Decimal128Type>().unary(|units| {
                match is_exact && units.abs() < EXACT_UNITS {
                    #[expect(clippy::cast_precision_loss, reason = "bounded just before")]
                    true => units as f64 / power,
                    false => read(&units),
                }
            })
        }
        of => {
            let (digits, scale) = super::decimal(of).unwrap_or_default();
            let wider = arrow_cast(values, &DataType::Decimal128(digits, scale))?;
            return doubles(&wider, to);
        }
    };
    Ok(arrow_cast(&doubles, to)?)
}

/// Texts as times of day.
fn times(values: &ArrayRef, to: &DataType, misfit: Misfit<'_>) -> Result<ArrayRef> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let read = cast_with_options(values, to, &options)?;
    let counts = arrow_cast(&arrow_cast(&read, &TIME_OF_DAY)?, &DataType::Int64)?;
    let texts = arrow_cast(values, &DataType::Utf8)?;
    let pairs = texts.as_string::<i32>().iter().zip(counts.as_primitive::<Int64Type>());
    let is_time = pairs.map(|(text, count)| {
        let Some(text) = text else { return Ok(false) };
        let is_time =
            text.contains(':') && count.is_some_and(|count| (0..intervals::MICROS_A_DAY).contains(&count));
        if !is_time {
            misfit(&format!("'{text}'"), "it is no time of day, such as '08:30:00'")?;
        }
        Ok(is_time)
    });
    let is_other = is_time.map(|is_time| is_time.map(|is_time| !is_time)).collect::<Result<Vec<bool>>>()?;
    Ok(nullif(&read, &is_other.into())?)
}

/// Texts as intervals.
fn intervals(values: &ArrayRef, to: &DataType, misfit: Misfit<'_>) -> Result<ArrayRef> {
    let texts = arrow_cast(values, &DataType::Utf8)?;
    let read = texts.as_string::<i32>().iter().map(|text| {
        let Some(text) = text else { return Ok(None) };
        match intervals::read(text, None) {
            Ok(interval) => Ok(Some(interval)),
            Err(misread) => misfit(&format!("'{text}'"), misread.reason).map(|()| None),
        }
    });
    let read: ArrayRef = Arc::new(read.collect::<Result<IntervalMonthDayNanoArray>>()?);
    Ok(arrow_cast(&read, to)?)
}

fn zone_of(of: &DataType) -> Option<&Arc<str>> {
    match of {
        DataType::Timestamp(_, zone) => zone.as_ref(),
        _ => None,
    }
}

/// Moments to the nearest of the steps that `to` counts.
fn rounded(values: &ArrayRef, step: TimeUnit, to: &DataType) -> Result<ArrayRef> {
    let step = match values.data_type() {
        DataType::Timestamp(from, _) if *from > step => ticks(*from) / ticks(step),
        // By way of the count: Arrow takes a time without a zone for a local one.
        DataType::Timestamp(from, None) => {
            let moments = arrow_cast(values, &DataType::Int64)?;
            let moments = arrow_cast(&moments, &DataType::Timestamp(*from, zone_of(to).cloned()))?;
            return Ok(arrow_cast(&moments, to)?);
        }
        _ => return Ok(arrow_cast(values, to)?),
    };
    let counts = arrow_cast(values, &DataType::Int64)?;
    let counts: Int64Array =
        counts.as_primitive::<Int64Type>().unary(|count| count.saturating_add(step / 2).div_euclid(step));
    Ok(arrow_cast(&counts, to)?)
}

/// How many of a unit are a second.
fn ticks(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
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
