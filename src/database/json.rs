//! Arrow values as JSON text: one encoder for nested columns of tables, `consume` and the prompt. Text is
//! written directly, so decimals and 64-bit integers keep all their digits.
//!
//! | Arrow | JSON |
//! |---|---|
//! | integers, decimals, floats | numbers, exact; NaN and infinities are errors, or text in a row as a whole |
//! | text; binary | strings; base64, or text and `{"base64": "..."}` ([`write_message`]) |
//! | dates | `"2024-01-02"` |
//! | timestamps | `"2024-01-02T03:04:05.678Z"`; without a time zone no `Z` |
//! | times | `"03:04:05.678"` |
//! | durations, intervals | ISO 8601: `"PT1.5S"`, `"P1Y2M3DT4.5S"` |
//! | lists | arrays |
//! | structs, maps | objects; a map's key that is not text is written as its text |
//! | unions, dictionaries, runs | the value itself |

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::array::{ArrowPrimitiveType, GenericListArray, MapArray, OffsetSizeTrait, RunArray, StructArray};
use arrow::datatypes::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{NaiveDateTime, SecondsFormat};

use super::value;

/// A value that JSON cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

/// Appends the value at `row` to `out`.
///
/// # Errors
/// NaN, an infinity, or a date beyond the calendar's range; `out` then ends in an unfinished value.
///
/// # Panics
/// Where `row` is not below the array's length.
pub fn write(out: &mut String, array: &dyn Array, row: usize) -> Result<(), JsonError> {
    put_value(out, array, row, Beyond::Refuse)
}

/// As [`write`]; but bytes are text where they are printable UTF-8, and `{"base64": "..."}` where they are not.
///
/// # Errors
/// As [`write`].
///
/// # Panics
/// As [`write`].
pub fn write_bytes(out: &mut String, array: &dyn Array, row: usize) -> Result<(), JsonError> {
    put_value(out, array, row, Beyond::WriteText)
}

/// What becomes of a value that JSON cannot carry.
#[derive(Clone, Copy, PartialEq)]
enum Beyond {
    Refuse,
    /// As `Write`, and bytes that are printable text are that text, others `{"base64": "..."}`.
    WriteText,
    /// NaN and the infinities are written as text, a date or timestamp beyond the calendar as the number that it is.
    Write,
}

fn put_value(out: &mut String, array: &dyn Array, row: usize, beyond: Beyond) -> Result<(), JsonError> {
    use DataType as A;
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        A::Null => out.push_str("null"),
        A::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        A::Int8 => integer(out, i64::from(primitive::<Int8Type>(array, row))),
        A::Int16 => integer(out, i64::from(primitive::<Int16Type>(array, row))),
        A::Int32 => integer(out, i64::from(primitive::<Int32Type>(array, row))),
        A::Int64 => integer(out, primitive::<Int64Type>(array, row)),
        A::UInt8 => integer(out, i64::from(primitive::<UInt8Type>(array, row))),
        A::UInt16 => integer(out, i64::from(primitive::<UInt16Type>(array, row))),
        A::UInt32 => integer(out, i64::from(primitive::<UInt32Type>(array, row))),
        A::UInt64 => put(out, format_args!("{}", primitive::<UInt64Type>(array, row))),
        A::Float16 => float(out, f64::from(primitive::<Float16Type>(array, row).to_f32()), None, beyond)?,
        A::Float32 => {
            let value = primitive::<Float32Type>(array, row);
            float(out, f64::from(value), Some(value), beyond)?;
        }
        A::Float64 => float(out, primitive::<Float64Type>(array, row), None, beyond)?,
        A::Decimal32(_, _) => out.push_str(&array.as_primitive::<Decimal32Type>().value_as_string(row)),
        A::Decimal64(_, _) => out.push_str(&array.as_primitive::<Decimal64Type>().value_as_string(row)),
        A::Decimal128(_, _) => out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
        A::Decimal256(_, _) => out.push_str(&array.as_primitive::<Decimal256Type>().value_as_string(row)),
        A::Utf8 => string(out, array.as_string::<i32>().value(row)),
        A::LargeUtf8 => string(out, array.as_string::<i64>().value(row)),
        A::Utf8View => string(out, array.as_string_view().value(row)),
        A::Binary => bytes(out, array.as_binary::<i32>().value(row), beyond),
        A::LargeBinary => bytes(out, array.as_binary::<i64>().value(row), beyond),
        A::BinaryView => bytes(out, array.as_binary_view().value(row), beyond),
        A::FixedSizeBinary(_) => bytes(out, array.as_fixed_size_binary().value(row), beyond),
        A::Date32 => date(out, i64::from(primitive::<Date32Type>(array, row)), beyond)?,
        A::Date64 => date(out, primitive::<Date64Type>(array, row).div_euclid(86_400_000), beyond)?,
        A::Time32(_) | A::Time64(_) => time(out, array, row)?,
        A::Timestamp(_, zone) => timestamp(out, array, row, zone.is_some(), beyond)?,
        A::Duration(_) => quoted(out, |out| duration(out, nanoseconds(array, row))),
        A::Interval(_) => quoted(out, |out| out.push_str(&interval_text(array, row))),
        A::List(_) => list(out, array.as_list::<i32>(), row, beyond)?,
        A::LargeList(_) => list(out, array.as_list::<i64>(), row, beyond)?,
        A::ListView(_) => items(out, &array.as_list_view::<i32>().value(row), beyond)?,
        A::LargeListView(_) => items(out, &array.as_list_view::<i64>().value(row), beyond)?,
        A::FixedSizeList(_, _) => items(out, &array.as_fixed_size_list().value(row), beyond)?,
        A::Struct(_) => object(out, array.as_struct(), row, beyond)?,
        A::Map(_, _) => map(out, array.as_map(), row, beyond)?,
        A::Union(_, _) => {
            let union = array.as_union();
            put_value(out, union.child(union.type_id(row)), union.value_offset(row), beyond)?;
        }
        A::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            put_value(out, dictionary.values().as_ref(), dictionary_place(dictionary.keys(), row), beyond)?;
        }
        A::RunEndEncoded(ends, _) => match ends.data_type() {
            A::Int16 => run::<Int16Type>(out, array, row, beyond)?,
            A::Int32 => run::<Int32Type>(out, array, row, beyond)?,
            _ => run::<Int64Type>(out, array, row, beyond)?,
        },
    }
    Ok(())
}

/// Appends one row as a JSON object on a line. NaN and the infinities are written as text, dates and timestamps beyond the
/// calendar as numbers, in Avro's units: `produce` takes both.
///
/// # Panics
/// Where `row` is not below the number of rows.
pub fn write_row(out: &mut String, batch: &RecordBatch, row: usize) {
    put_row(out, batch, row, &|_| false);
}

/// As [`write_row`]; but the bytes of a key, of headers and of a payload are text where they are printable UTF-8, and
/// `{"base64": "..."}` where they are not.
///
/// # Panics
/// Where `row` is not below the number of rows.
pub fn write_message(out: &mut String, batch: &RecordBatch, row: usize) {
    put_row(out, batch, row, &|field| {
        let is_bytes = matches!(field.data_type(), DataType::Binary | DataType::Map(..));
        is_bytes && BYTES_OF_MESSAGES.contains(&field.name().as_str())
    });
}

/// Columns with bytes that are a message's and no field of its record. A key may be of another type.
const BYTES_OF_MESSAGES: [&str; 3] = ["kafka_key", "kafka_headers", "payload"];

fn put_row(out: &mut String, batch: &RecordBatch, row: usize, is_text: &dyn Fn(&Field) -> bool) {
    out.push('{');
    for (index, (field, column)) in batch.schema_ref().fields().iter().zip(batch.columns()).enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, field.name());
        out.push(':');
        let start = out.len();
        let beyond = if is_text(field) { Beyond::WriteText } else { Beyond::Write };
        if put_value(out, column, row, beyond).is_err() {
            out.truncate(start);
            out.push_str("null");
        }
    }
    out.push_str("}\n");
}

/// Appends `text` as a JSON string: quotes, backslashes and control characters are escaped, all else is kept.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (place, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[start..place]);
        if escape.is_empty() {
            put(out, format_args!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
        start = place + 1;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

/// Bytes as the text that they are, if all of it is printable.
pub fn printable(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

fn bytes(out: &mut String, bytes: &[u8], beyond: Beyond) {
    match printable(bytes) {
        _ if beyond != Beyond::WriteText => base64(out, bytes),
        Some(text) => string(out, text),
        None => {
            out.push_str("{\"base64\":");
            base64(out, bytes);
            out.push('}');
        }
    }
}

/// Appends bytes as a JSON string in base64.
pub fn base64(out: &mut String, bytes: &[u8]) {
    quoted(out, |out| BASE64.encode_string(bytes, out));
}

/// The ISO 8601 duration of an interval column's value: `P1Y2M3DT4.5S`.
///
/// # Panics
/// Where the array is not of intervals.
pub fn interval_text(array: &dyn Array, row: usize) -> String {
    let (months, days, nanos) = match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => (primitive::<IntervalYearMonthType>(array, row), 0, 0),
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = primitive::<IntervalDayTimeType>(array, row);
            (0, value.days, i128::from(value.milliseconds) * 1_000_000)
        }
        _ => {
            let value = primitive::<IntervalMonthDayNanoType>(array, row);
            (value.months, value.days, i128::from(value.nanoseconds))
        }
    };
    let mut out = String::from("P");
    for (amount, unit) in [(months / 12, 'Y'), (months % 12, 'M'), (days, 'D')] {
        if amount != 0 {
            put(&mut out, format_args!("{amount}{unit}"));
        }
    }
    if nanos != 0 || out.len() == 1 {
        out.push('T');
        seconds(&mut out, nanos);
    }
    out
}

fn primitive<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

/// Writes into a String, which cannot fail.
pub(crate) fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

fn quoted(out: &mut String, content: impl FnOnce(&mut String)) {
    out.push('"');
    content(out);
    out.push('"');
}

fn integer(out: &mut String, value: i64) {
    put(out, format_args!("{value}"));
}

/// The shortest text that reads back as the same number, of 32 bits where `single` is given.
fn float(out: &mut String, value: f64, single: Option<f32>, beyond: Beyond) -> Result<(), JsonError> {
    if !value.is_finite() {
        if beyond != Beyond::Refuse {
            let sign = if value < 0.0 { "-" } else { "" };
            put(out, format_args!("\"{sign}{}\"", if value.is_nan() { "NaN" } else { "Infinity" }));
            return Ok(());
        }
        return Err(JsonError(format!("{value} is no number of JSON")));
    }
    match single {
        Some(single) => put(out, format_args!("{single:?}")),
        None => put(out, format_args!("{value:?}")),
    }
    Ok(())
}

fn date(out: &mut String, days: i64, beyond: Beyond) -> Result<(), JsonError> {
    match value::date(days) {
        Some(date) => put(out, format_args!("\"{date}\"")),
        None if beyond != Beyond::Refuse => integer(out, days),
        None => return Err(JsonError(format!("day {days} is beyond the calendar"))),
    }
    Ok(())
}

fn time(out: &mut String, array: &dyn Array, row: usize) -> Result<(), JsonError> {
    let nanos = nanoseconds(array, row);
    let time = u32::try_from(nanos.div_euclid(1_000_000_000)).ok().and_then(|seconds| {
        chrono::NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos.rem_euclid(1_000_000_000) as u32)
    });
    let time = time.ok_or_else(|| JsonError(format!("{nanos} ns is no time of day")))?;
    put(out, format_args!("\"{time}\""));
    Ok(())
}

fn timestamp(
    out: &mut String,
    array: &dyn Array,
    row: usize,
    has_zone: bool,
    beyond: Beyond,
) -> Result<(), JsonError> {
    let (units, unit_nanos) = units(array, row);
    let nanos = i128::from(units) * unit_nanos;
    let instant = i64::try_from(nanos.div_euclid(1_000_000_000)).ok().and_then(|seconds| {
        chrono::DateTime::from_timestamp(seconds, nanos.rem_euclid(1_000_000_000) as u32)
    });
    let Some(instant) = instant else {
        if beyond != Beyond::Refuse {
            integer(out, units);
            return Ok(());
        }
        return Err(JsonError(format!("{nanos} ns is beyond the calendar")));
    };
    let text = match has_zone {
        true => instant.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        false => without_zone(instant.naive_utc()),
    };
    put(out, format_args!("\"{text}\""));
    Ok(())
}

fn without_zone(time: NaiveDateTime) -> String {
    let mut text = time.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true);
    text.truncate(text.trim_end_matches('Z').len());
    text
}

/// The nanoseconds of a time, timestamp or duration of any unit.
fn nanoseconds(array: &dyn Array, row: usize) -> i128 {
    let (units, unit_nanos) = units(array, row);
    i128::from(units) * unit_nanos
}

/// A time, timestamp or duration in its own unit, and how many nanoseconds that unit has.
fn units(array: &dyn Array, row: usize) -> (i64, i128) {
    use DataType as A;
    let (value, unit) = match array.data_type() {
        A::Time32(TimeUnit::Second) => (primitive::<Time32SecondType>(array, row).into(), TimeUnit::Second),
        A::Time32(_) => (primitive::<Time32MillisecondType>(array, row).into(), TimeUnit::Millisecond),
        A::Time64(TimeUnit::Microsecond) => {
            (primitive::<Time64MicrosecondType>(array, row), TimeUnit::Microsecond)
        }
        A::Time64(_) => (primitive::<Time64NanosecondType>(array, row), TimeUnit::Nanosecond),
        A::Timestamp(unit, _) => (
            match unit {
                TimeUnit::Second => primitive::<TimestampSecondType>(array, row),
                TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(array, row),
                TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(array, row),
                TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(array, row),
            },
            *unit,
        ),
        A::Duration(unit) => (
            match unit {
                TimeUnit::Second => primitive::<DurationSecondType>(array, row),
                TimeUnit::Millisecond => primitive::<DurationMillisecondType>(array, row),
                TimeUnit::Microsecond => primitive::<DurationMicrosecondType>(array, row),
                TimeUnit::Nanosecond => primitive::<DurationNanosecondType>(array, row),
            },
            *unit,
        ),
        _ => (0, TimeUnit::Second),
    };
    let factor = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    (value, factor)
}

fn duration(out: &mut String, nanos: i128) {
    out.push_str("PT");
    seconds(out, nanos);
}

/// Seconds with the digits behind the point that are needed: `1.5S`.
fn seconds(out: &mut String, nanos: i128) {
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, fraction) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    put(out, format_args!("{sign}{whole}"));
    if fraction != 0 {
        let digits = format!("{fraction:09}");
        put(out, format_args!(".{}", digits.trim_end_matches('0')));
    }
    out.push('S');
}

fn list<O: OffsetSizeTrait>(
    out: &mut String,
    lists: &GenericListArray<O>,
    row: usize,
    beyond: Beyond,
) -> Result<(), JsonError> {
    let offsets = lists.value_offsets();
    elements(out, lists.values(), offsets[row].as_usize()..offsets[row + 1].as_usize(), beyond)
}

fn items(out: &mut String, values: &ArrayRef, beyond: Beyond) -> Result<(), JsonError> {
    elements(out, values, 0..values.len(), beyond)
}

fn elements(
    out: &mut String,
    values: &ArrayRef,
    rows: std::ops::Range<usize>,
    beyond: Beyond,
) -> Result<(), JsonError> {
    out.push('[');
    for (index, row) in rows.enumerate() {
        if index > 0 {
            out.push(',');
        }
        put_value(out, values.as_ref(), row, beyond)?;
    }
    out.push(']');
    Ok(())
}

fn object(out: &mut String, fields: &StructArray, row: usize, beyond: Beyond) -> Result<(), JsonError> {
    out.push('{');
    for (index, (field, column)) in fields.fields().iter().zip(fields.columns()).enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, field.name());
        out.push(':');
        put_value(out, column.as_ref(), row, beyond)?;
    }
    out.push('}');
    Ok(())
}

fn map(out: &mut String, maps: &MapArray, row: usize, beyond: Beyond) -> Result<(), JsonError> {
    let offsets = maps.value_offsets();
    out.push('{');
    for (index, entry) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
        if index > 0 {
            out.push(',');
        }
        let start = out.len();
        put_value(out, maps.keys().as_ref(), entry, beyond)?;
        if !out[start..].starts_with('"') {
            let key = out.split_off(start);
            string(out, &key);
        }
        out.push(':');
        put_value(out, maps.values().as_ref(), entry, beyond)?;
    }
    out.push('}');
    Ok(())
}

/// The index of a dictionary's value of `row` among its values.
fn dictionary_place(keys: &dyn Array, row: usize) -> usize {
    match keys.data_type() {
        DataType::Int8 => primitive::<Int8Type>(keys, row) as usize,
        DataType::Int16 => primitive::<Int16Type>(keys, row) as usize,
        DataType::Int32 => primitive::<Int32Type>(keys, row) as usize,
        DataType::Int64 => primitive::<Int64Type>(keys, row) as usize,
        DataType::UInt8 => usize::from(primitive::<UInt8Type>(keys, row)),
        DataType::UInt16 => usize::from(primitive::<UInt16Type>(keys, row)),
        DataType::UInt32 => primitive::<UInt32Type>(keys, row) as usize,
        _ => primitive::<UInt64Type>(keys, row) as usize,
    }
}

fn run<R: RunEndIndexType>(
    out: &mut String,
    array: &dyn Array,
    row: usize,
    beyond: Beyond,
) -> Result<(), JsonError> {
    let Some(runs) = array.as_any().downcast_ref::<RunArray<R>>() else {
        return Err(JsonError("run ends of an unknown type".into()));
    };
    put_value(out, runs.values().as_ref(), runs.get_physical_index(row), beyond)
}

#[cfg(test)]
mod tests;
